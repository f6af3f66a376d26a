"""Views: the one place where a look is counted, and where the cloud's share of a key leaves the directory.

A view is a row whose key is the id of its request. Counting, row and mail are one transaction that holds the grant's
row, so that of any number of looks at once exactly as many are counted as were granted. The answer is never stored: a
repeat finds the row and has the share sealed again, to the same key only, for a short time, until it was taken.

Copies of a viewer's profile can all hold the answer to one view. Whose TAKEN comes first may show the picture, for
ever; it is known by its request id, which was drawn after the answer and is in no copy.
"""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

from dataclasses import dataclass
from typing import Final

from node.directory.interface import Query, Row, Step, Transaction, Tx, Value
from node.services import mail
from node.services.common import Call, Caller, Served, count, mail_id, own_image, page_of, read_epoch, refused, required
from node.services.freezing import Frozen, freeze_if_behind
from node.services.holdings import state_of
from node.services.mail import MailKind, Post
from shared.config import VIEW_REPEAT_S
from shared.errors import Refused, RemoteError, ViewRefused
from shared.ledger import left, refusal
from shared.ledger import spend as spend_one
from shared.rights import seal_share_for_view, verify_spend
from shared.wire.operations import (
    Done,
    KnownCount,
    LookEnded,
    SpendView,
    TakenView,
    ViewHappened,
    ViewRow,
    ViewRows,
    ViewsLog,
    ViewSpent,
)
from shared.wire.refusals import REFUSAL_TEXTS, RefusalCode

_SHARE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Spent:
    """A counted view with the share that it releases; never stored, never logged."""

    share: bytes
    left: int
    at: float
    version: int
    consumed: int
    nudges: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Spent(left={self.left}, at={self.at}, version={self.version}, consumed={self.consumed})"


def spend(call: Call, operation: SpendView) -> Transaction[Spent | Frozen]:
    """Count one view, or find it counted. Raises ViewRefused where no view may be had; nothing is counted then.

    Returns `Frozen` where the directory turns out to be behind what the viewer knows. Refuses what the viewer's own key
    has not signed, and a key that nothing can be sealed to.
    """
    caller, view, box = call.caller, call.request_id, call.environment.box
    try:
        verify_spend(
            caller.signing_key,
            operation.signature,
            call.environment.cluster_id,
            operation.grant,
            view,
            operation.ephemeral_key,
        )
    except RemoteError:
        raise Refused(
            RefusalCode.NOT_ALLOWED, "A look needs the signature of the viewer's own key: check the profile."
        ) from None
    _seal(call, operation, bytes(_SHARE_BYTES))

    def run(tx: Tx) -> Step[Spent | Frozen]:
        grant = yield from _locked(tx, caller, operation.grant)
        reported = KnownCount(grant=operation.grant, version=operation.known_version, consumed=operation.known_consumed)
        if (frozen := (yield from freeze_if_behind(tx, caller, grant, reported))) is not None:
            return frozen
        epoch = yield from read_epoch()
        state = state_of(grant, epoch)
        row: dict[str, Value] = {
            "id": view,
            "grant_id": operation.grant,
            "viewer_id": caller.account,
            "ephemeral_key": operation.ephemeral_key,
            "granted_left_after": max(0, left(state) - 1),
            "consumed_after": state.consumed + 1,
            "at": tx.now,
            "taken": None,
        }
        share = box.open(operation.grant, bytes(grant["cloud_share"]))
        if not (yield tx.insert_if_absent("views", row)).rowcount:
            first = yield from _repeat(tx, caller, view, operation)
            if (code := refusal(state, tx.now)) not in (None, RefusalCode.NO_VIEWS):
                raise _no_view(code)
            consumed = state.consumed if first["consumed_after"] is None else first["consumed_after"]
            return Spent(share, first["granted_left_after"], first["at"], state.version, consumed, ())
        counted = spend_one(state, tx.now)
        yield Query(
            "UPDATE grants SET consumed = :consumed WHERE id = :grant",
            {"consumed": counted.consumed, "grant": operation.grant},
        )
        seen = ViewRow(
            view=view,
            viewer=caller.account,
            viewer_name=caller.name,
            at=tx.now,
            left=left(counted),
            taken=False,
            grant=operation.grant,
            consumed=counted.consumed,
        )
        yield from _tell_owner(tx, caller, grant, seen)
        return Spent(share, left(counted), tx.now, counted.version, counted.consumed, (grant["owner_id"],))

    return run


def answer(call: Call, operation: SpendView, spent: Spent) -> ViewSpent:
    """Return the answer to a counted view, with the share sealed to the viewer's fresh key."""
    return ViewSpent(
        view=call.request_id,
        grant=operation.grant,
        sealed_share=_seal(call, operation, spent.share),
        left=spent.left,
        at=spent.at,
        version=spent.version,
        consumed=spent.consumed,
    )


def _seal(call: Call, operation: SpendView, share: bytes) -> bytes:
    return seal_share_for_view(
        share,
        operation.ephemeral_key,
        cluster_id=call.environment.cluster_id,
        grant_id=operation.grant,
        view_id=call.request_id,
    )


def _locked(tx: Tx, caller: Caller, grant: str) -> Step[Row]:
    """Lock the row of a grant to the caller, so that looks on it are counted one after the other."""
    return (
        yield from required(
            "grant",
            "SELECT image_id, owner_id, granted, consumed, expires, revoked, version, epoch, cloud_share FROM grants "
            "WHERE id = :grant AND viewer_id = :viewer" + tx.for_update,
            {"grant": grant, "viewer": caller.account},
        )
    )


