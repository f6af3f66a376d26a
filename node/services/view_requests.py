"""Asks: a viewer asks an owner for views, takes it back, or is answered."""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

from collections.abc import Sequence
from typing import Final, Literal

from node.directory.interface import Query, Row, Step, Transaction, Tx, Value
from node.services import accounts, mail
from node.services.common import READY, WITHDRAWN, Call, Caller, Served, count, mail_id, not_found, page_of, read_epoch
from node.services.mail import MailKind, Post
from shared.errors import Refused
from shared.text import clean
from shared.wire.operations import (
    AskAnswered,
    AskArrived,
    AskMade,
    AskRow,
    Asks,
    AskViews,
    AskWithdrawn,
    Done,
    ListAsks,
    RejectAsk,
    WithdrawAsk,
)
from shared.wire.refusals import RefusalCode

PENDING_PER_IMAGE: Final = 5
"""Unanswered asks of one viewer for one image; more would only bury the owner."""
CLOSED_AT_ONCE: Final = 200
"""Asks closed in the transaction that withdraws their image; `close_withdrawn_batch` closes what is left, so that an
image that thousands ask for holds up nobody."""
WITHDRAWN_REASON: Final = "The owner no longer offers this image."
"""Reason of an ask that the withdrawal of its image closed; also how such an ask is told from one that its owner
rejected."""

_COLUMNS: Final = (
    "k.id, k.image_id, i.title, k.owner_id, o.name AS owner_name, o.signing_key AS owner_key, k.viewer_id, "
    "v.name AS viewer_name, v.signing_key AS viewer_key, "
    "k.views, k.note, k.state, k.reason, k.created, k.answered, k.grant_id"
)
_TABLES: Final = (
    "asks k JOIN images i ON i.id = k.image_id JOIN accounts v ON v.id = k.viewer_id "
    "JOIN accounts o ON o.id = k.owner_id"
)


def ask_row(row: Row) -> AskRow:
    """Return an ask as it travels."""
    return AskRow(
        ask=row["id"],
        image=row["image_id"],
        title=row["title"],
        owner=row["owner_id"],
        viewer=row["viewer_id"],
        viewer_name=row["viewer_name"],
        viewer_key=bytes(row["viewer_key"]),
        views=row["views"],
        note=row["note"],
        state=row["state"],
        reason=row["reason"],
        created=row["created"],
        answered=row["answered"],
        grant=row["grant_id"],
        owner_name=row["owner_name"],
        owner_key=bytes(row["owner_key"]),
    )


def read_ask(ask: str) -> Step[AskRow]:
    """Return one ask that is known to be there."""
    rows = yield Query(f"SELECT {_COLUMNS} FROM {_TABLES} WHERE k.id = :ask", {"ask": ask})
    return ask_row(rows.rows[0])


def make(call: Call, operation: AskViews) -> Transaction[Served]:
    """Write an ask under the id of its request and mail it to the owner."""
    caller, request_id = call.caller, call.request_id

    def run(tx: Tx) -> Step[Served]:
        image = yield from _image_to_ask(caller, operation.image)
        owner = int(image["owner_id"])
        row: dict[str, Value] = {
            "id": request_id,
            "image_id": operation.image,
            "viewer_id": caller.account,
            "owner_id": owner,
            "views": operation.views,
            "note": clean(operation.note),
            "state": "pending",
            "reason": "",
            "grant_id": None,
            "created": tx.now,
            "answered": None,
        }
        nudges: tuple[int, ...] = ()
        if (yield tx.insert_if_absent("asks", row)).rowcount:
            if image["state"] != READY:
                raise _withdrawn()
            yield from _refuse_too_many(caller, operation.image)
            yield from mail.refuse_if_full(owner, caller.account, MailKind.ASK)
            letter = AskArrived(ask=(yield from read_ask(request_id)))
            # One that is asked again after a restore is news once more: its owner's peer may have to answer it again.
            identity = mail_id("ask", request_id, (yield from read_epoch()))
            yield from mail.deposit(tx, Post(identity, owner, caller.account, MailKind.ASK, letter))
            nudges = (owner,)
        else:
            yield from _same_ask(tx, caller, request_id, operation)
        online = yield from accounts.is_online(owner, tx.clock, call.environment.longest_presence_s)
        return Served(AskMade(ask=request_id, owner=owner, owner_online=online), nudges)

    return run


