"""What all handshakes and sessions of one socket share, and when each of them wants attention."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.config import Limits, Timing
from shared.secure.datagrams import Address
from shared.secure.noise import KeyPair


class Deadlines:
    """At most one deadline per key. Replaced ones stay in the heap until they surface, and are then passed over."""

    __slots__ = ("_heap", "_when")

    def __init__(self) -> None:
        self._when: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []

    def set(self, key: int, when: float) -> None:
        """Replace the deadline of `key`."""
        if self._when.get(key) != when:
            self._when[key] = when
            heapq.heappush(self._heap, (when, key))
            if len(self._heap) > 64 + 4 * len(self._when):
                self._heap = [(due, known) for known, due in self._when.items()]
                heapq.heapify(self._heap)

    def advance(self, key: int, when: float) -> None:
        """Make the deadline of `key` no later than `when`."""
        known = self._when.get(key)
        if known is None or when < known:
            self.set(key, when)

    def discard(self, key: int) -> None:
        """Forget the deadline of `key`, if it has one."""
        self._when.pop(key, None)

    def take_due(self, now: float) -> Iterator[int]:
        """Remove and yield the keys whose deadline has come, earliest first. What is set meanwhile waits for the next
        call, so that a machine that is always due cannot hold the caller."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            when, key = heapq.heappop(self._heap)
            if self._when.get(key) == when:
                del self._when[key]
                due.append(key)
        yield from due

    def next(self) -> float | None:
        """The earliest deadline."""
        while self._heap and self._when.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


@dataclass(frozen=True, slots=True)
class SocketContext:
    """Keys, caps and ways out of one socket."""

    static: KeyPair
    prologue: bytes
    """Both sides of a handshake must have the same."""
    entropy: Callable[[int], bytes]
    new_id: Callable[[], bytes]
    """Draws a connection id that nothing here has."""
    timing: Timing
    limits: Limits
    send: Callable[[Address, bytes], None]
    """Takes what is to be sent."""
    deadlines: Deadlines
    """Of handshakes that this side began and of sessions, by the number of the session."""
