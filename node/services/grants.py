"""Grants: an owner gives a viewer a counted right, changes it, takes it back; both read how it stands."""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

import hashlib
from typing import Final

from node.directory.interface import Query, Row, Step, Transaction, Tx, Value
from node.services import asks, mail
from node.services.common import Effect, Known, count, mail_id, not_found, page_of, read_epoch
from node.services.mail import MailKind, Post
from shared.errors import Refused, RemoteError
from shared.ledger import LedgerState, apply_change
from shared.rights import RightsRecord, decode_record, supersedes, verify_cloud_share_deposit, verify_record
from shared.wire.operations import (
    ChangeRights,
    GetGrant,
    Grant,
    GrantArrived,
    GrantRow,
    Grants,
    GrantState,
    ListGrants,
    RightsChanged,
)
from shared.wire.refusals import RefusalCode

_COLUMNS: Final = (
    "g.id, g.image_id, i.title, g.owner_id, o.name AS owner_name, g.viewer_id, v.name AS viewer_name, "
    "g.granted, g.consumed, g.expires, g.revoked, g.version, g.record, g.epoch"
)
_TABLES: Final = (
    "grants g JOIN images i ON i.id = g.image_id JOIN accounts o ON o.id = g.owner_id "
    "JOIN accounts v ON v.id = g.viewer_id"
)


def grant_row(row: Row, epoch: int) -> GrantRow:
    """Return a grant as it travels, seen from the directory's present epoch."""
    return GrantRow(
        grant=row["id"],
        image=row["image_id"],
        title=row["title"],
        owner=row["owner_id"],
        owner_name=row["owner_name"],
        viewer=row["viewer_id"],
        viewer_name=row["viewer_name"],
        granted=row["granted"],
        consumed=row["consumed"],
        expires=row["expires"],
        revoked=bool(row["revoked"]),
        frozen=row["epoch"] < epoch,
        version=row["version"],
        record=bytes(row["record"]),
    )


def read_grant(grant: str, epoch: int) -> Step[GrantRow]:
    """Return one grant that is known to be there."""
    rows = yield Query(f"SELECT {_COLUMNS} FROM {_TABLES} WHERE g.id = :grant", {"grant": grant})
    return grant_row(rows.rows[0], epoch)


# --- Checks that need no directory -----------------------------------------------------------------------------------


def checked_record(caller: Known, grant: str, encoded: bytes) -> RightsRecord:
    """Return the record if it is valid, signed by the caller, and about this grant."""
    try:
        record = decode_record(encoded)
        verify_record(record)
    except RemoteError:
        raise Refused(
            RefusalCode.INVALID, "The rights record is damaged or not signed by its owner: sign it again."
        ) from None
    if record.owner_key != caller.signing_key or record.grant_id != grant:
        raise Refused(RefusalCode.INVALID, "The rights record is about another grant or owner: sign it again.")
    return record


def check_share(operation: Grant, record: RightsRecord) -> None:
    """Refuse a share that its owner did not sign for this grant, or that the record does not commit to."""
    try:
        verify_cloud_share_deposit(record, operation.cloud_share, operation.share_signature)
    except RemoteError:
        raise Refused(
            RefusalCode.INVALID, "The share of the key is not the one that the rights record names: grant it again."
        ) from None
    if record.version != 1 or record.revoked or record.image_id != operation.image:
        raise Refused(RefusalCode.INVALID, "The rights record does not begin a grant on this image: grant it again.")


# --- Giving ----------------------------------------------------------------------------------------------------------


def give(caller: Known, operation: Grant, record: RightsRecord, closed_share: bytes) -> Transaction[Effect]:
    """Write a new grant, close its ask, and mail it to the viewer; the same grant again finds it made."""
    digest = hashlib.sha256(operation.record).digest()

    def run(tx: Tx) -> Step[Effect]:
        yield from _refuse_unfit(caller, operation, record)
        epoch = yield from read_epoch()
        row: dict[str, Value] = {
            "id": operation.grant,
            "image_id": operation.image,
            "owner_id": caller.account,
            "viewer_id": operation.viewer,
            **_rights(record),
            "consumed": 0,
            "record": operation.record,
            "cloud_share": closed_share,
            "share_signature": operation.share_signature,
            "epoch": epoch,
            "created": tx.now,
            "updated": tx.now,
        }
        if not (yield tx.insert_if_absent("grants", row)).rowcount:
            yield from _refuse_unless_made(caller, operation.grant, digest)
            return Effect(GrantState(grant=(yield from read_grant(operation.grant, epoch))))
        yield _change_row(tx, caller, record, digest, met_consumed=0)
        if operation.ask is not None:
            yield from asks.accept(
                tx, caller, operation.ask, image=operation.image, viewer=operation.viewer, grant=operation.grant
            )
        made = yield from read_grant(operation.grant, epoch)
        yield from mail.refuse_if_full(operation.viewer, caller.account, MailKind.GRANT)
        letter = GrantArrived(grant=made, ask=operation.ask)
        identity = mail_id("grant", operation.grant)
        yield from mail.deposit(tx, Post(identity, operation.viewer, caller.account, MailKind.GRANT, letter))
        return Effect(GrantState(grant=made), (operation.viewer,))

    return run


