"""Grants: an owner gives a viewer a counted right, changes it, and takes it back."""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

import hashlib

from node.directory.interface import Query, Row, Step, Transaction, Tx, Value
from node.services import mail, view_requests
from node.services.common import Call, Caller, Served, mail_id, not_found, own_image, read_epoch, refused
from node.services.holdings import read_grant, state_for_owner, state_of
from node.services.mail import MailKind, Post
from shared.errors import Refused, RemoteError
from shared.ledger import apply_change
from shared.records import RightsRecord, decode_record
from shared.rights import supersedes, verify_cloud_share_deposit, verify_record
from shared.wire.operations import (
    ChangeRights,
    ConfirmGrant,
    Grant,
    GrantArrived,
    GrantRow,
    RightsChanged,
)
from shared.wire.refusals import RefusalCode

# --- Checks that need no directory -----------------------------------------------------------------------------------


def checked_record(caller: Caller, grant: str, encoded: bytes) -> RightsRecord:
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


def _check_share(operation: Grant, record: RightsRecord) -> None:
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


def give(call: Call, operation: Grant) -> Transaction[Served]:
    """Write a new grant, close its ask, and mail it to the viewer; the same grant again finds it made."""
    caller = call.caller
    record = checked_record(caller, operation.grant, operation.record)
    _check_share(operation, record)
    closed_share = call.environment.box.close(operation.grant, operation.cloud_share)
    digest = hashlib.sha256(operation.record).digest()

    def run(tx: Tx) -> Step[Served]:
        epoch = yield from read_epoch()
        if (done := (yield from _wished_before(tx, caller, operation, record.version))) is not None:
            return Served((yield from state_for_owner((yield from read_grant(done, epoch)), epoch)))
        yield from _refuse_unfit(caller, operation, record)
        row = new_row(tx, caller, operation, record, operation.viewer, closed_share, epoch)
        if not (yield tx.insert_if_absent("grants", row)).rowcount:
            yield from _refuse_unless_made(caller, operation.grant, digest)
            return Served((yield from state_for_owner((yield from read_grant(operation.grant, epoch)), epoch)))
        yield change_row(tx, caller, record, digest, met_consumed=0)
        if operation.ask is not None:
            yield from view_requests.accept(
                tx, caller, operation.ask, image=operation.image, viewer=operation.viewer, grant=operation.grant
            )
        made = yield from read_grant(operation.grant, epoch)
        yield from mail.refuse_if_full(operation.viewer, caller.account, MailKind.GRANT)
        letter = GrantArrived(grant=made, ask=operation.ask)
        identity = mail_id("grant", operation.grant)
        yield from mail.deposit(tx, Post(identity, operation.viewer, caller.account, MailKind.GRANT, letter))
        return Served((yield from state_for_owner(made, epoch)), (operation.viewer,))

    return run


def _wished_before(tx: Tx, caller: Caller, operation: Grant | ChangeRights, version: int) -> Step[str | None]:
    """Note what the owner wants as done by this transaction; return the grant it was about if it was done before."""
    if operation.wish is None:
        return None
    if (yield note_wish(tx, caller, operation.grant, operation.wish, version)).rowcount:
        return None
    rows = yield Query(
        "SELECT w.grant_id FROM wishes w JOIN grants g ON g.id = w.grant_id "
        "WHERE w.id = :wish AND g.owner_id = :caller",
        {"wish": operation.wish, "caller": caller.account},
    )
    done = rows.one()
    if done is None:
        raise refused(RefusalCode.ID_REUSED)
    return str(done["grant_id"])


def note_wish(tx: Tx, caller: Caller, grant: str, wish: str, version: int) -> Query:
    """Return the statement that notes a wish as done, unless it is noted already."""
    row: dict[str, Value] = {
        "id": wish,
        "account_id": caller.account,
        "grant_id": grant,
        "version": version,
        "at": tx.now,
    }
    return tx.insert_if_absent("wishes", row)


def new_row(
    tx: Tx,
    caller: Caller,
    operation: Grant | ConfirmGrant,
    record: RightsRecord,
    viewer: int,
    closed_share: bytes,
    epoch: int,
) -> dict[str, Value]:
    """Return the row of a grant of which no view is spent."""
    return {
        "id": operation.grant,
        "image_id": operation.image,
        "owner_id": caller.account,
        "viewer_id": viewer,
        **_rights_of(record),
        "consumed": 0,
        "record": operation.record,
        "cloud_share": closed_share,
        "share_signature": operation.share_signature,
        "epoch": epoch,
        "created": tx.now,
        "updated": tx.now,
    }


def set_rights(tx: Tx, record: RightsRecord, encoded: bytes, *, epoch: int, consumed: int | None = None) -> Query:
    """Return the statement that takes a record over into its grant's row; `consumed` None leaves the count alone."""
    return Query(
        "UPDATE grants SET granted = :granted, expires = :expires, revoked = :revoked, version = :version, "
        "record = :record, consumed = COALESCE(:consumed, consumed), epoch = :epoch, updated = :now WHERE id = :grant",
        {
            **_rights_of(record),
            "record": encoded,
            "consumed": consumed,
            "epoch": epoch,
            "now": tx.now,
            "grant": record.grant_id,
        },
    )


