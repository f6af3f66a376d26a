"""Two peers and some nodes with address translators between them: do they find a path, and the direct one where there
is one? Everything follows from the seed.

The machines are the real ones: sessions, the choice of paths, a node's table of pairs, the messages of a meeting. The
shell around them is as thin as the endpoint's.
"""

import random
from dataclasses import dataclass, field
from itertools import pairwise

from node.relay_table import Party, RelayTable
from shared.config import LIMITS, LOCAL, MAX_MESSAGE_BYTES, REQUEST_LIMITS
from shared.net.handles import Session
from shared.net.relays import RelayedPaths
from shared.secure.datagrams import Address
from shared.secure.events import MessageReceived, PathsSilent, PathValidated, SessionClosed, SessionOpened
from shared.secure.multiplexer import SecureMultiplexer
from shared.secure.relayed import FOR_RELAY, HANDLE_BYTES, is_relayed, unwrap, wrap
from shared.wire.base import PathAddress
from shared.wire.codec import decode, encode
from shared.wire.operations import Meet, Met
from shared.wire.peer_messages import CloudState, KeepAlive, Meeting, MeetingAnswer
from tests.sim.nat import Depends, Kind, Machine, Realm, Translator
from tests.sim.world import VirtualTime, Weather
from tui.peer.keep_alives import KeepAlivePace

GRANT = "1" * 32
ASK_AGAIN_S = 0.5
TELL_AGAIN_S = 0.25
KEEP_ALIVE_S = 2.0
ECHO_S = 0.25
SPARE_AFTER_S = 1.0
"""As a peer that sends a copy: after so long through one node it asks another for a path to keep ready."""
AWAITED_S = 0.5
"""As an endpoint's transfers: what stands still for so long may be on its way to where nobody is."""
HANDSHAKE_S = LOCAL.handshake_timeout_s + ASK_AGAIN_S
"""After so long a handshake has failed, and a path is asked for again, as a copy that waits is tried again."""
FOUND_WITHIN_S = 8.0
"""At 5 % loss a first message and its answer cross four lossy networks; four such pairs in a row are lost once in a
thousand times, and the fifth leaves after four seconds."""
DIRECT_WITHIN_S = 13.0
GONE_FOR_S = 5.0
"""How long a conversation may be silent at the most, after a fault, in the worst weather."""

_Incoming = Meet | Met | Meeting | MeetingAnswer | KeepAlive | CloudState


class _Shell:
    """Feeds one multiplexer, and keeps its sessions."""

    def __init__(self, world: "World", realm: Realm, address: Address, name: str) -> None:
        self.world, self.name, self.address = world, name, address
        self.random = random.Random(f"{world.seed} {name}")
        key = self.random.randbytes(32)
        self.mux = SecureMultiplexer(key, entropy=self.random.randbytes, timing=LOCAL, limits=LIMITS)
        self.sessions: dict[int, Session] = {}
        self.machine = Machine(realm, address, self.received)
        self.alive = True
        self.spoken_to: set[Address] = set()
        """Where anything was sent."""
        self._armed: float | None = None

    @property
    def now(self) -> float:
        return self.world.time.now

    def received(self, source: Address, datagram: bytes) -> None:
        if self.alive:
            self.mux.receive(source, datagram, self.now)
            self.flush()

    def send(self, session: Session, data: bytes) -> None:
        if session.alive and self.alive:
            self.mux.send(session.number, data, self.now)

    def post(self, session: Session, message: _Incoming) -> None:
        self.send(session, b"\0" + encode(message, cap_bytes=MAX_MESSAGE_BYTES))
        self.flush()

    def flush(self) -> None:
        while (events := self.mux.take_events()) or (carried := self.mux.take_carried()):
            for event in events:
                self.handle(event)
            for number, bodies in ({} if events else carried).items():
                for body in bodies:
                    self.relayed(self.sessions[number], body)
        while datagrams := self.mux.take_datagrams():
            for address, datagram in datagrams:
                self.carry(address, datagram)
        deadline = self.mux.next_deadline()
        if deadline is not None and (self._armed is None or deadline < self._armed):
            self._armed = deadline
            self.world.time.call_at(deadline, lambda: self._tick(deadline))

    def _tick(self, armed: float) -> None:
        if self._armed == armed and self.alive:
            self._armed = None
            self.mux.tick(self.now)
            self.flush()

    def carry(self, address: Address, datagram: bytes) -> None:
        self.spoken_to.add(address)
        self.machine.realm.send(self.address, address, datagram)

    def handle(self, event: object) -> None:
        match event:
            case SessionOpened():
                session = Session(
                    event.session, event.remote_key, event.address, initiator=event.initiator, opened_at=self.now
                )
                self.sessions[event.session] = session
                self.opened(session)
            case SessionClosed():
                if (session := self.sessions.pop(event.session, None)) is not None:
                    session.alive = False
                    self.closed(session)
            case PathValidated():
                self.sessions[event.session].address = event.address
                self.moved(self.sessions[event.session])
            case PathsSilent():
                self.silent(self.sessions[event.session])
            case MessageReceived():
                session = self.sessions[event.session]
                kind, body = event.plaintext[:1], event.plaintext[1:]
                if kind == b"\0":
                    self.told(session, decode(body, _Incoming, cap_bytes=MAX_MESSAGE_BYTES))
                else:
                    self.heard(session, body)

    def opened(self, session: Session) -> None: ...
    def closed(self, session: Session) -> None: ...
    def moved(self, session: Session) -> None: ...
    def silent(self, session: Session) -> None: ...
    def relayed(self, session: Session, body: bytes) -> None: ...
    def told(self, session: Session, message: _Incoming) -> None: ...
    def heard(self, session: Session, data: bytes) -> None: ...


