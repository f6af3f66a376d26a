"""A peer in a process of its own that kills itself with SIGKILL at a chosen moment, as a crash would.

    python -m tests.integration.peer_process encrypt STAGE PROFILE CLUSTER PICTURE
    python -m tests.integration.peer_process receive - PROFILE CLUSTER
    python -m tests.integration.peer_process send - PROFILE CLUSTER

`encrypt` dies at a stage of an encryption (`written`: the stego image is in the profile, the store does not know it),
`receive` and `send` die when a good part of a stego image has come or gone.
"""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import anyio

from shared.net.partial_store import FolderPartials, PartialKey
from shared.transfer.receiver import PartialObject
from tui.peer import Peer, files
from tui.peer.events import CopyProgress, Event, EventHub

_FROM, _TO = 0.25, 0.9
"""The part of an object in which a process dies."""


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


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


async def main(deed: str, stage: str, profile: str, cluster: str, *rest: str) -> None:
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
