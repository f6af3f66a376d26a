"""A viewer who knows more of a grant than the directory does: then the directory was restored, and this grant waits.

It is how a snapshot of the whole machine is found out, directory and nodes' memories together. A viewer may lie, so
only this one grant is frozen, which hurts nobody else, and its owner's peer is asked to compare it.
"""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

from dataclasses import dataclass

from node.directory.interface import Query, Row, Step, Transaction, Tx
from node.services import mail
from node.services.common import Effect, Known, mail_id, not_found
from node.services.mail import MailKind, Post
from shared.config import MAX_VIEWS
from shared.errors import ViewRefused
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


def known(caller: Known, operation: KnownCount) -> Transaction[Effect]:
    """Take what a viewer knows of a grant, without a look: nothing is spent by it, whatever it says."""

    def run(tx: Tx) -> Step[Effect]:
        rows = yield Query(
            "SELECT owner_id, consumed, revoked, version, epoch FROM grants "
            "WHERE id = :grant AND viewer_id = :viewer" + tx.for_update,
            {"grant": operation.grant, "viewer": caller.account},
        )
        row = rows.one()
        if row is None:
            raise not_found("grant")
        frozen = yield from freeze_if_behind(tx, caller, row, operation)
        return Effect(Done(), () if frozen is None else frozen.nudges)

    return run


def freeze_if_behind(tx: Tx, caller: Known, grant: Row, told: KnownCount) -> Step[Frozen | None]:
    """Freeze a grant whose row, held by this transaction, is behind what its viewer knows; None where it is not.

    One that is revoked stays as it is but for its count: nobody's word is waited for, no look can come of it.

    The count rises to what the viewer knows: a view that its viewer owns up to was had. The owner gets mail once for
    each time that the grant is frozen so, and for each further view that the viewer owns up to.
    """
    owned_up = min(told.consumed, MAX_VIEWS)
    is_over = bool(grant["revoked"])
    if owned_up <= grant["consumed"] and (is_over or told.version <= grant["version"]):
        return None
    consumed = max(owned_up, grant["consumed"])
    yield Query(
        "UPDATE grants SET epoch = :epoch, consumed = :consumed WHERE id = :grant",
        {"epoch": grant["epoch"] if is_over else BEFORE_ALL_EPOCHS, "consumed": consumed, "grant": told.grant},
    )
    owner, says_more = grant["owner_id"], grant["epoch"] > BEFORE_ALL_EPOCHS or consumed > grant["consumed"]
    if not says_more or (yield from mail.is_full(owner, caller.account, MailKind.FROZEN)):
        return Frozen(())
    identity = mail_id("frozen", told.grant, repr(tx.now))
    letter = GrantFrozen(grant=told.grant)
    yield from mail.deposit(tx, Post(identity, owner, caller.account, MailKind.FROZEN, letter))
    return Frozen((owner,))
