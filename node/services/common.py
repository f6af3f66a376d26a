"""What the subjects share: who asks, what an effect yields, pages, ids of mail, and the refusals that many give."""

import hashlib
from dataclasses import dataclass
from typing import Final

from node.directory.interface import Query, Step
from shared.errors import Refused
from shared.wire.operations import Outcome
from shared.wire.refusals import RefusalCode

PAGE_ROWS: Final = 200
"""Rows in one page of images, asks, grants and views: with records and notes about half a megabyte."""


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """The registered account that asks. `host` is where its session comes from."""

    account: int
    name: str
    signing_key: bytes
    session_key: bytes
    host: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What a transaction yields: the outcome for who asked, and the accounts that got mail by it."""

    outcome: Outcome
    nudges: tuple[int, ...] = ()


def mail_id(kind: str, *ids: str | int) -> str:
    """Return the id of the mail about one event.

    It follows from what the mail is about, so that an effect that runs twice makes no second mail.
    """
    text = "\x1f".join(("glimpse mail", kind, *map(str, ids)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def page_of(page: int, rows: int = PAGE_ROWS) -> str:
    """Return the LIMIT clause of a page; both numbers are checked integers."""
    return f" LIMIT {int(rows)} OFFSET {int(page) * int(rows)}"


def read_epoch() -> Step[int]:
    """Return the directory's epoch: grants of earlier ones are frozen until their owner confirms them."""
    return int((yield Query("SELECT value FROM meta WHERE name = 'epoch'")).scalar())


def count(query: Query) -> Step[int]:
    """Run a query for one number; None (no rows to sum) counts as 0."""
    return int((yield query).scalar() or 0)


def not_found(what: str) -> Refused:
    """Return the refusal for a thing that is not there, or not there for this caller: the two never look different."""
    return Refused(RefusalCode.NOT_FOUND, f"There is no such {what} for this account: refresh the list.")
