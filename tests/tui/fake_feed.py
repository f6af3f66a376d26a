"""A cloud that tells of itself without being there: feed messages as nodes send them, by a clock that the test turns.

`FakeCloud` plays a script: nodes lead, answer requests, fall silent, elect. What they tell is what the real machines
would, as far as a screen can see it: cumulative counters, numbered notices, the same times on all nodes.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from shared.wire import feed_messages as feed
from shared.wire.feed_messages import Happening
from shared.wire.node_messages import AuditRecord, TableRow
from tui.monitor.model import Model
from tui.monitor.node_index import NodeEntry, NodeIndex

FRAME_S = 0.2
HEARTBEAT_S = 0.25
BOOT_S = 5_000.0
"""What the machine's clock shows at the fake cloud's time 0."""
WALL_OFFSET_MS = 1_800_000_000_000 - int(1000 * BOOT_S)
FIRST_LIFE = 1_800_000_000_000_000
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
    """One node: what it would tell. Times in seconds of the fake cloud."""

    place: int
    incarnation: int
    began: float
    alive: bool = True
    deaf_from: float = float("inf")
    deaf_until: float = float("-inf")
    draining: bool = False
    directory_ok: bool = True
    role: str = "follower"
    term: int = 0
    leader: int | None = None
    leader_since: float = 0.0
    load: float = 0.8
    in_flight: int = 0
    open_requests: int = 0
    done: int = 0
    refused: int = 0
    failed: int = 0
    seq: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * (max(Happening) + 1))
    latency: list[int] = field(default_factory=lambda: [0] * (len(feed.LATENCY_BOUNDS_MS) + 1))
    latency_sum_ms: float = 0.0
    kinds: Counter[int] = field(default_factory=Counter)
    beats: dict[int, Counter[str]] = field(default_factory=dict)
    heard_at: dict[int, float] = field(default_factory=dict)
    notices: list[feed.Notice] = field(default_factory=list)
    told: int = 0
    events: list[feed.RequestEvent] = field(default_factory=list)
    slow_due: float = 0.0

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
        self.nodes = [FakeNode(place, FIRST_LIFE + place, 0.0) for place in range(nodes)]
        self.term = 3
        self.token: int | None = None
        self.token_until = 0.0
        self.policy = "least-cost"
        self._script: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._requests = count(1)
        self._records = count(1)
        self._owed = 0.0
        self._beat_at = 0.0
        self._lead(self.nodes[0], term=3)

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
        return next((node for node in self.nodes if node.role == "leader" and node.speaks(self.now)), None)

    def kill(self, place: int) -> None:
        """Kill a node; if it led, the others elect the next in line."""
        node = self.nodes[place]
        node.alive = False
        self._lost(node)

    def restart(self, place: int) -> None:
        """Begin a new life of a node: it follows whoever leads."""
        old = self.nodes[place]
        node = self.nodes[place] = FakeNode(place, old.incarnation + 1_000_000, self.now)
        for other in self.nodes:
            if other.place != place:
                self._message(node, other, "JOIN")
        if self.leader is not None:
            self._message(self.leader, node, "NEW_LEADER")
            self._follow(node, self.leader.place, self.term)

    def deafen(self, place: int, seconds: float = 20.0) -> None:
        """Make a node deaf; its last frame says so, and when it hears again it follows whoever leads."""
        node = self.nodes[place]
        notice_s = 1.3 * self.frame_s
        node.deaf_from, node.deaf_until = self.now + notice_s, self.now + seconds
        self.at(notice_s, lambda: self._notice(node, feed.DeafNotice(True)))
        self.at(notice_s + 0.001, lambda: self._lost(node))
        self.at(seconds, lambda: self._hears(node))

    def send_token(self, place: int | None, seconds: float = 20.0) -> None:
        """Give the token of the failure simulation to a node, which becomes deaf."""
        self.token, self.token_until = place, self.now + seconds
        for node in self.nodes:
            if node.speaks(self.now):
                self._notice(node, feed.TokenNotice(place, 1))
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
            self._notice(leader, feed.LeaseNotice("UNKNOWN", leader.term))
            self.at(1.2, lambda: self._step_down(leader, "TRUST_LAPSED"))
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
                self._notice(node, feed.AuditNotice(record))

    def log(self, place: int, level: str, text: str, source: str = "node.request_handler") -> None:
        """A node writes a line to its log."""
        self._notice(self.nodes[place], feed.LogNotice(level, source, text))

    # --- Elections ---------------------------------------------------------------------------------------------------
    def _lost(self, node: FakeNode) -> None:
        led = node.role == "leader"
        if node.alive:
            node.role, node.leader = "follower", None
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
            self._notice(node, feed.LeaderNotice(None, node.term))

    def _elect(self, successor: FakeNode, *, lost_s: float) -> None:
        self.at(lost_s, lambda: self._claim(successor))
        self.at(
            lost_s + 0.012, lambda: self._lead(successor, term=self.term + 1) if successor.speaks(self.now) else None
        )

    def _claim(self, node: FakeNode) -> None:
        if node.speaks(self.now):
            self._role(node, "claim", "MY_TURN")
            self._notice(node, feed.LeaseNotice("CLAIM", node.term + 1))

    def _lead(self, node: FakeNode, *, term: int) -> None:
        self.term = term
        if node.role == "claim":
            self._notice(node, feed.LeaseNotice("WON", term))
        node.term = term
        self._role(node, "leader", "LEASE_WON")
        self._follow(node, node.place, term)
        for other in self.nodes:
            if other is not node:
                self._message(node, other, "NEW_LEADER")
                if other.speaks(self.now):
                    self._follow(other, node.place, term)

    def _step_down(self, node: FakeNode, why: str) -> None:
        self._role(node, "follower", why)
        for other in self.nodes:
            self._loses_leader(other)

    def _hears(self, node: FakeNode) -> None:
        if not node.alive:
            return
        self._notice(node, feed.DeafNotice(False))
        node.deaf_from, node.deaf_until = float("inf"), float("-inf")
        if self.token == node.place:
            self.token = None
        if self.leader is not None and node.role != "leader":
            self._follow(node, self.leader.place, self.term)

    def _follow(self, node: FakeNode, leader: int, term: int) -> None:
        if node.leader == leader and node.term == term and node.leader_since:
            return
        node.leader, node.term, node.leader_since = leader, term, self.now
        self._notice(node, feed.LeaderNotice(leader, term), 0.0003 if leader != node.place else 0.0)

    def _role(self, node: FakeNode, role: str, why: str) -> None:
        previous, node.role = node.role, role
        self._notice(node, feed.RoleNotice(previous, role, why, node.term))

    def _message(self, sender: FakeNode, receiver: FakeNode, kind: str) -> None:
        self._notice(sender, feed.ElectionNotice(True, kind, receiver.place, sender.term))
        if receiver.speaks(self.now):
            self._notice(receiver, feed.ElectionNotice(False, kind, sender.place, sender.term), 0.0002)

    def _notice(self, node: FakeNode, body: feed.AnyNotice, later_s: float = 0.0) -> None:
        number = node.notices[-1].number + 1 if node.notices else 1
        node.notices.append(feed.Notice(number, self._ms(self.now + later_s), body))
        del node.notices[: -feed.KEPT_NOTICES]

    # --- Work --------------------------------------------------------------------------------------------------------
    def _serve(self, passed: float) -> None:
        for node in self.nodes:
            wave = 0.35 * ((self.now / 17 + node.place / 3) % 1.0)
            node.load = round(0.6 + 0.3 * node.place + wave, 2)
        leader = self.leader
        serving = [node for node in self.nodes if node.speaks(self.now) and not node.draining and node.directory_ok]
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
        number = next(self._requests)
        kind = KINDS[number % len(KINDS)]
        account = 1 + number % 7
        request, key = f"{number * 2_654_435_761 % 2**32:08x}", f"{account * 40_503:08x}"
        latency_ms = round(2.0 + self.random.expovariate(1 / 9.0), 2)
        refused = number % 97 == 0
        leader.counts[Happening.ASSIGNED] += 1
        what = Happening.REFUSED if refused else Happening.SERVED
        node.counts[Happening.HELD] += 1
        node.counts[what] += 1
        node.done += 1
        node.refused += refused
        node.kinds[kind] += 1
        bucket = next(
            (index for index, bound in enumerate(feed.LATENCY_BOUNDS_MS) if latency_ms <= bound),
            len(feed.LATENCY_BOUNDS_MS),
        )
        node.latency[bucket] += 1
        node.latency_sum_ms += latency_ms
        node.sent_bytes += 14_000
        node.received_bytes += 11_000
        if number % max(1, int(self.requests_per_s / 20)) == 0:
            for other in self.nodes:
                if other.speaks(self.now):
                    self._event(other, Happening.HELD, None, kind, account, key, request, -latency_ms)
            self._event(leader, Happening.ASSIGNED, node.place, kind, account, key, request, 0.6 - latency_ms)
            self._event(
                node, what, None, kind, account, key, request, 0.0, latency_ms, "no_views_left" if refused else ""
            )

    def _event(
        self,
        node: FakeNode,
        what: Happening,
        about: int | None,
        kind: int,
        account: int,
        key: str,
        request: str,
        later_ms: float,
        latency_ms: float | None = None,
        code: str = "",
    ) -> None:
        at_ms = round(self._ms(self.now) + later_ms, 1)
        node.events.append(
            feed.RequestEvent(max(0.0, at_ms), what, about, kind, account, key, request, latency_ms, code)
        )
        del node.events[:-32]

    def _beat(self, at: float) -> None:
        for node in self.nodes:
            for other in self.nodes:
                if other is node or not node.alive:
                    continue
                sent = node.beats.setdefault(other.place, Counter())
                heard = other.beats.setdefault(node.place, Counter())
                reaches = node.speaks(at) and other.speaks(at)
                if node.role == "leader":
                    sent["sent"] += 1
                    sent["acked" if reaches else "unacked"] += 1
                    if reaches:
                        heard["heard"] += 1
                    elif other.leader == node.place:
                        heard["missed"] += 1
                elif other.role != "leader" and reaches:
                    sent["pulses_sent"] += 1
                    heard["pulses_heard"] += 1
                if reaches:
                    other.heard_at[node.place] = at
        for node in self.nodes:
            if node.speaks(at) and node.leader is not None and not self.nodes[node.leader].alive:
                node.beats.setdefault(node.leader, Counter())["missed"] += 1

    # --- Telling -----------------------------------------------------------------------------------------------------
    def _ms(self, at: float) -> float:
        return round(1000 * (BOOT_S + at), 1)

    def frame(self, node: FakeNode) -> Iterator[Told]:
        """Yield what a node tells now, each message a little later than the one before."""
        delay_s = 0.0004 + 0.0002 * node.place
        for message in self._messages(node):
            yield self.now + delay_s, node.place, message
            delay_s += 0.00005

    def _messages(self, node: FakeNode) -> Iterator[feed.FeedMessage]:
        yield feed.FeedState(
            **self._stamp(node),
            life=self._life(node),
            standing=self._standing(node),
            work=self._work(node),
            traffic=self._traffic(node),
        )
        rows = [self._beats(node, other.place) for other in self.nodes if other is not node]
        for start in range(0, len(rows), feed.BEATS_PER_MESSAGE):
            yield feed.FeedBeats(**self._stamp(node), beats=tuple(rows[start : start + feed.BEATS_PER_MESSAGE]))
        slow = self.now >= node.slow_due
        if slow:
            node.slow_due = self.now + 1.0 - 1e-6
            yield feed.FeedTable(**self._stamp(node), term=node.term, age_ms=40, rows=self._table(node))
        yield feed.FeedDispatch(
            **self._stamp(node),
            counts=tuple(node.counts),
            latency=tuple(node.latency),
            latency_sum_ms=round(node.latency_sum_ms, 1),
        )
        yield from self._news(node)
        if slow:
            kinds = tuple(feed.KindCount(kind, served, 0, 11 * served) for kind, served in sorted(node.kinds.items()))
            yield feed.FeedKinds(**self._stamp(node), kinds=kinds)
            yield feed.FeedDirectory(
                **self._stamp(node),
                engine="sqlite",
                ok=node.directory_ok,
                latency_ms=0.4 + 0.1 * node.place if node.directory_ok else None,
                error="" if node.directory_ok else "The directory does not answer.",
            )

    def _news(self, node: FakeNode) -> Iterator[feed.FeedMessage]:
        events, node.events = node.events, []
        for start in range(0, len(events), feed.REQUESTS_PER_MESSAGE):
            yield feed.FeedRequests(
                **self._stamp(node),
                one_in=4,
                left_out=3,
                events=tuple(events[start : start + feed.REQUESTS_PER_MESSAGE]),
            )
        news = [notice for notice in node.notices if notice.number > node.told]
        for start in range(0, len(news), 8):
            portion = tuple(news[start : start + 8])
            node.told = portion[-1].number
            yield feed.FeedNotices(
                **self._stamp(node), incarnation=node.incarnation, oldest=node.notices[0].number, notices=portion
            )

    def _stamp(self, node: FakeNode) -> dict[str, float]:
        node.seq += 1
        return {"seq": node.seq, "at_ms": self._ms(self.now)}

    def _life(self, node: FakeNode) -> feed.Life:
        uptime_ms = int(1000 * (self.now - node.began)) + 90_000
        return feed.Life(
            self.node_index.name(node.place),
            4_000 + node.place,
            node.incarnation,
            WALL_OFFSET_MS,
            uptime_ms,
            self.node_index.nodes[node.place].port,
        )

    def _standing(self, node: FakeNode) -> feed.Standing:
        deaf_ms = int(1000 * (node.deaf_until - self.now)) if node.deaf_until > self.now else 0
        token = self.token if self.now < self.token_until else None
        return feed.Standing(
            node.role,
            node.term,
            node.leader,
            self._ms(node.leader_since) if node.leader is not None else None,
            node.role == "leader" and node.directory_ok,
            not node.draining and node.directory_ok,
            node.draining,
            deaf_ms,
            token,
            int(1000 * (self.token_until - self.now)) if token is not None else 0,
            self.policy,
        )

    def _work(self, node: FakeNode) -> feed.Work:
        cost = (1 + node.in_flight) * (1 + min(node.load / 2, 4) / 4)
        return feed.Work(
            node.load,
            2,
            round(cost, 2),
            round(1 / node.load, 2),
            22.0 + 3 * node.place,
            61.5 + node.place,
            node.in_flight,
            node.open_requests,
            node.done,
            node.refused,
            node.failed,
            1.0,
        )

    def _traffic(self, node: FakeNode) -> feed.Traffic:
        return feed.Traffic(
            node.sent_bytes,
            node.received_bytes,
            node.sent_bytes // 1100,
            node.received_bytes // 1100,
            2,
            min(9, node.in_flight),
            5,
            4,
            1,
        )

    def _beats(self, node: FakeNode, other: int) -> feed.Beats:
        counted = node.beats.get(other, Counter())
        heard_at = node.heard_at.get(other)
        heard_ms = None if heard_at is None else int(1000 * (self.now - heard_at))
        return feed.Beats(
            other,
            counted["sent"],
            counted["acked"],
            counted["unacked"],
            counted["heard"],
            counted["missed"],
            counted["pulses_sent"],
            counted["pulses_heard"],
            heard_ms,
            310 + 40 * other if node.role == "leader" and counted["acked"] else None,
        )

    def _table(self, node: FakeNode) -> tuple[TableRow, ...]:
        def row(other: FakeNode) -> TableRow:
            fit = other.directory_ok and not other.draining
            heard_at = self.now if other is node else node.heard_at.get(other.place, 0.0)
            return TableRow(
                other.place, other.incarnation, int(1000 * (self.now - heard_at)), other.load, 2, other.in_flight, fit
            )

        rows = [row(other) for other in self.nodes]
        return tuple(sorted(rows, key=lambda known: (not (known.fit and known.heard_ms <= 1000), known.place)))


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