def _repeat(tx: Tx, caller: Caller, view: str, operation: SpendView) -> Step[Row]:
    """Return the row of a view that was counted before, if it may be answered again."""
    rows = yield Query(
        "SELECT grant_id, viewer_id, ephemeral_key, granted_left_after, consumed_after, at, taken FROM views "
        "WHERE id = :view" + tx.for_update,
        {"view": view},
    )
    row = rows.rows[0]
    if (row["viewer_id"], row["grant_id"]) != (caller.account, operation.grant):
        raise refused(RefusalCode.ID_REUSED)
    is_over = row["taken"] is not None or tx.now - row["at"] > VIEW_REPEAT_S
    if is_over or bytes(row["ephemeral_key"]) != operation.ephemeral_key:
        raise _no_view(RefusalCode.REPEAT_OVER)
    return row


def _tell_owner(tx: Tx, caller: Caller, grant: Row, seen: ViewRow) -> Step[None]:
    """Mail the view to the owner. A full mailbox costs the notice only: the log of views has them all."""
    owner = grant["owner_id"]
    if (yield from mail.is_full(owner, caller.account, MailKind.VIEW)):
        return
    letter = ViewHappened(image=grant["image_id"], view=seen)
    yield from mail.deposit(tx, Post(mail_id("view", seen.view), owner, caller.account, MailKind.VIEW, letter))


# --- What becomes of a view ------------------------------------------------------------------------------------------


def take(call: Call, operation: TakenView) -> Transaction[Served]:
    """Mark a caller's own view as taken by this request: it is never answered again, and nobody else may take it.

    The same request again is done already. Raises ViewRefused with `repeat_over` for any other, and with the ledger's
    reason where the right has ended since the view was counted.
    """

    def run(tx: Tx) -> Step[Served]:
        row, grant = yield from _own_view(tx, call.caller, operation.view)
        if row["taken"] is not None:
            if row["taken_by"] == call.request_id:
                return Served(Done())
            raise _no_view(RefusalCode.REPEAT_OVER)
        state = state_of(grant, (yield from read_epoch()))
        if (code := refusal(state, tx.now)) not in (None, RefusalCode.NO_VIEWS):
            raise _no_view(code)
        taken = yield Query(
            "UPDATE views SET taken = :now, taken_by = :request WHERE id = :view AND taken IS NULL",
            {"now": tx.now, "request": call.request_id, "view": operation.view},
        )
        if not taken.rowcount:
            raise _no_view(RefusalCode.REPEAT_OVER)
        return Served(Done())

    return run


def ended(call: Call, operation: LookEnded) -> Transaction[Served]:
    """Note how long a caller's own view was looked at, as its peer says. The first word on it holds.

    No look lasts longer than the time since it was counted.
    """

    def run(tx: Tx) -> Step[Served]:
        row, _ = yield from _own_view(tx, call.caller, operation.view)
        yield Query(
            "UPDATE views SET lasted = :lasted WHERE id = :view AND lasted IS NULL",
            {"lasted": min(operation.lasted_s, max(0.0, tx.now - row["at"])), "view": operation.view},
        )
        return Served(Done())

    return run


def _own_view(tx: Tx, caller: Caller, view: str) -> Step[tuple[Row, Row]]:
    """Return the rows of a caller's own view and of its grant.

    The grant's row is held first, as by whoever counts a view, so that no two transactions wait for each other.
    """
    row = yield from required(
        "view",
        "SELECT grant_id FROM views WHERE id = :view AND viewer_id = :viewer",
        {"view": view, "viewer": caller.account},
    )
    grant = yield from _locked(tx, caller, row["grant_id"])
    rows = yield Query("SELECT at, taken, taken_by FROM views WHERE id = :view" + tx.for_update, {"view": view})
    return rows.rows[0], grant


def log(call: Call, operation: ViewsLog) -> Transaction[ViewRows]:
    """Return a page of the views of a caller's own image, newest first."""

    def run(_: Tx) -> Step[ViewRows]:
        parameters: dict[str, Value] = {"image": operation.image, "owner": call.caller.account}
        yield from own_image(call.caller, operation.image)
        tables = "views w JOIN grants g ON g.id = w.grant_id"
        where = "g.image_id = :image AND g.owner_id = :owner"
        total = yield from count(Query(f"SELECT COUNT(*) AS n FROM {tables} WHERE {where}", parameters))
        rows = yield Query(
            "SELECT w.id, w.grant_id, w.viewer_id, v.name AS viewer_name, w.at, w.granted_left_after, w.taken, "
            "w.consumed_after, w.lasted "
            f"FROM {tables} JOIN accounts v ON v.id = w.viewer_id WHERE {where} "
            f"ORDER BY w.at DESC, w.id{page_of(operation.page)}",
            parameters,
        )
        return ViewRows(image=operation.image, rows=[_view_row(row) for row in rows.rows], total=total)

    return run


def _view_row(row: Row) -> ViewRow:
    return ViewRow(
        view=row["id"],
        viewer=row["viewer_id"],
        viewer_name=row["viewer_name"],
        at=row["at"],
        left=row["granted_left_after"],
        taken=row["taken"] is not None,
        grant=row["grant_id"],
        consumed=row["consumed_after"] or 0,
        lasted_s=row["lasted"],
    )


def _no_view(code: RefusalCode) -> ViewRefused:
    return ViewRefused(code, REFUSAL_TEXTS[code])
