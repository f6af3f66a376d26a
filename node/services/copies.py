"""Copies of stego images: a viewer's device that lacks one has its owner's peer told, which alone can send it; and who
of the two may look for a path to the other."""

from typing import Final

from node.directory.interface import Query, Step, Transaction, Tx, Value
from node.services import mail
from node.services.common import Call, Caller, Served, count, living_grant, mail_id
from node.services.mail import MailKind, Post
from shared.wire.operations import CopyWanted, Done, WantCopy

WANTED_PER_GRANT: Final = 3
"""Unread wishes for the copy of one grant in its owner's mailbox; one is enough, devices may each have their own."""
TOLD_WITHIN_S: Final = 60.0
"""How long after its last change an owner may still look for a path over a grant that is over: to tell that it is."""


def want(call: Call, operation: WantCopy) -> Transaction[Served]:
    """Mail the owner of a grant that this viewer's device lacks the stego image, once per request.

    Refuses a grant that no longer opens anything, so that nobody is sent a picture for rights that are over.
    """

    caller = call.caller

    def run(tx: Tx) -> Step[Served]:
        row = yield from living_grant(
            tx,
            "SELECT image_id, owner_id, revoked, expires FROM grants WHERE id = :grant AND viewer_id = :viewer",
            {"grant": operation.grant, "viewer": caller.account},
        )
        owner = int(row["owner_id"])
        letter = CopyWanted(grant=operation.grant, image=row["image_id"], viewer=caller.account)
        if (yield from _is_mailed_enough(letter, owner, caller)):
            return Served(Done())
        yield from mail.refuse_if_full(owner, caller.account, MailKind.COPY_WANTED)
        identity = mail_id("copy wanted", operation.grant, call.request_id)
        yield from mail.deposit(tx, Post(identity, owner, caller.account, MailKind.COPY_WANTED, letter))
        return Served(Done(), (owner,))

    return run


def other_party(call: Call, grant: str) -> Transaction[int]:
    """Return the account on the other side of a grant that the caller gave or holds.

    Refuses one that is over, but to its owner right after a change: a running look ends when the viewer's peer is told.
    """
    caller = call.caller.account
    sql = "SELECT owner_id, viewer_id, revoked, expires, updated FROM grants WHERE id = :grant AND "
    parameters: dict[str, Value] = {"grant": grant, "caller": caller}

    def run(tx: Tx) -> Step[int]:
        given = (yield Query(sql + "owner_id = :caller", parameters)).one()
        if given is not None and tx.now < given["updated"] + TOLD_WITHIN_S:
            return int(given["viewer_id"])
        row = yield from living_grant(tx, sql + "(owner_id = :caller OR viewer_id = :caller)", parameters)
        owner, viewer = int(row["owner_id"]), int(row["viewer_id"])
        return viewer if owner == caller else owner

    return run


def _is_mailed_enough(letter: CopyWanted, owner: int, caller: Caller) -> Step[bool]:
    """Tell whether the owner has as much unread mail about this copy as there may be."""
    unread = yield from count(
        Query(
            "SELECT COUNT(*) AS n FROM mail m WHERE m.account_id = :owner AND m.sender_id = :viewer "
            "AND m.kind = :kind AND m.body = :body "
            "AND NOT EXISTS (SELECT 1 FROM mail_acks a WHERE a.mail_id = m.id)",
            {
                "owner": owner,
                "viewer": caller.account,
                "kind": str(MailKind.COPY_WANTED),
                "body": mail.letter_body(letter),
            },
        )
    )
    return unread >= WANTED_PER_GRANT
