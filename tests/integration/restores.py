"""A cluster whose directory, or whose whole folder, can be put back to an earlier moment."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import anyio.to_thread

from tests.integration.cluster import RunningCluster
from tests.patience import until
from tui.peer import Peer


class RestorableCluster:
    """Three nodes on SQLite in a folder; stopped and started by the tests. Close it with `stop`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cloud"
        self._copies = folder / "copies"
        self._copies.mkdir()
        self._running = RunningCluster(self.folder)

    @property
    def file(self) -> Path:
        return self.folder / "cluster.toml"

    @property
    def database(self) -> Path:
        return self.folder / "directory.sqlite"

    def stop(self) -> None:
        assert self._running.stop() == 0

    def start(self) -> None:
        self._running = RunningCluster(self.folder)

    def back_up(self, name: str) -> None:
        """Copy the directory through SQLite, while the nodes go on."""
        with closing(sqlite3.connect(self.database)) as here, closing(sqlite3.connect(self._copies / name)) as there:
            here.backup(there)

    def put_back(self, name: str) -> None:
        """Put the directory back to a copy, through SQLite; the nodes may run."""
        with closing(sqlite3.connect(self._copies / name)) as there, closing(sqlite3.connect(self.database)) as here:
            there.backup(here)

    async def remembered(self) -> None:
        """Wait until all nodes remember what the directory has counted up to now."""

        def counted() -> int:
            with closing(sqlite3.connect(self.database)) as here:
                return int(here.execute("SELECT SUM(commits) FROM writers").fetchone()[0])

        def least() -> int:
            kept = [json.loads(path.read_text()) for path in self.folder.glob("memory-*.json")]
            return min((int(memory["commits"]) for memory in kept), default=-1)

        wanted = await anyio.to_thread.run_sync(counted)

        async def known() -> int:
            return await anyio.to_thread.run_sync(least)

        await until(known, lambda number: number >= wanted)

    async def restore(self, name: str) -> None:
        """Stop the nodes, put the directory back, start them again."""

        def work() -> None:
            self.stop()
            self.put_back(name)
            self.start()

        await anyio.to_thread.run_sync(work)

    async def snapshot(self, name: str) -> None:
        """Stop the nodes, copy their whole folder, start them again."""

        def work() -> None:
            self.stop()
            shutil.copytree(self.folder, self._copies / name)
            self.start()

        await anyio.to_thread.run_sync(work)

    async def roll_back(self, name: str) -> None:
        """Put the whole folder back: the directory, and what the nodes remember of it."""

        def work() -> None:
            self.stop()
            shutil.rmtree(self.folder)
            shutil.copytree(self._copies / name, self.folder)
            self.start()

        await anyio.to_thread.run_sync(work)


async def join(**peers: Peer) -> None:
    """Register each peer under its name, and sign it in."""
    for name, peer in peers.items():
        await peer.register(name)
        await peer.sign_in()


async def told(peer: Peer, words: str = "") -> str:
    """Wait for what the owner is told after a restore, with these words in it, and take note of it."""
    text = await until(peer.restored_notice, lambda text: bool(text) and words in text)
    await peer.read_restored_notice()
    return str(text)
