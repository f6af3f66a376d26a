"""Image files are there whole or not at all, also on a full disk; a rewrite of rights ends, whatever interrupts it."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from shared.errors import StorageError
from shared.stego.container import hide, read_record, replace_record, reveal
from tests.stego_files import pixels_of, saved
from tui.peer.files import held_path, repair, rewrite_rights, write_whole
from tui.peer.store import Store

IMAGE = "b1" * 16
BEFORE, AFTER, LATER = b"b" * 700, b"a" * 700, b"l" * 700
PNG = hide(b"sealed" * 100, BEFORE, image_id=bytes.fromhex(IMAGE))

pytestmark = pytest.mark.anyio


async def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image.png"
    await write_whole(path, b"first")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="free some space"):
        await write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["image.png"]


async def test_what_is_written_is_private(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    await write_whole(path, b"picture")
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "image.png.part").symlink_to(victim)
    await write_whole(tmp_path / "image.png", b"picture")
    assert victim.read_bytes() == b"precious"


# --- Rights in an image ----------------------------------------------------------------------------------------------
@pytest.fixture
def held(tmp_path: Path) -> Path:
    path = held_path(tmp_path, "d1" * 16)
    path.write_bytes(PNG)
    return path


def cut_off_after(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Have the disk fail in the middle of a write."""
    original, done = os.pwrite, []

    def pwrite(descriptor: int, data: Any, at: int) -> int:
        if len(done) == writes:
            original(descriptor, bytes(data)[: len(data) // 2], at)
            raise OSError(errno.EIO, "Input/output error")
        done.append(at)
        return original(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)


def sound(path: Path, record: bytes) -> bool:
    png = path.read_bytes()
    return (read_record(path), reveal(png, image_id=bytes.fromhex(IMAGE))) == (record, b"sealed" * 100)


@pytest.mark.parametrize("writes", range(3))
@pytest.mark.parametrize("again", ["at the next start", "by the next rewrite"])
async def test_a_rewrite_that_was_cut_off_is_finished(
    tmp_path: Path, held: Path, monkeypatch: pytest.MonkeyPatch, writes: int, again: str
) -> None:
    store = Store(tmp_path / "store.sqlite")
    with monkeypatch.context() as broken:
        cut_off_after(broken, writes)
        with pytest.raises(StorageError, match="Input/output"):
            await rewrite_rights(store, held, AFTER, image=IMAGE)
    if again == "at the next start":
        await repair(store, tmp_path)
        assert held.read_bytes() == replace_record(PNG, AFTER, image_id=bytes.fromhex(IMAGE))
    else:
        await rewrite_rights(store, held, LATER, image=IMAGE)
    assert sound(held, AFTER if again == "at the next start" else LATER)
    assert store.all("SELECT * FROM rewrites") == []
    store.close()


async def test_a_copy_that_came_anew_meanwhile_is_not_written_over(
    tmp_path: Path, held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store.sqlite")
    with monkeypatch.context() as broken:
        cut_off_after(broken, 0)
        with pytest.raises(StorageError):
            await rewrite_rights(store, held, AFTER, image=IMAGE)
    another = hide(b"sealed" * 100, LATER, image_id=bytes(16))
    held.write_bytes(another)
    await repair(store, tmp_path)
    assert held.read_bytes() == another
    assert store.all("SELECT * FROM rewrites") == []
    store.close()


async def test_a_file_that_another_program_wrote_anew_is_replaced_as_a_whole(tmp_path: Path, held: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    held.write_bytes(saved(pixels_of(PNG)))
    await rewrite_rights(store, held, AFTER, image=IMAGE)
    assert sound(held, AFTER)
    store.close()


async def test_a_damaged_file_is_left_alone(tmp_path: Path, held: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    held.write_bytes(PNG[:5_000])
    await rewrite_rights(store, held, AFTER, image=IMAGE)
    held.unlink()
    await rewrite_rights(store, held, AFTER, image=IMAGE)
    assert not held.exists()
    store.close()
