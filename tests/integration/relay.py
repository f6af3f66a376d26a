"""A relay before the nodes of a cluster: a peer that uses its file reaches them only through it."""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

Hook = Callable[[str], bool]
"""Called with `up` or `down` for every datagram; False drops it."""


class _Back(asyncio.DatagramProtocol):
    """From a node back to the peer."""

    def __init__(self, relay: "Relay", front: "_Front", peer: tuple[str, int]) -> None:
        self._relay, self._front, self._peer = relay, front, peer

    def datagram_received(self, data: bytes, _: Any) -> None:
        if self._relay.passes("down", data):
            self._front.transport.sendto(data, self._peer)


class _Front(asyncio.DatagramProtocol):
    """What a peer takes for a node."""

    transport: asyncio.DatagramTransport

    def __init__(self, relay: "Relay", node: tuple[str, int]) -> None:
        self._relay, self._node = relay, node
        self._backs: dict[tuple[str, int], asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._forward(data, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, data: bytes, peer: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        if peer not in self._backs:
            self._backs[peer] = loop.create_task(
                loop.create_datagram_endpoint(lambda: _Back(self._relay, self, peer), remote_addr=self._node)
            )
        back, _ = await self._backs[peer]
        if self._relay.passes("up", data) and not back.is_closing():
            back.sendto(data)

    async def aclose(self) -> None:
        self.transport.close()
        for opening in self._backs.values():
            back, _ = await opening
            back.close()
        await asyncio.gather(*self._tasks)


class Relay:
    """`hook` decides on every datagram while `is_open`; nothing passes otherwise, and none longer than `max_bytes`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.is_open = True
        self.max_bytes = 65_536
        self.hook: Hook = lambda _direction: True

    async def before(self, address: tuple[str, int]) -> _Front:
        """Open the relay's side that stands for whoever is at `address`."""
        _, front = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Front(self, address), local_addr=("127.0.0.1", 0)
        )
        return front

    def passes(self, direction: str, data: bytes) -> bool:
        return self.is_open and len(data) <= self.max_bytes and self.hook(direction)


@asynccontextmanager
async def relay(cluster: Path, file: Path) -> AsyncIterator[Relay]:
    """Open a relay before the nodes of a cluster file, and write to `file` the cluster file that leads through it."""
    document, made, fronts = cluster.read_text(), Relay(file), []
    for node in tomllib.loads(document)["nodes"]:
        front = await made.before((node["host"], node["port"]))
        fronts.append(front)
        port = front.transport.get_extra_info("sockname")[1]
        document = document.replace(f"port = {node['port']}\n", f"port = {port}\n", 1)
    file.write_text(document)
    try:
        yield made
    finally:
        for front in fronts:
            await front.aclose()
