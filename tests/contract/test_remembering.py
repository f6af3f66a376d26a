"""A node's memory at work over either directory: comparing at start, while it runs, and what others remember."""

import logging

import pytest

from node.directory import Marks, Query, Step, Tx, open_directory
from node.node_folder import load_memory, memory_path, save_memory
from node.remembering import Remembering
from shared.errors import Unavailable
from shared.wire.node_messages import DirectoryMark
from tests.databases import PATIENT

pytestmark = pytest.mark.anyio

CLUSTER = "c" * 32


class Node:
    """A node that does nothing but remember, with a clock that stands until it is moved."""

    def __init__(self, folder, directory, name: str = "n1", others: tuple[str, ...] = ("n2", "n3")) -> None:
        self.path = memory_path(folder, name)
        self.sent: list[tuple[str, DirectoryMark]] = []
        self.recovered: list[tuple[int, int]] = []
        self.forgot = 0
        self.now = 0.0
        self.remembering = Remembering(
            self.path,
            CLUSTER,
            directory=directory,
            others=others,
            heartbeat_s=0.25,
            clock=lambda: self.now,
            send=lambda node, mark: self.sent.append((node, mark)),
            recovered=lambda epoch, frozen: self.recovered.append((epoch, frozen)),
            forget=self._forget,
        )

    def _forget(self) -> None:
        self.forgot += 1


def mark(marks: Marks) -> DirectoryMark:
    return DirectoryMark(commits=marks.commits, epoch=marks.epoch, term=marks.term, accounts=marks.accounts)


def write(tx: Tx) -> Step[None]:
    yield tx.upsert("meta", {"name": "test", "value": 1}, keys=("name",))


@pytest.fixture
async def directory(directory_url):
    async with open_directory(directory_url, timing=PATIENT, writer="n1") as opened:
        for _ in range(3):
            await opened.write(write)
        yield opened


async def test_a_life_remembers_what_the_one_before_saw(directory, tmp_path):
    node = Node(tmp_path, directory)
    assert node.remembering.must_wait, "nothing takes effect before the first comparison"
    await node.remembering.start()
    assert (node.remembering.must_wait, node.remembering.epoch) == (False, 1)
    await node.remembering.stop()
    assert load_memory(node.path, CLUSTER) == await directory.marks()
    again = Node(tmp_path, directory)
    await again.remembering.start()
    assert (again.remembering.epoch, again.recovered) == (1, [])


async def test_a_directory_behind_an_earlier_life_is_recovered_before_anything_is_served(directory, tmp_path):
    ahead = Marks(commits=500, epoch=1, term=9, accounts=20)
    save_memory(memory_path(tmp_path, "n1"), CLUSTER, ahead)
    node = Node(tmp_path, directory)
    await node.remembering.start()
    assert node.recovered == [(2, 0)]
    assert (node.remembering.epoch, node.remembering.must_wait, node.forgot) == (2, False, 1)
    assert not (await directory.marks()).is_behind(ahead)
    await node.remembering.stop()
    assert load_memory(node.path, CLUSTER).epoch == 2


async def test_a_restore_that_lacks_only_the_last_commits_is_found(directory, directory_url, tmp_path):
    """A node believed a reading only once a second one had confirmed it: a backup that was put back within that second
    went unnoticed, and looks made since were had again. What a node was told as done needs no second one."""
    node = Node(tmp_path, directory)
    await node.remembering.start()
    before = await directory.marks()
    for _ in range(5):
        await directory.write(write)

    def put_back(_: Tx) -> Step[None]:
        yield Query("UPDATE writers SET commits = :commits WHERE name = 'n1'", {"commits": before.commits})

    async with open_directory(directory_url, timing=PATIENT, writer="n2") as second:
        await second.write(put_back)
    await node.remembering._compare()
    assert node.recovered == [(2, 0)]
    await node.remembering._compare()
    assert node.recovered == [(2, 0)], "once is enough"


async def test_a_restore_is_found_though_the_nodes_went_on_in_it_until_the_numbers_had_caught_up(
    directory, directory_url, tmp_path
):
    """Only the commits of all nodes together were compared: a few keep-alives in the restored directory made up for
    what it lacked, and nobody ever noticed."""
    node = Node(tmp_path, directory)
    await node.remembering.start()

    def put_back(_: Tx) -> Step[None]:
        yield Query("UPDATE writers SET commits = commits - 1 WHERE name = 'n1'")

    def lost(tx: Tx) -> Step[bool]:
        yield Query("SELECT 1")
        return tx.lost_commits

    assert not await directory.write(lost)
    async with open_directory(directory_url, timing=PATIENT, writer="n2") as second:
        await second.write(put_back)
        for _ in range(3):
            await second.write(write)
            assert await directory.write(lost), "nothing takes effect in it, from the first commit on"
    assert not (await directory.marks()).is_behind(node.remembering.memory.highest)
    await node.remembering._compare()
    assert node.recovered == [(2, 0)]
    assert not await directory.write(lost)
    await node.remembering._compare()
    assert node.recovered == [(2, 0)], "once is enough"


