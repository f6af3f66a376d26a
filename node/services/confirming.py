"""What owners' peers put right in a directory that was restored: grants are confirmed.

The higher version and the higher count hold, the directory's or the owner's, so that confirming in any order, twice,
or from two devices of one owner comes to the same.
"""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

import hashlib
from dataclasses import dataclass

from node.directory.interface import Query, Row, Step, Transaction, Tx
from node.services import mail
from node.services.common import Call, Caller, Served, mail_id, not_found, own_image, read_epoch
from node.services.grants import change_row, checked_record, new_row, note_wish, set_rights
from node.services.holdings import read_grant, state_for_owner
from node.services.mail import MailKind, Post
from shared.config import MAX_VIEWS
from shared.errors import Refused, RemoteError
from shared.records import RightsRecord, decode_record
from shared.rights import supersedes, verify_cloud_share_deposit
from shared.wire.operations import ConfirmGrant, GrantArrived, GrantRow, RightsChanged
from shared.wire.refusals import RefusalCode


@dataclass(frozen=True, slots=True)
class Claim:
    """What an owner's peer says of a grant, checked as far as that needs no directory."""

    operation: ConfirmGrant
    record: RightsRecord
    digest: bytes

    @property
    def consumed(self) -> int:
        """The count that the owner was told."""
        return min(self.operation.consumed, MAX_VIEWS)


def _checked_claim(caller: Caller, operation: ConfirmGrant) -> Claim:
    """Check the record and, where there is one, the share. Refuses what the caller did not sign."""
    record = checked_record(caller, operation.grant, operation.record)
    if record.image_id != operation.image:
        raise Refused(RefusalCode.INVALID, "The rights record is about another image: read the grant again.")
    if operation.cloud_share is not None:
        try:
            verify_cloud_share_deposit(record, operation.cloud_share, operation.share_signature or b"")
        except RemoteError:
            raise Refused(
                RefusalCode.INVALID, "The share of the key is not the one that the rights record names."
            ) from None
    return Claim(operation, record, hashlib.sha256(operation.record).digest())


def confirm(call: Call, operation: ConfirmGrant) -> Transaction[Served]:
    """Bring a grant up to what its owner knows, and thaw it; make it anew where the directory lacks it.

    Refuses, as passing, what another word of the same owner or the viewer's own return must come before.
    """
    caller, share = call.caller, operation.cloud_share
    claim = _checked_claim(caller, operation)
    closed_share = None if share is None else call.environment.box.close(operation.grant, share)

    def run(tx: Tx) -> Step[Served]:
        epoch = yield from read_epoch()
        found = yield Query(
            "SELECT owner_id, viewer_id, consumed, version, epoch, record FROM grants WHERE id = :grant"
            + tx.for_update,
            {"grant": claim.record.grant_id},
        )
        row = found.one()
        if row is None:
            return (yield from _make_again(tx, caller, claim, closed_share, epoch))
        if row["owner_id"] != caller.account:
            raise not_found("grant")
        return (yield from _bring_up(tx, caller, claim, row, epoch))

    return run


# --- A grant that is there -------------------------------------------------------------------------------------------


def _bring_up(tx: Tx, caller: Caller, claim: Claim, row: Row, epoch: int) -> Step[Served]:
    """Thaw a grant under the higher version and the higher count."""
    is_newer = _is_newer(claim.record, bytes(row["record"]))
    consumed = max(row["consumed"], claim.consumed)
    record = claim.operation.record if is_newer else bytes(row["record"])
    yield set_rights(tx, claim.record if is_newer else _decoded(record), record, epoch=epoch, consumed=consumed)
    if _decoded(record).signature == claim.record.signature:  # the counts on display, which nobody signs, may differ
        yield from _note_wishes(tx, caller, claim)
    confirmed = yield from read_grant(claim.record.grant_id, epoch)
    if is_newer:
        yield change_row(tx, caller, claim.record, claim.digest, met_consumed=consumed)
    elif row["epoch"] >= epoch and consumed == row["consumed"]:
        return Served((yield from state_for_owner(confirmed, epoch)))
    yield from _tell_viewer(tx, caller, confirmed, RightsChanged(grant=confirmed), epoch)
    return Served((yield from state_for_owner(confirmed, epoch)), (confirmed.viewer,))


