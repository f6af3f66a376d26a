"""The local store of a peer: what must survive a restart of the client, in one small SQLite file.

The store is a convenience, not an authority: editing it wins no view, because the nodes count views and hold half of
every key. All calls are synchronous and short; the peer runs them in one thread (see `Store.run`).
"""

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from shared.errors import ProfileError, StorageError

T = TypeVar("T")

_SCHEMA_VERSION = 2
_VERSION_1 = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    account INTEGER PRIMARY KEY, name TEXT NOT NULL, signing_key BLOB NOT NULL, session_key BLOB NOT NULL,
    session_signature BLOB NOT NULL, first_seen REAL NOT NULL);
CREATE TABLE IF NOT EXISTS own_images (
    image TEXT PRIMARY KEY, title TEXT NOT NULL, format TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    size INTEGER NOT NULL, content_key BLOB NOT NULL, created REAL NOT NULL, ready INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS held (
    grant_id TEXT PRIMARY KEY, image TEXT NOT NULL, owner INTEGER NOT NULL, owner_name TEXT NOT NULL,
    title TEXT NOT NULL, record BLOB NOT NULL, version INTEGER NOT NULL, granted INTEGER NOT NULL,
    consumed INTEGER NOT NULL, expires REAL, revoked INTEGER NOT NULL, received INTEGER NOT NULL DEFAULT 0,
    sealed_sha256 BLOB);
CREATE INDEX IF NOT EXISTS held_by_image ON held (image);
CREATE TABLE IF NOT EXISTS pending_views (
    grant_id TEXT PRIMARY KEY, view TEXT NOT NULL, ephemeral BLOB NOT NULL, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS asks (
    ask TEXT PRIMARY KEY, incoming INTEGER NOT NULL, row BLOB NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, request TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, what TEXT NOT NULL,
    body BLOB NOT NULL, since REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, trouble TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS offers (
    image TEXT PRIMARY KEY, title TEXT NOT NULL, owner INTEGER NOT NULL, owner_name TEXT NOT NULL, words TEXT NOT NULL
    ) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mail_seen (mail TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rewrites (path TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
"""
_VERSION_2 = """
ALTER TABLE outbox ADD COLUMN lane TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN signed BLOB;
ALTER TABLE own_images ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE own_images ADD COLUMN upload_sha256 BLOB;
ALTER TABLE own_images ADD COLUMN upload_size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE held ADD COLUMN look_s REAL;
CREATE TABLE given (
    grant_id TEXT PRIMARY KEY, image TEXT NOT NULL, viewer INTEGER NOT NULL, record BLOB NOT NULL,
    version INTEGER NOT NULL, consumed INTEGER NOT NULL, cloud_share BLOB, share_signature BLOB,
    compared INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE seen_views (
    view TEXT PRIMARY KEY, image TEXT NOT NULL, viewer INTEGER NOT NULL, viewer_name TEXT NOT NULL, at REAL NOT NULL,
    left INTEGER NOT NULL, grant_id TEXT, consumed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT, from_table TEXT NOT NULL, reason TEXT NOT NULL, row TEXT NOT NULL,
    at REAL NOT NULL);
"""
_MIGRATIONS = (_VERSION_1, _VERSION_2)
"""Each brings a store from the version before to its own. A migration that has been released is never changed."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One waiting item; `kind` says how `body` is to be read."""

    request: str
    kind: str
    what: str
    body: bytes
    since: float
    attempts: int
    trouble: str


class Store:
    """The SQLite file of one profile. Every change is on disk when the call returns.

    Raises `ProfileError` for a file that is no store, `StorageError` when the disk is full; what was stored stays.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._sql.row_factory = sqlite3.Row
            path.chmod(0o600)
            self._sql.execute("PRAGMA journal_mode = WAL")
            self._sql.execute("PRAGMA synchronous = FULL")
            version = self._sql.execute("PRAGMA user_version").fetchone()[0]
            if version > _SCHEMA_VERSION:
                raise ProfileError(f"{path} was written by a newer Glimpse; update this one.")
            for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
                self._sql.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.DatabaseError as error:
            raise _translated(error, path) from error
        self._path = path
        self._limiter: anyio.CapacityLimiter | None = None
        self._in_use = threading.Lock()
        self._closed = False

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
                raise ProfileError("The profile is closed; open it again.")
            return self._carry_out(call)

    def _carry_out(self, call: "Callable[[Store], T]") -> T:
        try:
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                result = call(self)
            except BaseException:
                self._sql.execute("ROLLBACK")
                raise
            self._sql.execute("COMMIT")
        except sqlite3.Error as error:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise _translated(error, self._path) from error
        return result

    # --- Generic rows ------------------------------------------------------------------------------------------------
    def all(self, sql: str, **parameters: Any) -> list[sqlite3.Row]:
        """Return the rows of a query with named parameters."""
        return self._sql.execute(sql, parameters).fetchall()

    def one(self, sql: str, **parameters: Any) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        row: sqlite3.Row | None = self._sql.execute(sql, parameters).fetchone()
        return row

    def do(self, sql: str, **parameters: Any) -> int:
        """Run a statement and return how many rows it touched."""
        return self._sql.execute(sql, parameters).rowcount

    def put(self, table: str, **row: Any) -> None:
        """Insert or replace a row by column name."""
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        self._sql.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", row)  # noqa: S608 - own names

    # --- Facts -------------------------------------------------------------------------------------------------------
    def fact(self, name: str) -> str | None:
        """Return a single remembered text."""
        row = self.one("SELECT value FROM facts WHERE name = :name", name=name)
        return None if row is None else str(row["value"])

    def set_fact(self, name: str, value: str) -> None:
        """Remember a single text."""
        self.put("facts", name=name, value=value)

    # --- Outbox ------------------------------------------------------------------------------------------------------
    def outbox(self) -> list[OutboxRow]:
        """Return what waits, oldest first."""
        rows = self.all("SELECT request, kind, what, body, since, attempts, trouble FROM outbox ORDER BY id")
        return [OutboxRow(**dict(row)) for row in rows]


def _translated(error: sqlite3.Error, path: Path) -> ProfileError | StorageError:
    if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
        return StorageError(f"The disk that holds {path} is full; free some space and try again.")
    return ProfileError(f"The store {path} cannot be used ({error}); restore it from a copy, or use another profile.")
