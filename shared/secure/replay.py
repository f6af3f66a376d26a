"""A sliding window over numbers that may be used once, in nearly any order (RFC 4303 section 3.4.3)."""

from typing import Final

WINDOW_PACKETS: Final = 2_048
"""How far behind the highest number a late one is still told from a repeated one; more tolerates more reordering and
costs one bit each."""


class ReplayWindow:
    """Remembers which of the last `WINDOW_PACKETS` numbers were used."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0  # bit n stands for the number _highest - n

    @property
    def highest(self) -> int:
        """The highest number used, -1 before the first."""
        return self._highest

    def is_fresh(self, number: int) -> bool:
        """Whether `number` was surely not used yet. Changes nothing: the caller first checks that it is authentic."""
        behind = self._highest - number
        if behind < 0:
            return True
        return behind < WINDOW_PACKETS and not self._seen >> behind & 1

    def mark(self, number: int) -> None:
        """Remember that `number` was used; call it only with a fresh number that proved authentic."""
        ahead = number - self._highest
        if ahead <= 0:
            self._seen |= 1 << -ahead
        else:
            self._highest = number
            self._seen = (self._seen << ahead | 1) & _MASK if ahead < WINDOW_PACKETS else 1


_MASK: Final = (1 << WINDOW_PACKETS) - 1
