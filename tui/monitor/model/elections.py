"""Elections, put together from what every node said of its own part: when one began, who won, how many messages.

Nodes tell of themselves at different times, a deaf one much later, and a monitor that comes late gets what was. So the
notices are kept in order of time, whenever they came, and elections are read from them anew when there are more: the
same notices give the same elections in whatever order they arrive.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tui.monitor.model.election_reading import (
    ElectionBody,
    ElectionEntry,
    ElectionOutcome,
    ElectionStep,
    Group,
    Reading,
    sent_messages,
    steps,
    why,
)

if TYPE_CHECKING:
    from shared.config import Timing

__all__ = ["ElectionBody", "ElectionData", "ElectionEntry", "ElectionOutcome", "ElectionStep", "Elections", "bully"]

MAX_ELECTIONS: Final = 32
MAX_ENTRIES: Final = 2_000
KEPT_OF_ONE: Final = 600
"""Entries that are kept of one election that does not end, such as one without a directory: its begin and the last."""
_KEPT_AT_BEGIN: Final = 100
_SPARE: Final = 8
_READ_EVERY_S: Final = 1.0
"""Reading again many entries costs some ms: then it is done no more often than this."""
_FEW: Final = 300


@dataclass(frozen=True, slots=True)
class ElectionData:
    """One election. Times in seconds of the monitor's clock."""

    key: str
    """Names it for good."""
    began: float
    """When the first node noticed, or was told, that it needs a leader."""
    noticed_by: int
    why: str
    outcome: ElectionOutcome
    ended: float | None
    """When a node won; None if none did."""
    agreed: float | None
    """When the last node so far took it for the leader."""
    agreed_by: frozenset[int]
    leader: int | None
    term: int
    """Of the new leader; of the last one known where nobody won."""
    former: int | None
    """Who led before, None if that is not known."""
    former_term: int
    former_last_word: float | None
    """When the monitor last heard the former leader, if it then fell silent: the failure was then or just after."""
    messages: tuple[tuple[str, int], ...]
    """Messages sent, by kind, most first."""
    bully_best: int
    bully_worst: int
    """What classic Bully sends in a cluster of this size, see `bully`."""
    steps: tuple[ElectionStep, ...]
    """Oldest first, received messages left out: their arrival stands with the sent one."""
    left_out: int
    """Steps of a long election that are no longer kept; their messages are counted."""

    @property
    def message_count(self) -> int:
        """Messages sent in all."""
        return sum(count for _, count in self.messages)

    @property
    def took_s(self) -> float | None:
        """From its begin to a new leader."""
        return None if self.ended is None else max(0.0, self.ended - self.began)

    @property
    def outage_s(self) -> float | None:
        """From the former leader's last word to a new leader, if the former one fell silent."""
        if self.ended is None or self.former_last_word is None:
            return None
        return self.ended - self.former_last_word


def bully(nodes: int) -> tuple[int, int]:
    """Return how many messages classic Bully (Garcia-Molina, 1982) sends when the highest of so many nodes fails.

    At best, only the next highest notices: n - 1. When all notice: (n - 1)^2 + n - 2.
    """
    if nodes < 2:
        return 0, 0
    return nodes - 1, (nodes - 1) ** 2 + nodes - 2


@dataclass(slots=True)
class _Silence:
    place: int
    since: float


