"""A socket with its reading task: hands over batches of datagrams and keeps what the kernel does not take at once."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import TaskGroup

from shared.net.udp import Address, Batch, UdpSocket
from shared.secure.relayed import is_relayed

log = logging.getLogger(__name__)

MAX_BACKLOG_RUNS: Final = 1_024
"""Runs of datagrams that wait for a full socket buffer; beyond it they are lost, as in any full queue."""


@dataclass(slots=True)
class Switches:
    """The failure simulation of one endpoint."""

    deaf: bool = False
    """Drop everything in and out."""
    workers_blocked: bool = False
    """Drop everything in and out of worker ports, as a firewall would that lets only the parent port through."""


@dataclass(slots=True)
class PortTraffic:
    """What went through the ports of one endpoint."""

    received_datagrams: int = 0
    received_bytes: int = 0
    sent_datagrams: int = 0
    sent_bytes: int = 0
    dropped_backlog: int = 0
    dropped_deaf: int = 0
    failed_batches: int = 0


class Port:
    """One UDP socket of an endpoint. All methods from the event loop."""

    def __init__(self, socket: UdpSocket, switches: Switches, traffic: PortTraffic, *, is_worker: bool) -> None:
        self.socket = socket
        self.on_batch: Callable[[Batch], None] = _ignore
        """Called with what arrived; an exception is logged and counted."""
        self.on_writable: list[Callable[[], None]] = []
        """Called once each when the backlog is gone, then forgotten."""
        self.carry: Callable[[Address, list[bytes]], None] | None = None
        """Takes what goes to addresses that no socket reaches: paths through nodes."""
        self._switches = switches
        self._traffic = traffic
        self._is_worker = is_worker
        self._backlog: deque[tuple[Address, list[bytes]]] = deque()
        self._scope = anyio.CancelScope()
        self._drains: TaskGroup | None = None
        self._closed = False

    @property
    def number(self) -> int:
        """The local port number."""
        return self.socket.local_address[1]

    @property
    def blocked(self) -> bool:
        """Whether the socket buffer is full: whoever can wait should, until `on_writable`."""
        return bool(self._backlog)

    async def run(self) -> None:
        """Read until `close`, then close the socket. To be started right after construction."""
        try:
            with self._scope:
                async with anyio.create_task_group() as self._drains:
                    if self._backlog:
                        self._drains.start_soon(self._drain)
                    while True:
                        self._take(await self.socket.receive_batch())
        finally:
            self._closed = True
            self._drains = None
            self.socket.close()

    def close(self) -> None:
        """Stop reading and sending; the socket is closed as soon as its task has ended."""
        self._closed = True
        self._scope.cancel()

    def reset(self) -> None:
        """Forget who used the port, before somebody else does."""
        self.on_batch = _ignore
        self.on_writable = []

    def send_run(self, address: Address, datagrams: list[bytes]) -> None:
        """Send datagrams to one address, unreliably."""
        if self.carry is not None and is_relayed(address):
            self.carry(address, datagrams)
            return
        if self._closed or not self._is_open():
            self._traffic.dropped_deaf += len(datagrams)
            return
        self._traffic.sent_datagrams += len(datagrams)
        self._traffic.sent_bytes += sum(map(len, datagrams))
        if self._backlog:
            self._keep(address, datagrams)
        elif (sent := self.socket.send_run(address, datagrams)) < len(datagrams):
            self._keep(address, datagrams[sent:])
            if self._drains is not None:
                self._drains.start_soon(self._drain)

    def send_batch(self, batch: Batch) -> None:
        """Send datagrams to any addresses, unreliably and in order."""
        start = 0
        for index in range(1, len(batch) + 1):
            if index == len(batch) or batch[index][0] != batch[start][0]:
                self.send_run(batch[start][0], [datagram for _, datagram in batch[start:index]])
                start = index

    def _is_open(self) -> bool:
        return not (self._switches.deaf or (self._is_worker and self._switches.workers_blocked))

    def _take(self, batch: Batch) -> None:
        if not self._is_open():
            self._traffic.dropped_deaf += len(batch)
            return
        self._traffic.received_datagrams += len(batch)
        self._traffic.received_bytes += sum(len(datagram) for _, datagram in batch)
        try:
            self.on_batch(batch)
        except Exception:
            self._traffic.failed_batches += 1
            log.exception("a batch of datagrams could not be handled")

    def _keep(self, address: Address, datagrams: list[bytes]) -> None:
        if len(self._backlog) < MAX_BACKLOG_RUNS:
            self._backlog.append((address, datagrams))
        else:
            self._traffic.dropped_backlog += len(datagrams)

    async def _drain(self) -> None:
        while self._backlog:
            await self.socket.wait_writable()
            while self._backlog:
                address, datagrams = self._backlog[0]
                sent = self.socket.send_run(address, datagrams)
                if sent < len(datagrams):
                    self._backlog[0] = (address, datagrams[sent:])
                    break
                self._backlog.popleft()
        waiting, self.on_writable = self.on_writable, []
        for call in waiting:
            call()


def _ignore(_batch: Batch) -> None:
    """Nobody listens: datagrams to a spare worker port."""
