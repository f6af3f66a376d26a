"""The tables of a peer's store, version by version, and how what an older version left is carried over."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError, ProfileError
from shared.records import decode_record
from shared.wire import operations as ops
from shared.wire.codec import decode, encode

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
    version INTEGER NOT NULL, consumed INTEGER NOT NULL, cloud_share BLOB,
    share_signature BLOB) WITHOUT ROWID;
CREATE TABLE seen_views (
    view TEXT PRIMARY KEY, image TEXT NOT NULL, viewer INTEGER NOT NULL, viewer_name TEXT NOT NULL, at REAL NOT NULL,
    left INTEGER NOT NULL, grant_id TEXT, consumed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT, from_table TEXT NOT NULL, reason TEXT NOT NULL, row TEXT NOT NULL,
    at REAL NOT NULL);
"""
_VERSION_3 = """
CREATE TABLE previews (image TEXT PRIMARY KEY, preview BLOB NOT NULL, mark TEXT NOT NULL) WITHOUT ROWID;
"""
_VERSION_4 = """
ALTER TABLE own_images ADD COLUMN receipt BLOB;
ALTER TABLE given ADD COLUMN wishes BLOB;
"""
_VERSION_5 = """
ALTER TABLE outbox ADD COLUMN ask TEXT;
"""
_CAP_BYTES = 4 * MAX_MESSAGE_BYTES
_NEVER_MET = 2**53
"""More views than can be spent: a change that was met like this is never made anew, only found made."""
_UNREADABLE = b""
"""Nobody can tell whether such a change was made, so it must not be signed anew: its delivery says so."""


class _Wish(msgspec.Struct, frozen=True):
    """What the body of a waiting grant or change of rights says of it."""

    image: str
    viewer: int
    revoke: bool = False
    ask: str | None = None


def _carry_over(sql: sqlite3.Connection) -> None:
    """Bring the outbox of version 1 to version 2, inside a transaction.

    There, what was signed for a row stood among the facts: a whole grant, or the record of a change without the counts
    that it met. The cloud knows by the record whether the change was made. If it was not, the unknown counts make the
    cloud refuse it as overtaken, and it is signed anew.
    """
    for row in sql.execute("SELECT id, request, kind, body FROM outbox WHERE kind IN ('grant', 'rights')").fetchall():
        try:
            wish = msgspec.json.decode(bytes(row["body"]), type=_Wish)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
            continue  # it cannot be read: its delivery says so
        lane = f"rights/{wish.image}/{wish.viewer}"
        kind = "revocation" if wish.revoke else row["kind"]
        try:
            signed = _signed(sql, row["request"], wish)
        except (msgspec.MsgspecError, GlimpseError, TypeError, ValueError, RecursionError):
            signed = _UNREADABLE
        sql.execute(
            "UPDATE outbox SET lane = :lane, kind = :kind, signed = :signed WHERE id = :id",
            {"lane": lane, "kind": kind, "signed": signed, "id": row["id"]},
        )
    sql.execute("UPDATE outbox SET lane = 'request/' || request WHERE kind = 'operation' AND what = 'request'")
    sql.execute("DELETE FROM facts WHERE name GLOB 'grant *' OR name GLOB 'signed *'")


def _signed(sql: sqlite3.Connection, request: str, wish: _Wish) -> bytes | None:
    facts = dict(
        sql.execute(
            "SELECT name, value FROM facts WHERE name IN (:change, :grant)",
            {"change": f"signed {request}", "grant": f"grant {request}"},
        ).fetchall()
    )
    if (change := facts.get(f"signed {request}")) is not None:
        grant, _, data = str(change).partition(" ")
        record = decode_record(bytes.fromhex(data))
        operation = ops.ChangeRights(
            grant=grant,
            record=bytes.fromhex(data),
            met_version=record.version - 1,
            met_consumed=_NEVER_MET,
            ask=wish.ask,
        )
        return encode(operation, cap_bytes=_CAP_BYTES)
    if (made := facts.get(f"grant {request}")) is not None:
        decode(bytes.fromhex(made), ops.Grant, cap_bytes=_CAP_BYTES)
        return bytes.fromhex(made)
    return None


class _Answer(msgspec.Struct, frozen=True):
    """What the body of a waiting grant or change of rights of version 4 says of the request that it answers."""

    ask: str | None = None


def _fill_asks(sql: sqlite3.Connection) -> None:
    """Bring the outbox of version 4 to version 5: the request that a row answers moves from its body to a column.

    A row whose body cannot be read keeps none: its delivery sets it aside.
    """
    for row in sql.execute("SELECT id, kind, what, body FROM outbox").fetchall():
        try:
            ask = _answered_in_version_4(row["kind"], row["what"], bytes(row["body"]))
        except (msgspec.MsgspecError, GlimpseError, TypeError, ValueError, RecursionError):
            continue
        sql.execute("UPDATE outbox SET ask = :ask WHERE id = :id", {"ask": ask, "id": row["id"]})


def _answered_in_version_4(kind: str, what: str, body: bytes) -> str | None:
    if kind in ("grant", "rights", "revocation"):
        return msgspec.json.decode(body, type=_Answer).ask
    if (kind, what) == ("operation", "rejection"):
        return decode(body, ops.RejectAsk, cap_bytes=_CAP_BYTES).ask
    return None


_VERSION_6 = """
DROP TABLE rewrites;
CREATE TABLE rewrites (path TEXT PRIMARY KEY, edits BLOB NOT NULL) WITHOUT ROWID;
"""
"""A rewrite that an older version had begun and not finished is not gone on with: the copy does not open, and its owner
is asked for another."""


Migration = tuple[str, Callable[[sqlite3.Connection], None] | None]
MIGRATIONS: Final[tuple[Migration, ...]] = (
    (_VERSION_1, None),
    (_VERSION_2, _carry_over),
    (_VERSION_3, None),
    (_VERSION_4, None),
    (_VERSION_5, _fill_asks),
    (_VERSION_6, None),
)
"""Each brings a store from the version before to its own: statements, then what they cannot say.

A migration that has been released is never changed. One after version 5 that touches what is encrypted in locked
profiles (`tui.peer.at_rest`) reads it in clear, and leaves what it writes to be encrypted when it has ended.
"""


def migrate(sql: sqlite3.Connection, path: Path) -> None:
    """Bring a store to this version, one version a transaction. Raises `ProfileError` for one of a newer Glimpse."""
    version = sql.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise ProfileError(f"{path} was written by a newer Glimpse; update this one.")
    for number, (script, carry_over) in enumerate(MIGRATIONS[version:], start=version + 1):
        sql.execute("BEGIN IMMEDIATE")
        try:
            for statement in filter(str.strip, script.split(";")):
                sql.execute(statement)
            if carry_over is not None:
                carry_over(sql)
            sql.execute(f"PRAGMA user_version = {number}")
            sql.execute("COMMIT")
        except BaseException:
            if sql.in_transaction:
                sql.execute("ROLLBACK")
            raise


def place_of(sql: sqlite3.Connection, table: str) -> str:
    """Return what names a row of a table for sure, whatever its key holds: its row id, or all of its key's bytes."""
    columns = sql.execute(f"PRAGMA table_info({table})").fetchall()
    definitions = sql.execute("SELECT sql FROM sqlite_master WHERE name = :table", {"table": table}).fetchall()
    if "WITHOUT ROWID" not in "".join(str(row["sql"]).upper() for row in definitions):
        return "rowid"
    return " || ".join(f"typeof({row['name']}) || hex({row['name']})" for row in columns if row["pk"])
