"""Backups of a SQLite directory and what a restore makes of them; on MySQL the commands that are shown instead."""

import contextlib
import errno
import fcntl
import os
import sqlite3
from pathlib import Path
from unittest.mock import Mock

import pytest

from node.directory import Marks, open_directory, read_epoch
from node.directory.backup import back_up, mark_restored, restore
from node.directory.schema import MIGRATIONS
from node.directory.upkeep import claim, number_of, read_cluster
from node.memory import NOTHING
from shared.errors import InvalidInput, StorageError, Unavailable, UserError
from shared.wire import operations as ops
from tests.contract.people import refused, town
from tests.databases import PATIENT
from tui.commands.backup import Target, run_restore

pytestmark = pytest.mark.anyio


def database_of(sqlite_url: str) -> Path:
    return Path(sqlite_url.removeprefix("sqlite:///"))


def query(path: Path, sql: str):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


async def test_a_backup_taken_in_use_holds_what_was_acknowledged(sqlite_url, tmp_path):
    async with town(sqlite_url) as place:
        ann, bob = await place.person("Ann"), await place.person("Bob")
        grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
        await bob.spend(bob.look(grant))
        contents = back_up(database_of(sqlite_url), tmp_path / "copy")
        marks = await place.directory.marks()
    assert (contents.accounts, contents.images, contents.grants, contents.views) == (2, 1, 1, 1)
    assert contents.marks == marks
    assert str(contents).startswith("2 accounts, 1 image, 1 grant and 1 view (epoch 1, counter ")
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy"]
    assert query(tmp_path / "copy", "SELECT consumed FROM grants") == [(1,)]


async def test_no_backup_takes_the_place_of_another_file(sqlite_url, tmp_path):
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    with pytest.raises(InvalidInput, match="no directory at"):
        back_up(database, copy)
    async with town(sqlite_url):
        copy.write_text("precious")
        with pytest.raises(InvalidInput, match="--force"):
            back_up(database, copy)
        assert copy.read_text() == "precious"
        back_up(database, copy, force=True)
        for ending in ("", "-wal", "-shm", "-gate", "-users"):
            with pytest.raises(InvalidInput, match="file of its own"):
                back_up(database, database.with_name(database.name + ending), force=True)
        with pytest.raises(InvalidInput, match="is a folder"):
            back_up(database, tmp_path)
        device = tmp_path / "device"
        os.mkfifo(device)
        with pytest.raises(InvalidInput, match="no ordinary file"):
            back_up(database, device, force=True)
        assert device.is_fifo()
        with pytest.raises(InvalidInput, match="not there: make it"):
            back_up(database, tmp_path / "absent" / "copy")


async def test_a_restore_wins_nothing(sqlite_url, tmp_path):
    """The backup was from before two looks, a revocation and a registration: it gave the looks back, undid the
    revocation, and the number of who had registered went to the next."""
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    async with town(sqlite_url) as place:
        ann, bob = await place.person("Ann"), await place.person("Bob")
        given = await ann.give(bob, await ann.image(), 2)
        back_up(database, copy)
        for _ in range(2):
            await bob.spend(bob.look(given.operation.grant))
        cem = await place.person("Cem")
        before = await place.directory.marks()
    done = restore(copy, database, NOTHING)
    assert (done.recovered.epoch, done.recovered.frozen) == (2, 1)
    assert (done.contents.accounts, done.contents.views) == (2, 0)
    assert done.kept is not None
    assert query(done.kept, "SELECT COUNT(*) FROM views") == [(2,)]
    async with town(sqlite_url) as place:
        assert not (await place.directory.marks()).is_behind(before), "its nodes find nothing more to do"
        ann.services = bob.services = place.services
        assert await refused(bob.spend(bob.look(given.operation.grant))) == "frozen"
        assert (await place.person("Dan")).account > cem.account + 1_000
    assert query(database, "PRAGMA journal_mode") == [("wal",)]
    assert sorted(path.name for path in tmp_path.iterdir() if "restoring" in path.name) == []


