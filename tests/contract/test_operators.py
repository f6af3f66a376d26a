"""What operators chose and did: kept in the directory for all nodes, and in a file of each for times without one."""

import json
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from node.audit_log import AuditLog
from node.directory import Directory, NodeRow, Query, Step, Transaction, Tx, open_directory
from node.directory.operators import AUDIT_BATCH, add_audit, choose_policy, read_audit
from shared.errors import Unavailable
from shared.wire.node_messages import AuditRecord
from tests.databases import PATIENT

pytestmark = pytest.mark.anyio

NAMES = ("n1", "n2", "n3")
ROW = NodeRow("n1", 7, hears=True, address="127.0.0.1:1", term=1)


def record(node: str, number: int, **fields: Any) -> AuditRecord:
    return AuditRecord(node, 7, number, 1_000.0 + number, "acorn album", "deaf", "20", **fields)


@pytest.fixture
async def directory(directory_url: str) -> AsyncIterator[Directory]:
    async with open_directory(directory_url, timing=PATIENT, writer="n1") as opened:
        yield opened


# --- The policy ------------------------------------------------------------------------------------------------------
async def test_a_chosen_policy_is_there_when_all_nodes_have_been_away(directory_url: str) -> None:
    async with open_directory(directory_url, timing=PATIENT) as directory:
        assert (await directory.announce_node(ROW)).policy is None
        await directory.write(choose_policy("priority"))
        await directory.write(choose_policy("round-robin"))
        assert (await directory.announce_node(ROW)).policy == "round-robin"
    async with open_directory(directory_url, timing=PATIENT) as directory:
        assert (await directory.announce_node(ROW)).policy == "round-robin"


# --- Records of orders -----------------------------------------------------------------------------------------------
async def test_a_record_is_there_once_however_often_it_is_added(directory: Directory) -> None:
    refused = record("n2", 1, obeyed=False, text="A node can be deaf for up to 600 s.")
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(directory.write, add_audit([record("n1", 1), refused]))
    await directory.write(add_audit([replaced := record("n1", 1, text="another")]))
    found = await directory.read(read_audit(0))
    assert sorted(found.records, key=lambda one: one.node) == [record("n1", 1), refused]
    assert replaced not in found.records


async def test_only_what_is_new_is_read_and_the_newest_of_very_many(directory: Directory) -> None:
    await directory.write(add_audit([record("n1", number) for number in range(AUDIT_BATCH + 50)]))
    first = await directory.read(read_audit(0))
    assert [one.number for one in first.records] == list(range(50, AUDIT_BATCH + 50))
    await directory.write(add_audit([record("n2", 1)]))
    second = await directory.read(read_audit(first.newest))
    assert second.records[-1] == record("n2", 1)
    assert len(second.records) < 20
    assert second.newest > first.newest


# --- Their way to every node -----------------------------------------------------------------------------------------
@dataclass
class Flaky:
    """A directory that can be away for one node."""

    inner: Directory
    away: bool = False

    async def write(self, transaction: Transaction[Any]) -> Any:
        if self.away:
            raise Unavailable("The directory is away.")
        return await self.inner.write(transaction)

    async def read(self, transaction: Transaction[Any]) -> Any:
        if self.away:
            raise Unavailable("The directory is away.")
        return await self.inner.read(transaction)


