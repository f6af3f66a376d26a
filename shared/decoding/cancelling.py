"""Ending what decodes pictures in a thread as soon as nobody waits for it any more.

A thread cannot be cancelled, but the child that it waits for can be killed. `cancellable` runs a function in a thread
under a `Call`; whatever decodes in it, however deep, finds the call by `current` and says how it is to be ended.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread

from shared.errors import Unavailable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Call:
    """What somebody may end who is in another thread."""

    def __init__(self) -> None:
        self.cancelled = False
        self._lock = threading.Lock()
        self._end: Callable[[], None] | None = None

    def cancel(self) -> None:
        """End what runs under this call, now and later."""
        with self._lock:
            self.cancelled = True
            if self._end is not None:
                self._end()

    def check(self) -> None:
        """Raise `Unavailable` where the call is cancelled; nobody gets to read it."""
        if self.cancelled:
            raise Unavailable("The decoding of a picture was cancelled.")

    @contextmanager
    def ending_by(self, end: Callable[[], None]) -> Iterator[None]:
        """Have `end` called when the call is cancelled inside the block, and never after it. Raises as `check`."""
        with self._lock:
            self.check()
            self._end = end
        try:
            yield
        finally:
            with self._lock:
                self._end = None


_CURRENT: ContextVar[Call | None] = ContextVar("decoding call", default=None)


def current() -> Call:
    """Return the call under which this thread runs; one that nobody cancels where there is none."""
    return _CURRENT.get() or Call()


async def cancellable(function: Callable[[*Ts], T], *arguments: *Ts, limiter: CapacityLimiter | None = None) -> T:
    """Run a function that decodes pictures in a thread. Cancelled, this returns at once and the decoding ends.

    The rest of the function goes on to its end unwatched, so it must have no effect that matters.
    """
    call = Call()
    token = _CURRENT.set(call)
    try:
        return await to_thread.run_sync(function, *arguments, abandon_on_cancel=True, limiter=limiter)
    except BaseException:
        call.cancel()
        raise
    finally:
        _CURRENT.reset(token)
