"""A cloud whose nodes do as a script says, and which tells of itself by the nodes' own code.

What happens is the script's: who leads, falls silent, elects, answers. What is told of it is what a real node would
tell: it goes through `node.telemetry` (counts, notices, sampled requests), a `NodeSnapshot`, and `node.feed_frames`.
Times are those of a clock that the test turns.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from node import feed_frames
from node.coordination import CoordinationTable, NodeState, cost, priority
from node.faults import Token
from node.lease import ClaimLease, LeaseUnknown, LeaseWon
from node.node_stats import DirectoryStats, LinkSnapshot, NodeSnapshot
from node.roles import Input, LeaderChanged, Role, RoleChanged
from node.subscriptions import Subscription
from node.telemetry import RequestOrigin, Telemetry
from shared.wire import feed_messages as feed
from shared.wire.feed_messages import Happening
from shared.wire.node_messages import AuditRecord, Join, NewLeader, RequestKey
from tui.monitor.model import Model
from tui.monitor.node_index import NodeEntry, NodeIndex

FRAME_S = 0.2
HEARTBEAT_S = 0.25
BOOT_S = 5_000.0
"""What the machine's clock shows at the fake cloud's time 0."""
WALL_OFFSET_S = 1_800_000_000.0 - BOOT_S
FIRST_LIFE = 1_800_000_000_000_000
UP_BEFORE_S = 90.0
"""How long a node of the fake cloud has run already when it begins."""
KINDS = (110, 120, 123, 130, 103, 141)
"""Operations that people ask for: encrypt, ask views, grant, spend view, list users, ack mail."""

Told = tuple[float, int, feed.FeedMessage]
"""When a message reaches the monitor, from which node, and the message."""


def node_index(nodes: int = 3) -> NodeIndex:
    return NodeIndex(
        tuple(NodeEntry(f"n{1 + place}", "127.0.0.1", 47_600 + 2 * place) for place in range(nodes)), "local"
    )


@dataclass
class FakeNode:
    """One node: how the script has it, and the telemetry of a real one. Times in seconds of the fake cloud."""

    place: int
    name: str
    incarnation: int
    began: float
    telemetry: Telemetry
    alive: bool = True
    deaf_from: float = float("inf")
    deaf_until: float = float("-inf")
    draining: bool = False
    directory_ok: bool = True
    role: Role = Role.FOLLOWER
    term: int = 0
    leader: int | None = None
    load: float = 0.8
    slowdown: float = 1.0
    in_flight: int = 0
    open_requests: int = 0
    done: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    relay_pairs: int = 0
    heartbeats: int = 0
    heard_at: dict[int, float] = field(default_factory=dict)
    watch: Subscription = field(default_factory=lambda: Subscription("monitor", FRAME_S, float("inf"), 0.0, 0.0))
    """The monitor's."""

    @property
    def fit(self) -> bool:
        return self.directory_ok and not self.draining

    def count(self, what: Happening) -> int:
        return self.telemetry.samples.counts[what]

    def deaf(self, now: float) -> bool:
        return self.deaf_from <= now < self.deaf_until

    def speaks(self, now: float) -> bool:
        return self.alive and not self.deaf(now)


