"""What of a peer's store is encrypted where its profile is locked by a passphrase, and how.

Encrypted is what opens a picture or lets somebody act for the account: content keys, the cloud's shares, the keys of
looks that were begun, what waits in the outbox; also the letters of requests, and rows that were set aside, which may
hold any of it. Names, titles, dates, counts, rights records and public previews are in clear, so that SQLite can find
and sort by them; the records hold no key that is not encrypted for somebody.

An encrypted value says so by its first bytes (`SEALED_MAGIC`), so that a store is read rightly at any moment of a
change, and whatever a change left in clear is found when the store is opened.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from shared.data_key import SEALED_MAGIC, DataKey, is_sealed
from shared.errors import ProfileError
from tui.peer.schema import place_of

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "own_images": ("content_key",),
    "pending_views": ("ephemeral",),
    "given": ("cloud_share",),
    "outbox": ("body", "signed"),
    "asks": ("row",),
    "set_aside": ("row",),
}
"""Statements must call the parameter for such a column by the column's name: by that it is encrypted."""
_NAMES: Final = frozenset(name for names in COLUMNS.values() for name in names)
_TEXT, _BYTES = b"t", b"b"
_UNDER: Final = "data_key"
"""The fact that says by which data key (`DataKey.id`) a store is encrypted."""
_NOT_WIPED: Final = "not_wiped"
"""The fact that what was in clear before may still lie in unused pages of the file."""


# --- One value -------------------------------------------------------------------------------------------------------
def sealed(parameters: Mapping[str, Any], key: DataKey | None) -> Mapping[str, Any]:
    """Return the parameters of a statement, those of secret columns encrypted if there is a key."""
    if key is None or _NAMES.isdisjoint(parameters):
        return parameters
    return {name: _sealed(name, value, key) if name in _NAMES else value for name, value in parameters.items()}


def opened(cursor: sqlite3.Cursor, values: tuple[Any, ...], key: DataKey | None) -> sqlite3.Row:
    """Return a row with what is encrypted in it in clear. A value that does not open stays as it is, which is nothing
    that such a column may hold (`tui.peer.rows`)."""
    if key is not None and any(map(is_sealed, values)):
        names = [column[0] for column in cursor.description]
        values = tuple(_opened(name, value, key) for name, value in zip(names, values, strict=True))
    return sqlite3.Row(cursor, values)


def _sealed(name: str, value: Any, key: DataKey) -> Any:
    if isinstance(value, str):
        return key.seal(name, _TEXT + value.encode("utf-8", "surrogateescape"))
    return key.seal(name, _BYTES + value) if isinstance(value, bytes) else value


def _opened(name: str, value: Any, key: DataKey) -> Any:
    if not is_sealed(value):
        return value
    try:
        plain = key.open(name, value)
    except ProfileError:
        return value
    return plain[1:].decode("utf-8", "surrogateescape") if plain.startswith(_TEXT) else plain[1:]


# --- A whole store ---------------------------------------------------------------------------------------------------
def check(sql: sqlite3.Connection, key: DataKey | None) -> None:
    """Raise `ProfileError` for a store that is encrypted under a key other than this one."""
    under = sql.execute("SELECT value FROM facts WHERE name = :name", {"name": _UNDER}).fetchone()
    if key is not None and under is not None and under[0] == key.id:
        return
    stored = _values(sql, encrypted=True)
    if stored and (key is None or all(_opened(each.column, each.value, key) is each.value for each in stored)):
        raise ProfileError(
            "What is secret in the store of this profile is encrypted under a data key that the profile does not have;"
            " restore the whole profile from one copy, or import an export of the account into a new profile."
        )


def encrypt(sql: sqlite3.Connection, key: DataKey) -> None:
    """Encrypt whatever is secret and still in clear; inside a transaction."""
    for each in _values(sql, encrypted=False):
        _replace(sql, each, _sealed(each.column, each.value, key))
        _note(sql, _NOT_WIPED, "1")
    _note(sql, _UNDER, key.id)


def decrypt(sql: sqlite3.Connection, key: DataKey) -> None:
    """Write all that is encrypted in clear; inside a transaction. What does not open becomes empty."""
    for each in _values(sql, encrypted=True):
        plain = _opened(each.column, each.value, key)
        _replace(sql, each, b"" if plain is each.value else plain)
    sql.execute("DELETE FROM facts WHERE name IN (:under, :wiped)", {"under": _UNDER, "wiped": _NOT_WIPED})


def wipe(sql: sqlite3.Connection) -> None:
    """Leave nothing in the files that was in clear before: build the database anew and empty its log. Outside a
    transaction. Raises `sqlite3.Error`, as where the disk is full; the store is as it was then."""
    if sql.execute("SELECT 1 FROM facts WHERE name = :name", {"name": _NOT_WIPED}).fetchone() is None:
        return
    sql.execute("VACUUM")
    is_busy = sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if not is_busy:
        sql.execute("DELETE FROM facts WHERE name = :name", {"name": _NOT_WIPED})


class _Stored(NamedTuple):
    """A value in a secret column, as it is stored: where it stands, `place` being the row's value of `by`."""

    table: str
    column: str
    by: str
    place: Any
    value: Any


def _values(sql: sqlite3.Connection, *, encrypted: bool) -> list[_Stored]:
    cursor = sql.cursor()
    cursor.row_factory = None
    found = []
    for table, columns in COLUMNS.items():
        by = place_of(sql, table)
        for column in columns:
            is_encrypted = f"typeof({column}) = 'blob' AND substr({column}, 1, :length) = :magic"
            rows = cursor.execute(
                f"SELECT {by}, {column} FROM {table}"  # noqa: S608 - own names
                f" WHERE {column} IS NOT NULL AND ({is_encrypted}) = :encrypted",
                {"length": len(SEALED_MAGIC), "magic": SEALED_MAGIC, "encrypted": int(encrypted)},
            )
            found += [_Stored(table, column, by, place, value) for place, value in rows.fetchall()]
    return found


def _replace(sql: sqlite3.Connection, at: _Stored, value: Any) -> None:
    sql.execute(
        f"UPDATE {at.table} SET {at.column} = :value WHERE {at.by} = :place",  # noqa: S608 - own names
        {"value": value, "place": at.place},
    )


def _note(sql: sqlite3.Connection, name: str, value: str) -> None:
    sql.execute("INSERT OR REPLACE INTO facts VALUES (:name, :value)", {"name": name, "value": value})
