"""How many transfers run at a time: caps in all and per peer with a bounded queue behind them, and worker ports."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup

from shared.config import Limits
from shared.errors import Refused
from shared.net.port import Port
from shared.wire.refusals import RefusalCode

QUEUE_SHARE_PER_PEER = 8
"""One peer may take this part of the queue, so that it cannot shut the others out."""
SPARE_PORTS: Final = 8
"""Ports that stay open between transfers: opening one costs as much as sending a small object through it."""


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

    @property
    def first_waiting(self) -> bytes | None:
        """The peer that waits longest of those whom no cap of their own holds; None where nobody does."""
        for waiter in self._queue:
            if self._used_by[waiter.peer] < self._per_peer:
                return waiter.peer
        return None

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


class WorkerPorts:
    """The pool. Ports in use and transfers that wait for one are capped, in all and per peer."""

    def __init__(self, open_port: Callable[[], Port], tasks: TaskGroup, limits: Limits) -> None:
        self._open_port = open_port
        self._tasks = tasks
        self._spare: list[Port] = []
        self._admission = Admission(
            total=limits.worker_ports, per_peer=limits.worker_ports_per_peer, queued=limits.queued_transfers
        )

    @property
    def in_use(self) -> int:
        """Ports that belong to a transfer now."""
        return self._admission.in_use

    @property
    def waiting(self) -> int:
        """Transfers that wait for a port."""
        return self._admission.waiting

    @property
    def first_waiting(self) -> bytes | None:
        """See `Admission.first_waiting`."""
        return self._admission.first_waiting

    def try_acquire(self, peer: bytes) -> Port | None:
        """Return a port for a transfer with `peer`, None where a cap is reached.

        Raises `OSError` where the system has no more sockets.
        """
        return self._take_port(peer) if self._admission.try_take(peer) else None

    async def acquire(self, peer: bytes) -> Port:
        """Wait for a port for a transfer with `peer`.

        Raises `Refused` if too many wait already, `OSError` where the system has no more sockets.
        """
        await self._admission.take(peer)
        return self._take_port(peer)

    def release(self, port: Port, peer: bytes) -> None:
        """Take a port back that was acquired for `peer`."""
        port.reset()
        if len(self._spare) < SPARE_PORTS:
            self._spare.append(port)
        else:
            port.close()
        self._admission.give_back(peer)

    def _take_port(self, peer: bytes) -> Port:
        if self._spare:
            return self._spare.pop()
        try:
            port = self._open_port()
        except OSError:
            self._admission.give_back(peer)
            raise
        self._tasks.start_soon(port.run)
        return port
