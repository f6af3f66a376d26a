"""A counted resource with caps in all and per peer, and a bounded queue behind it."""

from collections import Counter, deque

import anyio

from shared.errors import Refused
from shared.wire.refusals import RefusalCode

QUEUE_SHARE_PER_PEER = 8
"""One peer may take this part of the queue, so that it cannot shut the others out."""


class _Waiter:
    __slots__ = ("called", "granted", "peer")

    def __init__(self, peer: bytes) -> None:
        self.peer = peer
        self.called = anyio.Event()
        self.granted = False


class Admission:
    """Places that peers take and give back, by the peer's key. All methods from the event loop."""

    def __init__(self, *, total: int, per_peer: int, queued: int) -> None:
        """Take the caps on places in all and per peer, and on those who wait."""
        self._total = total
        self._per_peer = per_peer
        self._queue_cap = queued
        self._used_by: Counter[bytes] = Counter()
        self._queue: deque[_Waiter] = deque()
        self._queued_by: Counter[bytes] = Counter()
        self.in_use = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def try_take(self, peer: bytes) -> bool:
        """Take a place if one is free; others who wait for theirs go first, unless a cap of their own holds them."""
        if self.in_use >= self._total or self._used_by[peer] >= self._per_peer:
            return False
        self.in_use += 1
        self._used_by[peer] += 1
        return True

    async def take(self, peer: bytes) -> None:
        """Wait for a place, in the order of calls as far as the caps per peer allow.

        Raises `Refused` if too many wait already.
        """
        if self.try_take(peer):
            return
        if self.is_queue_full(peer):
            raise Refused(RefusalCode.BUSY, "Too many transfers wait already; try again later.")
        waiter = _Waiter(peer)
        self._queue.append(waiter)
        self._queued_by[peer] += 1
        try:
            await waiter.called.wait()
        except BaseException:
            if waiter.granted:
                self.give_back(peer)
            else:
                self._forget(waiter)
            raise

    def give_back(self, peer: bytes) -> None:
        """Free a place; the first in the queue who may takes it."""
        self.in_use -= 1
        _decrement(self._used_by, peer)
        for waiter in self._queue:
            if self.try_take(waiter.peer):
                waiter.granted = True
                waiter.called.set()
                self._forget(waiter)
                return

    def is_queue_full(self, peer: bytes) -> bool:
        """Whether this peer could not even wait."""
        share = max(self._queue_cap // QUEUE_SHARE_PER_PEER, 1)
        return len(self._queue) >= self._queue_cap or self._queued_by[peer] >= share

    def _forget(self, waiter: _Waiter) -> None:
        self._queue.remove(waiter)
        _decrement(self._queued_by, waiter.peer)


def _decrement(counter: Counter[bytes], peer: bytes) -> None:
    counter[peer] -= 1
    if not counter[peer]:
        del counter[peer]
