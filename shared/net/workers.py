"""Worker ports: ephemeral sockets for object transfers, from a bounded pool with a queue behind it."""

from collections.abc import Callable
from typing import Final

from anyio.abc import TaskGroup

from shared.config import Limits
from shared.net.admission import Admission
from shared.net.port import Port

SPARE_PORTS: Final = 8
"""Ports that stay open between transfers: opening one costs as much as sending a small object through it."""


class WorkerPorts:
    """The pool. Ports in use and transfers that wait for one are capped, in all and per peer."""

    def __init__(self, open_port: Callable[[], Port], tasks: TaskGroup, limits: Limits) -> None:
        self._open_port = open_port
        self._tasks = tasks
        self._spare: list[Port] = []
        self._slots = Admission(
            total=limits.worker_ports, per_peer=limits.worker_ports_per_peer, queued=limits.queued_transfers
        )

    @property
    def in_use(self) -> int:
        """Ports that belong to a transfer now."""
        return self._slots.in_use

    @property
    def waiting(self) -> int:
        """Transfers that wait for a port."""
        return self._slots.waiting

    def try_acquire(self, peer: bytes) -> Port | None:
        """Return a port for a transfer with `peer`, None where a cap is reached.

        Raises `OSError` where the system has no more sockets.
        """
        return self._take_port(peer) if self._slots.try_take(peer) else None

    async def acquire(self, peer: bytes) -> Port:
        """Wait for a port for a transfer with `peer`.

        Raises `Refused` if too many wait already, `OSError` where the system has no more sockets.
        """
        await self._slots.take(peer)
        return self._take_port(peer)

    def release(self, port: Port, peer: bytes) -> None:
        """Take a port back that was acquired for `peer`."""
        port.reset()
        if len(self._spare) < SPARE_PORTS:
            self._spare.append(port)
        else:
            port.close()
        self._slots.give_back(peer)

    def _take_port(self, peer: bytes) -> Port:
        if self._spare:
            return self._spare.pop()
        try:
            port = self._open_port()
        except OSError:
            self._slots.give_back(peer)
            raise
        self._tasks.start_soon(port.run)
        return port
