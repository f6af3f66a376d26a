"""One SQLite connection the way the directory needs it, the errors it raises, and the queue before the write lock."""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from node.directory.groups import Interrupted
from node.directory.interface import DuplicateKey, MissingReference, Query, Rows, StatementFailed
from shared.errors import StorageError, Unavailable

CLOCK: Final = "((julianday('now') - 2440587.5) * 86400.0)"
"""The machine's wall clock as SQLite reads it, in milliseconds; all processes on one file share it. Within a statement
it stands still."""

_RETRY_S: Final = 0.0005
"""Wait between attempts at a lock. SQLite's own handler backs off to 100 ms, in which a busy neighbour always wins."""
_GATE_RETRY_S: Final = 0.001

_DUPLICATES: Final = {
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
}
_NO_LOCKS: Final = (
    "The file system of the directory has no locks that work, as some network file systems: put the directory on a "
    "disk of this machine."
)
_ENDED_EARLY: Final = "The directory's file ended a transaction early: try again."
_AGAIN: Final = {
    sqlite3.SQLITE_BUSY: "The directory's file is in use by another process: try again.",
    sqlite3.SQLITE_LOCKED: "The directory's file is in use by this node itself: try again.",
    sqlite3.SQLITE_SCHEMA: "The directory's tables were just changed: try again.",
    sqlite3.SQLITE_INTERRUPT: _ENDED_EARLY,
    sqlite3.SQLITE_ABORT: _ENDED_EARLY,
}
_STATEMENT: Final = {
    0,  # the library's own word for a call that SQLite never saw
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_MISUSE,
}
"""Our SQL is wrong, or a value does not fit. Every other code is trouble of the file or the machine, and passes."""
_OTHERWISE: Final = "The directory's file cannot be used now (SQLite's error {code}): see the disk; it is tried again."
_STORAGE: Final = {
    sqlite3.SQLITE_IOERR_LOCK: _NO_LOCKS,
    sqlite3.SQLITE_IOERR_RDLOCK: _NO_LOCKS,
    sqlite3.SQLITE_IOERR_UNLOCK: _NO_LOCKS,
    sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK: _NO_LOCKS,
    sqlite3.SQLITE_IOERR_SHMLOCK: _NO_LOCKS,
    sqlite3.SQLITE_IOERR_SHMMAP: _NO_LOCKS,
    sqlite3.SQLITE_PROTOCOL: _NO_LOCKS,
    sqlite3.SQLITE_NOLFS: "The directory's file is too large for its file system: move it to another.",
    sqlite3.SQLITE_NOMEM: "The node has no memory left for its directory: make room on the machine.",
    sqlite3.SQLITE_READONLY_DBMOVED: "The directory's file was moved or deleted: stop the nodes and put it back.",
    sqlite3.SQLITE_FULL: "The directory's disk is full: make room, then try again.",
    sqlite3.SQLITE_IOERR: "The directory's file cannot be read or written: check the disk.",
    sqlite3.SQLITE_CANTOPEN: "The directory's file cannot be opened: check its folder and permissions.",
    sqlite3.SQLITE_PERM: "The directory's file may not be used: check its permissions.",
    sqlite3.SQLITE_READONLY: "The directory's file is read-only: check its permissions.",
    sqlite3.SQLITE_CORRUPT: "The directory's file is damaged: restore it from a backup.",
    sqlite3.SQLITE_NOTADB: "The directory's file is no SQLite database: give another path or restore a backup.",
}


