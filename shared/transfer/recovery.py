"""Packets in flight, and which of them are lost (RFC 9002 section 6)."""

from typing import Final

from shared.rtt import GRANULARITY_S
from shared.transfer.ranges import Ranges

PACKET_THRESHOLD: Final = 3
"""A packet is lost when one sent this much later has arrived (RFC 9002 section 6.1.1)."""
MAX_PACKET_THRESHOLD: Final = 128
"""How far the threshold adapts to a path that reorders."""
TIME_THRESHOLD: Final = 9 / 8
"""A packet is lost this many round trips after it was sent, if a later one has arrived (section 6.1.2)."""
LOST_REMEMBERED_RTTS: Final = 2.0
"""How long a packet that was declared lost may still be acknowledged and spare its repetition."""
COMPACT_PACKETS: Final = 16_384
"""Settled packets at the front of the ledger that are dropped in one go."""
PING_CHUNK: Final = -1
"""Stands in the ledger for a packet that carries no part of the object."""


class SentPackets:
    """Which packets are under way, what they carried and when they left.

    A packet carries a chunk of the object, by index. Settled packets leave the sets at once, so the work for an
    acknowledgement grows with what it newly says and not with the size of the window.
    """

    __slots__ = ("_base", "_chunks", "_lost", "_lost_settles", "_times", "outstanding", "packet_threshold")

    def __init__(self) -> None:
        self._base = 0
        self._chunks: list[int] = []
        self._times: list[float] = []
        self.outstanding = Ranges()
        self._lost = Ranges()
        self._lost_settles: list[tuple[float, int]] = []
        self.packet_threshold = PACKET_THRESHOLD

    @property
    def next_number(self) -> int:
        """The packet number after the last one recorded."""
        return self._base + len(self._chunks)

    def record(self, first_number: int, chunks: list[int], now: float) -> None:
        """Note packets with consecutive numbers that leave together. Numbers in between were not for the ledger."""
        skipped = first_number - self.next_number
        if skipped:
            self._chunks.extend([PING_CHUNK] * skipped)
            self._times.extend([now] * skipped)
        self._chunks.extend(chunks)
        self._times.extend([now] * len(chunks))
        self.outstanding.add(first_number, first_number + len(chunks))

    def sent_at(self, number: int) -> float:
        """When a packet left that is outstanding or not yet forgotten."""
        return self._times[number - self._base]

    def oldest_unacked(self) -> int:
        """The smallest packet number of which hearing would still change anything."""
        oldest = self.outstanding.first if self.outstanding else self.next_number
        return min(oldest, self._lost.first) if self._lost else oldest

    def acknowledge(self, intervals: list[tuple[int, int]], largest_before: int) -> tuple[list[int], int]:
        """Settle packets that arrived; `intervals` come from the top downwards.

        Returns the chunks they carried and how many of the packets were in flight; the others had been declared lost.
        """
        floor = self.oldest_unacked()
        chunks: list[int] = []
        arrived = 0
        for start, end in intervals:
            if end <= floor:
                break
            for low, high in self.outstanding.take(start, end):
                chunks += self._chunks[low - self._base : high - self._base]
                arrived += high - low
            if self._lost:
                for low, high in self._lost.take(start, end):
                    chunks += self._chunks[low - self._base : high - self._base]
                    needed = largest_before - low + 1
                    self.packet_threshold = max(self.packet_threshold, min(needed, MAX_PACKET_THRESHOLD))
        return chunks, arrived

    def detect_lost(self, largest: int, now: float, rtt_s: float) -> tuple[list[int], float | None]:
        """Declare packets lost that `largest` overtook by too much or too long ago.

        Returns the chunks they carried and when to look again, None if nothing is undecided.
        """
        wait_s = max(TIME_THRESHOLD * rtt_s, GRANULARITY_S)
        certain_below = largest - self.packet_threshold + 1
        outstanding = self.outstanding
        lost: list[tuple[int, int]] = []
        if outstanding and outstanding.first < certain_below:
            lost += outstanding.take(0, certain_below)
        look_again: float | None = None
        undecided = outstanding.first if outstanding else largest
        while undecided < largest:
            due = self.sent_at(undecided) + wait_s
            if due > now:
                look_again = due
                break
            lost += outstanding.take(undecided, undecided + 1)
            undecided = outstanding.first if outstanding else largest
        chunks: list[int] = []
        for low, high in lost:
            self._lost.add(low, high)
            chunks += self._chunks[low - self._base : high - self._base]
        if lost:
            self._lost_settles.append((now + LOST_REMEMBERED_RTTS * wait_s, lost[-1][1]))
        self._forget(now)
        return chunks, look_again

    def oldest_outstanding_chunks(self, count: int) -> list[int]:
        """Return the chunks of the oldest packets under way, for probes."""
        chunks: list[int] = []
        for low, high in self.outstanding:
            chunks += self._chunks[low - self._base : min(high, low + count) - self._base]
            if len(chunks) >= count:
                break
        return chunks[:count]

    def _forget(self, now: float) -> None:
        settled = 0
        while settled < len(self._lost_settles) and self._lost_settles[settled][0] <= now:
            self._lost.drop_below(self._lost_settles[settled][1])
            settled += 1
        if settled:
            del self._lost_settles[:settled]
        surplus = self.oldest_unacked() - self._base
        if surplus >= COMPACT_PACKETS:
            del self._chunks[:surplus]
            del self._times[:surplus]
            self._base += surplus
