"""Backups of a SQLite directory, taken while nodes use it, and put back while none does. Everything blocks.

Databases are only ever touched through SQLite: a backup is its online copy of one consistent state, and a restore
writes a directory that is prepared in full beside the present one into it, in one transaction. So a crash at any moment
leaves either the present directory or the restored one, and never one that gives back what was spent.
"""

import errno
import fcntl
import itertools
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.directory.groups import Interrupted, drive
from node.directory.interface import Query, Rows, Tx
from node.directory.marks import Marks, read_marks
from node.directory.migrations import migrate
from node.directory.recovery import Recovered, recover
from node.directory.schema import META, MIGRATIONS, Table
from node.directory.sqlite_file import CLOCK, File, users_file
from node.directory.upkeep import CLUSTER
from shared.errors import InvalidInput, StorageError, Unavailable, UserError
from shared.files import flush_to_disk

_WAIT_S: Final = 30.0
"""How long a lock is waited for that another process holds on the database."""
_COMPANIONS: Final = ("", "-wal", "-shm", "-journal", "-gate", "-users")
_BEGUN: Final = re.compile(r"\.(restoring|before-\d{8}T\d{6}Z(-\d+)?)\.\d+\.new(-journal|-wal|-shm)?")
"""What follows the directory's name in those of files that a restore has begun to write."""
_MARKS_SINCE: Final = 2
"""Schema version from which a directory counts its commits."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a directory holds."""

    accounts: int
    images: int
    grants: int
    views: int
    marks: Marks
    cluster: int | None = None
    """The number of the cluster that it belongs to, None where nobody has said."""

    def __str__(self) -> str:
        counts = ((self.accounts, "account"), (self.images, "image"), (self.grants, "grant"), (self.views, "view"))
        words = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts]
        return f"{', '.join(words[:-1])} and {words[-1]} (epoch {self.marks.epoch}, counter {self.marks.commits})"


@dataclass(frozen=True, slots=True)
class Restoration:
    """What a restore did."""

    contents: Contents
    """Of the backup."""
    recovered: Recovered
    kept: Path | None
    """Where the directory that was there before is now; None if there was none."""


class _NoRoom(StorageError):
    """The disk is full: neither the database nor the backup is at fault."""


# --- Taking a backup -------------------------------------------------------------------------------------------------


def back_up(database: Path, target: Path, *, force: bool = False) -> Contents:
    """Copy a directory, in use or not, into a new file; return what the copy holds.

    The file appears under its name once it is whole, checked and on the disk. `force` replaces an ordinary file, or
    the one that a link leads to, and never a device or the directory of a cluster. Raises InvalidInput where the
    target is none of these, StorageError and Unavailable for what the database or the disk says.
    """
    if not database.is_file():
        raise InvalidInput(f"There is no directory at {database}: name the cluster or the directory's URL.")
    if any(_same(target, database.with_name(database.name + ending)) for ending in _COMPANIONS):
        raise InvalidInput("A backup needs a file of its own: name another than the directory's.")
    if target.is_dir():
        raise InvalidInput(f"{target} is a folder: name the file of the backup.")
    if os.path.lexists(target) and not target.is_file():
        raise InvalidInput(f"{target} is no ordinary file, and a backup would take its place: name another.")
    if target.exists() and not force:
        raise InvalidInput(f"{target} is there already: name another file, or replace it with --force.")
    if users_file(target).exists():
        raise InvalidInput(f"{target} is a directory that nodes use, or used: name another file for the backup.")
    if not target.absolute().parent.is_dir():
        raise InvalidInput(f"The folder {target.absolute().parent} is not there: make it first.")
    target = target.resolve()  # of a link, the file that it leads to is written
    with _explained("backup"), _beside(target) as copy:
        _copy(database, copy)
        contents = _checked(copy, "The copy")
        flush_to_disk(copy)
        copy.replace(target)
        flush_to_disk(target.parent)
    return contents


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Give the name of a private file beside `target` that is gone afterwards, if it still has that name."""
    path = target.absolute().with_name(f"{target.name}.{os.getpid()}.new")
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    try:
        yield path
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy one consistent state of a database into a file that is closed and complete without companions."""
    with closing(_reading(source)) as reading, closing(sqlite3.connect(target, timeout=_WAIT_S)) as writing:
        reading.backup(writing, progress=_patience())
        writing.execute("PRAGMA journal_mode = DELETE")


def _patience() -> Callable[[int, int, int], None]:
    """Return what ends a copy that has waited for another process's lock for too long; by itself it never ends."""
    until = time.monotonic() + _WAIT_S

    def check(status: int, _remaining: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > until:
            raise Unavailable("Another program keeps the database locked: end it, then try again.")

    return check


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_S, isolation_level=None)


