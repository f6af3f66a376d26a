"""Noticing that the process that started this one is gone, however it went."""

import os
from typing import Final

import anyio

_CHECK_S: Final = 0.5


async def until_orphaned(parent: int) -> None:
    """Return when the process `parent` is not, or no longer, the one that started this one.

    The parent has to say its number itself: it may be gone before this process has first asked for it.
    """
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of the death of a parent
        await anyio.sleep(_CHECK_S)
