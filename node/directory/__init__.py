"""The Directory of Service: accounts, presence, images, grants, views, requests, mail, lease and nodes in SQL.

One interface, two engines behind it. `open_directory` is the way in.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from node.directory.engine import Directory
from node.directory.interface import (
    DuplicateKey,
    EffectKey,
    Jitter,
    LeaseRow,
    MissingReference,
    NodeRow,
    Outcome,
    Query,
    Row,
    Rows,
    StatementFailed,
    Step,
    Transaction,
    Tx,
    Value,
    in_list,
)
from node.directory.marks import Marks, read_marks
from node.directory.recovery import Recovered, recover
from node.directory.sqlite import SqliteDirectory
from node.directory.upkeep import RoomTaken, directory_time, how_far_ahead, read_epoch, room_taken
from node.directory.url import SqliteUrl, parse_directory_url
from shared.config import Timing

__all__ = [
    "Directory",
    "DuplicateKey",
    "EffectKey",
    "LeaseRow",
    "Marks",
    "MissingReference",
    "NodeRow",
    "Outcome",
    "Query",
    "Recovered",
    "RoomTaken",
    "Row",
    "Rows",
    "StatementFailed",
    "Step",
    "Transaction",
    "Tx",
    "Value",
    "directory_time",
    "how_far_ahead",
    "in_list",
    "open_directory",
    "read_epoch",
    "read_marks",
    "recover",
    "room_taken",
]


@asynccontextmanager
async def open_directory(
    url: str, *, timing: Timing, writer: str = "", jitter: Jitter = random.random
) -> AsyncIterator[Directory]:
    """Open the directory that a URL names, bring its schema up to date, and close it at the end.

    `writer` is the name of the node that opens it: its commits are counted under that name.
    Raises InvalidInput for a URL that cannot be used, UserError for a directory made by a newer program, Unavailable
    when the server cannot be reached, and StorageError when the file cannot be used. No text holds the password.
    """
    place = parse_directory_url(url)
    if isinstance(place, SqliteUrl):
        directory: Directory = await SqliteDirectory.open(place.path, timing, writer)
    else:
        from node.directory.mysql import MysqlDirectory

        directory = await MysqlDirectory.open(place, timing, jitter, writer)
    probing = asyncio.create_task(directory.keep_probing(), name="directory-probe")
    try:
        yield directory
    finally:
        probing.cancel()
        await directory.close()