def _checked(path: Path, what: str) -> Contents:
    """Check that a file is a whole directory of a version that is known, and return what it holds."""
    with closing(_reading(path)) as reading:
        try:
            tables = {name for (name,) in reading.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if primary not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise
            raise InvalidInput(f"{what} {path} is no SQLite database, or a damaged one: use another backup.") from None
        if not {"meta", "accounts", "images", "grants", "views", "lease"} <= tables:
            raise InvalidInput(f"{what} {path} is no directory of Glimpse: use a file that `glimpse backup` wrote.")
        if reading.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            raise InvalidInput(f"{what} {path} is damaged: use another backup.")
        (version,) = reading.execute(
            "SELECT COALESCE(MAX(value), 0) FROM meta WHERE name = 'schema_version'"
        ).fetchone()
        if version > MIGRATIONS[-1].version:
            raise UserError(
                f"{what} {path} was made by a newer Glimpse (schema version {version}): update Glimpse on this machine."
            )
        if version < 1 or not _tables_of(version) <= tables or not _seeds_are_there(reading):
            raise InvalidInput(f"{what} {path} lacks tables or rows that every directory has: use another backup.")
        counts = [
            reading.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608 - names of this module
            for table in ("accounts", "images", "grants", "views")
        ]
        accounts, images, grants, views = counts
        belongs = reading.execute("SELECT value FROM meta WHERE name = ?", (CLUSTER,)).fetchone()
        cluster = None if belongs is None else int(belongs[0])
        return Contents(accounts, images, grants, views, _marks(reading, version), cluster)


def _tables_of(version: int) -> set[str]:
    """Return the tables that a directory of a schema version has."""
    steps = [step for migration in MIGRATIONS if migration.version <= version for step in migration.steps]
    return {META.name, *(step.name for step in steps if isinstance(step, Table))}


def _seeds_are_there(reading: sqlite3.Connection) -> bool:
    (found,) = reading.execute(
        "SELECT (SELECT COUNT(*) FROM meta WHERE name = 'epoch') + (SELECT COUNT(*) FROM lease WHERE name = 'leader')"
    ).fetchone()
    return bool(found == 2)


def _marks(reading: sqlite3.Connection, version: int) -> Marks:
    """Return how far a directory is; one that counted no commits yet stands at 0."""
    if version < _MARKS_SINCE:
        term, epoch, accounts = reading.execute(
            "SELECT (SELECT term FROM lease), (SELECT value FROM meta WHERE name = 'epoch'), "
            "(SELECT COALESCE(MAX(id), 0) FROM accounts)"
        ).fetchone()
        return Marks(0, epoch, term, accounts)

    def execute(query: Query) -> Rows:
        cursor = reading.execute(query.sql, query.parameters)
        names = [column[0] for column in cursor.description]
        return Rows([dict(zip(names, row, strict=True)) for row in cursor])

    return drive(read_marks(Tx(now=0.0, engine="sqlite")), execute)


# --- Putting one back ------------------------------------------------------------------------------------------------


def restore(backup: Path, database: Path, remembered: Marks, *, cluster: int | None = None) -> Restoration:
    """Put a directory back to a backup, safe to use at once, and return what was done.

    `remembered` is the furthest state that anybody knows of beside the present directory; `cluster` is the number of
    the cluster whose directory it is, as far as that is known. Raises UserError while nodes use the directory and for
    a file that is no usable backup, such as one of another cluster; nothing is changed then.
    """
    if not backup.is_file():
        raise InvalidInput(f"There is no backup at {backup}: check the path.")
    if any(_same(backup, database.with_name(database.name + ending)) for ending in _COMPANIONS):
        raise InvalidInput("The backup is the directory itself: name the file that `glimpse backup` wrote.")
    if not database.parent.is_dir():
        raise InvalidInput(f"The folder {database.parent} of the directory is not there: make it first.")
    with _explained("restore"), _alone(database):
        _clear_away(database)
        contents = _checked(backup, "The backup")
        _refuse_of_another_cluster(contents, cluster)
        kept, present = _keep_present(database)
        with _beside(database.with_name(database.name + ".restoring")) as prepared:
            _copy(backup, prepared)
            _fit(prepared, database)
            recovered = _make_safe(prepared, remembered if present is None else remembered.furthest(present.marks))
            _checked(prepared, "The copy")
            _write_into(prepared, database)
    return Restoration(contents, recovered, kept)


def mark_restored(database: Path, remembered: Marks, *, cluster: int | None = None) -> Recovered:
    """Recover a directory whose file was put back by other means than `restore`, and return what was done.

    `remembered` is the furthest state that anybody knows of beside it, `cluster` the number of the cluster whose
    directory it is, as far as that is known. Raises UserError while nodes use the directory and for a file that is no
    usable directory, such as one of another cluster; nothing is changed then.
    """
    if not database.is_file():
        raise InvalidInput(f"There is no directory at {database}: name the cluster or the directory's URL.")
    with _explained("restore"), _alone(database):
        _refuse_of_another_cluster(_checked(database, "The file"), cluster)
        return _make_safe(database, remembered)


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """Have the directory to oneself for the length of a `with` block: no node can open it meanwhile."""
    path = users_file(database)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                "Nodes are using this directory: stop them all first, then restore; nothing was changed."
            ) from None
        yield
    finally:
        os.close(descriptor)


