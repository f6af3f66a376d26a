"""Copies that the cloud holds: stego images whose viewers are away, until their peers have stored them.

They are sealed as ever, so that no node can open them. A copy lies in parts, each of which is one row and one small
transaction on either engine; it counts for its owner's share from the moment that room was made for it. It waits for a
bounded time, never beyond the end of its grant, and goes when the viewer's peer says that it has it.
"""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

from typing import Final

from node.directory.interface import Query, Row, Step, Transaction, Tx, Value
from node.services import mail
from node.services.common import Call, Served, count, living_grant, mail_id, not_found, required
from node.services.mail import MailKind, Post
from shared.config import HELD_PART_BYTES
from shared.errors import Refused
from shared.wire.operations import (
    CopyFetched,
    CopyPart,
    CopyWaits,
    Done,
    DropHeld,
    FetchPart,
    FindHeld,
    HeldCopy,
    HoldCopy,
    HoldPart,
    parts_of,
)
from shared.wire.refusals import RefusalCode

SWEEP_PARTS: Final = 16
"""Parts deleted in one transaction."""
_UNFINISHED_KEPT_S: Final = 86_400.0
"""How long the room is kept for a copy whose parts do not come."""
_DAY_S: Final = 86_400.0


# --- The owner's peer ------------------------------------------------------------------------------------------------


def hold(call: Call, operation: HoldCopy) -> Transaction[Served]:
    """Make room for a copy, or tell the viewer of one that is whole. The same however often it is asked.

    Refuses a grant that nobody may look at any more, and, for the time being, a copy for which there is no room.
    """

    def run(tx: Tx) -> Step[Served]:
        grant = yield from _live_grant(tx, call, operation.grant)
        row = (yield Query("SELECT * FROM held_copies WHERE grant_id = :grant", {"grant": operation.grant})).one()
        same = row is not None and (row["copy_id"], row["size"], bytes(row["sha256"])) == (
            operation.copy,
            operation.size,
            operation.sha256,
        )
        until = float(row["expires"]) if row and same else (yield from _make_room(tx, call, operation, grant))
        missing = yield from _missing(operation)
        answer = HeldCopy(
            grant=operation.grant,
            copy=operation.copy,
            size=operation.size,
            sha256=operation.sha256,
            until=until,
            missing=tuple(missing),
        )
        if missing or (row is not None and same and row["whole"]):
            return Served(answer)
        yield Query("UPDATE held_copies SET whole = 1 WHERE grant_id = :grant", {"grant": operation.grant})
        viewer = int(grant["viewer_id"])
        identity = mail_id("copy waits", operation.grant, operation.copy)
        letter = CopyWaits(grant=operation.grant)
        yield from mail.deposit(tx, Post(identity, viewer, call.caller.account, MailKind.COPY_WAITS, letter))
        return Served(answer, (viewer,))

    return run


def _live_grant(tx: Tx, call: Call, grant: str) -> Step[Row]:
    return (
        yield from living_grant(
            tx,
            "SELECT viewer_id, revoked, expires FROM grants WHERE id = :grant AND owner_id = :owner" + tx.for_update,
            {"grant": grant, "owner": call.caller.account},
        )
    )


def _make_room(tx: Tx, call: Call, operation: HoldCopy, grant: Row) -> Step[float]:
    """Count the copy as held, in place of another one of the same grant; return until when. Refuses where there is no
    room, or no place at all for such copies."""
    limits = call.environment.limits
    mine: dict[str, Value] = {"owner": call.caller.account, "grant": operation.grant}
    if tx.for_update:  # two nodes must not fill one owner's share at the same time
        yield Query("SELECT id FROM accounts WHERE id = :owner" + tx.for_update, mine)
    for where, most in (("WHERE owner_id = :owner AND", limits.held_bytes_per_account), ("WHERE", limits.held_bytes)):
        held = yield from count(
            Query(f"SELECT COALESCE(SUM(size), 0) AS n FROM held_copies {where} grant_id <> :grant", mine)
        )
        if held + operation.size > most:
            raise Refused(
                RefusalCode.NOT_READY,
                "The cloud has no room to hold this image; it goes when both are online.",
            )
    until = tx.now + limits.held_days * _DAY_S
    if grant["expires"] is not None:
        until = min(until, float(grant["expires"]))
    yield tx.upsert(
        "held_copies",
        {
            "grant_id": operation.grant,
            "copy_id": operation.copy,
            "owner_id": call.caller.account,
            "size": operation.size,
            "sha256": operation.sha256,
            "whole": 0,
            "created": tx.now,
            "expires": until,
        },
        keys=("grant_id",),
    )
    return until


def _missing(operation: HoldCopy) -> Step[list[int]]:
    rows = yield Query(
        "SELECT part FROM held_parts WHERE grant_id = :grant AND copy_id = :copy",
        {"grant": operation.grant, "copy": operation.copy},
    )
    there = {int(row["part"]) for row in rows.rows}
    return [part for part in range(parts_of(operation.size)) if part not in there]