def _note_wishes(tx: Tx, caller: Caller, claim: Claim) -> Step[None]:
    """Note what the record that stands now contains: a device whose answer was lost before the restore sends such a
    wish again, and it is answered as done instead of being signed anew."""
    for done in claim.operation.wishes:
        if done.version <= claim.record.version:
            yield note_wish(tx, caller, claim.record.grant_id, done.wish, done.version)


def _tell_viewer(
    tx: Tx, caller: Caller, grant: GrantRow, letter: RightsChanged | GrantArrived, epoch: int
) -> Step[None]:
    """Mail the viewer that a grant is confirmed. The id is one that no mail before the restore had, which the viewer's
    peer would put aside as known."""
    identity = mail_id("confirmed", grant.grant, grant.version, grant.consumed, epoch)
    kind = MailKind.RIGHTS if isinstance(letter, RightsChanged) else MailKind.GRANT
    yield from mail.deposit(tx, Post(identity, grant.viewer, caller.account, kind, letter))


def _is_newer(record: RightsRecord, standing: bytes) -> bool:
    """Tell whether the owner's record takes the place of the one that stands.

    Of two with the same version the directory's stands: it may have been acknowledged since the restore. A revocation
    stands against a later record that would undo it.
    """
    stands = _decoded(standing)
    if record.fixed() != stands.fixed():
        raise Refused(RefusalCode.INVALID, "The rights record is not about the same grant as the one that stands.")
    if stands.revoked and not record.revoked:
        return False
    return supersedes(stands, record)


def _decoded(record: bytes) -> RightsRecord:
    decoded = decode_record(record)
    assert isinstance(decoded, RightsRecord), "only these are ever stored"
    return decoded


# --- A grant that the directory lacks --------------------------------------------------------------------------------


def _make_again(tx: Tx, caller: Caller, claim: Claim, closed_share: bytes | None, epoch: int) -> Step[Served]:
    """Make a grant anew from what its owner kept."""
    record, operation = claim.record, claim.operation
    if closed_share is None or operation.share_signature is None:
        raise not_found("grant")
    viewer = yield from _viewer_of(caller, record)
    yield from _refuse_beside_another(record, viewer)
    yield from mail.refuse_if_full(viewer, caller.account, MailKind.GRANT)
    row = new_row(tx, caller, operation, record, viewer, closed_share, epoch) | {"consumed": claim.consumed}
    if not (yield tx.insert_if_absent("grants", row)).rowcount:
        raise Refused(RefusalCode.NOT_READY, "The same grant is being made by another device: try again.")
    yield change_row(tx, caller, record, claim.digest, met_consumed=claim.consumed)
    yield from _note_wishes(tx, caller, claim)
    made: GrantRow = yield from read_grant(record.grant_id, epoch)
    yield from _tell_viewer(tx, caller, made, GrantArrived(grant=made), epoch)
    return Served((yield from state_for_owner(made, epoch)), (viewer,))


def _viewer_of(caller: Caller, record: RightsRecord) -> Step[int]:
    """Return the viewer's present number, by the key that the record names, or refuse.

    The image must be there, and the viewer have come back: both are for their own peers to see to.
    """
    yield from own_image(caller, record.image_id)
    viewer = yield Query("SELECT id FROM accounts WHERE signing_key = :key", {"key": record.viewer_key})
    row = viewer.one()
    if row is None:
        raise Refused(
            RefusalCode.NOT_READY,
            "This person has not signed in since the cloud was restored from a backup; the grant waits for them.",
        )
    if row["id"] == caller.account:
        raise Refused(RefusalCode.NOT_ALLOWED, "Your own images open without a grant.")
    return int(row["id"])


def _refuse_beside_another(record: RightsRecord, viewer: int) -> Step[None]:
    """Refuse a second live grant of one image to one viewer.

    One that was given or confirmed since the restore is the later word of the same owner and stands. One that is
    frozen may be what the owner revoked before this was given: the owner's word on it comes first.
    """
    if record.revoked:
        return
    others = yield Query(
        "SELECT g.epoch, m.value AS present FROM grants g JOIN meta m ON m.name = 'epoch' "
        "WHERE g.image_id = :image AND g.viewer_id = :viewer AND g.revoked = 0",
        {"image": record.image_id, "viewer": viewer},
    )
    other = others.one()
    if other is None:
        return
    if other["epoch"] < other["present"]:
        raise Refused(
            RefusalCode.NOT_READY,
            "Older rights of this person on this image wait to be confirmed: confirm those first.",
        )
    raise Refused(
        RefusalCode.CONFLICT,
        "This person was given other rights on this image since the cloud was restored; those stand.",
    )
