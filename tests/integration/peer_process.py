"""A peer in a process of its own that sends itself a signal at a chosen moment.

    python -m tests.integration.peer_process SIGNAL encrypt STAGE PROFILE CLUSTER PICTURE
    python -m tests.integration.peer_process SIGNAL receive - PROFILE CLUSTER
    python -m tests.integration.peer_process SIGNAL send - PROFILE CLUSTER

SIGKILL ends it as a crash would. SIGTERM closes the peer, as it does in the client and in agents, and ends the process
with code 0.

`encrypt` dies at a stage of an encryption (`written`: the stego image is in the profile, the store does not know it),
`receive` and `send` die when a good part of a stego image has come or gone. That every transfer has such a middle is
seen to here: a fast one could pass it between two looks.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import anyio

from shared.config import Timing
from shared.net import sending
from shared.net.partial_store import FolderPartials, PartialKey
from shared.transfer import PartialObject, ReceivingTransfer, TransferSettings
from tui.peer import Peer, files
from tui.peer.events import CopyProgress, Event, EventHub

_FROM, _TO = 0.25, 0.9
"""The part of an object in which a process dies."""
_LARGE_BYTES = 1_000_000
"""Smaller objects are none of those that are cut short."""
_WINDOW_BYTES = 256 * 1024
"""Most that goes at one look of a sender: less than the part in which it dies."""


_number = signal.SIGKILL


def die() -> None:
    """Get the signal. After SIGTERM, what called this goes on until the peer is closed under it."""
    os.kill(os.getpid(), _number)


def die_while_receiving() -> None:
    """Die right after a part was written to disk. Nothing more is taken until then."""
    keep, receive = FolderPartials.keep, ReceivingTransfer.receive
    FolderPartials.checkpoint_s = 0.05

    def received(self: ReceivingTransfer, datagram: bytes | memoryview, now: float) -> None:
        held, size = self.progress
        if size < _LARGE_BYTES or held < 2 * _FROM * size:
            receive(self, datagram, now)

    async def kept(self: FolderPartials, key: PartialKey, partial: PartialObject) -> None:
        await keep(self, key, partial)
        if key.size > _LARGE_BYTES and _FROM * key.size < partial.have.total < _TO * key.size:
            die()

    ReceivingTransfer.receive = received  # type: ignore[method-assign]
    FolderPartials.keep = kept  # type: ignore[method-assign]


def die_while_sending() -> None:
    """Die at a look at how much has gone."""
    emit, settings = EventHub.emit, sending.transfer_settings

    def narrow(timing: Timing, datagram_bytes: int) -> TransferSettings:
        return replace(
            settings(timing, datagram_bytes), initial_window_bytes=_WINDOW_BYTES, max_window_bytes=_WINDOW_BYTES
        )

    def emitted(self: EventHub, event: Event) -> None:
        if isinstance(event, CopyProgress) and event.sending and _FROM * event.total < event.done < _TO * event.total:
            die()
        emit(self, event)

    sending.transfer_settings = narrow
    EventHub.emit = emitted  # type: ignore[method-assign]


def die_when_written() -> None:
    write_whole = files.write_whole

    async def written(path: Path, data: bytes) -> None:
        await write_whole(path, data)
        die()

    files.write_whole = written


async def main(number: str, deed: str, *rest: str) -> None:
    global _number
    _number = signal.Signals[number]
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, deed, *rest)
            async for _ in signals:
                tasks.cancel_scope.cancel()
                break


async def run(deed: str, stage: str, profile: str, cluster: str, *rest: str) -> None:
    if deed == "receive":
        die_while_receiving()
    elif deed == "send":
        die_while_sending()
    elif stage == "written":
        die_when_written()
    async with Peer(profile, cluster) as peer:
        await peer.sign_in()
        if deed == "encrypt":
            await peer.encrypt(rest[0], title="cut short", progress=lambda now, *_: die() if now == stage else None)
        await anyio.sleep(120)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