class SimNode(_Shell):
    """A node: tells peers of each other, carries datagrams."""

    def __init__(self, world: "World", number: int) -> None:
        super().__init__(world, world.internet, (f"100.0.0.{number}", 7_000), f"n{number}")
        self.table = RelayTable[Session](REQUEST_LIMITS)
        self._asked: dict[bytes, tuple[Session, Session]] = {}
        self._by_asker: dict[int, bytes] = {}

    def relayed(self, session: Session, body: bytes) -> None:
        handle, datagram = unwrap(body) or (b"", b"")
        target = self.table.carry(handle, session, session.remote_key, len(datagram), self.now)
        if target is not None:
            self.send(target, FOR_RELAY + body)

    def closed(self, session: Session) -> None:
        self.table.closed(session)

    def told(self, session: Session, message: _Incoming) -> None:
        match message:
            case KeepAlive():
                seen = PathAddress(*session.address)
                self.post(
                    session,
                    CloudState(node=self.name, leader=None, term=0, signed_in=True, mail_waiting=0, now=0.0, seen=seen),
                )
            case Meet():
                self._meet(session, message)
            case MeetingAnswer(handle=handle):
                if handle in self._asked and self._asked[handle][1] is session:
                    asker, _ = self._asked.pop(handle)
                    self.post(asker, Met(node=self.name, handle=handle, candidates=message.candidates))

    def _meet(self, session: Session, message: Meet) -> None:
        others = [one for one in self.sessions.values() if one.remote_key != session.remote_key]
        if not others:
            self.post(session, Met(node=self.name))
            return
        handle = self.random.randbytes(HANDLE_BYTES)
        asker = Party(1, session.remote_key, session)
        self.table.bind(handle, asker, Party(2, others[-1].remote_key, others[-1]), self.now)
        self._asked[handle] = session, others[-1]
        told = Meeting(handle=handle, grant=GRANT, key=session.remote_key, candidates=message.candidates)
        self._tell(told, others[-1], 8)

    def _tell(self, told: Meeting, other: Session, left: int) -> None:
        if told.handle in self._asked and left:
            self.post(other, told)
            self.world.time.call_later(TELL_AGAIN_S, lambda: self._tell(told, other, left - 1))


