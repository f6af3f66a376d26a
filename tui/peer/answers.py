"""Which answers to requests, and which stego images, still wait in the outbox: read out of its rows themselves."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.config import MAX_MESSAGE_BYTES
from shared.errors import MalformedMessage
from shared.wire import operations as ops
from shared.wire.codec import decode
from tui.peer.copies import COPY, CopyTask
from tui.peer.granting import GRANT, RIGHTS, GiveIntent, RightsIntent
from tui.peer.outbox import Unreadable, unpacked
from tui.peer.store import OutboxRow

REJECTION = "rejection"
_ROW_CAP_BYTES = 4 * MAX_MESSAGE_BYTES


@dataclass(frozen=True, slots=True)
class WaitingAnswers:
    """Ids of requests whose answer waits, and of grants whose stego image does."""

    requests: frozenset[str]
    copies: frozenset[str]


def waiting_answers(outbox: Iterable[OutboxRow]) -> WaitingAnswers:
    """Return what the rows of an outbox hold of answers to others. One that cannot be read holds none."""
    requests: set[str | None] = set()
    copies: set[str] = set()
    for row in outbox:
        try:
            if row.kind == COPY:
                copies.add(unpacked(row, CopyTask).grant)
            else:
                requests.add(answered_by(row))
        except (Unreadable, MalformedMessage):
            continue
    return WaitingAnswers(frozenset(request for request in requests if request is not None), frozenset(copies))


def answered_by(row: OutboxRow) -> str | None:
    """Return the id of the request that a row answers, None if it is no answer."""
    if row.kind == RIGHTS:
        return unpacked(row, RightsIntent).ask
    if row.kind == GRANT:
        return unpacked(row, GiveIntent).ask
    if row.what != REJECTION:
        return None
    operation: ops.Operation = decode(row.body, ops.Operation, cap_bytes=_ROW_CAP_BYTES)
    return operation.ask if isinstance(operation, ops.RejectAsk) else None
