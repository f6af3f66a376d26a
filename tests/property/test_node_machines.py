"""Whatever arrives in whatever order: the machines stand it, time goes on, and what they send is valid."""

from hypothesis import given, settings
from hypothesis import strategies as st

from node.dispatch import Dispatch, RequestKey, Serve
from node.election import Election
from node.faults import Faults
from node.lease import ClaimLease, LeaseAnswer, LeaseLost, LeaseReleased, LeaseRenewed, LeaseUnknown, LeaseWon
from node.membership import MemberRow
from node.roles import Role
from shared.config import LOCAL, MAX_MESSAGE_BYTES
from shared.errors import MalformedMessage
from shared.wire import node_messages as wire
from shared.wire.codec import decode, encode

NODES = ("a", "b", "c")
OTHERS = st.sampled_from(("a", "c"))
TERMS = st.integers(0, 4)
KEYS = st.builds(
    lambda account, number: RequestKey(bytes([account]) * 32, f"{number:032x}"), st.integers(0, 2), st.integers(0, 5)
)
BATCHES = st.lists(KEYS, min_size=1, max_size=4).map(lambda keys: next(iter(wire.pack_keys(keys))))
STAMP = {"term": TERMS, "incarnation": st.integers(1, 2)}
REPORT = {
    **STAMP,
    "load1": st.floats(0, 9),
    "cores": st.integers(1, 8),
    "in_flight": st.integers(0, 9),
    "fit": st.booleans(),
}
ROWS = st.lists(
    st.builds(
        wire.TableRow,
        st.integers(0, 3),
        st.integers(0, 2),
        st.integers(0, 2000),
        st.floats(0, 9),
        st.integers(1, 8),
        st.integers(0, 9),
        st.booleans(),
    ),
    max_size=4,
).map(tuple)
NAMES = st.sampled_from((*NODES, "stranger"))
ELECTION_MESSAGES = st.one_of(
    st.builds(wire.Heartbeat, sequence=st.integers(0, 20), table=ROWS, **STAMP),
    st.builds(wire.HeartbeatAck, sequence=st.integers(0, 20), **REPORT),
    st.builds(wire.NewLeader, table=ROWS, **STAMP),
    st.builds(wire.LeaderIs, leader=NAMES, **STAMP),
    st.builds(wire.Resign, successor=st.none() | NAMES, **STAMP),
    *(st.builds(kind, **REPORT) for kind in (wire.Pulse, wire.Ok, wire.Election, wire.Join)),
    *(st.builds(kind, **STAMP) for kind in (wire.CrashLeader, wire.Yield, wire.Decline, wire.HandOver)),
)
DISPATCH_MESSAGES = st.one_of(
    st.builds(wire.Assign, term=TERMS, node=NAMES, keys=BATCHES),
    st.builds(wire.AssignAck, term=TERMS, accepted=BATCHES, unheld=BATCHES),
    *(st.builds(kind, keys=BATCHES) for kind in (wire.Done, wire.Forward, wire.Working, wire.Unserved)),
)
FAULT_MESSAGES = st.one_of(
    st.builds(
        wire.FaultToken, term=TERMS, hop=st.integers(0, 5), holder=st.none() | NAMES, remaining_s=st.floats(0, 30)
    ),
    st.builds(wire.FaultControl, running=st.booleans()),
)
ALL_MESSAGES = ELECTION_MESSAGES | DISPATCH_MESSAGES | FAULT_MESSAGES
PASSING = st.sampled_from((0.0, 0.01, 0.1, 0.3, 1.0, 3.0))


@given(
    st.binary(max_size=1200) | ALL_MESSAGES.map(lambda message: encode(message, cap_bytes=MAX_MESSAGE_BYTES)), st.data()
)
@settings(max_examples=150, deadline=None)
def test_bytes_are_a_valid_message_or_malformed(data: bytes, draw: st.DataObject) -> None:
    """Also with some bytes changed on the way."""
    mutable = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 3))):
        if mutable:
            mutable[draw.draw(st.integers(0, len(mutable) - 1))] = draw.draw(st.integers(0, 255))
    try:
        message: wire.NodeMessage = decode(bytes(mutable), wire.NodeMessage, cap_bytes=MAX_MESSAGE_BYTES)
    except MalformedMessage:
        return
    assert (
        decode(encode(message, cap_bytes=2 * MAX_MESSAGE_BYTES), wire.NodeMessage, cap_bytes=2 * MAX_MESSAGE_BYTES)
        == message
    )


LEASE_ANSWERS = st.one_of(
    st.builds(LeaseWon, TERMS, st.floats(0, 20)),
    st.builds(LeaseRenewed, TERMS, st.floats(0, 20)),
    st.builds(LeaseLost, TERMS, st.none() | NAMES, st.none() | st.floats(0, 2), st.none() | st.floats(0, 20)),
    st.builds(LeaseUnknown, st.none() | st.floats(0, 20)),
    st.builds(LeaseReleased, TERMS),
)
STEPS = st.lists(
    st.tuples(
        PASSING,
        st.one_of(
            st.tuples(OTHERS, ELECTION_MESSAGES),
            LEASE_ANSWERS,
            st.sampled_from(("drain", "undrain", "stand_down", "request_leadership", "grant", "rows", "away")),
        ),
    ),
    max_size=40,
)


