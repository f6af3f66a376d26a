"""Three real nodes for tests: `glimpse up` in a process of its own, on free ports, in a folder of the test.

Faults of theirs come in three ways, see `Fault`: what a test holds after a node was killed holds in all of them.
"""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path

import anyio

from tests.patience import PATIENCE_S
from tests.ports import free_ports
from tui.commands.status import show, status_of

GLIMPSE = [sys.executable, "-m", "tui.cli"]
_NODES = 3
_READ = (
    "import contextlib, sqlite3, sys\n"
    "with contextlib.closing(sqlite3.connect(sys.argv[1], timeout=30)) as file:\n"
    "    assert file.execute('SELECT COUNT(*) FROM nodes').fetchone() == (3,)\n"
)


class Fault(Enum):
    """How a node's process ends."""

    KILLED = "killed"
    """SIGKILL: as after a crash, nothing is closed or said."""
    STOPPED = "stopped in order"
    """SIGTERM: the node gives leadership away, closes the directory's file and says goodbye."""
    KILLED_AFTER_A_READER = "killed after a reader"
    """Another process has opened, read and closed the directory's file before. It must not take itself for the last
    user, and the log with it."""


class RunningCluster:
    """A cluster that `glimpse up` runs. Close it with `stop`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.file = folder / "cluster.toml"
        command = [*GLIMPSE, "up", "--data", str(folder), "--base-port", str(free_ports(2 * _NODES)), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.ready = self._process.stdout.readline().strip()
        if not self.ready.startswith("ready "):
            self._process.wait(PATIENCE_S)
            self._process.stdout.close()
            raise AssertionError(f"the cluster did not come up: {self.ready!r}")

    def glimpse(self, *arguments: str, timeout_s: float = 100) -> subprocess.CompletedProcess[str]:
        """Run a command against this cluster."""
        return subprocess.run(
            [*GLIMPSE, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "GLIMPSE_CLUSTER": str(self.file)},
        )

    def status(self) -> dict:
        """Return what `glimpse status --json` says, without a process for each of the many looks that a test takes."""
        with ThreadPoolExecutor(1) as outside:  # of the event loop of a test that has one
            status = outside.submit(anyio.run, status_of, self.file).result()
        return json.loads(show(status, as_json=True))

    def load(self, requests: int, clients: int, *options: str) -> dict:
        """Have so many pictures encrypted, each of which must come back once; return what `glimpse load` counted."""
        result = self.glimpse("load", "--requests", str(requests), "--clients", str(clients), "--json", *options)
        assert result.returncode == 0, result.stdout + result.stderr
        stats = json.loads(result.stdout)
        assert (stats["ok"], stats["failed"], stats["duplicates"]) == (requests, 0, 0)
        return stats

    def pid(self, name: str) -> int:
        """Return the process of a node that answers."""
        return next(int(node["pid"]) for node in self.status()["nodes"] if node["name"] == name)

    def end_node(self, pid: int, fault: Fault) -> None:
        """Let a node's process end in one of the ways there are."""
        if fault is Fault.KILLED_AFTER_A_READER:
            self.read_directory()
        os.kill(pid, signal.SIGTERM if fault is Fault.STOPPED else signal.SIGKILL)

    def read_directory(self) -> None:
        """Open the directory's file in another process, read and close it, as a look with the sqlite3 shell does.

        The nodes' log must still be there afterwards: without a name, what they write into it ends with them.
        """
        file, log = self.folder / "directory.sqlite", self.folder / "directory.sqlite-wal"
        inode = log.stat().st_ino
        subprocess.run([sys.executable, "-c", _READ, str(file)], check=True, timeout=100)
        assert log.exists(), "the reader deleted the log under the living nodes"
        assert log.stat().st_ino == inode, "the nodes write into a log without a name"

    def stop(self) -> int:
        """Drain and end it; return the exit code of `glimpse up`."""
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(PATIENCE_S)
        self._process.stdout.close()
        return code

    def kill(self) -> None:
        """End `glimpse up` at once, as a crash does."""
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()
