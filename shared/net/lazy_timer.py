"""A timer that is set anew all the time and rarely rings."""

import asyncio
from collections.abc import Callable
from typing import Final

EARLY_S: Final = 0.000_1
"""A ring this much before the deadline is on time; less than the resolution of the event loop's timers."""


class LazyTimer:
    """Calls `ring` once the deadline has come, in the event loop's thread.

    Moving the deadline later costs next to nothing: the timer rings into the void and is set again.
    """

    __slots__ = ("_armed_for", "_clock", "_deadline", "_handle", "_ring")

    def __init__(self, ring: Callable[[], None], clock: Callable[[], float]) -> None:
        self._ring = ring
        self._clock = clock
        self._deadline: float | None = None
        self._armed_for = 0.0
        self._handle: asyncio.Handle | None = None

    def set(self, deadline: float | None) -> None:
        """Ring at `deadline`, in seconds of the clock, instead of at the one before; None for never."""
        self._deadline = deadline
        if deadline is None or (self._handle is not None and self._armed_for <= deadline):
            return
        self._arm(deadline)

    def stop(self) -> None:
        """Never ring again, unless set anew."""
        self._deadline = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, deadline: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        loop = asyncio.get_running_loop()
        delay_s = deadline - self._clock()
        self._armed_for = deadline
        self._handle = loop.call_later(delay_s, self._fire) if delay_s > 0 else loop.call_soon(self._fire)

    def _fire(self) -> None:
        self._handle = None
        if self._deadline is None:
            return
        if self._deadline - self._clock() > EARLY_S:
            self._arm(self._deadline)
            return
        self._deadline = None
        self._ring()
