"""What the monitor concludes by itself: who is silent, who is deaf, whether there is a leader. Each change is an event.

A node that falls silent does not say so, unless it is made deaf; a leader that is lost is not announced. Both are seen
by letting time pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.wire import feed_messages as feed
from tui.monitor.model.cluster import ClusterState, directory_of, leader_of
from tui.monitor.model.elections import ElectionOutcome
from tui.monitor.model.events import Level, Topic
from tui.monitor.model.nodes import Presence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.monitor.model.elections import Elections
    from tui.monitor.model.events import EventHistory
    from tui.monitor.model.nodes import NodeRecord
    from tui.monitor.node_index import NodeIndex

FEED_INTERVAL_S: Final = feed.MIN_INTERVAL_MS / 1000
DOWN_AFTER_HEARTBEATS: Final = 2
"""A node is down when it was silent for this many heartbeats longer than a frame takes to be due."""
ASLEEP_S: Final = 1.0
"""If the monitor itself was not asked for so long, it was paused: then nobody was silent but the monitor."""
EXCUSED_S: Final = 0.5
"""Where nothing at all is heard, though several nodes answered, it is rather the monitor that is late (a busy machine,
its own network): so much of each such gap is held against nobody."""


class Conclusions:
    """Looks at the records of all nodes whenever time has passed. Times in seconds of the monitor's clock."""

    def __init__(
        self,
        records: Sequence[NodeRecord],
        node_index: NodeIndex,
        elections: Elections,
        events: EventHistory,
        interval_s: float,
    ) -> None:
        self.down_after_s = interval_s + DOWN_AFTER_HEARTBEATS * node_index.timing.heartbeat_s
        self.state = ClusterState.LOOKING
        self.since: float | None = None
        """Since when the cluster is in that state."""
        self.last_leader: int | None = None
        self._records = records
        self._node_index = node_index
        self._elections = elections
        self._events = events
        self._interval_s = interval_s
        self._awake_since = 0.0
        self._observed_at: float | None = None
        self._heard_at: float | None = None
        """When the last message of any node came."""
        self._excused_s = 0.0
        """How long in all the monitor was late, as far as gaps have shown."""
        self._missing: frozenset[int] | None = None
        self._cannot_write: frozenset[int] = frozenset()
        self._told_term = 0

    def observe(self, now: float) -> None:
        """Let time pass."""
        if self._observed_at is None or not 0 <= now - self._observed_at <= ASLEEP_S:
            self._awake_since = now
            for record in self._records:
                record.excused_s = self._excused_s
        self._observed_at = now
        for record in self._records:
            self.look_at(record, now)
        self._look_at_cluster(now)
        self._look_at_directory(now)
        self._look_at_elections(now)

    def heard(self, record: NodeRecord, now: float) -> None:
        """Take it that a message of a node came just now."""
        self._excused_s += self._excuse(now)
        self._heard_at = now
        record.heard_at, record.excused_s = now, self._excused_s

    def deaf_until(self, record: NodeRecord) -> float:
        """Return until when a node is deaf, as it or, of the token's holder, the others said; the past if it is not."""
        return max(record.deaf_until, self._deaf_by_token(record))

    def presence(self, record: NodeRecord, now: float) -> Presence:
        """Return whether a node answers."""
        if record.heard_at is None:
            return Presence.UNKNOWN
        deaf_until = record.deaf_until
        if now - record.heard_at > 2 * self._interval_s:
            deaf_until = self.deaf_until(record)
        if record.heard_at < now <= deaf_until:
            return Presence.DEAF
        silent_s = now - max(record.heard_at, self._awake_since, deaf_until)
        silent_s -= self._excused_s + self._excuse(now) - record.excused_s
        return Presence.DOWN if silent_s > self.down_after_s else Presence.UP

    def look_at(self, record: NodeRecord, now: float) -> None:
        """See whether a node answers, and note it where that has changed."""
        before, found = record.presence, self.presence(record, now)
        if found is before:
            return
        record.presence = found
        heard_at = now if record.heard_at is None else record.heard_at
        match found:
            case Presence.DOWN:
                self._elections.fell_silent(record.place, heard_at)
                self._events.add(now, Level.ERROR, Topic.FEED, record.place, "does not answer")
            case Presence.DEAF:
                self._elections.fell_silent(record.place, heard_at)
                self._events.add(now, Level.WARNING, Topic.FAILURE, record.place, "is deaf")
            case _:
                text = "is heard" if before is Presence.UNKNOWN else "is heard again"
                self._events.add(now, Level.INFO, Topic.FEED, record.place, text)

    def fate(self, now: float) -> str:
        """Return what became of the last leader, where there is none now; empty if there is, or never was."""
        if self.last_leader is None or leader_of(self._records) is not None:
            return ""
        match self.presence(self._records[self.last_leader], now):
            case Presence.DEAF:
                return "is deaf"
            case Presence.DOWN:
                return "does not answer"
            case _:
                return "no longer leads"

    def _excuse(self, now: float) -> float:
        """Return how much of the time since anybody was heard is the monitor's own lateness.

        One node alone that falls silent is no sign of that.
        """
        answering = sum(record.presence is Presence.UP for record in self._records)
        if self._heard_at is None or answering < 2:
            return 0.0
        late_s = now - max(self._heard_at, self._awake_since) - self._interval_s
        return min(EXCUSED_S, late_s) if late_s > self._interval_s / 2 else 0.0

    def _deaf_by_token(self, record: NodeRecord) -> float:
        told = (
            other.heard_at + other.state.standing.token_ms / 1000
            for other in self._records
            if other is not record
            and other.presence is Presence.UP
            and other.heard_at is not None
            and other.state is not None
            and other.state.standing.token == record.place
        )
        return max(told, default=float("-inf"))

    # --- The cluster -------------------------------------------------------------------------------------------------
    def _look_at_cluster(self, now: float) -> None:
        leader = leader_of(self._records)
        if leader is not None:
            found = ClusterState.LED
            self.last_leader = leader.place
        elif any(record.presence in (Presence.UP, Presence.DEAF) for record in self._records):
            found = ClusterState.LEADERLESS
        elif self.state is ClusterState.LOOKING:
            return
        else:
            found = ClusterState.SILENT
        if found is self.state:
            return
        before, self.state, self.since = self.state, found, self._changed_at(found, now)
        if found is ClusterState.SILENT:
            self._events.add(now, Level.ERROR, Topic.FEED, None, "nothing answers; trying again by itself")
        elif before is ClusterState.SILENT:
            self._events.add(now, Level.INFO, Topic.FEED, None, "the cluster answers again")

    def _changed_at(self, found: ClusterState, now: float) -> float:
        """Return since when that is so: silent, or without the leader that fell silent, since the last word."""
        if found is ClusterState.SILENT:
            return max((record.heard_at for record in self._records if record.heard_at is not None), default=now)
        last = None if self.last_leader is None else self._records[self.last_leader]
        if found is ClusterState.LEADERLESS and last is not None and last.presence is not Presence.UP:
            return now if last.heard_at is None else last.heard_at
        return now

    def _look_at_directory(self, now: float) -> None:
        directory = directory_of(self._records, self._node_index, now)
        errors = dict(directory.missed_by)
        missing = frozenset(place for place in self._node_index.places if self._node_index.name(place) in errors)
        before, self._missing = self._missing, missing
        could_not_write = self._cannot_write
        self._cannot_write = frozenset(
            place for place in missing if self._node_index.name(place) in directory.unwritable
        )
        if before is None or before == missing:
            return
        for place in sorted(missing - before):
            name = self._node_index.name(place)
            what = "cannot write" if name in directory.unwritable else "does not reach"
            text = f"{what} the directory: {errors[name] or 'no reason given'}"
            self._events.add(now, Level.ERROR, Topic.DIRECTORY, place, text)
        for place in sorted(before - missing):
            if self._node_index.name(place) in directory.reached_by:
                text = "can write the directory again" if place in could_not_write else "reaches the directory again"
                self._events.add(now, Level.INFO, Topic.DIRECTORY, place, text)

    def _look_at_elections(self, now: float) -> None:
        """Note how an election was won, once each."""
        before = self._elections.version
        elections = self._elections.newest_first(now)
        if self._elections.version == before:
            return
        for election in reversed(elections):
            if (
                election.outcome is ElectionOutcome.WON
                and election.term > self._told_term
                and election.ended is not None
            ):
                self._told_term = election.term
                text = (
                    f"{self._node_index.name(election.leader)} leads term {election.term}: found in "
                    f"{1000 * (election.took_s or 0.0):.0f} ms with {election.message_count} messages "
                    f"(classic Bully: {election.bully_best} to {election.bully_worst})"
                )
                self._events.add(election.ended, Level.INFO, Topic.ELECTION, None, text)
