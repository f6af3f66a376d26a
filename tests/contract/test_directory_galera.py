"""A directory on three servers that replicate by Galera: a node goes to another when its own fails, and comes back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager

import pytest

from node.directory import open_directory
from node.directory.mysql import MysqlDirectory
from node.directory.url import Server
from shared.errors import Unavailable
from tests.contract.directory_process import (
    count_up,
    counter,
    effect_key,
    request_id,
    serve_until_answered,
    start_counter,
)
from tests.databases import PATIENT, fresh_database, run_sql
from tests.galera import Galera, galera
from tests.patience import until

pytestmark = [pytest.mark.anyio, pytest.mark.mysql, pytest.mark.xdist_group("galera")]

ALONE, TOGETHER = "gmcast.isolate=1", "gmcast.isolate=0"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Galera]:
    with galera() as running:
        yield running


@pytest.fixture
def url(cluster: Galera) -> Iterator[str]:
    """URL of a fresh database that names all servers."""
    with fresh_database(cluster.ports[0]) as one:
        yield naming_all(one, cluster)


def naming_all(url: str, cluster: Galera) -> str:
    places = ",".join(f"127.0.0.1:{port}" for port in cluster.ports)
    return url.replace(f"127.0.0.1:{cluster.ports[0]}", places)


@asynccontextmanager
async def opened(url: str, node: str = "n1") -> AsyncIterator[MysqlDirectory]:
    async with open_directory(url, timing=PATIENT, writer=node) as directory:
        assert isinstance(directory, MysqlDirectory)
        await start_counter(directory)
        yield directory


async def comes_back(directory: MysqlDirectory, server: Server) -> None:
    async def used() -> Server:
        return directory.server

    await until(used, lambda now: now == server)


@contextmanager
def without_quorum(cluster: Galera) -> Iterator[None]:
    run_sql(cluster.ports[0], f"SET GLOBAL wsrep_provider_options = '{ALONE}'")
    yield
    run_sql(cluster.ports[0], f"SET GLOBAL wsrep_provider_options = '{TOGETHER}'")
    cluster.wait_for_all()


@contextmanager
def read_only(cluster: Galera) -> Iterator[None]:
    run_sql(cluster.ports[0], "SET GLOBAL read_only = 1")
    yield
    run_sql(cluster.ports[0], "SET GLOBAL read_only = 0")


@pytest.mark.parametrize("fault", [without_quorum, read_only])
async def test_a_node_leaves_a_server_that_fails_and_comes_back_to_it(
    fault: Callable[[Galera], AbstractContextManager[None]], cluster: Galera, url: str
) -> None:
    """Nothing that was asked for meanwhile fails for good or is done twice; reads and the lease go on as well."""
    first = Server("127.0.0.1", cluster.ports[0])
    async with opened(url) as directory:
        assert directory.server == first
        served: set[str] = set()
        await serve_until_answered(directory, range(20), served)
        trouble = fault(cluster)
        async with asyncio.TaskGroup() as tasks:
            for start in range(20, 100, 20):
                tasks.create_task(serve_until_answered(directory, range(start, start + 20), served))
            await asyncio.to_thread(trouble.__enter__)
        await serve_until_answered(directory, range(100, 110), served)
        assert directory.server != first
        assert await counter(directory) == 110
        assert (await until(lambda: answered(directory.read_lease), lambda row: row is not None)).term == 0
        await asyncio.to_thread(trouble.__exit__, None, None, None)
        await comes_back(directory, first)
        await serve_until_answered(directory, range(110, 120), served)
        assert await counter(directory) == 120
        assert directory.ok


@pytest.fixture
def doomed() -> Iterator[tuple[Galera, str]]:
    """A cluster of its own, whose first server may be killed, and the URL of a database in it."""
    with galera() as running, fresh_database(running.ports[2]) as one:
        yield running, naming_all(one.replace(f":{running.ports[2]}/", f":{running.ports[0]}/"), running)


async def test_a_node_goes_on_when_its_server_dies(doomed: tuple[Galera, str]) -> None:
    cluster, url = doomed
    async with opened(url) as directory:
        served: set[str] = set()
        async with asyncio.TaskGroup() as tasks:
            for start in range(0, 100, 20):
                tasks.create_task(serve_until_answered(directory, range(start, start + 20), served))
            await until(lambda: asyncio.sleep(0, len(served)), lambda count: count >= 20)
            await asyncio.to_thread(cluster.servers[0].kill)
        assert directory.server != Server("127.0.0.1", cluster.ports[0])
        assert await counter(directory) == 100
        assert directory.ok


async def answered(call: Callable[[], Awaitable[object]]) -> object:
    try:
        return await call()
    except Unavailable:
        return None


async def test_nodes_with_a_server_each_are_one_directory(url: str) -> None:
    """They make the schema at the same time; one claim of the lease wins; a request that all of them get is one
    effect."""
    nodes = ("n1", "n2", "n3")  # which begin at different servers
    async with AsyncExitStack() as stack:
        opening = [opened(f"{url}?order=spread", node) for node in nodes]
        directories = await asyncio.gather(*map(stack.enter_async_context, opening))
        assert len({directory.server for directory in directories}) == 3
        for number in range(10):
            request = request_id(number)
            answers = await asyncio.gather(
                *(one.effect(effect_key(request), count_up("counter", request)) for one in directories)
            )
            assert len({outcome.answer for outcome in answers}) == 1
        for term in range(10):
            won = await asyncio.gather(*(contend(one, f"{n}#1", term) for n, one in enumerate(directories)))
            assert sorted(map(bool, won)) == [False, False, True]
            assert await directories[won.index(term + 1)].release_lease(f"{won.index(term + 1)}#1", term + 1)
            for directory in directories:
                await until(directory.read_lease, lambda row, at=term + 1: (row.term, row.holder) == (at, None))
        for directory in directories:
            await until(lambda each=directory: counter(each), lambda found: found == 10)


async def contend(directory: MysqlDirectory, holder: str, term: int) -> int | None:
    """Claim the lease; None where another was faster, which a server of three may say by ending the statement."""
    try:
        return await directory.claim_lease(holder, term, 60.0)
    except Unavailable:
        return None