class SimPeer(_Shell):
    """A peer: keeps sessions to all nodes, and talks with the other one."""

    def __init__(self, world: "World", realm: Realm, host: str, name: str, *, hides: bool) -> None:
        super().__init__(world, realm, (host, 5_000), name)
        self.hides = hides
        self.paths = RelayedPaths()
        self.nodes: dict[bytes, Session] = {}
        self.seen: dict[bytes, Address] = {}
        self.talk: Session | None = None
        self.last_heard = 0.0
        self.heard_at: list[float] = []
        self._asking = False
        self._spare_for: Address | None = None
        """The path in use for which another is ready, or asked for."""
        self._wants_spare = False
        self.pace = KeepAlivePace(KEEP_ALIVE_S, LOCAL.idle_keep_alive_s)
        self._kept_at: dict[bytes, float] = {}
        self._silent_s: dict[bytes, float] = {}
        """For how long a node had heard nothing before it was asked what it has not answered yet."""
        self._joined_at = float("-inf")
        self.kept = 0
        """Keep-alives so far."""
        self._doubting = False

    # --- Nodes -------------------------------------------------------------------------------------------------------
    def join(self) -> None:
        for node in self.world.nodes:
            if node.alive and node.mux.public_key not in self.nodes:
                self.mux.connect(node.address, node.mux.public_key, self.now)
        if self._silent_s or self.now - self._joined_at >= self.pace.pause_s(self.now) - KEEP_ALIVE_S / 4:
            self._joined_at = self.now
            for key, session in self.nodes.items():
                self._silent_s.setdefault(key, self.now - self._kept_at.get(key, self.now))
                self._kept_at[key] = self.now
                self.post(session, KeepAlive(device=GRANT))
                self.kept += 1
        self.flush()
        self.world.time.call_later(KEEP_ALIVE_S if self.seen else 0.1, self.join)

    def opened(self, session: Session) -> None:
        if session.remote_key in self.world.node_keys:
            self.nodes[session.remote_key] = session
        elif is_relayed(session.address):
            session.roams = True
            path = self.paths.at(session.address)
            self.mux.roam(session.number, () if path is None else path.candidates, self.now)
            self.talk = session

    def closed(self, session: Session) -> None:
        if self.nodes.get(session.remote_key) is session:
            del self.nodes[session.remote_key]
            self._silent_s.pop(session.remote_key, None)
            for address in self.paths.of_node(session):
                self.paths.drop(address)
                self.mux.lose_path(address, self.now)

    # --- Paths --------------------------------------------------------------------------------------------------------
    def carry(self, address: Address, datagram: bytes) -> None:
        if not is_relayed(address):
            super().carry(address, datagram)
        elif (path := self.paths.at(address)) is not None:
            self.send(path.node, wrap(path.handle, datagram))

    def relayed(self, session: Session, body: bytes) -> None:
        if (found := self.paths.received(session, body)) is not None:
            self.mux.receive(*found, self.now)

    def candidates(self) -> tuple[PathAddress, ...]:
        return (
            () if self.hides else tuple(PathAddress(*at) for at in dict.fromkeys((*self.seen.values(), self.address)))
        )

    def ask(self) -> None:
        """Ask all nodes for a path, as every request goes to all, until one is found."""
        self._asking = True
        for node in list(self.nodes.values()):
            self.post(node, Meet(grant=GRANT, candidates=self.candidates()))
        self.world.time.call_later(ASK_AGAIN_S, lambda: self.ask() if self._asking else None)

    def keep_spare(self) -> None:
        """While the conversation goes through a node, ask the others for a path to keep ready."""
        talk = self.talk
        if (
            talk is not None
            and talk.alive
            and talk.initiator
            and not self.is_direct
            and self._spare_for != talk.address
        ):
            self._spare_for = talk.address
            self._wants_spare = True
            path = self.paths.at(talk.address)
            for node in self.nodes.values():
                if path is None or node is not path.node:
                    self.post(node, Meet(grant=GRANT, candidates=self.candidates()))
        self.world.time.call_later(SPARE_AFTER_S, self.keep_spare)

    def silent(self, session: Session) -> None:
        if session is self.talk and session.initiator and not self._asking:
            self.ask()

    def moved(self, session: Session) -> None:
        """Back to a path through a node: one of the two may have another address outside, and tells the other."""
        if session.initiator and is_relayed(session.address):
            self._renew_later(session, 3)

    def _renew_later(self, session: Session, times: int) -> None:
        def renew() -> None:
            if session is self.talk and not self.is_direct and times:
                if not self._asking:
                    self.ask()
                self._renew_later(session, times - 1)

        self.world.time.call_later(KEEP_ALIVE_S + 0.5, renew)

    def _told_of(self, candidates: tuple[PathAddress, ...]) -> list[Address]:
        return [] if self.hides else [(told.host, told.port) for told in candidates]

    def told(self, session: Session, message: _Incoming) -> None:
        match message:
            case CloudState(seen=PathAddress() as seen):
                at, silent_s = (seen.host, seen.port), self._silent_s.pop(session.remote_key, 0.0)
                if self.seen.get(session.remote_key, at) == at:
                    self.pace.held(silent_s)
                else:
                    self.pace.forgotten(silent_s, self.now)
                self.seen[session.remote_key] = at
            case Met(handle=bytes() as handle) if self._asking or self._wants_spare:
                self._asking = self._wants_spare = False
                candidates = self._told_of(message.candidates)
                path = self.paths.add(session, handle, candidates)
                if self.talk is None or not self.talk.alive:
                    self.mux.connect(path, self.world.peers[1].mux.public_key, self.now)
                    self.world.time.call_later(HANDSHAKE_S, lambda: self.ask() if self.talk is None else None)
                else:
                    self.mux.roam(self.talk.number, [path, *candidates], self.now)
            case Meeting():
                candidates = self._told_of(message.candidates)
                path = self.paths.add(session, message.handle, candidates)
                if self.talk is not None and self.talk.alive:
                    self.mux.roam(self.talk.number, [path, *candidates], self.now)
                self.post(session, MeetingAnswer(handle=message.handle, candidates=self.candidates()))
        self.flush()

    # --- What they say -----------------------------------------------------------------------------------------------
    def chat(self) -> None:
        """Say something again and again, and see whether the other is heard."""
        self.pace.used(self.now)
        if self.talk is not None and self.talk.alive:
            self.send(self.talk, b"\x09hello")
            if not self._doubting:
                self._doubting = True
                self.world.time.call_at(max(self.now, self.last_heard + AWAITED_S), self._doubt)
            self.flush()
        self.world.time.call_later(ECHO_S, self.chat)

    def _doubt(self) -> None:
        """See whether what is awaited has come by now."""
        self._doubting = False
        if self.talk is not None and self.talk.alive and self.now - self.last_heard >= AWAITED_S:
            self.mux.doubt_path(self.talk.number, self.now)
            self.flush()

    def heard(self, session: Session, data: bytes) -> None:
        self.last_heard = self.now
        self.heard_at.append(self.now)

    @property
    def is_direct(self) -> bool:
        return self.talk is not None and not is_relayed(self.talk.address)