@dataclass
class Node:
    name: str
    folder: Path
    directory: Flaky

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin a new life with the file that is there."""
        self.log = AuditLog(self.folder / f"audit-{self.name}.log", self.name, self.directory)

    def file(self) -> list[tuple[str, int]]:
        lines = self.log.path.read_text().splitlines() if self.log.path.exists() else []
        return [(line["node"], line["number"]) for line in map(json.loads, lines)]


@pytest.fixture
async def nodes(directory_url: str, tmp_path: Path) -> AsyncIterator[dict[str, Node]]:
    """Three nodes, each with its own way to one directory."""
    async with AsyncExitStack() as stack:
        made = {}
        for name in NAMES:
            inner = await stack.enter_async_context(open_directory(directory_url, timing=PATIENT, writer=name))
            made[name] = Node(name, tmp_path, Flaky(inner))
        yield made


async def test_an_order_reaches_the_file_of_every_node_once_and_is_told_where_it_is_new(nodes: dict[str, Node]) -> None:
    maker, *others = nodes.values()
    await maker.log.write(record("n1", 1))
    assert maker.file() == [("n1", 1)], "before anything else"
    assert await maker.log.exchange() == []
    newest = (await maker.directory.inner.announce_node(ROW)).audited
    for node in others:
        assert node.log.is_behind(newest)
        assert await node.log.exchange() == [record("n1", 1)]
    for node in nodes.values():
        assert not node.log.is_behind(newest)
        assert await node.log.exchange() == []
        assert node.file() == [("n1", 1)]


async def test_what_was_refused_stays_on_the_node_that_refused_it(nodes: dict[str, Node]) -> None:
    await nodes["n1"].log.write(record("n1", 1, obeyed=False, text="not an operator's key"))
    nodes["n1"].start()
    await nodes["n1"].log.exchange()
    assert await nodes["n2"].log.exchange() == []


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_order_of_a_time_without_a_directory_gets_there_later(nodes: dict[str, Node], restarted: bool) -> None:
    maker, other, _ = nodes.values()
    maker.directory.away = True
    await maker.log.write(record("n1", 1))
    assert await maker.log.exchange() == []
    assert maker.file() == [("n1", 1)]
    if restarted:
        maker.start()
    maker.directory.away = False
    await maker.log.exchange()
    assert await other.log.exchange() == [record("n1", 1)]
    assert maker.file() == other.file() == [("n1", 1)]


async def test_a_node_that_was_away_gets_what_it_missed_even_if_its_maker_is_gone(nodes: dict[str, Node]) -> None:
    maker, away, _ = nodes.values()
    for number in range(20):
        await maker.log.write(record("n1", number))
    await maker.log.exchange()
    away.start()
    await away.log.exchange()
    away.start()
    await away.log.exchange()
    assert away.file() == [("n1", number) for number in range(20)]


async def test_a_row_that_becomes_visible_late_is_not_passed_over(nodes: dict[str, Node]) -> None:
    """Numbers are given before the commit, so one node's lower number may appear after another's higher."""
    reader, writer, _ = nodes.values()
    await writer.directory.inner.write(add_audit([record("n2", number) for number in range(3)]))

    def take_out(_: Tx) -> Step[None]:
        yield Query("UPDATE audit SET id = id + 1 WHERE number = 2")

    await writer.directory.inner.write(take_out)
    await reader.log.exchange()

    def late(_: Tx) -> Step[None]:
        yield Query(
            "INSERT INTO audit (id, node, incarnation, number, at, operator, command, value, obeyed, text) "
            "SELECT id - 1, 'n3', 7, 9, at, operator, command, value, obeyed, text FROM audit WHERE number = 2"
        )

    await writer.directory.inner.write(late)
    assert [(one.node, one.number) for one in await reader.log.exchange()] == [("n3", 9)]


async def test_a_restored_directory_gets_its_records_back(nodes: dict[str, Node]) -> None:
    maker, other, _ = nodes.values()
    await maker.log.write(record("n1", 1))
    await maker.log.exchange()

    def forget(_: Tx) -> Step[None]:
        yield Query("DELETE FROM audit")

    await maker.directory.inner.write(forget)
    for _ in range(2):
        await maker.log.exchange()
    assert await other.log.exchange() == [record("n1", 1)]


@pytest.mark.parametrize("seed", range(5))
async def test_records_reach_every_node_once_whatever_happens(nodes: dict[str, Node], seed: int) -> None:
    """Nodes lose the directory, come back and restart in between."""
    rng = random.Random(seed)
    made = []
    for number in range(40):
        node = nodes[rng.choice(NAMES)]
        if rng.random() < 0.4:
            await node.log.write(record(node.name, number))
            made.append((node.name, number))
        elif rng.random() < 0.3:
            node.directory.away = not node.directory.away
        elif rng.random() < 0.3:
            node.start()
        else:
            await node.log.exchange()
    for node in nodes.values():
        node.directory.away = False
    for _ in range(2):
        for node in nodes.values():
            await node.log.exchange()
    for node in nodes.values():
        assert sorted(node.file()) == sorted(made)