def _refuse_of_another_cluster(contents: Contents, cluster: int | None) -> None:
    if cluster is not None and contents.cluster not in (None, cluster):
        raise InvalidInput(
            "The backup is of another cluster: its accounts and pictures are other people's, and none would open here. "
            "Use a backup of this cluster's directory; nothing was changed."
        )


def _clear_away(database: Path) -> None:
    """Remove what restores that were killed had begun to write; nobody else makes files of these names."""
    for path in database.parent.iterdir():
        if path.name.startswith(f"{database.name}.") and _BEGUN.fullmatch(path.name.removeprefix(database.name)):
            path.unlink(missing_ok=True)


def _keep_present(database: Path) -> tuple[Path | None, Contents | None]:
    """Back the present directory up beside it; return where, and what it holds."""
    if not database.exists():
        return None, None
    stem = f"{database.name}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    names = itertools.chain((stem,), (f"{stem}-{number}" for number in itertools.count(2)))
    kept = next(path for path in map(database.with_name, names) if not path.exists())
    try:
        return kept, back_up(database, kept)
    except _NoRoom as error:
        raise UserError(f"The present directory cannot be kept: {error} Nothing was changed.") from None
    except (InvalidInput, StorageError) as error:
        raise UserError(
            f"The present directory cannot be kept as {kept.name} ({error}) If it is damaged, move {database.name} and "
            f"its -wal and -shm to another folder while no node runs, then restore again; nothing was changed."
        ) from None


def _fit(prepared: Path, database: Path) -> None:
    """Give a prepared directory the size of pages that the present one has, which SQLite cannot change there."""
    if not database.exists():
        return
    with closing(_reading(database)) as present:
        (wanted,) = present.execute("PRAGMA page_size").fetchone()
    with closing(sqlite3.connect(prepared, timeout=_WAIT_S, isolation_level=None)) as writing:
        (size,) = writing.execute("PRAGMA page_size").fetchone()
        if size != wanted:
            writing.execute(f"PRAGMA page_size = {int(wanted)}")
            writing.execute("VACUUM")


def _make_safe(prepared: Path, highest: Marks) -> Recovered:
    """Bring a copy of a backup to the present schema and recover it from having been a backup."""
    file = File(prepared)
    try:
        file.execute(Query("PRAGMA foreign_keys = ON"))
        file.begin(time.monotonic() + _WAIT_S)
        drive(migrate("sqlite"), file.execute)
        now = file.execute(Query(f"SELECT {CLOCK} AS now")).scalar()
        recovered = drive(recover(highest, certain=True)(Tx(now=now, engine="sqlite", clock=now)), file.execute)
        file.execute(Query("COMMIT"))
    finally:
        file.close()
    assert recovered is not None, "what is certain is always done"
    return recovered


def _write_into(prepared: Path, database: Path) -> None:
    """Write a whole directory into the database, in one transaction of SQLite's."""
    file = File(database)  # made private if it is not there
    file.close()
    with closing(_reading(prepared)) as reading, closing(sqlite3.connect(database, timeout=_WAIT_S)) as writing:
        writing.execute("PRAGMA journal_mode = WAL")
        writing.execute("PRAGMA synchronous = FULL")
        reading.backup(writing, progress=_patience())


# --- What the database and the disk say ------------------------------------------------------------------------------


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what goes wrong inside into one sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise Unavailable(f"The {what} waited too long for other processes: try again.") from None
        if error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
            raise _NoRoom(f"The {what} found no room on the disk: make room, then try again.") from None
        raise StorageError(f"The {what} failed: {error}.") from None
    except sqlite3.Error as error:
        raise StorageError(f"The {what} failed: {error}.") from None
    except UnicodeDecodeError:  # an error whose own text quotes bytes of a damaged file
        raise StorageError(f"The {what} failed: the directory is damaged.") from None
    except Interrupted:
        raise Unavailable(f"The {what} waited too long for other processes: try again.") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _NoRoom(f"The {what} found no room on the disk: make room, then try again.") from None
        raise StorageError(f"The {what} failed: {error.strerror}.") from None
