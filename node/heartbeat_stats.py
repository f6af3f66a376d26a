"""Counts of the signs of life between this node and each other one: sent, acknowledged, heard, missed.

A heartbeat counts as unacknowledged when the second one after it leaves without its ack: round trips are far shorter.
One counts as missed when it should have come from the leader that this node follows, and is half a heartbeat late.
Between two of one leader, `gaps` has the time: a heartbeat where all is well.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from node.histogram import Histogram

_GRACE_BEATS = 2
_LATE_HEARTBEATS = 0.5


@dataclass(slots=True)
class HeartbeatCounts:
    """What passed between this node and one other."""

    sent: int = 0
    acked: int = 0
    unacked: int = 0
    heard: int = 0
    missed: int = 0
    pulses_sent: int = 0
    pulses_heard: int = 0
    unanswered: list[int] = field(default_factory=list)
    """Numbers of the last heartbeats without an ack, at most `_GRACE_BEATS`."""


class HeartbeatStats:
    """The counts of one node. Times in seconds of the caller's clock."""

    def __init__(self, others: Iterable[str], heartbeat_s: float) -> None:
        self.counts = {node: HeartbeatCounts() for node in others}
        self.gaps = Histogram()
        self._heard_at: float | None = None
        """When the leader that this node follows was heard last."""
        self._heartbeat_s = heartbeat_s
        self._leader: str | None = None
        self._expected_from = 0.0
        self._settled = 0

    def sent(self, node: str, sequence: int) -> None:
        """This node, leading, sent heartbeat `sequence` to `node`."""
        counts = self.counts[node]
        counts.sent += 1
        counts.unanswered.append(sequence)
        if len(counts.unanswered) > _GRACE_BEATS:
            counts.unanswered.pop(0)
            counts.unacked += 1

    def acked(self, node: str, sequence: int) -> None:
        """`node` acknowledged a heartbeat; one that comes too late to count stays unacknowledged."""
        counts = self.counts[node]
        if sequence in counts.unanswered:
            counts.unanswered.remove(sequence)
            counts.acked += 1

    def heard(self, node: str, now: float) -> None:
        """A heartbeat of `node` came."""
        self.settle(now)
        self.counts[node].heard += 1
        if node == self._leader:
            if self._heard_at is not None:
                self.gaps.add(1000 * (now - self._heard_at))
            self._heard_at = now
            self._expect(now)

    def follow(self, leader: str | None, now: float) -> None:
        """From now on heartbeats are expected of `leader`, or of nobody."""
        if leader == self._leader:
            return
        self.settle(now)
        self._leader = leader if leader in self.counts else None
        self._heard_at = None
        self._expect(now)

    def settle(self, now: float) -> None:
        """Count what should have come by now; call before reading."""
        if self._leader is None:
            return
        late = max(0, int((now - self._expected_from) / self._heartbeat_s - _LATE_HEARTBEATS))
        if late > self._settled:
            self.counts[self._leader].missed += late - self._settled
            self._settled = late

    def _expect(self, now: float) -> None:
        self._expected_from, self._settled = now, 0
