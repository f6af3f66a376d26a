"""Heartbeats of the last minute, between one node and each other one: what was sent, heard and missed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from tui.monitor.model.series import MINUTE_S, SPAN_S, Tallies, blank

if TYPE_CHECKING:
    from shared.wire.feed_messages import Beats

HEARTBEATS_PER_BUCKET: Final = 2
_COUNTERS: Final = 7


class Beat(IntEnum):
    """What a stretch of time shows. The higher one wins where several fall into one cell."""

    NOTHING = 0
    """Neither heard nor expected, or the node itself was not heard."""
    PULSE = 1
    """A pulse between followers."""
    SENT = 2
    """A heartbeat that left and is not answered yet."""
    ACKED = 3
    HEARD = 4
    MISSED = 5
    """One that should have come from the leader, or that nobody acknowledged."""


@dataclass(frozen=True, slots=True)
class BeatRow:
    """The last two minutes between a node and `other`, oldest first. `leads`: this node sends the heartbeats now."""

    other_name: str
    first: int
    """Number of the first cell since the monitor's time 0, see `Curve.first`."""
    bucket_s: float
    cells: bytes
    """Values of `Beat`."""
    leads: bool
    follows: bool
    """The other one sends the heartbeats now."""
    missed: int
    """Heartbeats missed or not acknowledged, in the last minute."""
    rtt_us: int | None
    """Round trip of heartbeats between the two, if one of them leads and it answers."""


class BeatBuckets:
    """What passed between a node and one other, as the node's cumulative counters tell it."""

    __slots__ = ("_cells", "_missed", "_newest", "_tallies", "bucket_s", "last", "last_at")

    def __init__(self, heartbeat_s: float) -> None:
        self.bucket_s = HEARTBEATS_PER_BUCKET * heartbeat_s
        size = max(1, round(SPAN_S / self.bucket_s))
        self._cells = bytearray(size)
        self._missed = [0] * size
        self._newest = -1
        self._tallies = Tallies(_COUNTERS)
        self.last: Beats | None = None
        self.last_at = 0.0

    def take(self, beats: Beats, at_s: float, now: float) -> None:
        """Take a row that the node told at `at_s` of its clock."""
        if self.last is not None and now < self.last_at:
            return
        self.last, self.last_at = beats, now
        counters = (
            beats.sent,
            beats.acked,
            beats.unacked,
            beats.heard,
            beats.missed,
            beats.pulses_sent,
            beats.pulses_heard,
        )
        grown = self._tallies.take(at_s, counters)
        sent, acked, unacked, heard, missed, _, pulses_heard = grown
        index = self._index(now)
        beat = Beat.NOTHING
        if missed or unacked:
            beat = Beat.MISSED
            self._missed[index] += int(missed + unacked)
        elif heard:
            beat = Beat.HEARD
        elif acked:
            beat = Beat.ACKED
        elif sent:
            beat = Beat.SENT
        elif pulses_heard:
            beat = Beat.PULSE
        self._cells[index] = max(self._cells[index], beat)

    def begin(self) -> None:
        """The node began a new life."""
        self._tallies.begin()

    def row(self, name: str, now: float, *, leads: bool, follows: bool, rtt_us: int | None) -> BeatRow:
        """Return what is kept."""
        size, last = len(self._cells), int(now / self.bucket_s)
        first = last - size + 1
        start = first % size
        cells = list(self._cells[start:] + self._cells[:start])
        missed = self._missed[start:] + self._missed[:start]
        for ring in (cells, missed):
            blank(ring, last - self._newest, 0)
        minute = round(MINUTE_S / self.bucket_s)
        return BeatRow(name, first, self.bucket_s, bytes(cells), leads, follows, sum(missed[-minute:]), rtt_us)

    def _index(self, now: float) -> int:
        size, number = len(self._cells), int(now / self.bucket_s)
        for skipped in range(max(self._newest + 1, number - size + 1), number + 1):
            self._cells[skipped % size] = Beat.NOTHING
            self._missed[skipped % size] = 0
        self._newest = max(self._newest, number)
        return number % size
