"""What a store of version 1 had on its way to the cloud, carried over so that nothing of it is done twice or lost."""

import sqlite3

import msgspec

from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError
from shared.records import decode_record
from shared.wire import operations as ops
from shared.wire.codec import decode, encode

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


def carry_over(sql: sqlite3.Connection) -> None:
    """Bring the outbox of version 1 to version 2, inside a transaction.

    There, what was signed for a row stood among the facts: a whole grant, or the record of a change without the counts
    that it met. The cloud knows by the record whether the change was made. If it was not, the unknown counts make the
    cloud refuse it as overtaken, and it is signed anew.
    """
    for row in sql.execute("SELECT id, request, kind, body FROM outbox WHERE kind IN ('grant', 'rights')").fetchall():
        try:
            wish = msgspec.json.decode(bytes(row["body"]), type=_Wish)
        except (msgspec.MsgspecError, TypeError):
            continue  # it cannot be read: its delivery says so
        lane = f"rights/{wish.image}/{wish.viewer}"
        kind = "revocation" if wish.revoke else row["kind"]
        try:
            signed = _signed(sql, row["request"], wish)
        except (msgspec.MsgspecError, GlimpseError, TypeError, ValueError):
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
