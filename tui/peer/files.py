"""The image files of a profile: generated names, written whole or not at all, rights rewritten under a journal."""

import errno
import logging
import re
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from shared.errors import DamagedStego, GlimpseError, StorageError
from shared.files import replace_file
from shared.stego import container
from shared.stego.rewriting import Edit
from tui.peer.store import Store

log = logging.getLogger(__name__)
IMAGE_FILE = re.compile(r"(own|held)-[0-9a-f]{32}\.png")


def own_path(folder: Path, image: str) -> Path:
    """Return where the stego image of one's own picture lies. `image` is 32 hexadecimal digits, checked before."""
    return folder / f"own-{image}.png"


def held_path(folder: Path, grant: str) -> Path:
    """Return where the viewer's copy of a grant lies. `grant` is 32 hexadecimal digits, checked before."""
    return folder / f"held-{grant}.png"


def read_if_there(path: Path) -> bytes | None:
    """Return a file's bytes, None if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


async def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all. Raises `StorageError` when the disk is full."""
    await anyio.to_thread.run_sync(_write_whole, path, data)


def _write_whole(path: Path, data: bytes) -> None:
    try:
        replace_file(path, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"The disk that holds {path.parent} is full; free some space and try again.") from error
        raise StorageError(f"{path.name} cannot be written: {error.strerror}.") from error


async def rewrite_rights(store: Store, path: Path, text: bytes, *, image: str) -> None:
    """Write another sealed record into a stego image, in place. `image` is the image's id.

    What is to be written stands in the store's journal first, so that what a crash or a full disk interrupted is
    finished by `repair`, or here before anything else. An image that was damaged or removed meanwhile is left alone:
    the strip only displays what the ledger holds.
    """
    image_id, key = bytes.fromhex(image), str(path)
    for row in await store.run(lambda s: s.all("SELECT edits FROM rewrites WHERE path = :path", path=key)):
        await anyio.to_thread.run_sync(_make_edits, path, bytes(row["edits"]))
    try:
        edits = await anyio.to_thread.run_sync(lambda: container.plan_rewrite(path, text, image_id=image_id))
        if edits is None:
            await anyio.to_thread.run_sync(lambda: container.rewrite_whole(path, text, image_id=image_id))
            return
    except DamagedStego:
        return
    if not edits:
        return
    packed = msgspec.msgpack.encode(edits)
    await store.run(lambda s: s.put("rewrites", path=key, edits=packed))
    await anyio.to_thread.run_sync(_make_edits, path, packed)
    await store.run(lambda s: s.do("DELETE FROM rewrites WHERE path = :path", path=key))


async def repair(store: Store, folder: Path) -> None:
    """Finish the rewrites that a crash or a full disk interrupted, in the folder of the image files alone.

    What cannot be written still is left for the next time: it only displays what is known, and keeps nobody out.
    """
    for row in await store.run(lambda s: s.all("SELECT path, edits FROM rewrites")):
        key, packed = str(row["path"]), bytes(row["edits"])
        if Path(key).parent == folder and IMAGE_FILE.fullmatch(Path(key).name):
            try:
                await anyio.to_thread.run_sync(_make_edits, Path(key), packed)
            except GlimpseError as error:
                log.warning("a rights strip is still not written", extra={"path": key, "reason": str(error)})
                continue
        await store.run(lambda s, key=key: s.do("DELETE FROM rewrites WHERE path = :path", path=key))  # type: ignore[misc]


def _make_edits(path: Path, packed: bytes) -> None:
    try:
        container.make_edits(path, msgspec.msgpack.decode(packed, type=list[Edit]))
    except DamagedStego:
        return