def _rights_of(record: RightsRecord) -> dict[str, Value]:
    return {
        "granted": record.granted,
        "expires": record.expires,
        "revoked": int(record.revoked),
        "version": record.version,
    }


def _refuse_unfit(caller: Caller, operation: Grant, record: RightsRecord) -> Step[None]:
    """Refuse a grant on an image that is not the caller's, or to a key that is not the viewer's."""
    yield from own_image(caller, operation.image)
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


def _refuse_unless_made(caller: Caller, grant: str, digest: bytes) -> Step[None]:
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


def change_row(tx: Tx, caller: Caller, record: RightsRecord, digest: bytes, *, met_consumed: int) -> Query:
    """Return the statement that notes a change of rights, once per version."""
    row: dict[str, Value] = {
        "grant_id": record.grant_id,
        "version": record.version,
        "digest": digest,
        "account_id": caller.account,
        "at": tx.now,
        "met_consumed": met_consumed,
    }
    return tx.insert("grant_changes", row)


def digest_of_word(record: RightsRecord) -> bytes:
    """Return the digest of a record that somebody other than its owner brought.

    It leaves out the count on display, which no signature covers: with another one there, the same word of the owner
    would be taken for a second change, and its views be given twice.
    """
    return hashlib.sha256(b"glimpse signed record" + record.signature).digest()


# --- Changing --------------------------------------------------------------------------------------------------------


def change(call: Call, operation: ChangeRights) -> Transaction[Served]:
    """Replace a grant's record if the grant still stands as the owner met it, and mail the change to the viewer."""
    caller = call.caller
    record = checked_record(caller, operation.grant, operation.record)
    digest = hashlib.sha256(operation.record).digest()

    def run(tx: Tx) -> Step[Served]:
        row = yield from _locked(tx, caller, operation.grant)
        epoch = yield from read_epoch()
        if (done := (yield from _wished_before(tx, caller, operation, record.version))) is not None:
            return Served((yield from state_for_owner((yield from read_grant(done, epoch)), epoch)))
        if (yield from _changed_before(operation, record, digest)):
            return Served((yield from state_for_owner((yield from read_grant(operation.grant, epoch)), epoch)))
        _refuse_change(operation, record, row, epoch)
        yield change_row(tx, caller, record, digest, met_consumed=row["consumed"])
        # The owner's word also confirms a grant that a restore froze.
        yield set_rights(tx, record, operation.record, epoch=epoch)
        if operation.ask is not None:
            yield from view_requests.accept(
                tx, caller, operation.ask, image=row["image_id"], viewer=row["viewer_id"], grant=operation.grant
            )
        changed = yield from read_grant(operation.grant, epoch)
        yield from _mail_change(tx, caller, changed, operation, row["version"])
        return Served((yield from state_for_owner(changed, epoch)), (changed.viewer,))

    return run


def _locked(tx: Tx, caller: Caller, grant: str) -> Step[Row]:
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


def _changed_before(operation: ChangeRights, record: RightsRecord, digest: bytes) -> Step[bool]:
    """Tell whether this very change was made already. Refuses another one of the same version.

    Two devices of one owner that want the same sign the same, and both of it counts: what another wish has made is
    another change.
    """
    grant, version = operation.grant, record.version
    rows = yield Query(
        "SELECT digest FROM grant_changes WHERE grant_id = :grant AND version = :version",
        {"grant": grant, "version": version},
    )
    row = rows.one()
    if row is None:
        return False
    if bytes(row["digest"]) not in (digest, digest_of_word(record)):
        raise _overtaken()
    if operation.wish is not None:
        others = yield Query(
            "SELECT id FROM wishes WHERE grant_id = :grant AND version = :version AND id <> :wish",
            {"grant": grant, "version": version, "wish": operation.wish},
        )
        if others.rows:
            raise _overtaken()
    return True


def _overtaken() -> Refused:
    return Refused(
        RefusalCode.CONFLICT, "The rights changed or a view was spent meanwhile: read them and decide again."
    )


def _refuse_change(operation: ChangeRights, record: RightsRecord, row: Row, epoch: int) -> None:
    """Refuse a change that met another state, or that is no later word on the same grant."""
    try:
        apply_change(
            state_of(row, epoch),
            record.version,
            record.granted,
            record.expires,
            record.revoked,
            operation.met_version,
            operation.met_consumed,
        )
        follows = supersedes(decode_record(bytes(row["record"])), record)
    except RemoteError:
        follows = False
    except Refused as refusal:
        raise (_overtaken() if refusal.code == RefusalCode.CONFLICT else refusal) from None
    if not follows:
        raise Refused(RefusalCode.INVALID, "The rights record does not follow the one that stands: sign it again.")


def _mail_change(tx: Tx, caller: Caller, changed: GrantRow, operation: ChangeRights, met_version: int) -> Step[None]:
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
