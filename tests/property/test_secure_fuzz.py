"""Whatever arrives, in whatever order, from wherever: nothing raises and nothing that was not sent comes out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.config import LIMITS, LOCAL, PROTOCOL_VERSION
from shared.secure.datagrams import DatagramType, peek
from shared.secure.events import MessageReceived, SessionOpened
from shared.secure.multiplexer import SecureMultiplexer
from shared.secure.session import WINDOW_PACKETS, ReplayWindow
from tests.sim.secure_world import SecureWorld

ADDRESSES = [("10.0.0.1", 7000), ("10.0.0.2", 7000), ("10.0.0.3", 7000)]


def fresh_multiplexer() -> SecureMultiplexer:
    drawn = iter(range(1, 10**9))
    return SecureMultiplexer(
        b"k" * 32, entropy=lambda count: next(drawn).to_bytes(count, "big"), timing=LOCAL, limits=LIMITS
    )


headed = st.builds(
    lambda kind, rest: bytes((PROTOCOL_VERSION, kind)) + rest,
    st.sampled_from([int(kind) for kind in DatagramType]),
    st.one_of(st.binary(max_size=100), st.binary(min_size=1198, max_size=1198)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ADDRESSES), st.one_of(st.binary(max_size=2000), headed)), max_size=20))
def test_arbitrary_bytes_never_raise_and_are_counted(datagrams):
    mux = fresh_multiplexer()
    for index, (address, datagram) in enumerate(datagrams):
        mux.receive(address, memoryview(datagram), index * 0.01)
        sent = sum(len(answer) for _, answer in mux.take_datagrams())
        assert sent <= len(datagram)
    assert mux.dropped.total() == len(datagrams)
    assert mux.take_events() == []
    assert mux.sessions() == []


step = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 10**6), st.sampled_from(ADDRESSES)),
    st.tuples(st.just("mutate"), st.integers(0, 10**6), st.integers(0, 1210)),
    st.tuples(st.just("cut"), st.integers(0, 10**6), st.integers(0, 1210)),
    st.tuples(st.just("retype"), st.integers(0, 10**6), st.sampled_from([int(kind) for kind in DatagramType])),
    st.tuples(st.just("say"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("connect"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 400), st.just(0)),
)


class Bench:
    """Two sides between which the test carries, repeats and mangles the datagrams itself."""

    def __init__(self) -> None:
        world = SecureWorld(0)
        self.sides = [world.host(1).mux, world.host(2).mux]
        self.wire: list[tuple[int, bytes]] = []
        self.said: list[set[bytes]] = [set(), set()]
        self.heard: list[list[bytes]] = [[], []]
        self.sessions: list[int | None] = [None, None]
        self.now = 0.0

    def collect(self) -> None:
        for index, side in enumerate(self.sides):
            self.wire += [(1 - index, datagram) for _, datagram in side.take_datagrams()]
            for event in side.take_events():
                if isinstance(event, SessionOpened):
                    assert event.remote_key == self.sides[1 - index].public_key
                    self.sessions[index] = event.session
                elif isinstance(event, MessageReceived):
                    self.heard[index].append(event.plaintext)

    def deliver(self, target: int, datagram: bytes, address: tuple[str, int] | None = None) -> None:
        self.sides[target].receive(address or ADDRESSES[1 - target], datagram, self.now)

    def act(self, verb: str, number: int, detail: object) -> None:
        if verb == "wait":
            self.now += number / 20
            for side in self.sides:
                side.tick(self.now)
                deadline = side.next_deadline()
                assert deadline is None or deadline > self.now
        elif verb == "connect":
            other = 1 - number
            self.sessions[number] = self.sides[number].connect(ADDRESSES[other], self.sides[other].public_key, self.now)
        elif verb == "say":
            text = b"%d %d" % (number, len(self.said[number]))
            session = self.sessions[number]
            if session in self.sides[number].sessions():
                self.said[number].add(text)
                self.sides[number].send(session, text, self.now)
        elif self.wire:
            target, datagram = self.wire[-1 - number % min(len(self.wire), 12)]
            if verb == "deliver":
                self.deliver(target, datagram, detail if number % 5 == 0 else None)
            elif verb == "mutate":
                position = detail % len(datagram)
                mangled = datagram[:position] + bytes((datagram[position] ^ 1,)) + datagram[position + 1 :]
                self.deliver(target, mangled)
            elif verb == "cut":
                self.deliver(target, datagram[: detail % len(datagram)])
            else:
                self.deliver(target, datagram[:1] + bytes((detail,)) + datagram[2:])
        self.collect()


@settings(max_examples=300, deadline=None)
@given(st.lists(step, max_size=60))
def test_mangled_traffic_never_raises_and_brings_nothing_that_was_not_said(steps):
    bench = Bench()
    bench.act("connect", 0, 0)
    for verb, number, detail in steps:
        bench.act(verb, number, detail)
    for index in (0, 1):
        assert len(bench.heard[index]) == len(set(bench.heard[index]))
        assert set(bench.heard[index]) <= bench.said[1 - index]
    # Whatever happened, an honest network brings the two together again.
    session = None
    for _ in range(60):
        bench.now += 0.3
        for side in bench.sides:
            side.tick(bench.now)
        session = bench.sides[0].connect(ADDRESSES[1], bench.sides[1].public_key, bench.now)
        before = len(bench.wire)
        bench.collect()
        fresh = bench.wire[before:]
        while fresh:
            for target, datagram in fresh:
                bench.deliver(target, datagram)
            before = len(bench.wire)
            bench.collect()
            fresh = bench.wire[before:]
    assert session in bench.sides[0].sessions()
    assert bench.sides[1].sessions()


@given(st.lists(st.integers(0, 3 * WINDOW_PACKETS), max_size=200))
def test_the_replay_window_is_a_set_with_a_floor(numbers):
    window = ReplayWindow()
    seen: set[int] = set()
    for number in numbers:
        floor = max(seen, default=-1) - WINDOW_PACKETS
        assert window.is_fresh(number) == (number not in seen and number > floor)
        if window.is_fresh(number):
            window.mark(number)
            seen.add(number)


@given(st.binary(max_size=200))
def test_peek_never_raises(datagram):
    seen = peek(datagram)
    assert seen is None or (len(datagram) >= 10 and seen[1] == datagram[2:10])
