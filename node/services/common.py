"""What the subjects share: who asks, what comes of it, pages, ids of mail, and the refusals that many give."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from node.directory.interface import Query, Row, Step, Tx, Value
from node.services.receipts import Receipts
from node.services.shares import ShareBox
from shared.config import RequestLimits
from shared.errors import Refused
from shared.wire.base import Candidates
from shared.wire.operations import Met, Outcome
from shared.wire.refusals import REFUSAL_TEXTS, RefusalCode

READY: Final = "ready"
WITHDRAWN: Final = "withdrawn"
"""The states of an image, as the directory's `state` column names them."""

PAGE_ROWS: Final = 200
"""Rows in one page of images, asks, grants and views: with records and notes about half a megabyte."""


NOBODY: Final = 0
"""The account of a key that nobody has registered; the directory gives numbers from 1 on."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the session proves it. `host` is where the session comes from.

    The account is NOBODY, without a name and a signing key, where nobody has registered the session key.
    """

    session_key: bytes
    host: str
    account: int = NOBODY
    name: str = ""
    signing_key: bytes = b""

    @property
    def is_registered(self) -> bool:
        """Whether an account belongs to the session key."""
        return self.account != NOBODY


class Served(msgspec.Struct, frozen=True):
    """The outcome of an operation, and the accounts that got mail by it. Stored as the answer of an effect."""

    outcome: Outcome
    nudges: tuple[int, ...] = ()


class Exchange(Protocol):
    """Objects that go over the session of whoever asks, beside the request and its answer."""

    async def pull_upload(self, size: int, sha256: bytes) -> bytes:
        """Return the upload that belongs to the request.

        Raises `TransferFailed` if the peer does not send it, `TransferCancelled` if it says that it waits no more.
        """

    async def send_stego(self, stego: bytes) -> None:
        """Send the stego image; the peer has it when this returns. Raises `TransferFailed`."""

    async def meet(self, caller: Caller, other_account: int, grant: str, candidates: Candidates) -> Met:
        """Bring the caller's peer together with another account's. Raises `Refused` for now where that is too often."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the operations of one node share. `presence_s` is how long a sign-in makes present, and a keep-alive at the
    least; `longest_presence_s` how long one may."""

    cluster_id: str
    node_name: str
    presence_s: float
    longest_presence_s: float
    limits: RequestLimits
    box: ShareBox
    receipts: Receipts


@dataclass(frozen=True, slots=True)
class Call:
    """One operation that is being served: who asks, under which request id, on which node.

    `exchange` is None where no session could carry an object.
    """

    caller: Caller
    request_id: str
    environment: Environment
    exchange: Exchange | None = None


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


def refused(code: RefusalCode) -> Refused:
    """Return a refusal with the text that its code has."""
    return Refused(code, REFUSAL_TEXTS[code])


def required(what: str, sql: str, parameters: Mapping[str, Value]) -> Step[Row]:
    """Run a query for one row and return the row; refuse where there is none, see `not_found`."""
    row = (yield Query(sql, parameters)).one()
    if row is None:
        raise not_found(what)
    return row


def living_grant(tx: Tx, sql: str, parameters: Mapping[str, Value]) -> Step[Row]:
    """Return the grant that a query finds, as `required` does; refuses one that is over.

    The query reads `revoked` and `expires` among others.
    """
    row = yield from required("grant", sql, parameters)
    if row["revoked"]:
        raise refused(RefusalCode.REVOKED)
    if row["expires"] is not None and row["expires"] <= tx.now:
        raise refused(RefusalCode.EXPIRED)
    return row


def own_image(caller: Caller, image: str, lock: str = "") -> Step[None]:
    """Refuse an image that is not the caller's own; `lock` is the suffix of a SELECT that locks what it reads."""
    yield from required(
        "image",
        "SELECT id FROM images WHERE id = :image AND owner_id = :owner" + lock,  # noqa: S608 - of `Tx`
        {"image": image, "owner": caller.account},
    )


def not_found(what: str) -> Refused:
    """Return the refusal for a thing that is not there, or not there for this caller: the two never look different."""
    return Refused(RefusalCode.NOT_FOUND, f"There is no such {what} for this account: refresh the list.")
