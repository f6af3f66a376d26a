"""Stores of partial objects: what is kept is found again by its sender only, within bounds of bytes and age."""

import hashlib
import os
import random
from pathlib import Path

import pytest

from shared.net.partial_store import MIN_KEPT_BYTES, FolderPartials, MemoryPartials, PartialKey, PartialStore
from shared.transfer import PartialObject, Ranges

pytestmark = pytest.mark.anyio

SIZE = 200_000


def sample(seed: int = 0, size: int = SIZE) -> tuple[PartialKey, bytes]:
    data = random.Random(seed).randbytes(size)
    return PartialKey(hashlib.sha256(data).digest(), size, b"k" * 32), data


def part(key: PartialKey, data: bytes, *intervals: tuple[int, int]) -> PartialObject:
    held = bytearray(len(data))
    for start, end in intervals:
        held[start:end] = data[start:end]
    return PartialObject(key.size, key.sha256, held, Ranges(intervals))


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PartialStore:
    if request.param == "memory":
        return MemoryPartials(max_bytes=5 * SIZE // 2, clock=lambda: 0.0)
    return FolderPartials(tmp_path / "parts", max_bytes=5 * SIZE // 2)


async def test_what_is_kept_is_found_again(store: PartialStore):
    key, data = sample()
    assert await store.take(key) is None
    await store.keep(key, part(key, data, (0, 1000), (5000, SIZE)))
    found = await store.take(key)
    assert found is not None
    assert list(found.have) == [(0, 1000), (5000, SIZE)]
    for start, end in found.have:
        assert found.data[start:end] == data[start:end]
    await store.keep(key, part(key, data, (0, 3000), (5000, SIZE)))
    found = await store.take(key)
    assert found is not None
    assert found.have.total == SIZE - 2000
    await store.discard(key)
    assert await store.take(key) is None


async def test_another_sender_or_size_finds_nothing(store: PartialStore):
    key, data = sample()
    await store.keep(key, part(key, data, (0, 1000)))
    assert await store.take(PartialKey(key.sha256, key.size, b"x" * 32)) is None
    assert await store.take(PartialKey(key.sha256, key.size + 1, key.remote_key)) is None
    assert await store.take(PartialKey(bytes(32), key.size, key.remote_key)) is None


async def test_the_oldest_go_first_when_there_is_too_much(store: PartialStore, tmp_path: Path):
    keys = []
    for seed in range(4):
        key, data = sample(seed)
        keys.append(key)
        await store.keep(key, part(key, data, (0, SIZE)))
        for index, path in enumerate(sorted(tmp_path.glob("parts/*.data"), key=os.path.getmtime)):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10 + index))
    found = [await store.take(key) is not None for key in keys]
    assert found == [False, False, True, True]


async def test_memory_lets_go_of_what_is_old():
    now = 0.0
    store = MemoryPartials(max_age_s=10.0, clock=lambda: now)
    key, data = sample()
    await store.keep(key, part(key, data, (0, 1000)))
    now = 11.0
    assert await store.take(key) is None


async def test_a_folder_lets_go_of_what_is_old(tmp_path: Path):
    store = FolderPartials(tmp_path / "parts", max_age_s=1000.0)
    old, data = sample(1)
    await store.keep(old, part(old, data, (0, 1000)))
    for path in tmp_path.glob("parts/*.data"):
        os.utime(path, (0, 0))
    key, data = sample(2)
    await store.keep(key, part(key, data, (0, 1000)))
    assert await FolderPartials(tmp_path / "parts").take(old) is None
    assert len(list(tmp_path.glob("parts/*"))) == 2


async def test_a_folder_survives_a_restart_and_is_private(tmp_path: Path):
    folder = tmp_path / "a" / "parts"
    key, data = sample()
    store = FolderPartials(folder)
    await store.keep(key, part(key, data, (100, 1000)))
    await store.keep(key, part(key, data, (100, 1000), (2000, 3000)))
    found = await FolderPartials(folder).take(key)
    assert found is not None
    assert list(found.have) == [(100, 1000), (2000, 3000)]
    assert found.data[100:1000] == data[100:1000]
    assert found.data[2000:3000] == data[2000:3000]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert all(path.stem.isalnum() and len(path.stem) == 32 for path in folder.iterdir())


@pytest.mark.parametrize("damage", ["empty", "cut", "other", "short data", "no data"])
async def test_damaged_files_are_as_good_as_none(tmp_path: Path, damage: str):
    folder = tmp_path / "parts"
    key, data = sample()
    await FolderPartials(folder).keep(key, part(key, data, (100, 1000), (2000, 3000)))
    have, content = next(folder.glob("*.have")), next(folder.glob("*.data"))
    raw = have.read_bytes()
    if damage == "empty":
        have.write_bytes(b"")
    elif damage == "cut":
        have.write_bytes(raw[:-1])
    elif damage == "other":
        have.write_bytes(raw[:10] + b"?" + raw[11:])
    elif damage == "short data":
        content.write_bytes(content.read_bytes()[:2500])
    else:
        content.unlink()
    store = FolderPartials(folder)
    assert await store.take(key) is None
    await store.keep(key, part(key, data, (0, 50)))
    found = await store.take(key)
    assert found is not None
    assert list(found.have) == [(0, 50)]


async def test_a_folder_that_cannot_be_written_is_not_fatal(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    store = FolderPartials(tmp_path / "file" / "parts")
    key, data = sample()
    await store.keep(key, part(key, data, (0, 1000)))
    assert await store.take(key) is None


async def test_small_objects_are_not_worth_a_file(tmp_path: Path):
    store = FolderPartials(tmp_path / "parts")
    key, data = sample(size=MIN_KEPT_BYTES - 1)
    await store.keep(key, part(key, data, (0, 1000)))
    await store.discard(key)
    assert await store.take(key) is None
    assert not (tmp_path / "parts").exists()


async def test_what_a_killed_process_left_is_swept_when_the_folder_is_opened_again(tmp_path: Path):
    """Files of objects that nobody sends again stayed for ever: only what was stored next cleared them away, and then
    only those that had data."""
    folder = tmp_path / "parts"
    key, data = sample(1)
    await FolderPartials(folder).keep(key, part(key, data, (0, 1000)))
    whole = {path.name for path in folder.iterdir()}
    (folder / ("0" * 32 + ".have")).write_bytes(b"ranges of nothing")
    (folder / ("1" * 32 + ".part")).write_bytes(b"cut")
    store = FolderPartials(folder)
    await store.sweep()
    assert {path.name for path in folder.iterdir()} == whole
    assert await store.take(key) is not None
    await FolderPartials(folder, max_bytes=10).sweep()
    assert list(folder.iterdir()) == []


async def test_there_is_nothing_to_sweep_before_the_first_use(tmp_path: Path):
    await FolderPartials(tmp_path / "parts").sweep()
    assert not (tmp_path / "parts").exists()
