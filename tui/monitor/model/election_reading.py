"""What belongs to one election: a walk over the notices of all nodes in order of time.

One begins when a node misses its leader, or leaves its role to find one; it ends when a node says that it leads a
higher term, and takes in what follows until everybody has agreed. Who finds the old leader again was calmed. What a
deaf node says of itself reached nobody: it stands in the timeline, and begins, ends and counts nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.wire.feed_messages import DeafNotice, ElectionNotice, LeaderNotice, LeaseNotice, RoleNotice
from tui.monitor.model.events import reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shared.config import Timing
    from tui.monitor.model.reception import NodeClock

_MATCH_BACK_S: Final = 0.005
"""A message may seem to arrive this long before it left, where the nodes' clocks are not known better."""

ElectionBody = RoleNotice | LeaderNotice | ElectionNotice | LeaseNotice | DeafNotice
_CALLS: Final = frozenset({"CRASH_LEADER", "ELECTION", "YIELD", "RESIGN", "HAND_OVER"})
"""Messages with which an election begins, if nothing did before."""
_ELECTING: Final = frozenset({"probe", "elect", "wait", "claim"})


class ElectionOutcome(StrEnum):
    """How an election ended."""

    UNDER_WAY = "under way"
    WON = "won"
    """A node leads a higher term."""
    CALMED = "calmed"
    """Whoever missed the leader found it again: the same one, in the same term."""
    NOBODY = "nobody won"
    """It came to rest without a leader, as far as the monitor was told."""


class ElectionEntry(NamedTuple):
    """A notice as it is kept: whose, from which life, and by which clock."""

    place: int
    incarnation: int
    number: int
    at_ms: float
    clock: NodeClock
    body: ElectionBody

    @property
    def at(self) -> float:
        """When it happened, by the monitor's clock."""
        return self.clock.moment(self.at_ms)

    @property
    def order(self) -> tuple[float, int, int]:
        """Order of time; of one node, the order in which it told."""
        return self.at, self.place, self.number

    @property
    def key(self) -> tuple[int, int, int]:
        """Names the notice for good."""
        return self.place, self.incarnation, self.number


@dataclass(frozen=True, slots=True)
class ElectionStep:
    """One line of an election's timeline. Times in seconds of the monitor's clock."""

    at: float
    place: int
    """The node that tells."""
    body: ElectionBody
    arrived_at: float | None = None
    """Of a message that was sent: when its receiver got it; None if it did not, or did not say."""
    deaf: bool = False
    """The node was deaf: what it sent left nobody's hands, and counts for nothing."""


@dataclass(slots=True)
class Group:
    """The entries of one election, each with whether its node was deaf then."""

    former: int | None
    former_term: int
    deaf: frozenset[int]
    """Nodes that were deaf when it began."""
    entries: list[tuple[ElectionEntry, bool]] = field(default_factory=list)
    last_at: float = 0.0
    lost: set[int] = field(default_factory=set)
    """Nodes that knew of no leader."""
    found_again: set[int] = field(default_factory=set)
    leader: int | None = None
    term: int = 0
    ended: float | None = None
    agreed: set[int] = field(default_factory=set)
    agreed_at: float | None = None
    outcome: ElectionOutcome = ElectionOutcome.UNDER_WAY


