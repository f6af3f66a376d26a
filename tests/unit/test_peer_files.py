"""Image files are there whole or not at all, also on a full disk."""

import errno
import os
from pathlib import Path

import pytest

from shared.errors import StorageError
from tui.peer.files import write_whole

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
