"""Questions to the cloud whose answer has one type, and lists that it tells in pages."""

from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final, TypeVar

from shared.errors import RemoteError, Unavailable
from shared.wire import operations as ops
from tui.peer.cloud import DEFAULT_WAIT_S
from tui.peer.context import Context

A = TypeVar("A")
M = TypeVar("M", bound=ops.Grants | ops.Images | ops.Asks | ops.ViewRows)
_WAIT_S = 10.0
MAX_LIST_ROWS: Final = 200_000
"""A list that is longer, or says so, is not read: a node that never ends it must not fill this machine's memory."""
_ENDLESS = "A node of the cloud told a list that has no end; it is left out. Try again, and another node answers."


class Asker:
    """Asks the cloud. Its methods raise `Refused`, and `Unavailable` while the cloud is away."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ask(self, operation: ops.Operation) -> None:
        """Have something done whose answer says no more than that it was done."""
        await self._context.cloud.ask(operation, request=self._context.new_id(), wait_s=_WAIT_S)

    async def query(
        self,
        operation: ops.Operation,
        expected: type[A],
        *,
        request: str | None = None,
        wait_s: float = DEFAULT_WAIT_S,
        at_once: Collection[str] = (),
        without: str = "",
    ) -> A:
        """Ask something and return its answer. Raises `RemoteError` for an answer of another type.

        `request` is the id to ask under, a new one by default; `at_once` are passing refusals that are raised
        instead of a repetition; `wait_s` is how many seconds an answer may take; `without` names a node that is not
        asked.
        """
        context = self._context
        outcome, _ = await context.cloud.ask(
            operation, request=request or context.new_id(), wait_s=wait_s, at_once=at_once, without=without
        )
        if not isinstance(outcome, expected):
            raise RemoteError(f"the cloud answered {type(operation).__name__} with {type(outcome).__name__}")
        return outcome

    async def grant(self, grant: str, *, wait_s: float = _WAIT_S) -> ops.GrantRow:
        """Return a grant as the directory has it."""
        return (await self.query(ops.GetGrant(grant=grant), ops.GrantState, wait_s=wait_s)).grant

    async def pages(
        self, make: Callable[[int], ops.Operation], expected: type[M], *, wait_s: float = _WAIT_S
    ) -> AsyncIterator[M]:
        """Yield the pages of a list until all of it is there. `make` returns the question for a page, from 0 on.

        Each page but the last must bring a row that is new, and the list may have `MAX_LIST_ROWS` rows. Raises
        `Unavailable` where a node breaks that, and leaves that node out from then on.
        """
        context, fetched, number = self._context, 0, 0
        seen: set[str] = set()
        while True:
            request = context.new_id()
            page = await self.query(make(number), expected, request=request, wait_s=wait_s)
            before = len(seen)
            seen.update(map(_id_of, page.rows))
            fetched += len(page.rows)
            goes_on = bool(page.rows) and fetched < page.total
            is_stuck = goes_on and len(seen) == before
            if is_stuck or max(fetched, page.total) > MAX_LIST_ROWS:
                context.cloud.leave_out(request, "a list that has no end")
                raise Unavailable(_ENDLESS)
            yield page
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
