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
"""How long a packet that was declared lost may still be acknowledged and spare its retransmission."""
COMPACT_PACKETS: Final = 16_384
"""Acknowledged packets at the front of the record that are dropped in one go."""
PING_CHUNK: Final = -1
"""Stands for the chunk of a packet that carries no part of the object."""


class SentPackets:
    """Which packets are in flight, which chunk of the object each carries, and when it was sent.

    The work for an acknowledgement grows with what it newly acknowledges and not with the size of the window.
    """

    __slots__ = ("_base", "_chunks", "_lost", "_lost_expiry", "_times", "in_flight", "packet_threshold")

    def __init__(self) -> None:
        self._base = 0
        self._chunks: list[int] = []
        self._times: list[float] = []
        self.in_flight = Ranges()
        self._lost = Ranges()
        self._lost_expiry: list[tuple[float, int]] = []
        self.packet_threshold = PACKET_THRESHOLD

    @property
    def next_number(self) -> int:
        """The packet number after the last one recorded."""
        return self._base + len(self._chunks)

    def record(self, first_number: int, chunks: list[int], now: float) -> None:
        """Note packets with consecutive numbers that leave together. Numbers left out in between carried no chunk."""
        skipped = first_number - self.next_number
        if skipped:
            self._chunks.extend([PING_CHUNK] * skipped)
            self._times.extend([now] * skipped)
        self._chunks.extend(chunks)
        self._times.extend([now] * len(chunks))
        self.in_flight.add(first_number, first_number + len(chunks))

    def sent_at(self, number: int) -> float:
        """When a packet was sent that is in flight or was declared lost lately."""
        return self._times[number - self._base]

    def least_unacked(self) -> int:
        """The smallest packet number whose acknowledgement would still change anything."""
        least = self.in_flight.first if self.in_flight else self.next_number
        return min(least, self._lost.first) if self._lost else least

    def acknowledge(self, intervals: list[tuple[int, int]], largest_acked: int) -> tuple[list[int], int]:
        """Take the acknowledged `intervals`, from the top downwards; `largest_acked` is the one before them.

        Returns the chunks they carried and how many of the packets were in flight; the others had been declared lost.
        """
        floor = self.least_unacked()
        chunks: list[int] = []
        arrived = 0
        for start, end in intervals:
            if end <= floor:
                break
            for low, high in self.in_flight.take(start, end):
                chunks += self._chunks[low - self._base : high - self._base]
                arrived += high - low
            if self._lost:
                for low, high in self._lost.take(start, end):
                    chunks += self._chunks[low - self._base : high - self._base]
                    needed = largest_acked - low + 1
                    self.packet_threshold = max(self.packet_threshold, min(needed, MAX_PACKET_THRESHOLD))
        return chunks, arrived

    def detect_lost(self, largest_acked: int, now: float, rtt_s: float) -> tuple[list[int], float | None]:
        """Declare packets lost that `largest_acked` overtook by too much or too long ago.

        Returns the chunks they carried and the time at which the next packet is lost, None if there is none.
        """
        wait_s = max(TIME_THRESHOLD * rtt_s, GRANULARITY_S)
        lost_below = largest_acked - self.packet_threshold + 1
        in_flight = self.in_flight
        lost: list[tuple[int, int]] = []
        if in_flight and in_flight.first < lost_below:
            lost += in_flight.take(0, lost_below)
        loss_time: float | None = None
        first = in_flight.first if in_flight else largest_acked
        while first < largest_acked:
            due = self.sent_at(first) + wait_s
            if due > now:
                loss_time = due
                break
            lost += in_flight.take(first, first + 1)
            first = in_flight.first if in_flight else largest_acked
        chunks: list[int] = []
        for low, high in lost:
            self._lost.add(low, high)
            chunks += self._chunks[low - self._base : high - self._base]
        if lost:
            self._lost_expiry.append((now + LOST_REMEMBERED_RTTS * wait_s, lost[-1][1]))
        self._forget(now)
        return chunks, loss_time

    def oldest_in_flight_chunks(self, count: int) -> list[int]:
        """Return the chunks of the oldest packets in flight, for probes."""
        chunks: list[int] = []
        for low, high in self.in_flight:
            chunks += self._chunks[low - self._base : min(high, low + count) - self._base]
            if len(chunks) >= count:
                break
        return chunks[:count]

    def _forget(self, now: float) -> None:
        expired = 0
        while expired < len(self._lost_expiry) and self._lost_expiry[expired][0] <= now:
            self._lost.drop_below(self._lost_expiry[expired][1])
            expired += 1
        if expired:
            del self._lost_expiry[:expired]
        surplus = self.least_unacked() - self._base
        if surplus >= COMPACT_PACKETS:
            del self._chunks[:surplus]
            del self._times[:surplus]
            self._base += surplus
