"""Noticing that the process that started this one is gone, however it went."""

import os
from typing import Final

import anyio

_CHECK_S: Final = 0.5


async def until_orphaned(parent: int) -> None:
    """Return when `parent`, as `os.getppid` gave it at the start, is no longer this process's parent."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of the death of a parent
        await anyio.sleep(_CHECK_S)