def _image_to_ask(caller: Caller, image: str) -> Step[Row]:
    rows = yield Query("SELECT owner_id, state FROM images WHERE id = :image", {"image": image})
    row = rows.one()
    if row is None:
        raise _not_offered()
    if row["owner_id"] == caller.account:
        raise Refused(RefusalCode.NOT_ALLOWED, "This image is your own: open it without asking.")
    return row


def _withdrawn() -> Refused:
    # Told apart from an image that is not there: a restored directory may get that back, and a request waits for it.
    return Refused(RefusalCode.NOT_ALLOWED, "This image is not offered any more: refresh the list.")


def _not_offered() -> Refused:
    return Refused(RefusalCode.NOT_FOUND, "This image is not offered any more: refresh the list.")


def _refuse_too_many(caller: Caller, image: str) -> Step[None]:
    pending = yield from count(
        Query(
            "SELECT COUNT(*) AS n FROM asks WHERE image_id = :image AND viewer_id = :viewer AND state = 'pending'",
            {"image": image, "viewer": caller.account},
        )
    )
    if pending > PENDING_PER_IMAGE:
        raise Refused(
            RefusalCode.MAILBOX_FULL,
            "Your earlier requests for this image are still unanswered: wait, or take one back.",
        )


def _same_ask(tx: Tx, caller: Caller, request_id: str, operation: AskViews) -> Step[None]:
    """Accept a repeat of an ask that stands; refuse an id that belongs to another."""
    rows = yield Query(
        "SELECT image_id, viewer_id, views FROM asks WHERE id = :ask" + tx.for_update, {"ask": request_id}
    )
    row = rows.rows[0]
    if (row["viewer_id"], row["image_id"], row["views"]) != (caller.account, operation.image, operation.views):
        raise Refused(RefusalCode.ID_REUSED, "This request id was already used: ask again.")


def withdraw(call: Call, operation: WithdrawAsk) -> Transaction[Served]:
    """Take back a caller's own unanswered ask and tell the owner."""

    def run(tx: Tx) -> Step[Served]:
        row = yield from _locked(tx, operation.ask, "viewer_id", call.caller)
        if row["state"] == "withdrawn":
            return Served(Done())
        _refuse_answered(row)
        yield _close(operation.ask, "withdrawn", tx.now)
        owner = row["owner_id"]
        identity = mail_id("ask withdrawn", operation.ask)
        letter = AskWithdrawn(ask=operation.ask)
        yield from mail.deposit(tx, Post(identity, owner, call.caller.account, MailKind.ASK_WITHDRAWN, letter))
        return Served(Done(), (owner,))

    return run


def reject(call: Call, operation: RejectAsk) -> Transaction[Served]:
    """Answer an ask for a caller's own image with no and tell the viewer; saying no twice is saying it once."""

    def run(tx: Tx) -> Step[Served]:
        row = yield from _locked(tx, operation.ask, "owner_id", call.caller)
        if row["state"] == "rejected":
            return Served(Done())
        _refuse_answered(row)
        yield _close(operation.ask, "rejected", tx.now, reason=clean(operation.reason))
        viewer = row["viewer_id"]
        letter = AskAnswered(ask=(yield from read_ask(operation.ask)))
        identity = mail_id("ask answered", operation.ask)
        yield from mail.deposit(tx, Post(identity, viewer, call.caller.account, MailKind.ASK_ANSWERED, letter))
        return Served(Done(), (viewer,))

    return run


def _locked(tx: Tx, ask: str, party: Literal["owner_id", "viewer_id"], caller: Caller) -> Step[Row]:
    """Lock the row of an ask in which the caller has a part, or refuse."""
    rows = yield Query(
        f"SELECT owner_id, viewer_id, image_id, state, reason, grant_id FROM asks "
        f"WHERE id = :ask AND {party} = :caller{tx.for_update}",
        {"ask": ask, "caller": caller.account},
    )
    row = rows.one()
    if row is None:
        raise not_found("request")
    return row