async def test_other_nodes_tell_one_whose_memory_is_damaged(directory, tmp_path, caplog):
    memory_path(tmp_path, "n1").write_bytes(b"\0" * 50)
    node = Node(tmp_path, directory)
    with caplog.at_level(logging.WARNING):
        await node.remembering.start()
    assert "goes by what the other nodes remember" in caplog.text
    assert node.recovered == []
    ahead = Marks(commits=500, epoch=3, term=9, accounts=20)
    node.remembering.heard("stranger", mark(ahead))
    await node.remembering._compare()
    assert node.recovered == [], "only nodes of the cluster are believed"
    node.remembering.heard("n2", mark(ahead))
    await node.remembering._compare()
    assert node.recovered == [(4, 0)]


async def test_a_node_tells_what_it_remembers(directory, tmp_path):
    node = Node(tmp_path, directory)
    await node.remembering.start()
    await node.remembering.stop()
    marks = mark(await directory.marks())
    assert node.sent[-2:] == [("n2", marks), ("n3", marks)]


async def test_one_recovers_and_the_others_go_on(directory, directory_url, tmp_path):
    ahead = Marks(commits=500, epoch=1, term=9, accounts=20)
    async with open_directory(directory_url, timing=PATIENT, writer="n2") as second:
        nodes = [Node(tmp_path, directory), Node(tmp_path, second, "n2", ("n1", "n3"))]
        for node in nodes:
            await node.remembering.start()
            node.remembering.heard("n3", mark(ahead))
        for node in nodes:
            await node.remembering._compare()
        assert [node.recovered for node in nodes] == [[(2, 0)], []]
        assert [node.remembering.epoch for node in nodes] == [2, 2]
        assert all(node.forgot for node in nodes), "both may remember accounts that the directory lacks"


async def test_a_recovery_that_fails_is_tried_again_and_nothing_served_meanwhile(
    directory, tmp_path, monkeypatch, caplog
):
    save_memory(memory_path(tmp_path, "n1"), CLUSTER, Marks(commits=500, epoch=1, term=9, accounts=20))
    node = Node(tmp_path, directory)

    async def away(_):
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(directory, "write", away)
        with caplog.at_level(logging.WARNING):
            await node.remembering.start()
            for _ in range(3):
                await node.remembering._compare()
        assert (node.remembering.must_wait, node.recovered) == (True, [])
        said = [(record.getMessage().partition(":")[0], record.levelname) for record in caplog.records]
        assert said == [
            ("the directory is behind what is remembered of it", "WARNING"),
            ("the restored directory is not safe to use yet; all requests wait", "WARNING"),
        ]
    await node.remembering._compare()
    assert (node.remembering.must_wait, node.recovered) == (False, [(2, 0)])


async def test_a_directory_that_is_away_at_the_start_is_compared_later(directory, tmp_path, monkeypatch):
    node = Node(tmp_path, directory)

    async def away():
        raise Unavailable("not now")

    with monkeypatch.context() as patch:
        patch.setattr(directory, "marks", away)
        await node.remembering.start()
        assert node.remembering.must_wait
    await node.remembering._compare()
    assert not node.remembering.must_wait


@pytest.mark.parametrize("table", ["meta", "lease"])
async def test_a_directory_into_which_a_dump_is_being_loaded_is_not_judged(directory, tmp_path, table):
    """A dump replaces one table after the other, and each is empty for a moment: the node that looked just then ended
    with a TypeError."""
    node = Node(tmp_path, directory)
    await node.remembering.start()

    def empty(_: Tx) -> Step[None]:
        yield Query(f"DELETE FROM {table} WHERE name IN ('epoch', 'leader')")

    await directory.write(empty)
    await node.remembering._compare()
    assert node.recovered == []
    with pytest.raises(Unavailable, match="lacks rows of its own"):
        await directory.marks()
    if table == "lease":
        with pytest.raises(Unavailable, match="has no lease"):
            await directory.read_lease()


async def test_a_folder_that_cannot_be_written_is_said_once(directory, tmp_path, caplog):
    node = Node(tmp_path, directory)
    node.path = node.remembering._path = tmp_path / "gone" / "memory-n1.json"
    await node.remembering.start()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await node.remembering.stop()
    assert caplog.text.count("cannot remember") == 1
    node.path.parent.mkdir()
    await node.remembering.stop()
    assert load_memory(node.path, CLUSTER) == await directory.marks()


async def test_grants_that_wait_are_counted_now_and_then(directory, tmp_path):
    async def rows(count: int) -> None:
        def run(_: Tx) -> Step[None]:
            yield Query("UPDATE meta SET value = :epoch WHERE name = 'epoch'", {"epoch": count})

        await directory.write(run)

    node = Node(tmp_path, directory)
    await node.remembering.start()
    node.remembering.frozen = 77
    await node.remembering._compare()
    assert node.remembering.frozen == 77, "the first epoch has none to count"
    await rows(2)
    await node.remembering._compare()
    assert (node.remembering.epoch, node.remembering.frozen) == (2, 0)
    node.remembering.frozen = 77
    await node.remembering._compare()
    assert node.remembering.frozen == 77
    node.now += 31
    await node.remembering._compare()
    assert node.remembering.frozen == 0
