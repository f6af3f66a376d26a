"""A peer in a process of its own that sends itself a signal at a chosen moment.

    python -m tests.integration.peer_process SIGNAL encrypt STAGE PROFILE CLUSTER PICTURE
    python -m tests.integration.peer_process SIGNAL receive - PROFILE CLUSTER
    python -m tests.integration.peer_process SIGNAL send - PROFILE CLUSTER

SIGKILL ends it as a crash would. SIGTERM closes the peer, as it does in the client and in agents, and ends the process
with code 0.

`encrypt` dies at a stage of an encryption (`written`: the stego image is in the profile, the store does not know it),
`receive` and `send` die when a good part of a stego image has come or gone.
"""

import os
import signal
import sys
from pathlib import Path

import anyio

from shared.net.partial_store import FolderPartials, PartialKey
from shared.transfer.receiver import PartialObject
from tui.peer import Peer, files
from tui.peer.events import CopyProgress, Event, EventHub

_FROM, _TO = 0.25, 0.9
"""The part of an object in which a process dies."""


_number = signal.SIGKILL


def die() -> None:
    """Get the signal. After SIGTERM, what called this goes on until the peer is closed under it."""
    os.kill(os.getpid(), _number)


def die_while_receiving() -> None:
    """Die right after a part was written to disk, which is often, so that a fast transfer has a middle."""
    keep = FolderPartials.keep
    FolderPartials.checkpoint_s = 0.005

    async def kept(self: FolderPartials, key: PartialKey, partial: PartialObject) -> None:
        await keep(self, key, partial)
        if key.size > 1_000_000 and _FROM * key.size < partial.have.total < _TO * key.size:
            die()

    FolderPartials.keep = kept  # type: ignore[method-assign]


def die_while_sending() -> None:
    emit = EventHub.emit

    def emitted(self: EventHub, event: Event) -> None:
        if isinstance(event, CopyProgress) and event.sending and _FROM * event.total < event.done < _TO * event.total:
            die()
        emit(self, event)

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