@dataclass
class World:
    """The internet with its nodes, and two homes."""

    seed: int
    homes: tuple[tuple[Kind, ...], tuple[Kind, ...]]
    """For both peers, the translators from the internet inwards."""
    shared: int = 0
    """How many of the outer translators are the same ones for both."""
    weather: Weather = field(default_factory=Weather)
    hides: tuple[bool, bool] = (False, False)
    nodes_count: int = 2

    def __post_init__(self) -> None:
        self.time = VirtualTime()
        self.random = random.Random(self.seed)
        self.internet = Realm(self.time, self.random, self.weather)
        self.nodes = [SimNode(self, number) for number in range(1, self.nodes_count + 1)]
        self.node_keys = {node.mux.public_key for node in self.nodes}
        self.translators: list[list[Translator]] = [[], []]
        self.peers: list[SimPeer] = []
        for number, kinds in enumerate(self.homes):
            realm = self.internet
            for depth, kind in enumerate(kinds):
                if number and depth < self.shared:
                    translator = self.translators[0][depth]
                else:
                    outer = f"200.0.{number}.1" if realm is self.internet else f"10.{depth}.{number}.1"
                    translator = Translator(kind, outer, realm, Realm(self.time, self.random, Weather()))
                self.translators[number].append(translator)
                realm = translator.inside
            # Homes like to have the same private addresses.
            apart = number if self.shared == len(kinds) == len(self.homes[0]) else 0
            host = f"192.168.1.{5 + apart}" if kinds else f"201.0.{number}.1"
            self.peers.append(SimPeer(self, realm, host, "ab"[number], hides=self.hides[number]))

    def run(self, seconds: float) -> None:
        self.time.run_until(self.time.now + seconds)

    def begin(self) -> None:
        """Let both sign in, and one look for the other."""
        for peer in self.peers:
            peer.join()
            peer.chat()
            peer.keep_spare()
        self.run(1.5)
        self.peers[0].ask()

    def check_talking(self, since: float) -> None:
        """Raise where one of them heard nothing for too long, from `since` on."""
        for peer in self.peers:
            times = [since, *(at for at in peer.heard_at if at > since), self.time.now]
            gap = max(after - before for before, after in pairwise(times))
            assert gap <= GONE_FOR_S, f"{peer.name} heard nothing for {gap:.1f} s, from {since:.1f} s on"

    @property
    def must_be_direct(self) -> bool:
        """Whether a direct path is there for certain: mappings do not depend on whom they lead to, nothing is blocked,
        and whoever is behind the same translator can reach the other within it or at its outer address."""
        if any(self.hides):
            return False
        kinds = [*self.homes[0], *self.homes[1]]
        if any(kind.only_to or kind.mapping is not Depends.NOTHING for kind in kinds):
            return False
        within = self.shared and self.shared == len(self.homes[0]) == len(self.homes[1])
        return bool(not self.shared or within or self.homes[0][self.shared - 1].hairpin)

    @property
    def cannot_be_direct(self) -> bool:
        """Whether no direct path can be."""
        if any(self.hides):
            return True
        if self.shared:
            return False
        if any(kind.only_to for kinds in self.homes for kind in kinds):
            return True
        worst = [
            any(kind.mapping is not Depends.NOTHING and kind.filtering is Depends.PORT for kind in kinds)
            for kinds in self.homes
        ]
        return all(worst) and all(any(kind.mapping is not Depends.NOTHING for kind in kinds) for kinds in self.homes)