def operate(machine: Election, what: str, now: float) -> None:
    match what:
        case "drain":
            machine.drain(now)
        case "undrain":
            machine.undrain(now)
        case "stand_down":
            machine.stand_down(now)
        case "request_leadership":
            machine.request_leadership(now)
        case "rows":
            machine.node_rows([MemberRow("a", now), MemberRow("c", 0.0, True)], now)
        case "away":
            machine.directory_away()
        case _:
            for action in machine.take_actions():
                if isinstance(action, ClaimLease):
                    machine.lease_answer(LeaseWon(action.seen_term + 1, action.sent_at), now)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_the_election_stands_everything(steps: list[tuple[float, object]]) -> None:
    """No missing transition, terms only grow, time goes on, nobody leads without having been granted the lease."""
    machine = Election("b", NODES, timing=LOCAL, incarnation=1, now=0.0)
    now, term, granted = 0.0, 0, False
    for passing, what in steps:
        now += passing
        if isinstance(what, str):
            granted = granted or what == "grant"
            operate(machine, what, now)
        elif isinstance(what, tuple):
            machine.receive(*what, now)
        else:
            assert isinstance(what, LeaseAnswer)
            granted = granted or isinstance(what, LeaseWon)
            machine.lease_answer(what, now)
        machine.tick(now)
        assert machine.next_deadline() > now
        assert machine.term >= term
        assert granted or machine.role is not Role.LEADER
        assert machine.is_leader(now) <= (machine.leader == "b")
        term = machine.term
        for node, message in machine.take_sends():
            assert node in ("a", "c")
            encode(message, cap_bytes=MAX_MESSAGE_BYTES)
    machine.node_states(now)


DISPATCH_STEPS = st.lists(
    st.tuples(
        PASSING,
        st.one_of(
            st.tuples(OTHERS, DISPATCH_MESSAGES),
            KEYS,
            st.tuples(st.just("leads"), st.none() | st.sampled_from(NODES), TERMS),
            st.tuples(st.just("state"), st.sampled_from(NODES), st.booleans()),
            st.tuples(st.just("work"), st.booleans()),
        ),
    ),
    max_size=60,
)


@given(DISPATCH_STEPS)
@settings(max_examples=300, deadline=None)
def test_dispatch_stands_everything(steps: list[tuple[float, tuple[object, ...]]]) -> None:
    """Counts never go below zero, time goes on, and nothing is served twice at once or without being held."""
    machine = Dispatch("b", NODES, timing=LOCAL, now=0.0)
    now = 0.0
    held: set[RequestKey] = set()
    serving: list[RequestKey] = []
    for passing, what in steps:
        now += passing
        match what:
            case RequestKey():
                machine.request_held(what, now)
                held.add(what)
            case ("leads", leader, int(term)):
                machine.leadership(leader, term, leader == "b", now)  # type: ignore[arg-type]
            case ("state", str(node), bool(alive)):
                machine.node_state(node, 1.0, 2, 3, alive)
            case ("work", bool(succeeds)):
                for key in serving:
                    (machine.served if succeeds else machine.failed_to_serve)(key, now)
                serving = []
            case (str(sender), message):
                machine.receive(sender, message, now)  # type: ignore[arg-type]
        machine.tick(now)
        for action in machine.take_actions():
            if isinstance(action, Serve):
                assert action.key in held
                assert action.key not in serving
                serving.append(action.key)
        sends = machine.take_sends()
        assert machine.next_deadline() > now
        assert all(node in ("a", "c") for node, _ in sends)
        for _, message in sends:
            encode(message, cap_bytes=MAX_MESSAGE_BYTES)
        assert min(machine._placement.in_flight(node) for node in NODES) >= 0
        assert machine.in_flight == len(serving)
        assert machine.counts().open >= len(serving)


@given(
    st.lists(
        st.tuples(PASSING, st.tuples(OTHERS, FAULT_MESSAGES) | st.sampled_from(("lead", "follow", "start", "stop"))),
        max_size=40,
    )
)
@settings(max_examples=150, deadline=None)
def test_the_failure_simulation_stands_everything(steps: list[tuple[float, object]]) -> None:
    machine = Faults("b", NODES, timing=LOCAL, now=0.0)
    now = 0.0
    for passing, what in steps:
        now += passing
        match what:
            case "lead":
                machine.leadership("b", 2, True, now)
            case "follow":
                machine.leadership("a", 2, False, now)
            case "start":
                machine.start_token(now)
            case "stop":
                machine.stop_token(now)
            case (sender, message):
                machine.receive(sender, message, now)
        machine.tick(now)
        assert machine.next_deadline() > now
        for _, message in machine.take_sends():
            encode(message, cap_bytes=MAX_MESSAGE_BYTES)