async def test_what_the_nodes_remember_counts_where_the_directory_is_lost(sqlite_url, tmp_path):
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    async with town(sqlite_url) as place:
        await place.person("Ann")
        back_up(database, copy)
    elsewhere = tmp_path / "elsewhere" / "directory.sqlite"
    elsewhere.parent.mkdir()
    done = restore(copy, elsewhere, Marks(commits=5_000, epoch=7, term=30, accounts=40))
    assert (done.kept, done.recovered.epoch) == (None, 8)
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    async with open_directory(f"sqlite:///{elsewhere}", timing=PATIENT) as directory:
        marks = await directory.marks()
        assert marks.commits > 5_000
        assert (marks.epoch, marks.term, marks.accounts) == (8, 30, 1_040)
        assert await directory.claim_lease("n1/1", 30, 1.0) == 31


async def test_a_restore_waits_for_no_node(sqlite_url, tmp_path):
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    async with town(sqlite_url) as place:
        await place.person("Ann")
        back_up(database, copy)
        await place.person("Bob")
        with pytest.raises(UserError, match="stop them all first"):
            restore(copy, database, NOTHING)
        assert await place.number("SELECT COUNT(*) AS n FROM accounts") == 2
        assert await place.directory.read(read_epoch) == 1


async def test_no_node_opens_the_directory_during_a_restore(sqlite_url, tmp_path):
    async with town(sqlite_url):
        pass
    lock = os.open(f"{database_of(sqlite_url)}-users", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(Exception, match="being restored"):
        async with town(sqlite_url):
            pass
    os.close(lock)


async def test_only_a_whole_directory_of_a_known_version_is_restored(sqlite_url, tmp_path):
    database = database_of(sqlite_url)
    async with town(sqlite_url) as place:
        await place.person("Ann")
    names = sorted(path.name for path in tmp_path.iterdir())

    def attempt(backup: Path, error: type[Exception], match: str) -> None:
        with pytest.raises(error, match=match):
            restore(backup, database, NOTHING)
        assert query(database, "SELECT name FROM accounts") == [("Ann",)]

    attempt(tmp_path / "absent", InvalidInput, "no backup at")
    attempt(tmp_path, InvalidInput, "no backup at")
    attempt(database, InvalidInput, "the directory itself")
    text = tmp_path / "text"
    text.write_text("SQLite format 4" * 300)
    attempt(text, InvalidInput, "no SQLite database")
    other = tmp_path / "other"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE meta (name TEXT)")
    attempt(other, InvalidInput, "no directory of Glimpse")
    newer = tmp_path / "newer"
    back_up(database, newer)
    with contextlib.closing(sqlite3.connect(newer)) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
        connection.commit()
    attempt(newer, UserError, "newer Glimpse")
    torn = tmp_path / "torn"
    back_up(database, torn)
    with torn.open("r+b") as file:
        file.truncate(torn.stat().st_size // 2)
    attempt(torn, InvalidInput, "damaged")
    garbled = tmp_path / "garbled"
    back_up(database, garbled)
    garbled.write_bytes(garbled.read_bytes().replace(b"CREATE TABLE", b"CREATE\xeaTABLE"))
    attempt(garbled, InvalidInput, "damaged")
    for number, damage in enumerate(
        ("DELETE FROM meta", "DELETE FROM lease", "DELETE FROM meta WHERE name = 'epoch'", "DROP TABLE mail")
    ):
        lacking = tmp_path / f"lacking{number}"
        back_up(database, lacking)
        with contextlib.closing(sqlite3.connect(lacking)) as connection:
            connection.execute(damage)
            connection.commit()
        attempt(lacking, InvalidInput, "lacks tables or rows")
    made = {"text", "other", "newer", "torn", "garbled", *(f"lacking{number}" for number in range(4))}
    assert {path.name for path in tmp_path.iterdir()} - made - set(names) <= {
        "directory.sqlite-shm",
        "directory.sqlite-wal",
    }


async def test_a_backup_of_another_cluster_is_refused(sqlite_url, tmp_path):
    """It was taken: everybody's numbers belonged to strangers, and no picture opened."""
    database = database_of(sqlite_url)
    async with town(sqlite_url) as place:
        await place.person("Ann")
        assert await place.directory.write(claim("ours")) == number_of("ours")
        assert await place.directory.write(claim("theirs")) == number_of("ours"), "the first word holds"
        ours = tmp_path / "copy"
        assert back_up(database, ours).cluster == number_of("ours")
    with pytest.raises(InvalidInput, match="of another cluster"):
        restore(ours, database, NOTHING, cluster=number_of("theirs"))
    with pytest.raises(InvalidInput, match="of another cluster"):
        mark_restored(database, NOTHING, cluster=number_of("theirs"))
    assert [path.name for path in tmp_path.iterdir() if "before" in path.name] == []
    assert restore(ours, database, NOTHING, cluster=number_of("ours")).kept is not None
    async with town(sqlite_url) as place:
        assert await place.directory.read(read_cluster) == number_of("ours")


async def test_a_backup_with_other_pages_is_restored(sqlite_url, tmp_path):
    """SQLite does not change the size of the pages of a database in use: "attempt to write a readonly database"."""
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    async with town(sqlite_url) as place:
        await place.person("Ann")
        back_up(database, copy)
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("VACUUM")
    restore(copy, database, NOTHING)
    assert query(database, "SELECT name FROM accounts") == [("Ann",)]


async def test_a_backup_from_before_commits_were_counted_is_brought_up(sqlite_url, tmp_path):
    """Backups of the version before hold no counter; the directory that they replace says how far it was."""
    from node.directory.groups import drive
    from node.directory.interface import Query
    from node.directory.migrations import migrate
    from node.directory.sqlite_file import File

    database, old = database_of(sqlite_url), tmp_path / "old"
    file = File(old)
    file.execute(Query("BEGIN"))
    drive(migrate("sqlite", MIGRATIONS[:1]), file.execute)
    file.execute(Query("COMMIT"))
    file.close()
    async with town(sqlite_url) as place:
        await place.person("Ann")
        before = await place.directory.marks()
    done = restore(old, database, NOTHING)
    assert done.contents.marks.commits == 0
    async with town(sqlite_url) as place:
        assert not (await place.directory.marks()).is_behind(before)
        assert (await place.person("Bob")).account > 1_000


async def test_a_damaged_present_directory_is_not_written_over(sqlite_url, tmp_path):
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    async with town(sqlite_url):
        back_up(database, copy)
    database.write_bytes(b"garbage" * 1_000)
    with pytest.raises(UserError, match=r"move directory\.sqlite and its -wal and -shm"):
        restore(copy, database, NOTHING)
    assert database.read_bytes() == b"garbage" * 1_000
    database.rename(tmp_path / "moved")
    assert restore(copy, database, NOTHING).kept is None


async def test_a_directory_whose_schema_is_no_text_is_told_as_damaged(sqlite_url):
    """SQLite's own message quotes what stands there, and Python cannot read that."""
    database = database_of(sqlite_url)
    async with town(sqlite_url):
        pass
    database.write_bytes(database.read_bytes().replace(b"CREATE TABLE", b"CREATE\xeaTABLE"))
    with pytest.raises(StorageError, match="damaged: restore it from a backup"):
        async with open_directory(sqlite_url, timing=PATIENT):
            pass
    with pytest.raises(UserError, match="damaged"):
        back_up(database, database.with_name("copy"))


async def test_a_crash_in_the_middle_leaves_the_present_directory(sqlite_url, tmp_path, monkeypatch):
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    async with town(sqlite_url) as place:
        back_up(database, copy)
        await place.person("Ann")

    def crash(*_):
        raise StorageError("the disk is full")

    monkeypatch.setattr("node.directory.backup._write_into", crash)
    with pytest.raises(StorageError):
        restore(copy, database, NOTHING)
    async with town(sqlite_url) as place:
        assert (await place.rows("SELECT name FROM accounts")) == [{"name": "Ann"}]
        assert (await place.directory.marks()).epoch == 1


async def test_what_a_killed_restore_had_begun_is_removed_by_the_next(sqlite_url, tmp_path):
    """Copies of the whole directory lay there for good."""
    database, copy = database_of(sqlite_url), tmp_path / "directory.sqlite.before-mine.new"
    async with town(sqlite_url):
        back_up(database, copy)
    begun = ("restoring.71.new", "restoring.71.new-journal", "before-20260102T030405Z-2.71.new")
    for ending in begun:
        database.with_name(f"{database.name}.{ending}").write_text("begun")
    restore(copy, database, NOTHING)
    left = {path.name.removeprefix(f"{database.name}.") for path in tmp_path.iterdir()}
    assert not left & set(begun)
    assert copy.exists()


async def test_another_program_that_keeps_the_database_locked_ends_the_wait(sqlite_url, tmp_path, monkeypatch):
    """SQLite's own copy goes on trying for ever."""
    monkeypatch.setattr("node.directory.backup._WAIT_S", 0.2)
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    async with town(sqlite_url):
        back_up(database, copy)
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match=r"locked|waited too long"):
            restore(copy, database, NOTHING)
        other.execute("ROLLBACK")
    assert restore(copy, database, NOTHING).recovered.epoch == 2


async def test_no_room_for_a_backup_is_said_in_words_of_ours(sqlite_url, tmp_path, monkeypatch):
    """It said "database or disk is full", which left open whose."""
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    async with town(sqlite_url):
        for step, error in (("_copy", full), ("flush_to_disk", OSError(errno.ENOSPC, "No space left on device"))):
            with monkeypatch.context() as patch:
                patch.setattr(f"node.directory.backup.{step}", Mock(side_effect=error))
                with pytest.raises(StorageError, match="The backup found no room on the disk: make room"):
                    back_up(database, copy)
            assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []
        back_up(database, copy)
    monkeypatch.setattr("node.directory.backup.flush_to_disk", Mock(side_effect=OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(UserError, match="no room on the disk") as caught:
        restore(copy, database, NOTHING)
    assert "damaged" not in str(caught.value)


async def test_views_and_accounts_of_a_restored_directory_go_on(sqlite_url, tmp_path):
    """What follows a restore is ordinary life: registering, granting and looking."""
    database, copy = database_of(sqlite_url), tmp_path / "copy"
    async with town(sqlite_url) as place:
        ann = await place.person("Ann")
        back_up(database, copy)
    for _ in range(2):
        restore(copy, database, NOTHING)
    async with town(sqlite_url) as place:
        ann.services = place.services
        bob = await place.person("Bob")
        given = await ann.give(bob, await ann.image(), 1)
        assert (await bob.spend(bob.look(given.operation.grant))).left == 0
        assert (await ann.get(ops.ListGrants(given=True))).total == 1
        assert (await ann.sign_in()).epoch == 3


async def test_a_forced_backup_replaces_ordinary_files_only(sqlite_url, tmp_path):
    """`--force` replaced whatever had the name: /dev/null became a file, which broke the machine, and a link to the
    newest backup became a file beside it."""
    database, copy, link = database_of(sqlite_url), tmp_path / "copy", tmp_path / "newest"
    async with town(sqlite_url) as place:
        os.mkfifo(tmp_path / "pipe")
        link.symlink_to(copy)
        for name in ("pipe", "newest"):
            with pytest.raises(InvalidInput, match="no ordinary file"):
                back_up(database, tmp_path / name, force=True)
        assert (tmp_path / "pipe").is_fifo()
        copy.write_text("of yesterday")
        back_up(database, link, force=True)
        assert link.is_symlink()
        assert query(copy, "SELECT COUNT(*) FROM grants") == [(0,)]
        with pytest.raises(InvalidInput, match="that nodes use"):
            async with town(f"sqlite:///{tmp_path}/other.sqlite"):
                back_up(database, tmp_path / "other.sqlite", force=True)
        await place.person("Ann")


async def test_what_was_put_back_by_hand_is_marked_while_no_node_runs(sqlite_url, tmp_path):
    """`restore --loaded` marked the directory under living nodes, and made an empty one where there was none."""
    database, remembered = database_of(sqlite_url), Marks(500, 3, 7, 40)
    with pytest.raises(InvalidInput, match="no directory at"):
        mark_restored(database, remembered)
    assert not database.exists()
    async with town(sqlite_url) as place:
        ann, bob = await place.person("Ann"), await place.person("Bob")
        await ann.give(bob, await ann.image(), 2)
        with pytest.raises(UserError, match="stop them all"):
            mark_restored(database, remembered)
        assert (await place.directory.marks()).epoch == 1
    recovered = mark_restored(database, remembered)
    assert (recovered.epoch, recovered.frozen) == (4, 1)
    database.write_text("something else")
    with pytest.raises(InvalidInput, match="no SQLite database"):
        mark_restored(database, remembered)


async def test_nothing_is_called_marked_before_it_is():
    """`restore --loaded` said "marked the directory as restored", and then that the server cannot be reached."""
    said = []
    with pytest.raises(Unavailable, match="cannot be reached"):
        await run_restore(Target("mysql://glimpse:word@127.0.0.1:1/glimpse"), None, said.append)
    assert said == []