NODES = frozenset(f"100.0.0.{number}" for number in range(1, 9))


def any_kind(rng: random.Random) -> Kind:
    """Return any translator there may be."""
    mapping = rng.choice([Depends.NOTHING, Depends.NOTHING, Depends.ADDRESS, Depends.PORT])
    filtering = rng.choice(list(Depends))
    if mapping is not Depends.NOTHING and filtering is Depends.NOTHING:
        filtering = Depends.PORT
    return Kind(
        mapping,
        filtering,
        hairpin=rng.random() < 0.5,
        timeout_s=rng.choice([15.0, 60.0, 120.0]),
        only_to=NODES if rng.random() < 0.1 else frozenset(),
    )


def any_world(seed: int) -> World:
    """Return a world of any kind: homes, double translators, a shared one, hidden peers, bad weather."""
    rng = random.Random(seed)
    homes = [tuple(any_kind(rng) for _ in range(rng.choice([0, 1, 1, 1, 2]))) for _ in range(2)]
    shared = 0
    if homes[0] and homes[1] and rng.random() < 0.25:
        shared = rng.randint(1, min(map(len, homes)))
        homes[1] = homes[0][:shared] + homes[1][shared:]
    weather = Weather(
        loss=rng.choice([0.0, 0.0, 0.02, 0.05]),
        duplication=rng.choice([0.0, 0.1]),
        delay_max=rng.choice([0.002, 0.02, 0.08]),
    )
    hides = (rng.random() < 0.05, rng.random() < 0.05)
    return World(seed, (homes[0], homes[1]), shared, weather, hides, nodes_count=rng.choice([2, 3]))


def journey(seed: int) -> World:
    """Let two peers meet, and bad things happen to their paths. Raises `AssertionError` where they lose each other, and
    where they do not go directly though they could."""
    world = any_world(seed)
    rng = random.Random(seed + 1)
    world.begin()
    world.run(FOUND_WITHIN_S)
    assert all(peer.heard_at for peer in world.peers), "no path was found"
    began = world.time.now
    world.run(DIRECT_WITHIN_S - FOUND_WITHIN_S)
    check_directness(world)
    fault = rng.choice(["none", "translator", "node", "node"])
    if fault == "translator" and any(world.translators):
        rng.choice([one for ones in world.translators for one in ones]).forget()
    elif fault == "node":
        kill_node(world, rng)
    world.run(DIRECT_WITHIN_S)
    world.check_talking(began)
    check_directness(world)
    return world


def kill_node(world: World, rng: random.Random) -> None:
    """End the node that carries the conversation, or else any."""
    talk = world.peers[0].talk
    assert talk is not None
    path = world.peers[0].paths.at(talk.address)
    doomed = [node for node in world.nodes if path is not None and node.mux.public_key == path.node.remote_key]
    (doomed or [rng.choice(world.nodes)])[0].alive = False


def check_directness(world: World) -> None:
    """Raise where a direct path is not taken, or one is that cannot be."""
    paths = [peer.is_direct for peer in world.peers]
    assert all(paths) or not world.must_be_direct, f"not direct: {world.homes} shared {world.shared}, {paths}"
    assert not (world.cannot_be_direct and any(paths)), f"direct by what there is not: {world.homes}, {paths}"
