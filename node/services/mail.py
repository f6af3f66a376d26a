"""Mail: what the cloud keeps for an account until its devices have acknowledged it."""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from node.directory.interface import Query, Step, Transaction, Tx, Value, in_list
from node.services.common import Call, Served, count
from shared.config import MAILBOX_LETTERS, MAILBOX_PER_SENDER
from shared.errors import Refused
from shared.wire.codec import encode
from shared.wire.operations import AckMail, Done, FetchMail, Letter, MailItem, Mails
from shared.wire.refusals import RefusalCode

LETTER_CAP_BYTES: Final = 16_384
MAIL_PAGE_ROWS: Final = 50
ACKNOWLEDGED_KEPT_S: Final = 30 * 86_400
"""How long acknowledged mail stays for the other devices of its account."""
SWEEP_ROWS: Final = 500


class MailKind(StrEnum):
    """What a mail is about, as the directory's `kind` column names it."""

    ASK = "ask"
    ASK_WITHDRAWN = "ask_withdrawn"
    ASK_ANSWERED = "ask_answered"
    GRANT = "grant"
    RIGHTS = "rights"
    RIGHTS_FOR_ASK = "rights_for_ask"
    """A change of rights that answers an ask: a later change does not replace it."""
    VIEW = "view"
    FROZEN = "frozen"
    COPY_WANTED = "copy_wanted"
    COPY_WAITS = "copy_waits"
    COPY_FETCHED = "copy_fetched"


@dataclass(frozen=True, slots=True)
class Post:
    """One letter on its way into a mailbox."""

    mail: str
    recipient: int
    sender: int
    kind: MailKind
    letter: Letter


def letter_body(letter: Letter) -> bytes:
    """Return a letter as it lies in a mailbox."""
    return encode(letter, cap_bytes=LETTER_CAP_BYTES)


def deposit(tx: Tx, post: Post) -> Step[bool]:
    """Put a letter into a mailbox, once per mail id; return whether it was new."""
    row: dict[str, Value] = {
        "id": post.mail,
        "account_id": post.recipient,
        "sender_id": post.sender,
        "kind": str(post.kind),
        "body": letter_body(post.letter),
        "created": tx.now,
    }
    return bool((yield tx.insert_if_absent("mail", row)).rowcount)


def is_full(recipient: int, sender: int, kind: MailKind) -> Step[bool]:
    """Tell whether a sender has as much unacknowledged mail of a kind in a mailbox as one may have."""
    waiting = yield from count(
        Query(
            "SELECT COUNT(*) AS n FROM mail m WHERE m.account_id = :recipient AND m.sender_id = :sender "
            "AND m.kind = :kind AND NOT EXISTS (SELECT 1 FROM mail_acks a WHERE a.mail_id = m.id)",
            {"recipient": recipient, "sender": sender, "kind": str(kind)},
        )
    )
    return waiting >= MAILBOX_PER_SENDER


def refuse_if_full(recipient: int, sender: int, kind: MailKind) -> Step[None]:
    """Refuse what would have to be mailed beyond the cap per sender, or beyond what the mailbox holds in all."""
    if (yield from is_full(recipient, sender, kind)):
        raise Refused(
            RefusalCode.MAILBOX_FULL,
            "This person's mailbox holds too much unread mail from you: try again when they have been online.",
        )
    unread = yield from count(
        Query(
            "SELECT COUNT(*) AS n FROM mail m WHERE m.account_id = :recipient "
            "AND NOT EXISTS (SELECT 1 FROM mail_acks a WHERE a.mail_id = m.id)",
            {"recipient": recipient},
        )
    )
    if unread >= MAILBOX_LETTERS:
        raise Refused(RefusalCode.MAILBOX_FULL, "This person's mailbox is full: try again when they have been online.")


def waiting_for(account: int, device: str) -> Step[int]:
    """Return how much mail a device has not acknowledged."""
    return (
        yield from count(
            Query(
                "SELECT COUNT(*) AS n FROM mail m WHERE m.account_id = :account "
                "AND NOT EXISTS (SELECT 1 FROM mail_acks a WHERE a.mail_id = m.id AND a.device = :device)",
                {"account": account, "device": device},
            )
        )
    )


def fetch(call: Call, operation: FetchMail) -> Transaction[Mails]:
    """Return the oldest mail that a device has not acknowledged, and how much is left beyond it."""

    def run(_: Tx) -> Step[Mails]:
        rows = yield Query(
            "SELECT m.id, m.body, m.created FROM mail m WHERE m.account_id = :account "
            "AND NOT EXISTS (SELECT 1 FROM mail_acks a WHERE a.mail_id = m.id AND a.device = :device) "
            f"ORDER BY m.created, m.id LIMIT {MAIL_PAGE_ROWS}",
            {"account": call.caller.account, "device": operation.device},
        )
        waiting = yield from waiting_for(call.caller.account, operation.device)
        items = [MailItem(mail=row["id"], created=row["created"], body=bytes(row["body"])) for row in rows.rows]
        return Mails(rows=items, waiting=max(0, waiting - len(items)))

    return run


def acknowledge(call: Call, operation: AckMail) -> Transaction[Served]:
    """Note that a device has stored these mails. Ids of others' mail and unknown ids are passed over in silence."""

    def run(tx: Tx) -> Step[Served]:
        inside, parameters = in_list("mail", operation.mails)
        mine = yield Query(
            f"SELECT id FROM mail WHERE account_id = :account AND id IN ({inside})",
            {"account": call.caller.account, **parameters},
        )
        for row in mine.rows:
            yield tx.insert_if_absent("mail_acks", {"mail_id": row["id"], "device": operation.device, "at": tx.now})
        return Served(Done())

    return run


def sweep_batch(tx: Tx) -> Step[int]:
    """Delete a batch of mail that was acknowledged long ago, with its acknowledgements; return how many mails went."""
    old = yield Query(
        "SELECT DISTINCT m.id FROM mail m JOIN mail_acks a ON a.mail_id = m.id "
        f"WHERE m.created < :before AND a.at < :before LIMIT {SWEEP_ROWS}",
        {"before": tx.now - ACKNOWLEDGED_KEPT_S},
    )
    if not old.rows:
        return 0
    inside, parameters = in_list("mail", (row["id"] for row in old.rows))
    yield Query(f"DELETE FROM mail_acks WHERE mail_id IN ({inside})", parameters)
    return (yield Query(f"DELETE FROM mail WHERE id IN ({inside})", parameters)).rowcount