def hold_part(call: Call, operation: HoldPart) -> Transaction[Served]:
    """Keep one part of a copy for which there is room."""

    def run(tx: Tx) -> Step[Served]:
        row = yield from required(
            "copy",
            "SELECT size FROM held_copies WHERE grant_id = :grant AND copy_id = :copy AND owner_id = :owner"
            + tx.for_update,
            {"grant": operation.grant, "copy": operation.copy, "owner": call.caller.account},
        )
        rest = int(row["size"]) - operation.part * HELD_PART_BYTES
        if rest <= 0 or len(operation.data) != min(rest, HELD_PART_BYTES):
            raise Refused(RefusalCode.INVALID, "This is no part of the image: read what is missing again.")
        key: dict[str, Value] = {"grant_id": operation.grant, "copy_id": operation.copy, "part": operation.part}
        yield tx.insert_if_absent("held_parts", key | {"data": operation.data})
        return Served(Done())

    return run


# --- The viewer's peer -----------------------------------------------------------------------------------------------


def find(call: Call, operation: FindHeld) -> Transaction[HeldCopy]:
    """Return the copy that waits for this viewer."""

    def run(tx: Tx) -> Step[HeldCopy]:
        row = yield from _waiting(tx, call, operation.grant)
        return HeldCopy(
            grant=operation.grant,
            copy=row["copy_id"],
            size=int(row["size"]),
            sha256=bytes(row["sha256"]),
            until=float(row["expires"]),
        )

    return run


def fetch(call: Call, operation: FetchPart) -> Transaction[CopyPart]:
    """Return a part of the copy that waits for this viewer."""

    def run(tx: Tx) -> Step[CopyPart]:
        row = yield from _waiting(tx, call, operation.grant)
        if row["copy_id"] != operation.copy:
            raise not_found("copy")
        found = yield from required(
            "copy",
            "SELECT data FROM held_parts WHERE grant_id = :grant AND copy_id = :copy AND part = :part",
            {"grant": operation.grant, "copy": operation.copy, "part": operation.part},
        )
        return CopyPart(data=bytes(found["data"]))

    return run


def _waiting(tx: Tx, call: Call, grant: str) -> Step[Row]:
    return (
        yield from required(
            "copy",
            "SELECT h.copy_id, h.size, h.sha256, h.expires FROM held_copies h JOIN grants g ON g.id = h.grant_id "
            "WHERE h.grant_id = :grant AND h.whole = 1 AND h.expires > :now AND g.viewer_id = :viewer "
            "AND g.revoked = 0 AND (g.expires IS NULL OR g.expires > :now)",
            {"grant": grant, "viewer": call.caller.account, "now": tx.now},
        )
    )


def drop(call: Call, operation: DropHeld) -> Transaction[Served]:
    """Hold a copy no longer: its viewer has it, and its owner is told so. Its parts go with the next sweep."""
    this = {"grant": operation.grant, "copy": operation.copy}

    def run(tx: Tx) -> Step[Served]:
        grant = yield from required(
            "grant",
            "SELECT image_id, owner_id FROM grants WHERE id = :grant AND viewer_id = :viewer",
            {"grant": operation.grant, "viewer": call.caller.account},
        )
        held = yield Query("SELECT whole, created FROM held_copies WHERE grant_id = :grant AND copy_id = :copy", this)
        gone = yield Query("DELETE FROM held_copies WHERE grant_id = :grant AND copy_id = :copy", this)
        row, owner = held.one(), int(grant["owner_id"])
        if row is None or not row["whole"] or not gone.rowcount or not operation.stored:
            return Served(Done())
        if (yield from mail.is_full(owner, call.caller.account, MailKind.COPY_FETCHED)):
            return Served(Done())  # it costs the news only: the list of viewers says what waits
        letter = CopyFetched(
            grant=operation.grant,
            image=grant["image_id"],
            viewer=call.caller.account,
            viewer_name=call.caller.name,
        )
        identity = mail_id("copy fetched", operation.grant, operation.copy, row["created"])
        yield from mail.deposit(tx, Post(identity, owner, call.caller.account, MailKind.COPY_FETCHED, letter))
        return Served(Done(), (owner,))

    return run


# --- Sweeping --------------------------------------------------------------------------------------------------------


def sweep(tx: Tx) -> Step[int]:
    """End copies whose time is over, and delete some parts that belong to none; return how many parts went."""
    yield Query(
        "DELETE FROM held_copies WHERE expires <= :now OR (whole = 0 AND created <= :begun) "
        "OR EXISTS (SELECT 1 FROM grants g WHERE g.id = held_copies.grant_id AND (g.revoked = 1 OR g.expires <= :now))",
        {"now": tx.now, "begun": tx.now - _UNFINISHED_KEPT_S},
    )
    rows = yield Query(
        "SELECT p.grant_id, p.copy_id, p.part FROM held_parts p LEFT JOIN held_copies h "
        "ON h.grant_id = p.grant_id AND h.copy_id = p.copy_id WHERE h.grant_id IS NULL "
        f"ORDER BY p.grant_id, p.copy_id, p.part LIMIT {SWEEP_PARTS}"
    )
    for row in rows.rows:
        yield Query(
            "DELETE FROM held_parts WHERE grant_id = :grant_id AND copy_id = :copy_id AND part = :part", dict(row)
        )
    return len(rows.rows)
