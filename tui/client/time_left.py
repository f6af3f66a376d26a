"""How long something that goes on in bytes will still take, told only where there is reason to. Pure."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

_WINDOW_S: Final = 15.0
"""The speed is that of the last so many seconds: a line that became slow is slow from now on."""
_ENOUGH_S: Final = 2.0
"""Before, a first burst says nothing of the speed. What takes less needs no estimate."""
_MINUTE: Final = 60


class TimeLeft:
    """Estimates the end of one transfer from reports of how far it is. Times in seconds of a clock that only grows."""

    def __init__(self) -> None:
        self._reports: deque[tuple[float, int]] = deque()
        self._total = 0

    def note(self, done: int, total: int, now: float) -> None:
        """Take a report: bytes done, and in all. One that goes back, or has another total, begins anew."""
        if self._reports and (done < self._reports[-1][1] or total != self._total):
            self._reports.clear()
        self._total = total
        self._reports.append((now, done))
        while len(self._reports) > 2 and self._reports[1][0] <= now - _WINDOW_S:
            self._reports.popleft()

    def seconds(self, now: float) -> float | None:
        """Return how long it will take at the speed of late, None while that is not known or nothing comes."""
        if not self._reports:
            return None
        (began, first), (_, done) = self._reports[0], self._reports[-1]
        passed_s = now - began  # also the time since the last report: what stands still becomes slower
        if passed_s < _ENOUGH_S or done <= first or now - self._reports[-1][0] > _WINDOW_S:
            return None
        return (self._total - done) * passed_s / (done - first)


def about(seconds: float | None) -> str:
    """Return an estimate in words that promise no more than it knows: `about 40 s left`; empty where there is none."""
    if seconds is None:
        return ""
    if seconds <= 10:
        return "a few seconds left"
    if seconds <= _MINUTE:
        return f"about {math.ceil(seconds / 10) * 10} s left"
    minutes = math.ceil(seconds / _MINUTE)
    return f"about {minutes} min left" if minutes <= 2 * _MINUTE else f"about {math.ceil(minutes / _MINUTE)} h left"