def _refuse_answered(row: Row, code: RefusalCode = RefusalCode.CONFLICT) -> None:
    if row["state"] != "pending":
        raise Refused(code, f"This request is already {row['state']}: refresh the list to see how it ended.")


def _closed_with_image(row: Row) -> bool:
    return (row["state"], row["reason"]) == ("rejected", WITHDRAWN_REASON)


def _close(ask: str, state: str, now: float, *, reason: str = "", grant: str | None = None) -> Query:
    return Query(
        "UPDATE asks SET state = :state, reason = :reason, grant_id = :grant_id, answered = :now WHERE id = :ask",
        {"ask": ask, "state": state, "reason": reason, "grant_id": grant, "now": now},
    )


def accept(tx: Tx, caller: Caller, ask: str, *, image: str, viewer: int, grant: str) -> Step[None]:
    """Close an ask as accepted by a grant, as a part of the owner's transaction.

    Refuses an ask that is already answered or taken back, so that the views asked for are given at most once. The
    withdrawal of an image answers nothing: what its owner accepted before may arrive after it, and is given.
    """
    row = yield from _locked(tx, ask, "owner_id", caller)
    if row["image_id"] != image or row["viewer_id"] != viewer:
        raise Refused(RefusalCode.INVALID, "This request is about another image or person: refresh the list.")
    if not _closed_with_image(row):
        # Not a conflict: reading the grant again and repeating the change would never mend it.
        _refuse_answered(row, RefusalCode.NOT_ALLOWED)
    yield _close(ask, "accepted", tx.now, grant=grant)


def close_of_image(tx: Tx, image: str) -> Step[tuple[int, ...]]:
    """Answer pending asks for an image that is no longer offered with no, as a part of the withdrawal.

    Returns the accounts that were mailed. At most `CLOSED_AT_ONCE` are closed; the oldest first.
    """
    rows = yield Query(
        "SELECT id, owner_id, viewer_id FROM asks WHERE image_id = :image AND state = 'pending' "
        f"ORDER BY created, id LIMIT {CLOSED_AT_ONCE}{tx.for_update}",
        {"image": image},
    )
    return (yield from _close_unoffered(tx, rows.rows))


def close_withdrawn_batch(tx: Tx) -> Step[int]:
    """Close a batch of asks that are pending although their image was withdrawn; return how many there were."""
    rows = yield Query(
        "SELECT k.id, k.owner_id, k.viewer_id FROM asks k JOIN images i ON i.id = k.image_id "
        f"WHERE k.state = 'pending' AND i.state = :withdrawn ORDER BY k.created, k.id LIMIT {CLOSED_AT_ONCE}",
        {"withdrawn": WITHDRAWN},
    )
    yield from _close_unoffered(tx, rows.rows)
    return len(rows.rows)


def _close_unoffered(tx: Tx, rows: Sequence[Row]) -> Step[tuple[int, ...]]:
    for row in rows:
        yield _close(row["id"], "rejected", tx.now, reason=WITHDRAWN_REASON)
        letter = AskAnswered(ask=(yield from read_ask(row["id"])))
        identity = mail_id("ask answered", row["id"])
        yield from mail.deposit(tx, Post(identity, row["viewer_id"], row["owner_id"], MailKind.ASK_ANSWERED, letter))
    return tuple(sorted({int(row["viewer_id"]) for row in rows}))


def listed(call: Call, operation: ListAsks) -> Transaction[Asks]:
    """Return a page of the asks that the caller got or made, newest first, or the one that is asked for."""

    def run(_: Tx) -> Step[Asks]:
        party = "owner_id" if operation.incoming else "viewer_id"
        mine: dict[str, Value] = {"caller": call.caller.account}
        only = ""
        if operation.ask is not None:
            mine["ask"], only = operation.ask, " AND k.id = :ask"
        total = yield from count(Query(f"SELECT COUNT(*) AS n FROM asks k WHERE k.{party} = :caller{only}", mine))
        rows = yield Query(
            f"SELECT {_COLUMNS} FROM {_TABLES} WHERE k.{party} = :caller{only} "
            f"ORDER BY k.created DESC, k.id DESC{page_of(operation.page)}",
            mine,
        )
        return Asks(rows=[ask_row(row) for row in rows.rows], total=total)

    return run
