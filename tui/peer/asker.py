"""Questions to the cloud in the background, and lists that it tells in pages."""

import logging
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final, TypeVar

from shared.errors import RemoteError, Unavailable
from shared.wire import operations as ops
from tui.peer.context import Context

log = logging.getLogger(__name__)

M = TypeVar("M", bound=ops.Grants | ops.Images | ops.Asks | ops.ViewRows)
_WAIT_S = 10.0
MAX_LIST_ROWS: Final = 200_000
"""A list that is longer, or says so, is not read: a node that never ends it must not fill this machine's memory."""
_ENDLESS = "A node of the cloud told a list that has no end; it is left out. Try again, and another node answers."


class Asker:
    """Asks the cloud. Its methods raise `Refused`, and `Unavailable` while the cloud is away."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ask(self, operation: ops.Operation, *, at_once: Collection[str] = ()) -> tuple[ops.Outcome, bytes | None]:
        """Ask something; `at_once` are codes of passing refusals that are raised at once."""
        return await self._context.cloud.ask(operation, request=self._context.new_id(), wait_s=_WAIT_S, at_once=at_once)

    async def pages(
        self, make: Callable[[int], ops.Operation], expected: type[M], *, wait_s: float = _WAIT_S
    ) -> AsyncIterator[M]:
        """Yield the pages of a list until all of it is there. `make` returns the question for a page, from 0 on.

        Each page but the last must bring a row that is new, and the list may have `MAX_LIST_ROWS` rows. Raises
        `Unavailable` where a node breaks that, and leaves that node out from then on.
        """
        cloud, fetched, number = self._context.cloud, 0, 0
        seen: set[str] = set()
        while True:
            request = self._context.new_id()
            outcome, _ = await cloud.ask(make(number), request=request, wait_s=wait_s)
            if not isinstance(outcome, expected):
                raise RemoteError("the cloud answered a list with something else")
            before = len(seen)
            seen.update(map(_id_of, outcome.rows))
            fetched += len(outcome.rows)
            goes_on = bool(outcome.rows) and fetched < outcome.total
            is_stuck = goes_on and len(seen) == before
            if is_stuck or max(fetched, outcome.total) > MAX_LIST_ROWS:
                cloud.leave_out(request, "a list that has no end")
                raise Unavailable(_ENDLESS)
            yield outcome
            if not goes_on:
                return
            number += 1


def _id_of(row: Any) -> str:
    match row:
        case ops.GrantRow():
            return row.grant
        case ops.ImageRow():
            return row.image
        case ops.AskRow():
            return row.ask
        case _:
            return str(row.view)