def _rights(record: RightsRecord) -> dict[str, int | float | None]:
    return {
        "granted": record.granted,
        "expires": record.expires,
        "revoked": int(record.revoked),
        "version": record.version,
    }


def _refuse_unfit(caller: Known, operation: Grant, record: RightsRecord) -> Step[None]:
    """Refuse a grant on an image that is not the caller's, or to a key that is not the viewer's."""
    image = yield Query(
        "SELECT id FROM images WHERE id = :image AND owner_id = :owner",
        {"image": operation.image, "owner": caller.account},
    )
    if image.one() is None:
        raise not_found("image")
    if operation.viewer == caller.account:
        raise Refused(RefusalCode.NOT_ALLOWED, "Your own images open without a grant: choose another person.")
    viewer = yield Query("SELECT signing_key FROM accounts WHERE id = :viewer", {"viewer": operation.viewer})
    row = viewer.one()
    if row is None:
        raise not_found("account")
    if bytes(row["signing_key"]) != record.viewer_key:
        raise Refused(
            RefusalCode.INVALID, "The rights record names another key than this person's: read the person's keys again."
        )


def _refuse_unless_made(caller: Known, grant: str, digest: bytes) -> Step[None]:
    """Let the repeat of a grant that stands pass; refuse one that meets another grant."""
    rows = yield Query(
        "SELECT g.id FROM grants g JOIN grant_changes c ON c.grant_id = g.id AND c.version = 1 "
        "WHERE g.id = :grant AND g.owner_id = :owner AND c.digest = :digest",
        {"grant": grant, "owner": caller.account, "digest": digest},
    )
    if rows.one() is None:
        raise Refused(
            RefusalCode.CONFLICT,
            "This person holds rights on this image already: change those instead of granting again.",
        )


def _change_row(tx: Tx, caller: Known, record: RightsRecord, digest: bytes, *, met_consumed: int) -> Query:
    row: dict[str, Value] = {
        "grant_id": record.grant_id,
        "version": record.version,
        "digest": digest,
        "account_id": caller.account,
        "at": tx.now,
        "met_consumed": met_consumed,
    }
    return tx.insert("grant_changes", row)


# --- Changing --------------------------------------------------------------------------------------------------------


def change(caller: Known, operation: ChangeRights, record: RightsRecord) -> Transaction[Effect]:
    """Replace a grant's record if the grant still stands as the owner met it, and mail the change to the viewer."""
    digest = hashlib.sha256(operation.record).digest()

    def run(tx: Tx) -> Step[Effect]:
        row = yield from _hold(tx, caller, operation.grant)
        epoch = yield from read_epoch()
        if (yield from _changed_before(operation.grant, record.version, digest)):
            return Effect(GrantState(grant=(yield from read_grant(operation.grant, epoch))))
        _refuse_change(operation, record, row, epoch)
        yield _change_row(tx, caller, record, digest, met_consumed=row["consumed"])
        yield _replace(tx, operation, record, epoch)
        if operation.ask is not None:
            yield from asks.accept(
                tx, caller, operation.ask, image=row["image_id"], viewer=row["viewer_id"], grant=operation.grant
            )
        changed = yield from read_grant(operation.grant, epoch)
        yield from _mail_change(tx, caller, changed, operation, row["version"])
        return Effect(GrantState(grant=changed), (changed.viewer,))

    return run


def _hold(tx: Tx, caller: Known, grant: str) -> Step[Row]:
    """Hold the row of a grant that the caller gave, or refuse."""
    rows = yield Query(
        "SELECT image_id, viewer_id, granted, consumed, expires, revoked, version, epoch, record FROM grants "
        "WHERE id = :grant AND owner_id = :owner" + tx.for_update,
        {"grant": grant, "owner": caller.account},
    )
    row = rows.one()
    if row is None:
        raise not_found("grant")
    return row


