"""From a node's messages to the monitor's clock: when each left, and whether it is new."""

from __future__ import annotations

from typing import Final

ONE_MACHINE_S: Final = 0.05
"""Machines that were started within this of each other would be taken for one: unlikely, and then 50 ms wrong."""
_WINDOW_S: Final = 60.0
"""A guess counts for one to two of these: clocks drift apart by some ms an hour."""


class NodeClock:
    """The clock of one life of a node. It stays right for that life's moments when the node has begun another."""

    __slots__ = ("_before_s", "_lately_s", "_turn_at", "offset_s")

    def __init__(self) -> None:
        self.offset_s = 0.0
        """Added to the node's time in seconds; 0 until the node was heard."""
        self._lately_s = self._before_s = float("inf")
        self._turn_at = float("-inf")

    @property
    def guess_s(self) -> float:
        """The smallest difference seen in this window and the one before; infinite if nothing was heard."""
        return min(self._lately_s, self._before_s)

    def heard(self, at_ms: float, now: float) -> bool:
        """Take it that what left at `at_ms` came just now; return whether that changes the guess."""
        before = self.guess_s
        if now >= self._turn_at:
            self._before_s, self._lately_s = self._lately_s, float("inf")
            self._turn_at = now + _WINDOW_S
        self._lately_s = min(self._lately_s, now - at_ms / 1000)
        return self.guess_s != before

    def moment(self, at_ms: float) -> float:
        """Return a moment of the node's in seconds of the monitor's clock."""
        return at_ms / 1000 + self.offset_s


class Clocks:
    """The clocks of all nodes, by place."""

    def __init__(self, nodes: int) -> None:
        self._clocks = [NodeClock() for _ in range(nodes)]

    def of(self, place: int) -> NodeClock:
        """Return the clock of a node's present life."""
        return self._clocks[place]

    def begin(self, place: int) -> None:
        """The node began a new life: its clock may start anew."""
        self._clocks[place] = NodeClock()

    def heard(self, place: int, at_ms: float, now: float) -> None:
        """A message that left at `at_ms` by the node's clock came just now."""
        if self._clocks[place].heard(at_ms, now):
            self._agree()

    def _agree(self) -> None:
        guesses = [clock.guess_s for clock in self._clocks if clock.guess_s != float("inf")]
        for clock in self._clocks:
            own = clock.guess_s
            if own != float("inf"):
                clock.offset_s = min(guess for guess in guesses if abs(guess - own) <= ONE_MACHINE_S)


_WINDOW: Final = 128
_MASK: Final = (1 << _WINDOW) - 1


class Sequencer:
    """Follows `seq` of one node's feed. A new watch counts from 1 again, which its later time tells."""

    __slots__ = ("_at_ms", "_highest", "_seen")

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0
        self._at_ms = float("-inf")

    def fresh(self, seq: int, at_ms: float) -> bool:
        """Return whether this message came for the first time; one that is too old to tell did not."""
        if seq <= self._highest and at_ms > self._at_ms:
            self.begin()
        if seq == self._highest + 1:
            self._seen = (self._seen << 1 | 1) & _MASK
            self._highest = seq
        elif seq > self._highest:
            ahead = seq - self._highest
            self._seen = (self._seen << min(ahead, _WINDOW) | 1) & _MASK
            self._highest = seq
        else:
            behind = self._highest - seq
            if behind >= _WINDOW or self._seen >> behind & 1:
                return False
            self._seen |= 1 << behind
        self._at_ms = max(self._at_ms, at_ms)
        return True

    def begin(self) -> None:
        """A watch begins anew."""
        self._highest = self._seen = 0
        self._at_ms = float("-inf")
