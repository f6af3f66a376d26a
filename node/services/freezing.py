"""A viewer who knows more of a grant than the directory does: then the directory was restored, and this grant waits.

It is how a snapshot of the whole machine is found out, directory and nodes' memories together. A viewer may lie, so
only this one grant is frozen, which hurts nobody else, and its owner's peer is asked to compare it.
"""

from dataclasses import dataclass

from node.directory.interface import Query, Row, Step, Tx
from node.services import mail
from node.services.common import Known, mail_id
from node.services.mail import MailKind, Post
from shared.config import MAX_VIEWS
from shared.errors import ViewRefused
from shared.wire.operations import GrantFrozen, SpendView
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


def freeze_if_behind(tx: Tx, caller: Known, grant: Row, operation: SpendView) -> Step[Frozen | None]:
    """Freeze a grant whose row, held by this transaction, is behind what its viewer knows; None where it is not.

    The count rises to what the viewer knows: a view that its viewer owns up to was had. The owner gets mail once for
    each time that the grant is frozen so, and for each further view that the viewer owns up to.
    """
    known = min(operation.known_consumed, MAX_VIEWS)
    if operation.known_version <= grant["version"] and known <= grant["consumed"]:
        return None
    consumed = max(known, grant["consumed"])
    yield Query(
        "UPDATE grants SET epoch = :epoch, consumed = :consumed WHERE id = :grant",
        {"epoch": BEFORE_ALL_EPOCHS, "consumed": consumed, "grant": operation.grant},
    )
    owner, says_more = grant["owner_id"], grant["epoch"] > BEFORE_ALL_EPOCHS or consumed > grant["consumed"]
    if not says_more or (yield from mail.is_full(owner, caller.account, MailKind.FROZEN)):
        return Frozen(())
    identity = mail_id("frozen", operation.grant, repr(tx.now))
    letter = GrantFrozen(grant=operation.grant)
    yield from mail.deposit(tx, Post(identity, owner, caller.account, MailKind.FROZEN, letter))
    return Frozen((owner,))
