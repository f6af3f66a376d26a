"""The numbers of a watch's messages: which are new, and how many were lost on the way."""

from __future__ import annotations

from typing import Final

_WINDOW: Final = 128
_MASK: Final = (1 << _WINDOW) - 1


class Sequencer:
    """Follows `seq` of one node's feed. A new watch counts from 1 again, which its later time tells."""

    __slots__ = ("_at_ms", "_highest", "_seen", "lost", "taken")

    def __init__(self) -> None:
        self.taken = 0
        """Messages that came, over all watches."""
        self.lost = 0
        """Messages that a gap shows to be missing, over all watches."""
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
            self.lost += ahead - 1 if self._highest else 0
            self._seen = (self._seen << min(ahead, _WINDOW) | 1) & _MASK
            self._highest = seq
        else:
            behind = self._highest - seq
            if behind >= _WINDOW or self._seen >> behind & 1:
                return False
            self._seen |= 1 << behind
            self.lost = max(0, self.lost - 1)
        self._at_ms = max(self._at_ms, at_ms)
        self.taken += 1
        return True

    def begin(self) -> None:
        """A watch begins anew."""
        self._highest = self._seen = 0
        self._at_ms = float("-inf")

    @property
    def lost_share(self) -> float:
        """Share of the messages that were lost, 0 to 1."""
        return self.lost / (self.lost + self.taken) if self.lost else 0.0
