"""Three node processes on one SQLite directory, and everything that can be done to them from outside.

All lie in one folder, as `glimpse up` makes it. Every node has a cluster file of its own: in it the node itself stands
with its private address, where its sockets are bound, and the others with their public ones, so that what nodes say to
each other goes through the relay too.
"""

import asyncio
import contextlib
import ctypes.util
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.cluster import Cluster, save_cluster
from tests.chaos.network import ROOT, Net
from tui.commands.up import set_up
from tui.common.user_paths import CLUSTER_FILE, OPERATOR_KEY

GLIMPSE = [sys.executable, "-m", "tui.cli"]
FIRST_NODE = 101
"""Party of the first node; parties have three digits, so that addresses sort alike in every node's file."""
DISK_MB = 96
START_S = 90.0
STOP_S = 60.0
DIRECTORY_TABLES = ("meta", "accounts", "images", "asks", "grants", "views", "lease", "held_copies", "held_parts")
_BACKUP = (
    "import contextlib, sqlite3, sys\n"
    "with contextlib.closing(sqlite3.connect(sys.argv[1], timeout=30)) as a:\n"
    "    with contextlib.closing(sqlite3.connect(sys.argv[2])) as b:\n"
    "        a.backup(b)\n"
)
_READ = (
    "import contextlib, sqlite3, sys\n"
    "with contextlib.closing(sqlite3.connect(sys.argv[1], timeout=30)) as a:\n"
    "    a.execute('SELECT COUNT(*) FROM accounts').fetchall()\n"
)


