"""Nothing that was acknowledged is lost, in whatever order the processes that use the directory begin, end and die."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import anyio
import psutil
import pytest

from shared.errors import GlimpseError
from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.patience import wait_until
from tui.peer import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("nodes")]
PATIENCE_S = 90.0


class Place:
    """A cluster that can lose its power, its nodes, and the people registered in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = RunningCluster(folder / "cluster")
        self.data = folder / "cluster"
        self.people: list[str] = []
        self._extra: list[subprocess.Popen[bytes]] = []

    async def register(self, *names: str) -> None:
        """Register people: the smallest effect that is acknowledged and can be found again."""
        for name in names:
            async with Peer(self.folder / name, self.cluster.file) as peer:
                await peer.register(name)
                await peer.sign_in()
            self.people.append(name)

    async def lost(self) -> list[str]:
        """Return the people that the cloud no longer knows."""
        lost = []
        for name in self.people:
            async with Peer(self.folder / name, self.cluster.file) as peer:
                try:
                    await peer.sign_in()
                except GlimpseError as error:
                    lost.append(f"{name}: {error}")
        return lost

    def pids(self) -> dict[str, int]:
        """Return the processes of the nodes by name, as their locks have them."""
        found = {}
        for path in self.data.glob("node-*.lock"):
            pid = int(path.read_text())
            with suppress(psutil.Error):  # it has ended
                if str(self.data) in " ".join(psutil.Process(pid).cmdline()):
                    found[path.stem.removeprefix("node-")] = pid
        return found

    def node(self, name: str) -> subprocess.Popen[bytes]:
        """Start one node, as an operator does after a stop."""
        command = [*GLIMPSE, "node", "--cluster", str(self.cluster.file), "--name", name]
        self._extra.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return self._extra[-1]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.cluster.glimpse(*words)

    def power_cut(self) -> None:
        """Kill every process at once, and wait until none is left."""
        for pid in self.pids().values():
            os.kill(pid, signal.SIGKILL)
        self.cluster._process.kill()
        for process in self._extra:
            process.kill()
            process.wait(30)
        wait_until(lambda: not self.pids())
        self.cluster.kill()
        self._extra.clear()

    def start(self) -> None:
        self.cluster = RunningCluster(self.data)

    def end(self) -> None:
        self.power_cut()


async def until_there(place: Place, *names: str) -> None:
    def there() -> bool:
        status = place.cluster.status()
        roles = {node["name"]: node["role"] for node in status["nodes"]}
        return status["leader"] is not None and all(roles[name] != "down" for name in names)

    await anyio.to_thread.run_sync(wait_until, there)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.end()


async def cut_and_start(place: Place) -> None:
    await anyio.to_thread.run_sync(place.power_cut)
    await anyio.to_thread.run_sync(place.start)


async def test_a_second_start_by_mistake_touches_nothing(place: Place) -> None:
    """It opened the directory before it found its port taken, and closing the directory again deleted the log under the
    living nodes: what they acknowledged from then on was gone with the power."""
    await place.register("ada", "ben")
    before = {path.name: path.stat().st_mtime_ns for path in place.data.glob("node-n3.*") if path.suffix != ".log"}
    pid = place.pids()["n3"]
    again = await anyio.to_thread.run_sync(place.run, "node", "--cluster", str(place.cluster.file), "--name", "n3")
    assert again.returncode == 1
    assert re.fullmatch(f"glimpse: Node n3 runs already as process {pid}: .*\n", again.stderr)
    assert before == {name: (place.data / name).stat().st_mtime_ns for name in before}
    await place.register("cem")
    await cut_and_start(place)
    assert await place.lost() == []


async def test_another_process_that_reads_the_directory_and_closes_it_takes_nothing_away(place: Place) -> None:
    """An online backup, or a look with the sqlite3 shell. POSIX locks of the nodes were gone, so the reader took itself
    for the last user and deleted the log when it closed."""
    await place.register("ada", "ben")
    path = place.data / "directory.sqlite"
    script = (
        "import sqlite3, sys\n"
        "file = sqlite3.connect(sys.argv[1]); copy = sqlite3.connect(sys.argv[2])\n"
        "file.execute('SELECT COUNT(*) FROM accounts').fetchall(); file.backup(copy); copy.close(); file.close()\n"
    )
    command = [*GLIMPSE[:1], "-c", script, str(path), str(place.folder / "copy.sqlite")]
    for _ in range(2):
        await anyio.to_thread.run_sync(lambda: subprocess.run(command, check=True))
    inode = path.with_name(path.name + "-wal").stat().st_ino
    await place.register("cem")
    assert path.with_name(path.name + "-wal").stat().st_ino == inode, "the nodes write into a log without a name"
    await cut_and_start(place)
    assert await place.lost() == []


