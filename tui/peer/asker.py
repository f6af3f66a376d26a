"""Questions to the cloud in the background, and lists that it tells in pages."""

from collections.abc import AsyncIterator, Callable, Collection
from typing import TypeVar

from shared.errors import RemoteError
from shared.wire import operations as ops
from tui.peer.context import Context

M = TypeVar("M", bound=ops.Grants | ops.Images | ops.Asks)
_WAIT_S = 10.0
_PAGES = 5_000
"""A list of more pages than this is not read on: a node that never ends it must not hold a peer for ever."""


class Asker:
    """Asks the cloud. Its methods raise `Refused`, and `Unavailable` while the cloud is away."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def ask(
        self, operation: ops.Operation, *, told: Collection[str] = ()
    ) -> tuple[ops.Outcome, bytes | None]:  # fmt: skip
        """Ask something; `told` are passing refusals that are wanted at once."""
        return await self._context.cloud.ask(operation, request=self._context.new_id(), wait_s=_WAIT_S, told=told)

    async def pages(self, make: Callable[[int], ops.Operation], expected: type[M]) -> AsyncIterator[M]:
        """Yield the pages of a list until all of it is there, bounded whatever the cloud answers."""
        fetched = 0
        for number in range(_PAGES):
            outcome, _ = await self.ask(make(number))
            if not isinstance(outcome, expected):
                raise RemoteError("the cloud answered a list with something else")
            yield outcome
            fetched += len(outcome.rows)
            if not outcome.rows or fetched >= outcome.total:
                return
