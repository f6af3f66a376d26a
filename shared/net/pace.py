"""Who gives way when places for transfers are short: whoever stands still, then the slow, then who holds the most.

A sender that says something every two seconds is not idle, and could hold every place for ever. So the rate of each
transfer is measured; what is slower than the least rate ends whether others wait or not.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from shared.config import Limits, Timing

K = TypeVar("K", bound=Hashable)

SLOW_WINDOWS: Final = 3
"""A transfer that is below the least rate for so many windows ends."""


def pace_window_s(timing: Timing) -> float:
    """Return over how many seconds the rate of a transfer is measured."""
    return timing.transfer_idle_s / 2


class Pace:
    """How fast one transfer moves. `now` is in seconds of any monotonic clock, `done` in bytes."""

    __slots__ = ("_began_at", "_done", "_slow", "_window_s", "rate_per_s")

    def __init__(self, now: float, done: int, *, window_s: float) -> None:
        self._began_at = now
        self._done = done
        self._window_s = window_s
        self._slow = 0
        self.rate_per_s: float | None = None
        """Bytes per second in the last whole window; None in the first."""

    def note(self, now: float, done: int, *, least_per_s: float) -> None:
        """Take how far the transfer is; `least_per_s` is what a transfer must do to go on."""
        passed_s = now - self._began_at
        if passed_s < self._window_s:
            return
        self.rate_per_s = (done - self._done) / passed_s
        self._slow = self._slow + 1 if self.rate_per_s < least_per_s else 0
        self._began_at, self._done = now, done

    @property
    def is_too_slow(self) -> bool:
        """Whether it was below the least rate for `SLOW_WINDOWS` in a row."""
        return self._slow >= SLOW_WINDOWS


@dataclass(frozen=True, slots=True)
class Holder(Generic[K]):
    """A transfer that holds a place."""

    transfer: K
    peer: bytes
    still_s: float
    """Since when nothing came."""
    rate_per_s: float | None


def who_gives_way(
    holders: Iterable[Holder[K]], waiting: bytes, *, patience_s: float, limits: Limits
) -> tuple[K, str] | None:
    """Return the transfer that ends so that the peer `waiting` gets a place, and why; None where nobody has to.

    Who stands still for `patience_s` goes first, then the slowest of those below `Limits.slow_transfer_bytes_per_s`,
    then the slowest of the peer that holds the most, if that is at least two more than `waiting` has.
    """
    found = list(holders)
    still = [holder for holder in found if holder.still_s >= patience_s]
    if still:
        return max(still, key=lambda holder: holder.still_s).transfer, "The transfer stood still while others waited."
    measured = [(holder.rate_per_s, holder) for holder in found if holder.rate_per_s is not None]
    if not measured:
        return None
    rate_per_s, slowest = min(measured, key=lambda one: one[0])
    if rate_per_s < limits.slow_transfer_bytes_per_s:
        return slowest.transfer, "The transfer was slow while others waited."
    held = Counter(holder.peer for holder in found)
    most, count = held.most_common(1)[0]
    theirs = [one for one in measured if one[1].peer == most]
    if count < held[waiting] + 2 or not theirs:
        return None
    return min(theirs, key=lambda one: one[0])[1].transfer, "Others waited who had fewer transfers."
