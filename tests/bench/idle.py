"""What a client costs that is open and left alone: a signed-in account with people around, in a real terminal."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import anyio

from tests.bench.rows import Row
from tests.bench.share import share_of_a_core
from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.tui.terminal import Terminal
from tui.peer import Peer

SETTLE_S = 4.0
MEASURED_S = 20.0
BAR = 0.01
PEOPLE = 20


def rows() -> list[Row]:
    """Measure the share of one core."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = RunningCluster(Path(folder) / "cluster")
        try:
            anyio.run(_register, Path(folder), cluster.file)
            share = _client_share(Path(folder), cluster.file)
        finally:
            cluster.stop()
    note = f"{MEASURED_S:.0f} s, {PEOPLE} people in the list, three real nodes"
    return [Row("idle client: share of a core", share, "", "", None, share, "at most", BAR, note)]


async def _register(folder: Path, cluster_file: Path) -> None:
    for number in range(PEOPLE):
        name = "ada" if number == 0 else f"person-{number}"
        async with Peer(folder / "glimpse" / "profiles" / name, cluster_file) as peer:
            await peer.register(name)


def _client_share(folder: Path, cluster_file: Path) -> float:
    env = {**os.environ, "XDG_DATA_HOME": str(folder), "GLIMPSE_CLUSTER": str(cluster_file)}
    with Terminal([*GLIMPSE, "client", "--profile", "ada"], env=env, columns=120, rows=40) as terminal:
        terminal.wait_for("leads")
        terminal.wait_for("person-1")
        terminal.read_for(SETTLE_S)
        share = share_of_a_core(terminal, MEASURED_S)
        terminal.press("ctrl+q")
        terminal.wait_until_over()
    return share
