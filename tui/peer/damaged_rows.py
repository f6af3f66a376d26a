"""Rows of the store that cannot be read: left out of a list, set aside, and told in words for a person."""

import logging
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from shared.errors import GlimpseError, StorageError
from shared.text import clean
from tui.peer.context import Context
from tui.peer.events import RowSetAside
from tui.peer.models import Trouble

log = logging.getLogger(__name__)
M = TypeVar("M")
R = TypeVar("R")

_TABLE_WORDS: Final = {
    "facts": "a note of this profile",
    "accounts": "a person",
    "own_images": "a picture of yours",
    "held": "a picture of somebody",
    "pending_views": "a look that was begun",
    "asks": "a request",
    "outbox": "something in the outbox",
    "offers": "a picture asked for",
    "mail_seen": "a mail that came",
    "rewrites": "rights to be written into an image",
    "given": "rights given",
    "seen_views": "a look at a picture of yours",
    "previews": "a preview of a picture of yours",
}
"""What a person calls a row of each table of the store."""


class DamagedRows:
    """Reads rows one by one, and counts those that were set aside since the profile was opened."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.count = len(context.store.found)

    async def skip(self, table: str, rows: Iterable[R], read: Callable[[R], M]) -> list[M]:
        """Return what `read` makes of each row of a table, without the rows that it cannot read: those are set aside
        and told as `RowSetAside`."""
        found: list[M] = []
        is_damaged = False
        for row in rows:
            try:
                found.append(read(row))
            except (GlimpseError, ValueError, TypeError, KeyError, AttributeError) as error:
                is_damaged = True
                log.warning("a row cannot be read", extra={"table": table, "reason": str(error)})
        if is_damaged:
            await self._set_aside(table)
        return found

    async def _set_aside(self, table: str) -> None:
        try:
            asides = await self._context.store.run(lambda s: s.sort_out(table))
        except StorageError:
            return
        self.count += len(asides)
        for aside in asides:
            self._context.events.emit(RowSetAside(_name_of(table), aside.reason))

    async def troubles(self) -> list[Trouble]:
        """Return what was set aside, newest first."""
        asides = await self._context.store.run(lambda s: s.asides())
        return [Trouble(_name_of(aside.table), clean(aside.reason), aside.at) for aside in asides]


def _name_of(table: str) -> str:
    return _TABLE_WORDS.get(table, "something")