class FakeCloud:
    """`nodes` nodes, of which the first leads term 3 at first, under a load of `requests_per_s`."""

    def __init__(
        self, nodes: int = 3, *, seed: int = 1, requests_per_s: float = 60.0, frame_s: float = FRAME_S
    ) -> None:
        self.node_index = node_index(nodes)
        self.random = random.Random(seed)
        self.requests_per_s = requests_per_s
        self.frame_s = frame_s
        self.now = 0.0
        self.names = tuple(self.node_index.name(place) for place in range(nodes))
        self._later_s = 0.0
        self.nodes = [self._node(place, FIRST_LIFE + place) for place in range(nodes)]
        self.term = 3
        self.token: int | None = None
        self.token_until = 0.0
        self.policy = "least-cost"
        self._script: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._requests = count(1)
        self._records = count(1)
        self._hops = count(1)
        self._owed = 0.0
        self._beat_at = 0.0
        self.lead(self.nodes[0], term=3)

    def _node(self, place: int, incarnation: int) -> FakeNode:
        telemetry = Telemetry(self.names[place], self.names, HEARTBEAT_S, self._clock)
        telemetry.samples.watched = True
        return FakeNode(place, self.names[place], incarnation, self.now, telemetry)

    def _clock(self) -> float:
        """Return what the nodes' clocks show: all the same."""
        return BOOT_S + self.now + self._later_s

    @contextmanager
    def _later(self, seconds: float) -> Iterator[None]:
        """What is noted meanwhile happens a moment after, or before, the present."""
        self._later_s = seconds
        yield
        self._later_s = 0.0

    # --- Turning the clock -------------------------------------------------------------------------------------------
    def run(self, seconds: float) -> Iterator[Told]:
        """Let time pass; yield what reaches the monitor meanwhile, in order."""
        end = self.now + seconds
        while self.now + self.frame_s <= end + 1e-9:
            step_end = round(self.now + self.frame_s, 6)
            while self._script and self._script[0][0] <= step_end:
                at, _, call = heapq.heappop(self._script)
                self._advance(at)
                call()
            self._advance(step_end)
            for node in self.nodes:
                if node.speaks(self.now):
                    yield from self.frame(node)

    def feed(self, model: Model, seconds: float) -> float:
        """Let time pass and a model hear and observe it, as a monitor would; return the time."""
        end = self.now + seconds
        while self.now + self.frame_s <= end + 1e-9:
            for at, place, message in self.run(self.frame_s):
                model.take(place, message, at)
            model.observe(self.now)
        return self.now

    def at(self, seconds: float, call: Callable[[], None]) -> None:
        """Do something so many seconds from now."""
        heapq.heappush(self._script, (self.now + seconds, next(self._order), call))

    def _advance(self, now: float) -> None:
        passed, self.now = now - self.now, max(now, self.now)
        self._serve(passed)
        while self._beat_at <= self.now:
            self._beat(self._beat_at)
            self._beat_at += HEARTBEAT_S

    # --- What an operator, or fate, does -----------------------------------------------------------------------------
    @property
    def leader(self) -> FakeNode | None:
        return next((node for node in self.nodes if node.role is Role.LEADER and node.speaks(self.now)), None)

    def kill(self, place: int) -> None:
        """Kill a node; if it led, the others elect the next in line."""
        node = self.nodes[place]
        node.alive = False
        self._lost(node)

    def restart(self, place: int) -> None:
        """Begin a new life of a node: it follows whoever leads."""
        node = self.nodes[place] = self._node(place, self.nodes[place].incarnation + 1_000_000)
        for other in self.nodes:
            if other.place != place:
                self._joins(node, other)
        if self.leader is not None:
            self._tells_of_lead(self.leader, node)
            self._follow(node, self.leader.place, self.term)

    def deafen(self, place: int, seconds: float = 20.0) -> None:
        """Make a node deaf; its last frame says so, and when it hears again it follows whoever leads."""
        node = self.nodes[place]
        notice_s = 1.3 * self.frame_s
        node.deaf_from, node.deaf_until = self.now + notice_s, self.now + seconds
        self.at(notice_s, lambda: node.telemetry.deafness(True))
        self.at(notice_s + 0.001, lambda: self._lost(node))
        self.at(seconds, lambda: self._hears(node))

    def send_token(self, place: int | None, seconds: float = 20.0) -> None:
        """Give the token of the failure simulation to a node, which becomes deaf."""
        self.token, self.token_until = place, self.now + seconds
        holder = None if place is None else self.names[place]
        token = Token(self.term, next(self._hops), holder, self._clock() + seconds)
        for node in self.nodes:
            if node.speaks(self.now):
                node.telemetry.token(token)
        if place is not None:
            self.deafen(place, seconds)

    def drain(self, place: int, *, draining: bool = True) -> None:
        """Drain or undrain a node that does not lead."""
        self.nodes[place].draining = draining

    def directory(self, ok: bool) -> None:
        """Take the directory away from all nodes, or give it back; without it nobody leads."""
        for node in self.nodes:
            node.directory_ok = ok
        leader = self.leader
        if not ok and leader is not None:
            leader.telemetry.lease(LeaseUnknown())
            self.at(1.2, lambda: self._step_down(leader, Input.TRUST_LAPSED))
        elif ok and leader is None:
            self._elect(self.nodes[0], lost_s=0.0)

    def order(
        self,
        place: int,
        order: str,
        value: str = "",
        *,
        obeyed: bool = True,
        text: str = "",
        operator: str = "amber basil cedar delta",
    ) -> None:
        """An operator gives a node an order; every node that answers has it in its audit log."""
        record = AuditRecord(
            self.node_index.name(place),
            self.nodes[place].incarnation,
            next(self._records),
            1_800_000_000.0 + self.now,
            operator,
            order,
            value,
            obeyed,
            text,
        )
        for node in self.nodes:
            if node.speaks(self.now):
                node.telemetry.audited(record)

    def log(self, place: int, level: str, text: str, source: str = "node.request_handler") -> None:
        """A node writes a line to its log. It is told as it is, however many there are: a node need not be honest."""
        self.notice(place, feed.LogNotice(level, source, text))

    def notice(self, place: int, body: feed.AnyNotice) -> None:
        """A node tells something, whether a real one would or not."""
        self.nodes[place].telemetry.notices.add(body, self._clock())

    # --- Elections ---------------------------------------------------------------------------------------------------
    def _lost(self, node: FakeNode) -> None:
        led = node.role is Role.LEADER
        if node.alive:
            node.role, node.leader = Role.FOLLOWER, None
        if led:
            heirs = [
                other for other in self.nodes if other.speaks(self.now) and other is not node and not other.draining
            ]
            for other in heirs:
                self.at(1.0, lambda other=other: self._loses_leader(other))
            if heirs and heirs[0].directory_ok:
                self._elect(heirs[0], lost_s=1.5)

    def _loses_leader(self, node: FakeNode) -> None:
        if node.speaks(self.now):
            node.leader = None
            node.telemetry.elected(LeaderChanged(None, node.term), node.term)

    def _elect(self, successor: FakeNode, *, lost_s: float) -> None:
        self.at(lost_s, lambda: self._claim(successor))
        self.at(
            lost_s + 0.012, lambda: self.lead(successor, term=self.term + 1) if successor.speaks(self.now) else None
        )

    def _claim(self, node: FakeNode) -> None:
        if node.speaks(self.now):
            self.role(node, Role.CLAIM, Input.MY_TURN)
            node.telemetry.lease(ClaimLease(node.term, self._clock()))

    def lead(self, node: FakeNode, *, term: int) -> None:
        """A node leads from now on, and tells the others."""
        self.term = term
        if node.role is Role.CLAIM:
            node.telemetry.lease(LeaseWon(term, self._clock()))
        node.term = term
        self.role(node, Role.LEADER, Input.LEASE_WON)
        self._follow(node, node.place, term)
        for other in self.nodes:
            if other is not node:
                self._tells_of_lead(node, other)
                if other.speaks(self.now):
                    self._follow(other, node.place, term)

    def _step_down(self, node: FakeNode, why: Input) -> None:
        self.role(node, Role.FOLLOWER, why)
        for other in self.nodes:
            self._loses_leader(other)

    def _hears(self, node: FakeNode) -> None:
        if not node.alive:
            return
        node.telemetry.deafness(False)
        node.deaf_from, node.deaf_until = float("inf"), float("-inf")
        if self.token == node.place:
            self.token = None
        if self.leader is not None and node.role is not Role.LEADER:
            self._follow(node, self.leader.place, self.term)

    def _follow(self, node: FakeNode, leader: int, term: int) -> None:
        if node.leader == leader and node.term == term:
            return
        node.leader, node.term = leader, term
        with self._later(0.0003 if leader != node.place else 0.0):
            node.telemetry.elected(LeaderChanged(self.names[leader], term), term)

    def role(self, node: FakeNode, role: Role, why: Input) -> None:
        """A node changes its role."""
        previous, node.role = node.role, role
        node.telemetry.elected(RoleChanged(previous, role, why), node.term)

    def _tells_of_lead(self, leader: FakeNode, other: FakeNode) -> None:
        self._message(leader, other, NewLeader(term=leader.term, incarnation=leader.incarnation, table=()))

    def _joins(self, node: FakeNode, other: FakeNode) -> None:
        join = Join(term=node.term, incarnation=node.incarnation, load1=node.load, cores=2, in_flight=0, fit=True)
        self._message(node, other, join)

    def _message(self, sender: FakeNode, receiver: FakeNode, message: NewLeader | Join) -> None:
        sender.telemetry.sent(receiver.name, message)
        if receiver.speaks(self.now):
            with self._later(0.0002):
                receiver.telemetry.heard(sender.name, message, self._clock())

    # --- Work --------------------------------------------------------------------------------------------------------
    def _serve(self, passed: float) -> None:
        for node in self.nodes:
            wave = 0.35 * ((self.now / 17 + node.place / 3) % 1.0)
            node.load = round(0.6 + 0.3 * node.place + wave, 2)
        leader = self.leader
        serving = [node for node in self.nodes if node.speaks(self.now) and node.fit]
        if leader is None or not serving:
            for node in serving:
                node.open_requests = min(900, node.open_requests + int(self.requests_per_s * passed))
            return
        self._owed += self.requests_per_s * passed
        while self._owed >= 1:
            self._owed -= 1
            self._request(self.random.choice(serving), leader)
        for node in serving:
            node.in_flight = self.random.randrange(0, 1 + int(self.requests_per_s / 12))
            node.open_requests = node.in_flight

    def _request(self, node: FakeNode, leader: FakeNode) -> None:
        """A peer asks all nodes for something, the leader gives it to `node`, and that one answers now."""
        number = next(self._requests)
        account = 1 + number % 7
        origin = RequestOrigin(KINDS[number % len(KINDS)], account)
        session_key = (account * 40_503).to_bytes(4, "big") + bytes(28)
        key = RequestKey(session_key, f"{number * 2_654_435_761 % 2**32:08x}" + 24 * "0")
        latency_ms = round(2.0 + self.random.expovariate(1 / 9.0), 2)
        code = "no_views_left" if number % 97 == 0 else ""
        for other in self.nodes:
            if other.speaks(self.now):
                other.telemetry.origin_of = lambda _key: origin
                with self._later(-latency_ms / 1000):
                    other.telemetry.happened(Happening.HELD, key, None)
        with self._later((0.6 - latency_ms) / 1000):
            leader.telemetry.happened(Happening.ASSIGNED, key, node.name)
        node.telemetry.answered(key, origin, latency_ms / 1000, code)
        node.done += 1
        node.sent_bytes += 14_000
        node.received_bytes += 11_000

    def _beat(self, at: float) -> None:
        for node in self.nodes:
            node.heartbeats += node.role is Role.LEADER
            for other in self.nodes:
                if other is not node and node.alive:
                    self._sign_of_life(node, other, at)

    def _sign_of_life(self, node: FakeNode, other: FakeNode, at: float) -> None:
        """What a node says to another at each heartbeat: as leader a heartbeat, which is acknowledged, else a pulse."""
        reaches = node.speaks(at) and other.speaks(at)
        sent, heard = node.telemetry.beats, other.telemetry.beats
        if node.role is Role.LEADER:
            sent.sent(other.name, node.heartbeats)
            if reaches:
                heard.heard(node.name, BOOT_S + at)
                sent.acked(other.name, node.heartbeats)
        elif other.role is not Role.LEADER and reaches:
            sent.counts[other.name].pulses_sent += 1
            heard.counts[node.name].pulses_heard += 1
        if reaches:
            other.heard_at[node.place] = at

    # --- Telling -----------------------------------------------------------------------------------------------------
    def frame(self, node: FakeNode) -> Iterator[Told]:
        """Yield what a node tells now, each message a little later than the one before."""
        delay_s = 0.0004 + 0.0002 * node.place
        taken = self.snapshot(node)
        slow = node.watch.takes_slow(taken.at)
        for message in feed_frames.frame(node.watch, taken, node.telemetry, slow=slow, watchers=1):
            yield self.now + delay_s, node.place, message
            delay_s += 0.00005

    def snapshot(self, node: FakeNode) -> NodeSnapshot:
        """Return a node as it is now."""
        telemetry = node.telemetry
        token = self.token if self.now < self.token_until else None
        return NodeSnapshot(
            at=self._clock(),
            wall_offset_s=WALL_OFFSET_S,
            uptime_s=self.now - node.began + UP_BEFORE_S,
            name=self.node_index.name(node.place),
            nodes=self.names,
            pid=4_000 + node.place,
            port=self.node_index.nodes[node.place].port,
            incarnation=node.incarnation,
            role=node.role,
            term=node.term,
            leader=None if node.leader is None else self.names[node.leader],
            leader_since=None if node.leader is None else telemetry.leader_since,
            leader_heard_age_s=None,
            leads=node.role is Role.LEADER and node.directory_ok,
            fit=node.fit,
            draining=node.draining,
            is_deaf=node.deaf(self.now),
            deaf_s=max(0.0, node.deaf_until - self.now),
            token_holder=None if token is None else self.names[token],
            token_s=0.0 if token is None else self.token_until - self.now,
            policy=self.policy,
            leaderships=telemetry.term_changes,
            table=self._table(node),
            table_age_s=0.04,
            links=tuple(self._links(node)),
            heartbeat_gaps=telemetry.beats.gaps,
            lateness=telemetry.lateness,
            load1=node.load,
            cores=2,
            cost=cost(node.load, 2, node.in_flight),
            priority=priority(node.load),
            cpu_percent=22.0 + 3 * node.place,
            cpu_s=0.0,
            rss_bytes=int((61.5 + node.place) * 2**20),
            slowdown=node.slowdown,
            in_flight=node.in_flight,
            open_requests=node.open_requests,
            requests_done=node.done,
            refused=telemetry.refused,
            limited={},
            failed=0,
            happenings=tuple(telemetry.samples.counts),
            latency=tuple(telemetry.latency.counts),
            latency_sum_ms=telemetry.latency.sum_ms,
            kinds=telemetry.kinds,
            sent_bytes=node.sent_bytes,
            received_bytes=node.received_bytes,
            sent_datagrams=node.sent_bytes // 1100,
            received_datagrams=node.received_bytes // 1100,
            dropped={"malformed message": 2},
            worker_ports=min(9, node.in_flight),
            sessions=5,
            clients=4,
            relay_pairs=node.relay_pairs,
            relayed_datagrams=0,
            relayed_bytes=0,
            relay_refused={},
            directory=DirectoryStats(
                "sqlite",
                node.directory_ok,
                0.4 + 0.1 * node.place if node.directory_ok else None,
                "" if node.directory_ok else "The directory does not answer.",
            ),
            epoch=1,
            recoveries=0,
            frozen=0,
            room=None,
            free_bytes={},
        )

    def _links(self, node: FakeNode) -> Iterator[LinkSnapshot]:
        beats = node.telemetry.beats
        beats.settle(self._clock())
        for other in self.nodes:
            if other is not node:
                counts = beats.counts[other.name]
                heard_at = node.heard_at.get(other.place)
                measured = node.role is Role.LEADER and counts.acked
                yield LinkSnapshot(
                    other.name,
                    counts.sent,
                    counts.acked,
                    counts.unacked,
                    counts.heard,
                    counts.missed,
                    counts.pulses_sent,
                    counts.pulses_heard,
                    None if heard_at is None else self.now - heard_at,
                    (310 + 40 * other.place) / 1e6 if measured else None,
                )

    def _table(self, node: FakeNode) -> CoordinationTable:
        """Return the line of succession: by place and not by cost, so that a scene elects the same node every time."""

        def row(other: FakeNode) -> NodeState:
            heard_at = self.now if other is node else node.heard_at.get(other.place, 0.0)
            return NodeState(
                other.name, other.incarnation, self.now - heard_at, other.load, 2, other.in_flight, other.fit
            )

        rows = sorted(map(row, self.nodes), key=lambda known: not (known.fit and known.heard_age_s <= 1.0))
        return CoordinationTable(node.term, tuple(rows))


