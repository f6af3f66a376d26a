"""What can happen to a directory in a file."""

import asyncio
import fcntl
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from node.directory import NodeRow, Query, Step, Tx, engine, open_directory, read_epoch
from node.directory.sqlite import SqliteDirectory
from node.directory.upkeep import PROBE_BYTES
from shared.config import LOCAL
from shared.errors import InvalidInput, StorageError, Unavailable
from tests.contract.directory_process import count_up, effect_key, request_id
from tests.databases import PATIENT
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


def store(name: str, size: int):
    """A transaction that takes room: a picture's preview without the picture."""

    def transaction(tx: Tx) -> Step[bytes]:
        row = {"session_key": name.encode().ljust(32), "request_id": os.urandom(16).hex(), "body_digest": b"d"}
        yield tx.insert("requests", row | {"answer": b"x" * size, "created": tx.now})
        return name.encode()

    return transaction


def stored(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        return {key.decode().strip() for (key,) in connection.execute("SELECT session_key FROM requests")}
    finally:
        connection.close()


async def test_a_full_disk_refuses_what_does_not_fit_and_loses_nothing(sqlite_url: str, tmp_path: Path) -> None:
    async with open_directory(sqlite_url, timing=PATIENT) as directory:
        assert isinstance(directory, SqliteDirectory)
        await directory.announce_node(NodeRow("counter", 0, hears=False, address="", term=0))
        await directory.write(store("before", 10_000))
        pages = directory._writer.execute(Query("PRAGMA page_count")).scalar()
        directory._writer.execute(Query(f"PRAGMA max_page_count = {pages + 10}"))
        sizes = {"small-1": 10, "large-1": 400_000, "small-2": 10, "large-2": 400_000}
        outcomes = await asyncio.gather(
            *(directory.write(store(name, size)) for name, size in sizes.items()), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [bytes, StorageError, bytes, StorageError]
        assert "disk is full" in directory.last_error
        # A node must be able to go on with what needs no room.
        await directory.effect(effect_key(request_id(1)), count_up("counter", ""))
        assert directory.ok
        directory._writer.execute(Query("PRAGMA max_page_count = 1000000"))
        await directory.write(store("after", 400_000))
    assert {"before", "small-1", "small-2", "after"} <= stored(tmp_path / "directory.sqlite")
    assert not {"large-1", "large-2"} & stored(tmp_path / "directory.sqlite")


async def test_a_lock_that_is_never_let_go_is_reported_and_survived(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_directory(sqlite_url, timing=PATIENT) as directory:
        monkeypatch.setattr(directory, "_timing", replace(LOCAL, directory_deadline_s=0.3, lease_s=0.3))
        holder = sqlite3.connect(tmp_path / "directory.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        refused = await asyncio.gather(
            directory.write(store("in vain", 10)), directory.claim_lease("a#1", 0, 60.0), return_exceptions=True
        )
        assert [type(outcome) for outcome in refused] == [Unavailable, Unavailable]
        assert not directory.ok
        monkeypatch.setattr(directory, "_timing", PATIENT)
        assert (await directory.read_lease()).term == 0  # reading needs no lock
        holder.rollback()
        holder.close()
        await directory.write(store("later", 10))
        assert await directory.claim_lease("a#1", 0, 60.0) == 1
        assert directory.ok
    assert stored(tmp_path / "directory.sqlite") == {"later"}  # what was given up is not done behind one's back


async def test_writers_take_turns_at_the_gate(sqlite_url: str) -> None:
    """Two busy writers on one file: neither keeps the other out, whatever the size of their queues."""
    async with (
        open_directory(sqlite_url, timing=PATIENT) as first,
        open_directory(sqlite_url, timing=PATIENT) as second,
    ):
        order: list[str] = []

        async def keep_writing(name: str, directory) -> None:
            for _ in range(25):
                await asyncio.gather(*(directory.write(store(name, 10)) for _ in range(20)))
                order.append(name)

        await asyncio.gather(keep_writing("first", first), keep_writing("second", second))
    assert {"first", "second"} == set(order[:20])


async def test_the_file_is_private(sqlite_url: str, tmp_path: Path) -> None:
    def modes_now() -> dict[str, int]:
        return {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}

    old = os.umask(0)
    try:
        async with open_directory(sqlite_url, timing=PATIENT) as directory:
            await directory.write(store("name", 10))
            modes = modes_now()
    finally:
        os.umask(old)
    assert set(modes) >= {"directory.sqlite", "directory.sqlite-wal", "directory.sqlite-gate"}
    assert set(modes.values()) == {0o600}


async def test_commits_reach_the_disk(sqlite_url: str) -> None:
    async with open_directory(sqlite_url, timing=PATIENT) as directory:
        assert isinstance(directory, SqliteDirectory)
        for file in directory._files:
            assert file.execute(Query("PRAGMA synchronous")).scalar() == 2
            assert file.execute(Query("PRAGMA journal_mode")).scalar() == "wal"
            assert file.execute(Query("PRAGMA foreign_keys")).scalar() == 1


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent.*create it first"):
        async with open_directory(f"sqlite:///{tmp_path / 'absent' / 'directory.sqlite'}", timing=PATIENT):
            pass


async def test_what_is_no_database_is_refused_and_left_alone(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "directory.sqlite"
    path.write_bytes(b"A letter to a friend. " * 100)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="no SQLite database"):
        async with open_directory(sqlite_url, timing=PATIENT):
            pass
    assert path.read_bytes() == before


async def test_a_folder_in_place_of_the_file(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "directory.sqlite").mkdir()
    with pytest.raises(StorageError, match="cannot be opened"):
        async with open_directory(sqlite_url, timing=PATIENT):
            pass


async def test_a_defect_in_a_transaction_does_not_end_the_writer(sqlite_url: str) -> None:
    def not_a_generator(_: Tx):
        return 5

    async with open_directory(sqlite_url, timing=PATIENT) as directory:
        with pytest.raises(TypeError):
            await directory.write(not_a_generator)
        with pytest.raises(TypeError):
            await directory.read(not_a_generator)
        assert await directory.write(store("name", 10)) == b"name"


async def test_a_directory_that_cannot_be_written_is_not_ok_until_it_can(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its disk full a node read on happily, and was reported as ok by every surface."""
    monkeypatch.setattr(engine, "PROBE_EVERY_S", 0.01)
    async with open_directory(sqlite_url, timing=PATIENT, writer="n1") as directory:
        assert isinstance(directory, SqliteDirectory)
        await directory.write(store("before", 10))
        pages = directory._writer.execute(Query("PRAGMA page_count")).scalar()
        directory._writer.execute(Query(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(StorageError, match="disk is full"):
            await directory.write(store("in vain", 100_000))
        assert not directory.writable
        assert await directory.read(read_epoch) == 1
        await directory.read_lease()
        assert not directory.ok, "that it can be read says nothing of whether it can be written"
        assert "disk is full" in directory.last_error
        directory._writer.execute(Query("PRAGMA max_page_count = 1000000"))
        with anyio.fail_after(PATIENCE_S):
            while not directory.ok:
                await directory.read(read_epoch)
        probed = await directory.read(lambda _: rows_of("SELECT name, LENGTH(filling) AS size FROM probe"))
        assert probed == [{"name": "n1", "size": PROBE_BYTES}]


def rows_of(sql: str):
    return [dict(row) for row in (yield Query(sql)).rows]


async def test_two_directories_that_use_a_file_keep_a_restore_away(sqlite_url: str, tmp_path: Path) -> None:
    async with open_directory(sqlite_url, timing=PATIENT):
        with (tmp_path / "directory.sqlite-users").open("rb") as users, pytest.raises(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / "directory.sqlite-users").open("rb") as users:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(Unavailable, match="being restored"):
            async with open_directory(sqlite_url, timing=PATIENT):
                pass
