"""One node as its feed tells it: what was said last, how it went in the last minute, and whether it still answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shared.wire.feed_messages import Happening
from tui.monitor.model.heartbeats import BeatBuckets, BeatRow
from tui.monitor.model.reception import Sequencer
from tui.monitor.model.series import BUCKETS, Curve, LatencyWindow, Series, Tallies

if TYPE_CHECKING:
    from shared.wire import feed_messages as feed
    from tui.monitor.node_index import NodeIndex

DONE, REFUSED, FAILED, SENT_BYTES, RECEIVED_BYTES = range(5)
"""Places in the totals of a node, see `NodeRecord.totals`."""
HAPPENINGS: Final = max(Happening) + 1


class Presence(StrEnum):
    """Whether a node answers the monitor."""

    UNKNOWN = "no word yet"
    UP = "up"
    DEAF = "deaf"
    """It said, or another said of it, that it would be silent now."""
    DOWN = "down"


class Badge(StrEnum):
    """What stands beside a node's name."""

    FOLLOWER = "follower"
    PROBE = "probe"
    ELECT = "elect"
    WAIT = "wait"
    CLAIM = "claim"
    LEADER = "leader"
    DEAF = "deaf"
    DRAINING = "draining"
    DOWN = "down"
    UNKNOWN = "no word yet"


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second, over the last three seconds; 0 for a node that does not answer."""

    requests: float = 0.0
    """Answered, refusals included."""
    sent_bytes: float = 0.0
    received_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Curves:
    """The last minute, all on the same buckets."""

    load: Curve
    """load1 of the machine."""
    cpu: Curve
    """Of the process, 100 for one core."""
    in_flight: Curve
    requests: Curve
    """Answered per second."""


@dataclass(frozen=True, slots=True)
class RoleChange:
    """The last time that a node changed its role, at `at`, seconds of the monitor's clock."""

    at: float
    previous: str
    role: str
    why: str
    """Name of a `node.roles.Input`."""
    term: int


@dataclass(frozen=True, slots=True)
class NodeData:
    """What a node's panel shows. Times in seconds of the monitor's clock. `state` is what it said last, however old."""

    place: int
    name: str
    address: str
    presence: Presence
    badges: tuple[Badge, ...]
    """The role first, or why there is none; then what holds beside it."""
    state: feed.FeedState | None
    silent_s: float | None
    """Since its last word; None before the first."""
    deaf_s: float
    """How long it will still be deaf, as far as is known; 0 if it is not."""
    heard_by: tuple[str, ...]
    """Nodes that heard it lately, whether the monitor does or not."""
    trouble: str
    """Why the monitor does not get its feed, as the connection or the node said; already clean."""
    leader_name: str
    """Whom it takes for the leader; a dash for nobody."""
    leader_since: float | None
    rank: int | None
    """In the line of succession: 0 the leader, 1 next in line; None if it is in no line, or not fit."""
    rates: Rates
    curves: Curves
    beats: tuple[BeatRow, ...]
    """By place of the other node."""
    directory_trouble: str = ""
    """What is wrong between it and the directory, as it said lately."""
    role_change: RoleChange | None = None
    """Of its present life; None if it has told of none."""

    @property
    def next_in_line(self) -> bool:
        """Whether it would lead if the leader were gone."""
        return self.rank == 1