# --- Scenarios -------------------------------------------------------------------------------------------------------
def healthy(nodes: int = 3) -> FakeCloud:
    return FakeCloud(nodes)


def electing() -> FakeCloud:
    """The leader was killed 1.4 s ago by the end of 20 s: it is missed, and nobody has claimed yet."""
    cloud = FakeCloud()
    cloud.at(18.6, lambda: cloud.kill(0))
    return cloud


def one_down() -> FakeCloud:
    cloud = FakeCloud()
    cloud.at(8.0, lambda: cloud.kill(0))
    return cloud


def two_down() -> FakeCloud:
    cloud = FakeCloud()
    cloud.at(5.0, lambda: cloud.kill(2))
    cloud.at(10.0, lambda: cloud.kill(0))
    return cloud


def deaf() -> FakeCloud:
    """The leader holds the token and is deaf; another one leads."""
    cloud = FakeCloud()
    cloud.at(10.0, lambda: cloud.send_token(0))
    return cloud


def directory_gone() -> FakeCloud:
    cloud = FakeCloud()
    cloud.at(10.0, lambda: cloud.directory(ok=False))
    return cloud


def draining() -> FakeCloud:
    cloud = FakeCloud()
    cloud.at(5.0, lambda: cloud.drain(2))
    cloud.at(5.0, lambda: cloud.order(2, "drain"))
    return cloud


def nothing() -> FakeCloud:
    """Everything is heard for 10 s, and then nothing is any more."""
    cloud = FakeCloud()
    for place in range(3):
        cloud.at(10.0, lambda place=place: cloud.kill(place))
    return cloud


SCENARIOS: dict[str, Callable[[], FakeCloud]] = {
    "healthy": healthy,
    "electing": electing,
    "one_down": one_down,
    "two_down": two_down,
    "deaf": deaf,
    "directory_gone": directory_gone,
    "draining": draining,
    "nothing": nothing,
    "nine": lambda: FakeCloud(9),
}
SCENE_S = 20.0
"""After so long every scenario shows what it is named after."""