class Cloud:
    """The nodes of one run. `left_out` says which faults this machine does not allow, and why."""

    def __init__(self, folder: Path, net: Net, *, nodes: int, without: list[str], disk: bool, clock: bool) -> None:
        self.folder, self._net, self.without = folder, net, without
        self.left_out: list[str] = []
        self._mounted = disk and self._mount(folder / "db")
        self.database = folder / "db" / "directory.sqlite"
        self.database.parent.mkdir(parents=True, exist_ok=True)
        made = set_up(folder / "made", nodes=nodes, directory_url=f"sqlite:///{self.database}")
        made.close()  # nodes are started here, at addresses of their own
        self._made = made.folder
        self.parties = {node.name: FIRST_NODE + index for index, node in enumerate(made.cluster.nodes)}
        self.names = tuple(self.parties)
        self._write_files(made.cluster)
        self._shim = self._compile() if clock else None
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._ballast = folder / "db" / "ballast"

    # --- Files -------------------------------------------------------------------------------------------------------
    def _write_files(self, cluster: Cluster) -> None:
        """Write the cluster file of each node, of people, and of operators."""
        for own in self.names:
            save_cluster(self._file_of(own), self._seen(cluster, {own}))
        save_cluster(self.for_people, self._seen(cluster, set()))
        save_cluster(self.for_operators, self._seen(cluster, set(self.names)))

    def _seen(self, cluster: Cluster, private: set[str]) -> Cluster:
        nodes = []
        for node in cluster.nodes:
            address_of = self._net.private if node.name in private else self._net.public
            nodes.append(replace(node, host=address_of(self.parties[node.name])))
        return replace(cluster, nodes=tuple(nodes))

    def _file_of(self, name: str) -> Path:
        return self._made / f"cluster-{name}.toml"

    @property
    def for_people(self) -> Path:
        """The cluster file that peers get."""
        return self.folder / CLUSTER_FILE

    @property
    def for_operators(self) -> Path:
        """The cluster file for `glimpse status` and others of an operator; their datagrams meet no weather."""
        assert (self._made / OPERATOR_KEY).exists()
        return self._made / CLUSTER_FILE

    def _mount(self, folder: Path) -> bool:
        folder.mkdir(parents=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            self.left_out.append(f"full disks (no file system can be mounted here: {done.stderr.strip()})")
        return done.returncode == 0

    def _compile(self) -> Path | None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None or ctypes.util.find_library("c") is None:
            self.left_out.append("clock steps (there is no C compiler)")
            return None
        shim = self.folder / "clock.so"
        source = Path(__file__).with_name("clock.c")
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(shim), str(source), "-lm", "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            self.left_out.append(f"clock steps (the shim does not compile: {done.stderr.strip()[:200]})")
            return None
        for name in self.names:
            self._clock_file(name).write_bytes(struct.pack("d", 0.0))
        return shim

    def _clock_file(self, name: str) -> Path:
        return self.folder / f"clock-{name}"

    # --- Processes ---------------------------------------------------------------------------------------------------
    def _command(self, name: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "tests.chaos.node_main",
            str(self._net.block),
            ",".join(self.without),
            "node",
            "--cluster",
            str(self._file_of(name)),
            "--name",
            name,
            "--with-parent",
            str(os.getpid()),
        ]

    async def _spawn(self, name: str) -> asyncio.subprocess.Process:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if self._shim is not None:
            environment |= {"LD_PRELOAD": str(self._shim), "GLIMPSE_CHAOS_CLOCK": str(self._clock_file(name))}
        with (self.folder / f"{name}.out").open("ab") as out:
            return await asyncio.create_subprocess_exec(
                *self._command(name), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT, env=environment
            )

    def running(self, name: str) -> bool:
        """Whether a node's process is there."""
        process = self._processes.get(name)
        return process is not None and process.returncode is None

    def ended(self) -> dict[str, int]:
        """Return the nodes that have ended by themselves or were killed, with their exit codes."""
        return {name: p.returncode for name, p in self._processes.items() if p.returncode is not None}

    async def start(self, name: str) -> None:
        """Start a node that does not run."""
        if not self.running(name):
            self._processes[name] = await self._spawn(name)

    async def start_all(self) -> None:
        """Start all nodes that do not run."""
        for name in self.names:
            await self.start(name)

    async def kill(self, *names: str) -> None:
        """SIGKILL for these nodes, all at once."""
        for name in names:
            self._signal(name, signal.SIGKILL)
        for name in names:
            if name in self._processes:
                await self._processes[name].wait()

    async def terminate(self, *names: str) -> list[str]:
        """SIGTERM for these nodes; return those that did not go and had to be killed."""
        for name in names:
            self._signal(name, signal.SIGTERM)
        stubborn = []
        for name in names:
            if name in self._processes:
                try:
                    await asyncio.wait_for(self._processes[name].wait(), STOP_S)
                except TimeoutError:
                    stubborn.append(name)
                    await self.kill(name)
        return stubborn

    def stop_the_world(self, name: str) -> None:
        """SIGSTOP."""
        self._signal(name, signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """SIGCONT."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> None:
        if self.running(name):
            with contextlib.suppress(ProcessLookupError):
                self._processes[name].send_signal(number)

    async def start_twice(self, name: str) -> int | None:
        """Start a node that runs already, as by mistake; return the exit code, None if it had to be killed.

        A node that was itself started just now may not hold its lock yet. Then the second start becomes the node, and
        the first is the one that ends.
        """
        first, second = self._processes[name], await self._spawn(name)
        waiting = {asyncio.create_task(process.wait()) for process in (first, second)}
        _, still = await asyncio.wait(waiting, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        for task in still:
            task.cancel()
        if first.returncode is not None and second.returncode is None:
            self._processes[name] = second
            return first.returncode
        if second.returncode is None:
            second.kill()
            await second.wait()
            return None
        return second.returncode

    # --- The database, from other processes --------------------------------------------------------------------------
    async def backup(self, target: Path, *, with_glimpse: bool) -> str:
        """Copy the directory while the nodes run; return the words of a failure, empty if it went well."""
        if with_glimpse:
            return await self._run(*GLIMPSE, "backup", "--cluster", str(self.for_operators), str(target))
        return await self._run(sys.executable, "-c", _BACKUP, str(self.database), str(target))

    async def read(self) -> str:
        """Open the database from another process, read a row and close it; return the words of a failure."""
        return await self._run(sys.executable, "-c", _READ, str(self.database))

    async def restore(self, backup: Path, *, with_glimpse: bool) -> str:
        """Put an older copy in the place of the directory, while no node runs; return the words of a failure."""
        if with_glimpse:
            return await self._run(*GLIMPSE, "restore", "--cluster", str(self.for_operators), str(backup))
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.database}{ending}").unlink(missing_ok=True)
        shutil.copy(backup, self.database)
        self.database.chmod(0o600)
        return ""

    async def _run(self, *command: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        out, _ = await process.communicate()
        return "" if process.returncode == 0 else f"code {process.returncode}: {out.decode(errors='replace')[-300:]}"

    # --- Disk and clock ----------------------------------------------------------------------------------------------
    @property
    def can_fill(self) -> bool:
        """Whether the directory lies on a disk of its own that may be filled."""
        return self._mounted

    def fill_disk(self) -> None:
        """Use up all space of the directory's disk."""
        with self._ballast.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(b"x" * size)

    def empty_disk(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    @property
    def can_step(self) -> bool:
        """Whether clocks of nodes can be set."""
        return self._shim is not None

    def set_clock(self, name: str, offset_s: float) -> None:
        """Shift the wall clock of a node's process, now and in later lives."""
        with self._clock_file(name).open("r+b") as file:
            file.write(struct.pack("d", offset_s))

    # --- What it says ------------------------------------------------------------------------------------------------
    async def status(self) -> dict[str, Any]:
        """Return what `glimpse status` says, empty where it says nothing."""
        process = await asyncio.create_subprocess_exec(
            *GLIMPSE,
            "status",
            "--cluster",
            str(self.for_operators),
            "--json",
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        out, _ = await process.communicate()
        with contextlib.suppress(ValueError):
            return dict(json.loads(out))
        return {}

    async def healthy(self, patience_s: float) -> str:
        """Wait until all nodes run under a leader; return what is wrong where they do not come to it."""
        until = time.monotonic() + patience_s
        wrong = "no status"
        while time.monotonic() < until:
            status = await self.status()
            if status:
                down = [node["name"] for node in status["nodes"] if node["role"] == "down"]
                if status["leader"] is not None and not down and status["directory"].get("ok"):
                    return ""
                wrong = f"leader={status['leader']} down={down} directory={status['directory']}"
            await asyncio.sleep(0.3)
        return wrong

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return the tables of the directory; only while no node runs."""
        return tables(self.database, DIRECTORY_TABLES)

    async def close(self) -> None:
        """End everything and unmount."""
        for name in self.names:
            self.go_on(name)
        await self.kill(*self.names)
        if self._mounted:
            await asyncio.to_thread(subprocess.run, ["umount", "-l", str(self.folder / "db")], capture_output=True)


def tables(path: Path, names: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of some tables of an SQLite file, without large values; a table that is not there is empty."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        there = {row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for name in names:
            if name in there:
                rows = database.execute(f"SELECT * FROM {name}").fetchall()
                found[name] = [{k: v for k, v in dict(row).items() if not isinstance(v, bytes)} for row in rows]
    return found
