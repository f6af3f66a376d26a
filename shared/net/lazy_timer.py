"""A timer whose deadline moves all the time and rarely comes."""

import asyncio
from collections.abc import Callable
from typing import Final

EARLY_S: Final = 0.000_1
"""Firing this much before the deadline is on time; less than the resolution of the event loop's timers."""
LATE_S: Final = 0.05
"""Firing this much after the deadline means that the whole process stood still: a suspended machine, a long call."""
_ROUNDS: Final = 3
"""Rounds of the event loop in which whoever reads a socket gets to read it, after the process stood still."""


class LazyTimer:
    """Calls `fire` once the deadline has come, in the event loop's thread.

    Moving the deadline later costs next to nothing: the early timer finds the deadline moved and re-arms. A timer that
    is late lets sockets be read first: what has arrived meanwhile may well be what it is a time-out for.
    """

    __slots__ = ("_armed_for", "_call", "_clock", "_deadline", "_handle", "_rounds")

    def __init__(self, fire: Callable[[], None], clock: Callable[[], float]) -> None:
        self._call = fire
        self._clock = clock
        self._deadline: float | None = None
        self._armed_for = 0.0
        self._handle: asyncio.Handle | None = None
        self._rounds = 0

    def set(self, deadline: float | None) -> None:
        """Fire at `deadline`, in seconds of the clock, instead of at the one before; None for never."""
        self._deadline = deadline
        if deadline is None or (self._handle is not None and self._armed_for <= deadline):
            return
        self._arm(deadline)

    def stop(self) -> None:
        """Do not fire, unless set anew."""
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
        early_s = self._deadline - self._clock()
        if early_s > EARLY_S:
            self._rounds = 0
            self._arm(self._deadline)
            return
        if -early_s > LATE_S and self._rounds < _ROUNDS:
            self._rounds += 1
            self._handle = asyncio.get_running_loop().call_soon(self._fire)
            return
        self._rounds = 0
        self._deadline = None
        self._call()
