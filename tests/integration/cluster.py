"""Three real nodes for tests: `glimpse up` in a process of its own, on free ports, in a folder of the test."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

GLIMPSE = [sys.executable, "-m", "tui.cli"]


class RunningCluster:
    """A cluster that `glimpse up` runs. Close it with `stop`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.file = folder / "cluster.toml"
        self._process = subprocess.Popen(
            [*GLIMPSE, "up", "--data", str(folder), "--base-port", "0", *options], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.ready = self._process.stdout.readline().strip()
        if not self.ready.startswith("ready "):
            self._process.wait(10)
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
        """Return what `glimpse status --json` says."""
        return json.loads(self.glimpse("status", "--json").stdout)

    def stop(self) -> int:
        """Drain and end it; return the exit code of `glimpse up`."""
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(30)
        self._process.stdout.close()
        return code

    def kill(self) -> None:
        """End `glimpse up` at once, as a crash does."""
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait(10)
        self._process.stdout.close()