class Elections:
    """The last elections of a cluster of `nodes` nodes. Times in seconds of the monitor's clock."""

    def __init__(self, nodes: int, timing: Timing) -> None:
        self._nodes = nodes
        self._timing = timing
        self._entries: list[ElectionEntry] = []
        self._known: set[tuple[int, int, int]] = set()
        self._folded: dict[tuple[int, int, int], tuple[int, Counter[str]]] = {}
        """By the entry that opens a long election: entries of its middle that were left out, and their messages."""
        self._bridges: dict[tuple[int, int, int], tuple[int, int, int]] = {}
        """By the same: the first entry behind those that were left out."""
        self._silences: list[_Silence] = []
        self._start: Group | None = None
        """The first election that is kept; what was before it is forgotten."""
        self._read: tuple[ElectionData, ...] = ()
        self._read_at = float("-inf")
        self._unread = False
        self.version = 0
        """Changes whenever an election may have."""

    def take(self, entry: ElectionEntry) -> None:
        """Take a notice, of whenever; one that is known already is passed over."""
        too_old = self._start is not None and entry.order < self._start.entries[0][0].order
        if entry.key in self._known or too_old:
            return
        self._known.add(entry.key)
        insort(self._entries, entry, key=lambda known: known.order)
        self._unread = True
        if len(self._entries) > MAX_ENTRIES:
            self._make_room()

    def fell_silent(self, place: int, since: float) -> None:
        """A node has not been heard by the monitor since then."""
        self._silences.append(_Silence(place, since))
        del self._silences[:-MAX_ELECTIONS]
        self._unread = True

    def newest_first(self, now: float) -> tuple[ElectionData, ...]:
        """Return the elections that are known."""
        stale = self._unread or any(election.outcome is ElectionOutcome.UNDER_WAY for election in self._read)
        pause_s = _READ_EVERY_S if len(self._entries) > _FEW else 0.0
        if stale and not 0 <= now - self._read_at < pause_s:
            reading = self._reading(now)
            if len(reading.groups) > MAX_ELECTIONS + _SPARE:
                self._begin_with(reading.groups[-MAX_ELECTIONS])
            found = tuple(self._data(group) for group in reversed(reading.groups[-MAX_ELECTIONS:]))
            self._read_at, self._unread = now, False
            if found != self._read:
                self._read = found
                self.version += 1
        return self._read

    def __len__(self) -> int:
        return len(self._entries)

    # --- Reading -----------------------------------------------------------------------------------------------------
    def _reading(self, now: float) -> Reading:
        self._entries.sort(key=lambda entry: entry.order)  # the clocks may be known better than when they came
        reading = Reading(self._timing, self._start, frozenset(self._bridges.values()))
        for entry in self._entries:
            reading.take(entry)
        reading.finish(now)
        return reading

    def _data(self, group: Group) -> ElectionData:
        opening = group.entries[0][0]
        left_out, counts = self._folded.get(opening.key, (0, Counter()))
        sent = counts + sent_messages(group.entries)
        best, worst = bully(self._nodes)
        return ElectionData(
            "-".join(map(str, opening.key)),
            opening.at,
            opening.place,
            why(opening.body),
            group.outcome,
            group.ended,
            group.agreed_at,
            frozenset(group.agreed),
            group.leader,
            group.term if group.ended is not None else group.former_term,
            group.former,
            group.former_term,
            self._last_word(group),
            tuple(sent.most_common()),
            best,
            worst,
            steps(group.entries),
            left_out,
        )

    def _last_word(self, group: Group) -> float | None:
        """Return when the former leader fell silent, if that is why the election began.

        A busy monitor reads a leader's last words late, even after the others have missed it. So a silence counts that
        began before there was a successor, and is told as the begin of the election at the latest.
        """
        began = group.entries[0][0].at
        earliest = began - 2 * (self._timing.suspect_s + self._timing.lease_s)
        latest = max(began + self._timing.heartbeat_s, math.inf if group.ended is None else group.ended)
        found = [silence.since for silence in self._silences if silence.place == group.former]
        last = max((since for since in found if earliest <= since <= latest), default=None)
        return None if last is None else min(last, began)

    # --- Room --------------------------------------------------------------------------------------------------------
    def _make_room(self) -> None:
        """Let the oldest elections go; of one that does not end, the middle."""
        groups = self._reading(self._entries[-1].at).groups[-MAX_ELECTIONS:]
        kept: list[ElectionEntry] = []
        first = None
        for group in reversed(groups):
            entries = self._shortened(group)
            if len(kept) + len(entries) > MAX_ENTRIES // 2 and kept:
                break
            kept.extend(entries)
            first = group
        self._entries = sorted(kept, key=lambda entry: entry.order)
        if first is not None:
            self._begin_with(first)
        self._forget()

    def _begin_with(self, first: Group) -> None:
        """Forget what was before an election."""
        opening = first.entries[0][0]
        self._entries = [entry for entry in self._entries if entry.order >= opening.order]
        self._start = first
        self._forget()

    def _forget(self) -> None:
        self._known = {entry.key for entry in self._entries}
        self._folded = {key: counts for key, counts in self._folded.items() if key in self._known}
        self._bridges = {key: bridge for key, bridge in self._bridges.items() if key in self._known}

    def _shortened(self, group: Group) -> list[ElectionEntry]:
        entries = [entry for entry, _ in group.entries]
        if len(entries) <= KEPT_OF_ONE:
            return entries
        end = len(entries) - (KEPT_OF_ONE - _KEPT_AT_BEGIN)
        left_out, counts = self._folded.get(entries[0].key, (0, Counter()))
        dropped = group.entries[_KEPT_AT_BEGIN:end]
        self._folded[entries[0].key] = (left_out + len(dropped), counts + sent_messages(dropped))
        self._bridges[entries[0].key] = entries[end].key
        return entries[:_KEPT_AT_BEGIN] + entries[end:]