class NodeRecord:
    """Everything that is kept of one node; of fixed size. Times in seconds of the monitor's clock."""

    def __init__(self, place: int, node_index: NodeIndex) -> None:
        self.place = place
        self.incarnation = 0
        self._highest = 0
        """Of all incarnations seen: higher than the present one where the node has lost its memory of them."""
        self.lives = 0
        """Incarnations seen."""
        self.state: feed.FeedState | None = None
        self.told_at: float | None = None
        """When `state` came."""
        self.heard_at: float | None = None
        """When its last message came."""
        self.excused_s = 0.0
        """How long the monitor itself had been late by then, see `Conclusions.heard`."""
        self.deaf_until = float("-inf")
        self.presence = Presence.UNKNOWN
        self.trouble = ""
        self.role_notice: tuple[float, feed.RoleNotice] | None = None
        """The last change of role, with its moment by the node's clock, in ms."""
        self.table: feed.FeedTable | None = None
        self.table_at = 0.0
        self.directory: feed.FeedDirectory | None = None
        self.directory_at = 0.0
        self.kinds: tuple[feed.KindCount, ...] = ()
        self.sequence = Sequencer()
        self.totals = Tallies(5)
        self.happenings = Tallies(HAPPENINGS)
        self.latency = LatencyWindow()
        self._histogram = Tallies(BUCKETS)
        self.beats = {
            other: BeatBuckets(node_index.timing.heartbeat_s) for other in node_index.places if other != place
        }
        self.load, self.cpu, self.in_flight, self.requests = Series(), Series(), Series(), Series()
        self.next_notice = 0
        """Number of the notice that is to come; 0 before the first."""

    def is_earlier_than(self, life: feed.Life, now: float) -> bool:
        """Tell whether a life that is heard of just now began after the one that this record is about.

        Incarnations say so, except where a node has lost its memory of them: then a life that began since the recorded
        one was last heard is a later one. What comes late of an earlier life began long before that.
        """
        if life.incarnation > self._highest:
            return True
        if self.state is None or self.told_at is None:
            return False
        if life.incarnation == self.incarnation and life.pid == self.state.life.pid:
            return False
        return now - life.uptime_ms / 1000 > self.told_at

    def begin(self, incarnation: int) -> None:
        """Take it that the node has begun a new life: its counters start at 0."""
        self.incarnation = incarnation
        self._highest = max(self._highest, incarnation)
        self.lives += 1
        self.state = None
        self.told_at = None
        self.role_notice = None
        self.deaf_until = float("-inf")
        self.kinds = ()
        self.sequence.begin()
        for tallies in (self.totals, self.happenings, self._histogram):
            tallies.begin()
        for beats in self.beats.values():
            beats.begin()
        self.next_notice = 0

    def take_state(self, message: feed.FeedState, now: float) -> bool:
        """Take a frame's first message; False if a later one came before it."""
        if self.state is not None and message.at_ms <= self.state.at_ms:
            return False
        self.state = message
        self.told_at = now
        work, traffic = message.work, message.traffic
        self.deaf_until = now + message.standing.deaf_ms / 1000 if message.standing.deaf_ms else float("-inf")
        self.totals.take(
            message.at_ms / 1000,
            (
                work.requests_done,
                work.refused,
                work.failed,
                traffic.sent_bytes,
                traffic.received_bytes,
            ),
        )
        self.load.put(now, work.load1)
        self.cpu.put(now, work.cpu_percent)
        self.in_flight.put(now, float(work.in_flight))
        self.requests.put(now, self.totals.rate(DONE))
        return True

    def take_dispatch(self, message: feed.FeedDispatch, now: float) -> tuple[float, ...]:
        """Take the counts; return how many requests of each latency bucket were answered since."""
        at_s = message.at_ms / 1000
        self.happenings.take(at_s, message.counts)
        grown = self._histogram.take(at_s, message.latency)
        self.latency.add(grown, now)
        return grown

    def take_beats(self, message: feed.FeedBeats, now: float) -> None:
        """Take the heartbeats' counts; places that the cluster does not have are passed over."""
        for beats in message.beats:
            if (buckets := self.beats.get(beats.place)) is not None:
                buckets.take(beats, message.at_ms / 1000, now)

    def rates(self) -> Rates:
        """Return the present rates."""
        if self.presence is not Presence.UP:
            return Rates()
        return Rates(self.totals.rate(DONE), self.totals.rate(SENT_BYTES), self.totals.rate(RECEIVED_BYTES))

    def curves(self, now: float) -> Curves:
        """Return the last minute."""
        return Curves(self.load.curve(now), self.cpu.curve(now), self.in_flight.curve(now), self.requests.curve(now))

    def hears(self, other: int, within_s: float, now: float) -> bool:
        """Return whether this node said that it heard the other one lately."""
        buckets = self.beats.get(other)
        if self.presence is not Presence.UP or buckets is None or buckets.last is None:
            return False
        heard_ms = buckets.last.heard_ms
        return heard_ms is not None and heard_ms / 1000 + now - buckets.last_at <= within_s

    def badges(self) -> tuple[Badge, ...]:
        """Return what stands beside its name."""
        if self.presence is Presence.UNKNOWN or self.state is None:
            return (Badge.DOWN if self.presence is Presence.DOWN else Badge.UNKNOWN,)
        standing = self.state.standing
        flags = (Badge.DRAINING,) if standing.draining else ()
        match self.presence:
            case Presence.DOWN:
                return (Badge.DOWN,)
            case Presence.DEAF:
                return (Badge.DEAF, *flags)
            case _:
                return (Badge(standing.role), *flags)