def _changed_before(grant: str, version: int, digest: bytes) -> Step[bool]:
    """Tell whether this very change was made already. Refuses another one of the same version."""
    rows = yield Query(
        "SELECT digest FROM grant_changes WHERE grant_id = :grant AND version = :version",
        {"grant": grant, "version": version},
    )
    row = rows.one()
    if row is not None and bytes(row["digest"]) != digest:
        raise _overtaken()
    return row is not None


def _overtaken() -> Refused:
    return Refused(
        RefusalCode.CONFLICT, "The rights changed or a view was spent meanwhile: read them and decide again."
    )


def state_of(row: Row, epoch: int) -> LedgerState:
    """Return a grant's row as the ledger's rules take it."""
    return LedgerState(
        granted=row["granted"],
        consumed=row["consumed"],
        expires=row["expires"],
        revoked=bool(row["revoked"]),
        version=row["version"],
        frozen=row["epoch"] < epoch,
    )


def _refuse_change(operation: ChangeRights, record: RightsRecord, row: Row, epoch: int) -> None:
    """Refuse a change that met another state, or that is no later word on the same grant."""
    try:
        apply_change(
            state_of(row, epoch), record.version, record.granted, record.expires, record.revoked,
            operation.met_version, operation.met_consumed,
        )  # fmt: skip
        follows = supersedes(decode_record(bytes(row["record"])), record)
    except RemoteError:
        follows = False
    except Refused as refusal:
        raise (_overtaken() if refusal.code == RefusalCode.CONFLICT else refusal) from None
    if not follows:
        raise Refused(RefusalCode.INVALID, "The rights record does not follow the one that stands: sign it again.")


def _replace(tx: Tx, operation: ChangeRights, record: RightsRecord, epoch: int) -> Query:
    """Take the rights over into the row; the owner's word also confirms a grant that a restore froze."""
    return Query(
        "UPDATE grants SET granted = :granted, expires = :expires, revoked = :revoked, version = :version, "
        "record = :record, epoch = :epoch, updated = :now WHERE id = :grant",
        {
            **_rights(record),
            "record": operation.record,
            "epoch": epoch,
            "now": tx.now,
            "grant": operation.grant,
        },
    )


def _mail_change(tx: Tx, caller: Known, changed: GrantRow, operation: ChangeRights, met_version: int) -> Step[None]:
    """Mail a change to the viewer. It takes the place of the mail about the version that it replaces, since only the
    newest record counts and an owner must be able to revoke however full the mailbox is."""
    yield Query(
        "DELETE FROM mail WHERE id = :mail AND kind = :kind "
        "AND NOT EXISTS (SELECT 1 FROM mail_acks a WHERE a.mail_id = mail.id)",
        {"mail": mail_id("rights", changed.grant, met_version), "kind": str(MailKind.RIGHTS)},
    )
    kind = MailKind.RIGHTS if operation.ask is None else MailKind.RIGHTS_FOR_ASK
    letter = RightsChanged(grant=changed, ask=operation.ask)
    identity = mail_id("rights", changed.grant, changed.version)
    yield from mail.deposit(tx, Post(identity, changed.viewer, caller.account, kind, letter))


# --- Reading ---------------------------------------------------------------------------------------------------------


def one(caller: Known, operation: GetGrant) -> Transaction[GrantState]:
    """Return a grant to its owner or its viewer."""

    def run(_: Tx) -> Step[GrantState]:
        rows = yield Query(
            f"SELECT {_COLUMNS} FROM {_TABLES} WHERE g.id = :grant AND (g.owner_id = :caller OR g.viewer_id = :caller)",
            {"grant": operation.grant, "caller": caller.account},
        )
        row = rows.one()
        if row is None:
            raise not_found("grant")
        return GrantState(grant=grant_row(row, (yield from read_epoch())))

    return run


def listed(caller: Known, operation: ListGrants) -> Transaction[Grants]:
    """Return a page of the grants on a caller's own image, or of those that the caller holds, newest first."""

    def run(_: Tx) -> Step[Grants]:
        parameters: dict[str, Value] = {"caller": caller.account}
        where = "WHERE g.viewer_id = :caller"
        if operation.image is not None:
            parameters["image"] = operation.image
            where = "WHERE g.owner_id = :caller AND g.image_id = :image"
        total = yield from count(Query(f"SELECT COUNT(*) AS n FROM grants g {where}", parameters))
        rows = yield Query(
            f"SELECT {_COLUMNS} FROM {_TABLES} {where} ORDER BY g.created DESC, g.id{page_of(operation.page)}",
            parameters,
        )
        epoch = yield from read_epoch()
        return Grants(rows=[grant_row(row, epoch) for row in rows.rows], total=total)

    return run
