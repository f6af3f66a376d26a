"""A server that is killed and started again: what was left out stays so, and its end is never taken for a restore."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from node.directory import Marks, Step, Tx, open_directory, recover
from node.directory.recovery import ACCOUNTS_PASSED_OVER
from node.node_folder import memory_path
from node.remembering import Remembering
from shared.errors import GlimpseError
from tests.databases import PATIENT, MariaDb, skip_or_fail_without_server

pytestmark = [pytest.mark.anyio, pytest.mark.mysql]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    skip_or_fail_without_server()
    server = MariaDb(tmp_path_factory.mktemp("killed-mariadb"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def url(server: MariaDb) -> Iterator[str]:
    with server.database() as made:
        yield made


def insert_account(tx: Tx) -> Step[int]:
    row = {"name": "Ada", "signing_key": os.urandom(32), "session_key": os.urandom(32)}
    rest = {"session_signature": os.urandom(64), "created": tx.now, "last_seen": tx.now}
    return (yield tx.insert("accounts", row | rest)).inserted_id


async def test_account_numbers_that_were_left_out_stay_so(url: str, server: MariaDb) -> None:
    """A server may count on from the highest row that it finds when it starts, and the placeholder is no more."""
    async with open_directory(url, timing=PATIENT) as directory:
        await directory.write(recover(Marks(commits=0, epoch=1, term=0, accounts=40)))
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    async with open_directory(url, timing=PATIENT) as directory:
        assert (await directory.marks()).accounts == 40 + ACCOUNTS_PASSED_OVER
        assert await directory.write(insert_account) == 41 + ACCOUNTS_PASSED_OVER


async def test_a_killed_server_is_not_taken_for_a_restored_one(url: str, server: MariaDb, tmp_path) -> None:
    """Two nodes read and remember while others write and the server is killed under them, three times."""
    recovered: list[tuple[int, int]] = []
    timing = PATIENT

    async with open_directory(url, timing=timing, writer="n1") as directory:
        nodes = [
            Remembering(
                memory_path(tmp_path, name),
                "c" * 32,
                directory=directory,
                others=(),
                heartbeat_s=timing.heartbeat_s,
                clock=time.monotonic,
                send=lambda *_: None,
                recovered=lambda *found: recovered.append(found),
                forget=lambda: None,
            )
            for name in ("n1", "n2")
        ]
        for node in nodes:
            await node.start()

        async def write() -> None:
            while True:
                with suppress(GlimpseError):
                    await directory.write(insert_account)

        async def until_remembered_anew() -> None:
            """Wait until both nodes remember something that was written since."""
            since = (await directory.marks()).commits
            while True:
                if all(node.memory.highest.commits > since for node in nodes):
                    return
                await asyncio.sleep(0.05)

        tasks = [asyncio.create_task(coroutine) for coroutine in (write(), write(), *(node.run() for node in nodes))]
        for _ in range(3):
            await until_remembered_anew()
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await until_remembered_anew()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert recovered == []
        assert (await directory.marks()).epoch == 1