def _create_private(path: Path) -> None:
    """Make the file with mode 0600 where there is none; SQLite gives its companions (-wal, -shm) the same mode.

    A file that is there is never opened beside SQLite: closing any descriptor of it would drop all the locks that this
    process holds on it (POSIX), and whoever closes the database next would take itself for its last user and delete
    the log under the living ones.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


class File:
    """A connection to the directory's file. Used by one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._read_only = read_only
        try:
            _create_private(path)
            self._connection = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"The directory's file {str(path)!r} cannot be opened: {error}.") from None

    def prepare(self, deadline: float) -> None:
        """Set the connection up; waits until `deadline` (monotonic seconds) where other processes are starting too."""
        self.wait_for_lock(lambda: self.execute(Query("PRAGMA journal_mode = WAL")), deadline)
        self.execute(Query("PRAGMA synchronous = FULL"))
        self.execute(Query("PRAGMA foreign_keys = ON"))
        if self._read_only:
            self.execute(Query("PRAGMA query_only = ON"))

    @property
    def in_transaction(self) -> bool:
        """Tell whether a transaction is open."""
        return self._connection.in_transaction

    def execute(self, query: Query) -> Rows:
        """Run one statement. Raises StatementFailed, StorageError, or Interrupted for a lock that is held."""
        sql = query.sql + " ON CONFLICT DO NOTHING" if query.conflict == "ignore" else query.sql
        had_transaction = self._connection.in_transaction
        try:
            cursor = self._connection.execute(sql, dict(query.parameters))
            if cursor.description is None:
                return Rows(rowcount=max(cursor.rowcount, 0), inserted_id=cursor.lastrowid or 0)
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
            return Rows(rows, len(rows))
        except sqlite3.Error as error:
            translated = self._translate(error)
            if had_transaction and not self._connection.in_transaction and isinstance(translated, StatementFailed):
                raise Interrupted(_ENDED_EARLY) from None
            raise translated from None
        except UnicodeDecodeError:  # an error whose own text quotes bytes of a damaged file
            raise StorageError(_STORAGE[sqlite3.SQLITE_CORRUPT]) from None
        except (ValueError, TypeError, OverflowError) as error:  # a value that SQLite cannot hold
            raise StatementFailed(f"A parameter cannot be stored: {error}.") from None

    def _translate(self, error: sqlite3.Error) -> Exception:
        code = getattr(error, "sqlite_errorcode", 0)
        primary = code & 0xFF
        if primary == sqlite3.SQLITE_CONSTRAINT:
            if code in _DUPLICATES:
                return DuplicateKey(str(error))
            return (MissingReference if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY else StatementFailed)(str(error))
        if primary in _AGAIN:
            return Interrupted(_AGAIN[primary])
        if primary in _STATEMENT or (self._read_only and code == sqlite3.SQLITE_READONLY):
            return StatementFailed(str(error))
        return StorageError(_STORAGE.get(code) or _STORAGE.get(primary) or _OTHERWISE.format(code=code))

    def wait_for_lock(self, attempt: Callable[[], Rows], deadline: float) -> Rows:
        """Repeat what needs the write lock until it is had. Raises Unavailable after `deadline` (monotonic seconds)."""
        while True:
            try:
                return attempt()
            except Interrupted:
                if time.monotonic() >= deadline:
                    raise Unavailable("The directory's file is locked by another process: try again.") from None
                time.sleep(_RETRY_S)

    def begin(self, deadline: float) -> None:
        """Begin a transaction that holds the write lock from the start."""
        self.wait_for_lock(lambda: self.execute(Query("BEGIN IMMEDIATE")), deadline)

    def roll_back(self) -> None:
        """Undo the open transaction, if there still is one."""
        if self._connection.in_transaction:
            self._connection.rollback()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class FileUsers:
    """A place among those who have the directory's file open, held for as long as this lives.

    It is a lock on a file of our own beside the database. Whoever must have the database to itself, as a restore
    must, takes the same lock alone and so finds out whether any process still uses it.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the database's. Raises Unavailable while somebody has it alone, StorageError without locks."""
        place = users_file(path)
        try:
            self._descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"The file {str(place)!r} cannot be opened: {error.strerror}.") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            if isinstance(error, BlockingIOError):
                raise Unavailable(
                    f"The directory {str(path)!r} is being restored: start again when that is done."
                ) from None
            raise StorageError(_NO_LOCKS) from None

    def close(self) -> None:
        """Give the place up."""
        os.close(self._descriptor)


def users_file(path: Path) -> Path:
    """Return the file whose lock tells who uses the database in `path`."""
    return path.with_name(path.name + "-users")


class Gate:
    """A file lock that makes writers queue fairly for SQLite's write lock.

    SQLite gives its lock to whoever asks at the right instant, and that is the process that just released it. A writer
    therefore takes this lock first and waits for SQLite's while it has it: the last writer comes after the next one.
    The operating system releases the lock when its process ends.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"The file {str(path)!r} cannot be opened: {error.strerror}.") from None

    @contextmanager
    def turn(self, deadline: float) -> Iterator[None]:
        """Wait for the lock and release it at the end. Raises Unavailable after `deadline` (monotonic seconds)."""
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise Unavailable("Other processes keep the directory's file busy: try again.") from None
                time.sleep(_GATE_RETRY_S)
            except OSError:
                raise StorageError(_NO_LOCKS) from None
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock's file."""
        os.close(self._descriptor)
