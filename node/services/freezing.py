"""A viewer who knows more of a grant than the directory does: then the directory was restored, and this grant waits.

It is how a snapshot of the whole machine is found out, directory and nodes' memories together. A viewer may lie, so
only this one grant is frozen, which hurts nobody else, and its owner's peer is asked to compare it.

What a viewer can prove, a later record that the owner signed, the directory takes over. Owner and directory then know
as much as the viewer: the grant does not freeze again at the next look, and a device of the owner that lacked the
record cannot confirm an older one.
"""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

from dataclasses import dataclass

import msgspec

from node.directory.interface import Query, Row, Step, Transaction, Tx
from node.services import mail
from node.services.common import Call, Caller, Served, mail_id, read_epoch, required
from node.services.grants import change_row, digest_of_word, set_rights
from node.services.mail import MailKind, Post
from shared.config import MAX_VIEWS
from shared.errors import Refused, RemoteError, ViewRefused
from shared.records import RightsRecord, decode_record
from shared.rights import supersedes, verify_record
from shared.wire.operations import Done, GrantFrozen, KnownCount
from shared.wire.refusals import REFUSAL_TEXTS, RefusalCode

BEFORE_ALL_EPOCHS = 0
"""Epoch of a grant that waits for its owner by itself; the directory's first is 1."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """The grant was frozen instead of a look. Returned, not raised: the transaction must be committed."""

    nudges: tuple[int, ...]


class GrantIsFrozen(ViewRefused):
    """A look met a grant that waits for its owner; `nudges` are the accounts that got mail by it."""

    def __init__(self, nudges: tuple[int, ...]) -> None:
        super().__init__(RefusalCode.FROZEN, REFUSAL_TEXTS[RefusalCode.FROZEN])
        self.nudges = nudges


def compare(call: Call, operation: KnownCount) -> Transaction[Served]:
    """Take what a viewer knows of a grant, without a look: nothing is spent by it, whatever it says.

    Refuses a record that is not its owner's word.
    """
    proof = None if operation.record is None else _checked(operation.record)

    def run(tx: Tx) -> Step[Served]:
        row = yield from required(
            "grant",
            "SELECT owner_id, consumed, revoked, version, epoch, record FROM grants "
            "WHERE id = :grant AND viewer_id = :viewer" + tx.for_update,
            {"grant": operation.grant, "viewer": call.caller.account},
        )
        if proof is None or operation.record is None or not _proves(proof, bytes(row["record"])):
            frozen = yield from freeze_if_behind(tx, call.caller, row, operation)
        else:
            proved = msgspec.structs.replace(operation, version=proof.version)
            frozen = yield from freeze_if_behind(tx, call.caller, row, proved)
            yield from _take_over(tx, call.caller, row, proof, operation.record)
        return Served(Done(), () if frozen is None else frozen.nudges)

    return run


def _checked(encoded: bytes) -> RightsRecord:
    try:
        record = decode_record(encoded)
        verify_record(record)
    except RemoteError:
        raise _no_proof() from None
    return record


def _no_proof() -> Refused:
    return Refused(RefusalCode.INVALID, "The rights record is not a word of this grant's owner: read the grant again.")


def _proves(proof: RightsRecord, standing: bytes) -> bool:
    """Tell whether a record is a later word of the owner than the one that stands. Refuses one of another grant.

    A revocation that stands is not undone by it.
    """
    stands = decode_record(standing)
    if proof.fixed() != stands.fixed():
        raise _no_proof()
    return not stands.revoked and supersedes(stands, proof)


def _take_over(tx: Tx, caller: Caller, grant: Row, proof: RightsRecord, encoded: bytes) -> Step[None]:
    """Put the record that the directory had forgotten back; the grant waits for its owner all the same.

    One that revokes waits for nobody: no look can come of it.
    """
    epoch = (yield from read_epoch()) if proof.revoked else BEFORE_ALL_EPOCHS
    yield set_rights(tx, proof, encoded, epoch=epoch)
    yield change_row(tx, caller, proof, digest_of_word(proof), met_consumed=grant["consumed"])


def freeze_if_behind(tx: Tx, caller: Caller, grant: Row, reported: KnownCount) -> Step[Frozen | None]:
    """Freeze a grant whose row, held by this transaction, is behind what its viewer knows; None where it is not.

    One that is revoked stays as it is but for its count: nobody's word is waited for, no look can come of it.

    The count rises to what the viewer knows: a view that its viewer owns up to was had. The owner gets mail once for
    each time that the grant is frozen so, and for each further view that the viewer owns up to.
    """
    owned_up = min(reported.consumed, MAX_VIEWS)
    is_over = bool(grant["revoked"])
    if owned_up <= grant["consumed"] and (is_over or reported.version <= grant["version"]):
        return None
    consumed = max(owned_up, grant["consumed"])
    yield Query(
        "UPDATE grants SET epoch = :epoch, consumed = :consumed WHERE id = :grant",
        {"epoch": grant["epoch"] if is_over else BEFORE_ALL_EPOCHS, "consumed": consumed, "grant": reported.grant},
    )
    owner, says_more = grant["owner_id"], grant["epoch"] > BEFORE_ALL_EPOCHS or consumed > grant["consumed"]
    if not says_more or (yield from mail.is_full(owner, caller.account, MailKind.FROZEN)):
        return Frozen(())
    identity = mail_id("frozen", reported.grant, repr(tx.now))
    letter = GrantFrozen(grant=reported.grant)
    yield from mail.deposit(tx, Post(identity, owner, caller.account, MailKind.FROZEN, letter))
    return Frozen((owner,))