async def test_nodes_that_end_in_order_one_by_one_and_start_again_lose_nothing(place: Place) -> None:
    """A rolling restart left two directories at once behind one healthy-looking status. And each node is in the cluster
    again under a higher incarnation, also where it has lost its file of them."""
    await place.register("before")
    incarnations = lives(place)
    for name in ("n1", "n2", "n3"):
        os.kill(place.pids()[name], signal.SIGTERM)
        await anyio.to_thread.run_sync(wait_until, lambda name=name: name not in place.pids())
        await place.register(f"without-{name}")
        if name == "n2":
            (place.data / "node-n2.life").unlink()
        place.node(name)
        await until_there(place, name)
        await place.register(f"again-{name}")
    assert await place.lost() == []
    assert all(lives(place)[name] > incarnation for name, incarnation in incarnations.items())
    await cut_and_start(place)
    assert await place.lost() == []


def lives(place: Place) -> dict[str, int]:
    file = sqlite3.connect(f"{(place.data / 'directory.sqlite').as_uri()}?mode=ro", uri=True)
    try:
        return dict(file.execute("SELECT name, incarnation FROM nodes").fetchall())
    finally:
        file.close()


async def test_a_node_that_is_taken_for_its_earlier_life_comes_back_by_itself(place: Place) -> None:
    """It was restarted with its clock set back, its incarnation was lower, and everybody ignored it for good."""
    forgotten = 2**52
    file = sqlite3.connect(place.data / "directory.sqlite", timeout=60)
    file.execute("UPDATE nodes SET incarnation = ? WHERE name = 'n2'", (forgotten,))
    file.commit()
    file.close()
    await anyio.to_thread.run_sync(wait_until, lambda: lives(place)["n2"] > forgotten)
    assert int((place.data / "node-n2.life").read_text()) == lives(place)["n2"]
    await until_there(place, "n1", "n2", "n3")


def test_a_directory_of_a_newer_version_is_one_sentence(tmp_path: Path) -> None:
    """From `node` and from `up`, and nothing else."""
    cluster = RunningCluster(tmp_path / "cluster")
    cluster.stop()
    file = sqlite3.connect(tmp_path / "cluster" / "directory.sqlite")
    file.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
    file.commit()
    file.close()
    sentence = "The directory has schema version 99, but this Glimpse knows only up to"
    node = cluster.glimpse("node", "--cluster", str(cluster.file), "--name", "n1")
    assert (node.returncode, node.stdout) == (1, "")
    assert re.fullmatch(f"glimpse: {sentence} .*\n", node.stderr)
    up = cluster.glimpse("up", "--data", str(tmp_path / "cluster"))
    assert up.returncode == 1
    assert up.stderr.count("\n") == 1
    assert re.match(f"glimpse: Node n[123] did not start: {sentence}", up.stderr)


def test_another_clusters_directory_is_one_sentence_and_stays_untouched(tmp_path: Path) -> None:
    """A node that was pointed at it, or over whose own it was copied, served it: to its people everybody else was a
    stranger, and they got numbers that others had."""
    ours, theirs = RunningCluster(tmp_path / "ours"), RunningCluster(tmp_path / "theirs")
    ours.stop()
    theirs.stop()
    shutil.copy(tmp_path / "theirs" / "directory.sqlite", tmp_path / "ours" / "directory.sqlite")

    def commits() -> list[tuple[int, ...]]:
        with closing(sqlite3.connect(tmp_path / "ours" / "directory.sqlite")) as file:
            return list(file.execute("SELECT SUM(commits), COUNT(*) FROM writers"))

    before = commits()
    node = ours.glimpse("node", "--cluster", str(ours.file), "--name", "n1")
    assert (node.returncode, node.stdout) == (1, "")
    assert re.fullmatch("glimpse: The directory of n1 belongs to another cluster: .*\n", node.stderr)
    up = ours.glimpse("up", "--data", str(tmp_path / "ours"))
    assert up.returncode == 1
    assert re.match("glimpse: Node n[123] did not start: The directory of n[123] belongs to another", up.stderr)
    assert commits() == before
