"""The local store of a peer: what must survive a restart of the client, in one small SQLite file.

The store is a convenience, not an authority: editing it wins no view, because the nodes count views and hold half of
every key. All calls are synchronous and short; the peer runs them in one thread (see `Store.run`).

It is an ordinary file, so anything may have happened to it. Rows that are not as they must be are set aside when the
store is opened, each with the reason, and the rest works. Where there is no room to open it, a copy in memory is read
and nothing can be written.
"""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from shared.data_key import DataKey
from shared.errors import ProfileError, StorageError
from tui.peer import at_rest
from tui.peer.rows import TABLES, fault_of
from tui.peer.schema import migrate, place_of

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One waiting item; `kind` says how `body` is to be read.

    Rows of one `lane` are delivered one after the other. `signed` is the signed operation that was last sent for it;
    `ask` is the id of the request for views that it answers, None for what is no answer.
    """

    request: str
    kind: str
    what: str
    body: bytes
    since: float
    attempts: int
    trouble: str
    lane: str = ""
    signed: bytes | None = None
    ask: str | None = None


@dataclass(frozen=True, slots=True)
class Aside:
    """A row that could not be used any more: where it stood, since when it is set aside, and why."""

    table: str
    reason: str
    at: float


class Store:
    """The SQLite file of one profile. Every change is on disk when the call returns.

    `key` is the profile's data key, None where it is not locked. Raises `ProfileError` for a file that is no store, of
    a newer Glimpse or under another key, `StorageError` when the disk is full; what was stored stays. A store that is
    there and cannot be written is opened for reading: then `read_only` says why.
    """

    def __init__(self, path: Path, *, wall: Callable[[], float] = time.time, key: DataKey | None = None) -> None:
        self._path = path
        self._key = key
        self._wall = wall
        self._limiter: anyio.CapacityLimiter | None = None
        self._in_use = threading.Lock()
        self._closed = False
        self.read_only = ""
        """Why nothing can be written for as long as this store is open, in a sentence; empty where it can be."""
        self.found: list[Aside] = []
        """What was set aside when the store was opened."""
        self.trouble = ""
        """Why the last change could not be written, in a sentence; empty once one could be."""
        try:
            self._sql = self._open()
            self._wipe()
        except StorageError as error:
            if _is_busy(error.__cause__) or not path.exists() or not path.stat().st_size:
                raise
            self._sql = self._open_copy()
            why = str(error).removesuffix("try again.")
            self.read_only = f"{why}open it again; until then nothing can be stored."
            self.trouble = self.read_only

    # --- Opening -----------------------------------------------------------------------------------------------------
    def _open(self) -> sqlite3.Connection:
        """Open the file for reading and writing, bring it to this version and set aside what cannot be used."""
        sql = None
        try:
            sql = self._connected(str(self._path))
            self._path.chmod(0o600)
            sql.execute("PRAGMA journal_mode = WAL")
            sql.execute("PRAGMA synchronous = FULL")
            self._prepare(sql)
            # Whether there is room is found out now, not in the middle of something that must be kept.
            sql.execute("INSERT OR REPLACE INTO facts VALUES ('opened', :now)", {"now": str(int(self._wall()))})
        except _FAULTS as error:
            self._close_failed(sql)
            raise _translated(error, self._path) from error
        except OSError as error:
            self._close_failed(sql)
            raise StorageError(
                f"The store {self._path} cannot be written ({error.strerror}); see to its disk and try again."
            ) from error
        except BaseException:
            self._close_failed(sql)
            raise
        return sql

    def _open_copy(self) -> sqlite3.Connection:
        """Return a copy in memory of a file that cannot be written, brought to this version; it takes no changes."""
        copy = self._connected(":memory:")
        try:
            self._read_into(copy)
            self._prepare(copy)
            copy.execute("PRAGMA query_only = ON")
        except _FAULTS as error:
            copy.close()
            raise _translated(error, self._path) from error
        except BaseException:
            copy.close()
            raise
        return copy

    def _read_into(self, copy: sqlite3.Connection) -> None:
        """Copy the file with its log. An exclusive lock keeps the log's index in memory, where it needs no room."""
        uri = self._path.absolute().as_uri()
        try:
            with closing(self._connected(uri)) as source:
                source.execute("PRAGMA locking_mode = EXCLUSIVE")
                source.backup(copy)
        except sqlite3.OperationalError:
            # Not even a lock can be had here, as on a medium that is mounted for reading: what the log holds is missed.
            with closing(self._connected(f"{uri}?immutable=1")) as source:
                source.backup(copy)

    def _prepare(self, sql: sqlite3.Connection) -> None:
        migrate(sql, self._path)
        sql.execute("BEGIN")
        try:
            at_rest.check(sql, self._key)
            if self._key is not None:
                at_rest.encrypt(sql, self._key)
            self.found = self._sort_out(sql, TABLES)
            sql.execute("COMMIT")
        except BaseException:
            if sql.in_transaction:
                sql.execute("ROLLBACK")
            raise

    def _connected(self, target: str) -> sqlite3.Connection:
        sql = sqlite3.connect(target, isolation_level=None, check_same_thread=False, uri=target.startswith("file:"))
        sql.row_factory = lambda cursor, values: at_rest.opened(cursor, values, self._key)
        # Bytes that are no text must not make a whole table unreadable.
        sql.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        return sql

    @staticmethod
    def _close_failed(sql: sqlite3.Connection | None) -> None:
        if sql is not None:
            sql.close()

    # --- Using -------------------------------------------------------------------------------------------------------
    async def run(self, call: "Callable[[Store], T]") -> T:
        """Run `call` on the store in a thread, one at a time; its changes are one transaction."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(self._transaction, call, limiter=self._limiter)

    async def aclose(self) -> None:
        """Close the file once what is under way has ended. What is asked of the store later raises `ProfileError`."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)

    def close(self) -> None:
        """Like `aclose`, waiting in this thread."""
        # SQLite must not lose its connection in the middle of a statement of another thread: that ends the process.
        with self._in_use:
            self._closed = True
            self._sql.close()

    def _transaction(self, call: "Callable[[Store], T]") -> T:
        with self._in_use:
            if self._closed:
                raise ProfileError(_CLOSED)
            return self._carry_out(call)

    def _carry_out(self, call: "Callable[[Store], T]") -> T:
        before = self._sql.total_changes
        try:
            self._sql.execute("BEGIN" if self.read_only else "BEGIN IMMEDIATE")
            try:
                result = call(self)
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:  # a full disk has ended it already
                    self._sql.execute("ROLLBACK")
                raise
        except _FAULTS as error:
            raise self._refused(error) from error
        if self._sql.total_changes != before:
            self.trouble = ""
        return result

    def _refused(self, error: sqlite3.Error | UnicodeDecodeError) -> ProfileError | StorageError:
        if self.read_only:
            return StorageError(self.read_only)
        translated = _translated(error, self._path)
        if isinstance(translated, StorageError):
            self.trouble = str(translated)
        return translated

    # --- Encryption --------------------------------------------------------------------------------------------------
    async def change_key(self, key: DataKey | None) -> None:
        """Encrypt what is secret under the profile's data key, or write it in clear without one: all of it, or nothing.

        Takes some seconds in a very large store. Raises `StorageError` where it cannot be written.
        """
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._change_key, key)

    def _change_key(self, key: DataKey | None) -> None:
        def convert(store: Store) -> None:
            if key is not None:
                at_rest.encrypt(store._sql, key)
            elif store._key is not None:
                at_rest.decrypt(store._sql, store._key)

        with self._in_use:  # whoever writes next does so under the new key
            if self._closed:
                raise ProfileError(_CLOSED)
            self._carry_out(convert)
            self._key = key
            self._wipe()

    def _wipe(self) -> None:
        """Clear away what was in clear before; where there is no room for that, the next opening does it."""
        if self._key is None or self.read_only:
            return
        try:
            at_rest.wipe(self._sql)
        except sqlite3.Error as error:
            log.warning("what was in clear before may still be in the store's file", extra={"reason": str(error)})

    # --- Generic rows ------------------------------------------------------------------------------------------------
    def all(self, sql: str, **parameters: Any) -> list[sqlite3.Row]:
        """Return the rows of a query with named parameters."""
        return self._sql.execute(sql, parameters).fetchall()

    def one(self, sql: str, **parameters: Any) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        row: sqlite3.Row | None = self._sql.execute(sql, parameters).fetchone()
        return row

    def do(self, sql: str, **parameters: Any) -> int:
        """Run a statement and return how many rows it touched. See `tui.peer.at_rest.COLUMNS` for what is secret."""
        return self._sql.execute(sql, at_rest.sealed(parameters, self._key)).rowcount

    def put(self, table: str, **row: Any) -> None:
        """Insert or replace a row by column name."""
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        self.do(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", **row)  # noqa: S608 - own names

    # --- Facts -------------------------------------------------------------------------------------------------------
    def fact(self, name: str) -> str | None:
        """Return a single remembered text."""
        row = self.one("SELECT value FROM facts WHERE name = :name", name=name)
        return None if row is None else str(row["value"])

    def set_fact(self, name: str, value: str) -> None:
        """Remember a single text."""
        self.put("facts", name=name, value=value)

    # --- Outbox ------------------------------------------------------------------------------------------------------
    def outbox(self, *, lane: str | None = None) -> list[OutboxRow]:
        """Return what waits, oldest first; of one lane if it is given."""
        where = "" if lane is None else " WHERE lane = :lane"
        rows = self.all(f"SELECT {_OUTBOX} FROM outbox{where} ORDER BY id", lane=lane)  # noqa: S608 - own names
        return [OutboxRow(**dict(row)) for row in rows]

    def outbox_row(self, request: str) -> OutboxRow | None:
        """Return one item that waits, None if it does no longer."""
        row = self.one(f"SELECT {_OUTBOX} FROM outbox WHERE request = :request", request=request)  # noqa: S608
        return None if row is None else OutboxRow(**dict(row))

    # --- What cannot be used -----------------------------------------------------------------------------------------
    def sort_out(self, *tables: str) -> list[Aside]:
        """Set aside the rows of these tables that are not as they must be; return what that was."""
        return self._sort_out(self._sql, tables)

    def set_aside(self, table: str, reason: str, **key: Any) -> None:
        """Set aside the rows with this key: they count no longer, and are kept with the reason."""
        where = " AND ".join(f"{name} = :{name}" for name in key)
        for row in self.all(f"SELECT * FROM {table} WHERE {where}", **key):  # noqa: S608 - own names
            self._keep_aside(self._sql, table, reason, row, self._wall())
        self.do(f"DELETE FROM {table} WHERE {where}", **key)  # noqa: S608 - own names

    def asides(self) -> list[Aside]:
        """Return what was set aside, newest first."""
        rows = self.all("SELECT from_table, reason, at FROM set_aside ORDER BY id DESC")
        return [Aside(str(row["from_table"]), str(row["reason"]), _number(row["at"])) for row in rows]

    def _sort_out(self, sql: sqlite3.Connection, tables: Iterable[str]) -> list[Aside]:
        found, now = [], self._wall()
        for table in tables:
            place, listed = place_of(sql, table), ", ".join(TABLES[table])
            for row in sql.execute(f"SELECT {place} AS place, {listed} FROM {table}").fetchall():  # noqa: S608
                reason = fault_of(table, dict(row))
                if reason is not None:
                    self._keep_aside(sql, table, reason, row, now)
                    sql.execute(f"DELETE FROM {table} WHERE {place} = :place", {"place": row["place"]})  # noqa: S608
                    found.append(Aside(table, reason, now))
        return found

    def _keep_aside(self, sql: sqlite3.Connection, table: str, reason: str, row: sqlite3.Row, at: float) -> None:
        values = {name: _shown(row[name]) for name in row.keys() if name != "place"}  # noqa: SIM118 - no mapping
        kept = {"table": table, "reason": reason, "row": json.dumps(values)[:_KEPT_CHARS], "at": at}
        sql.execute(
            "INSERT INTO set_aside (from_table, reason, row, at) VALUES (:table, :reason, :row, :at)",
            at_rest.sealed(kept, self._key),
        )


_OUTBOX = ", ".join(field.name for field in fields(OutboxRow))
_CLOSED = "The profile is closed; open it again."
_KEPT_CHARS = 100_000
"""Most of a row that was set aside is kept as text; a picture is never in a row."""


def _shown(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


_FULL = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
    }
)
_FAULTS = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises. The second is an error whose own text quotes bytes of a damaged file."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CANNOT_WRITE = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""Primary codes, as in `_BUSY`; the details stand in the bits above them."""


def _is_busy(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY


def _translated(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> ProfileError | StorageError:
    if isinstance(error, UnicodeDecodeError):
        return ProfileError(f"The store {path} is damaged; restore it from a copy, or use another profile.")
    code = getattr(error, "sqlite_errorcode", 0)
    if code in _FULL:
        return StorageError(f"The disk of the profile {path.parent.name} is full; free some space and try again.")
    if _is_busy(error):
        return StorageError(f"Another program holds the store {path}; end it and try again.")
    if code & 0xFF in _CANNOT_WRITE:
        return StorageError(f"The store {path} cannot be written ({error}); see to its disk and try again.")
    return ProfileError(f"The store {path} cannot be used ({error}); restore it from a copy, or use another profile.")