class Reading:
    """One walk over all entries in order of time.

    It goes on from `start`, the first of an earlier walk's elections that is kept. Before the entries that `bridges`
    names others were left out, which belong to the same election.
    """

    def __init__(
        self, timing: Timing, start: Group | None = None, bridges: frozenset[tuple[int, int, int]] = frozenset()
    ) -> None:
        self._bridges = bridges
        self.groups: list[Group] = []
        self._quiet_s = timing.lease_s + timing.suspect_s + timing.announcement_timeout_s
        """An election without a word for so long is over: every timer of a node that wants a leader is shorter."""
        self._quiet_after_s = timing.suspect_s
        """The same, once there is a leader."""
        self._open: Group | None = None
        self._leader = None if start is None else start.former
        self._term = 0 if start is None else start.former_term
        self._deaf: set[int] = set() if start is None else set(start.deaf)

    def take(self, entry: ElectionEntry) -> None:
        """Take the next entry."""
        body = entry.body
        if isinstance(body, DeafNotice):
            (self._deaf.add if body.deaf else self._deaf.discard)(entry.place)
        deaf = entry.place in self._deaf
        if self._open is not None and entry.key not in self._bridges and self._rested(self._open, entry.at):
            self._close(self._open)
        if self._open is not None and not deaf and self._begins_another(entry, self._open):
            self._close(self._open)
        if self._open is None:
            if deaf or not _disturbs(body):
                self._settle(entry, deaf=deaf)
                return
            self._open = Group(self._leader, self._term, frozenset(self._deaf))
            self.groups.append(self._open)
        self._join(entry, self._open, deaf=deaf)

    def finish(self, now: float) -> None:
        """There are no more entries."""
        if self._open is not None and self._rested(self._open, now):
            self._close(self._open)
        elif self._open is not None and self._open.ended is not None:
            self._open.outcome = ElectionOutcome.WON

    def _rested(self, group: Group, now: float) -> bool:
        """Return whether there has been no word of an election for so long that it is over."""
        return now - group.last_at > (self._quiet_s if group.ended is None else self._quiet_after_s)

    def _begins_another(self, entry: ElectionEntry, group: Group) -> bool:
        """Return whether somebody who had agreed to the new leader misses it again."""
        return group.ended is not None and entry.place in group.agreed and _disturbs(entry.body)

    def _join(self, entry: ElectionEntry, group: Group, *, deaf: bool) -> None:
        group.entries.append((entry, deaf))
        if deaf:
            return
        group.last_at = entry.at
        body = entry.body
        if not isinstance(body, LeaderNotice):
            return
        if body.leader is None:
            group.lost.add(entry.place)
        elif body.term > max(group.former_term, group.term):
            group.leader, group.term, group.ended = body.leader, body.term, entry.at
            group.agreed, group.agreed_at = {entry.place}, entry.at
        elif group.ended is not None and body.term == group.term:
            group.agreed.add(entry.place)
            group.agreed_at = entry.at
        else:
            group.found_again.add(entry.place)
            if group.ended is None and group.lost and group.lost <= group.found_again:
                self._close(group)

    def _close(self, group: Group) -> None:
        if group.ended is not None:
            group.outcome = ElectionOutcome.WON
            self._leader, self._term = group.leader, group.term
        elif group.found_again:
            group.outcome = ElectionOutcome.CALMED
        else:
            group.outcome = ElectionOutcome.NOBODY
        self._open = None

    def _settle(self, entry: ElectionEntry, *, deaf: bool) -> None:
        """Take note of a leader whose election was not seen."""
        body = entry.body
        if isinstance(body, LeaderNotice) and body.leader is not None and body.term >= self._term and not deaf:
            self._leader, self._term = body.leader, body.term


def sent_messages(entries: Iterable[tuple[ElectionEntry, bool]]) -> Counter[str]:
    """Return how many messages left, by kind; each counts once, at its sender."""
    return Counter(
        entry.body.kind
        for entry, deaf in entries
        if isinstance(entry.body, ElectionNotice) and entry.body.sent and not deaf
    )


def _disturbs(body: ElectionBody) -> bool:
    """Return whether an election begins with this, if none is under way."""
    match body:
        case LeaderNotice(leader, _):
            return leader is None
        case RoleNotice(previous, role, _, _):
            return role in _ELECTING or (previous == "leader" and role != "leader")
        case ElectionNotice(sent, kind, _, _):
            return sent and kind in _CALLS
        case _:
            return False


def why(body: ElectionBody) -> str:
    """Return in words why an election began with this."""
    match body:
        case RoleNotice(_, _, why, _):
            return reason(why)
        case ElectionNotice(_, kind, _, _):
            return kind
        case _:
            return "leader silent"


def steps(entries: Sequence[tuple[ElectionEntry, bool]]) -> tuple[ElectionStep, ...]:
    """Return the timeline: each message once, at its sender, with its arrival."""
    arrivals = _Arrivals(entry for entry, deaf in entries if not deaf)
    found = []
    for entry, deaf in entries:
        body = entry.body
        if isinstance(body, ElectionNotice):
            if not body.sent:
                continue
            arrived_at = None if deaf else arrivals.of(entry.place, body, entry.at)
            found.append(ElectionStep(entry.at, entry.place, body, arrived_at, deaf))
        else:
            found.append(ElectionStep(entry.at, entry.place, body, None, deaf))
    return tuple(found)


class _Arrivals:
    """When messages came to their receivers; each arrival belongs to one message."""

    def __init__(self, entries: Iterable[ElectionEntry]) -> None:
        self._times: dict[tuple[int, int, str, int], list[float]] = {}
        for entry in entries:
            body = entry.body
            if isinstance(body, ElectionNotice) and not body.sent:
                self._times.setdefault((body.node, entry.place, body.kind, body.term), []).append(entry.at)

    def of(self, sender: int, body: ElectionNotice, sent_at: float) -> float | None:
        """Return the first arrival that is left for a message, and take it."""
        times = self._times.get((sender, body.node, body.kind, body.term), [])
        position = bisect_right(times, sent_at - _MATCH_BACK_S)
        return times.pop(position) if position < len(times) else None
