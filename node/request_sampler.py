"""What happened to requests: exact counts of all, and the whole way of some of them.

Under load only one request in `one_in` is followed. Which ones depends on their ids, so that every node follows the
same ones: the smaller sample of a busy node lies within the larger one of an idle node. What should not happen (a
take-over, a failure, a refusal) is followed whatever its id, up to a number a second.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.wire.feed_messages import Happening, RequestEvent
from shared.wire.node_messages import RequestKey

KEPT_EVENTS = 256
EVENTS_PER_S = 100.0
"""Followed events are kept near this rate: what 5 frames a second carry with room to spare."""
EXCEPTIONS_PER_S = 30.0
_RELAX_BELOW = 0.35
"""One in half as many is followed again when that would still be well below the rate."""
_ADAPT_EVERY_S = 0.5
_EXCEPTIONS = frozenset(
    {Happening.TAKEN_OVER, Happening.REASSIGNED, Happening.REFUSED, Happening.FAILED, Happening.BUSY}
)
_MAX_ONE_IN = 2**20


@dataclass(slots=True)
class RequestSampler:
    """Counts by `Happening`, and a ring of followed events. Nothing is followed while `watched` is false."""

    counts: list[int] = field(default_factory=lambda: [0] * (max(Happening) + 1))
    total: int = 0
    """Everything that happened since the start."""
    followed: int = 0
    """Events put into the ring since the start: the number of the newest."""
    one_in: int = 1
    watched: bool = False
    _ring: deque[RequestEvent] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    _limit: int = 2**32
    _exceptions: float = EXCEPTIONS_PER_S
    _adapted_at: float = 0.0
    _total_then: int = 0

    def happened(self, what: Happening, key: RequestKey, event: Callable[[], RequestEvent]) -> None:
        """Count something; `event` is called only if it is followed."""
        self.counts[what] += 1
        self.total += 1
        if self.watched and self._follows(what, key):
            self.followed += 1
            self._ring.append(event())

    def adapt(self, now: float) -> None:
        """Choose how many requests are followed, by what happened lately. Call with every frame."""
        passed = now - self._adapted_at
        if passed < _ADAPT_EVERY_S:
            return
        rate = (self.total - self._total_then) / passed
        self._adapted_at, self._total_then = now, self.total
        self._exceptions = min(EXCEPTIONS_PER_S, self._exceptions + EXCEPTIONS_PER_S * passed)
        while rate / self.one_in > EVENTS_PER_S and self.one_in < _MAX_ONE_IN:
            self.one_in *= 2
        while self.one_in > 1 and rate / self.one_in < _RELAX_BELOW * EVENTS_PER_S:
            self.one_in //= 2
        self._limit = 2**32 // self.one_in

    def after(self, number: int, at_most: int) -> list[RequestEvent]:
        """Return the newest events behind `number`, at most so many, oldest first."""
        new = min(self.followed - number, len(self._ring), at_most)
        return [self._ring[index] for index in range(len(self._ring) - new, len(self._ring))] if new > 0 else []

    def _follows(self, what: Happening, key: RequestKey) -> bool:
        if int(key[1][:8], 16) < self._limit:
            return True
        if what in _EXCEPTIONS and self._exceptions >= 1:
            self._exceptions -= 1
            return True
        return False
