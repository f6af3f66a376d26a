"""What a monitor costs that watches three busy nodes at 5 Hz, in a real terminal, and what an hour leaves behind."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.load import cluster, load
from tests.bench.rows import Row
from tests.bench.share import share_of_a_core
from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.tui.fake_feed import healthy
from tests.tui.terminal import Terminal
from tui.monitor.model.model import Model

SETTLE_S, MEASURED_S = 5.0, 20.0
CPU_BAR, GROWTH_BAR = 0.12, 1.1
LOAD_REQUESTS = 300
"""Again and again, until the measurement is over."""
WARM_S, HOUR_S = 900.0, 3_600.0


def rows() -> list[Row]:
    """Measure all of it."""
    with cluster() as running:
        share, per_second = share_under_load(running)
    before, after = hour()
    note = f"{MEASURED_S:.0f} s at 120x40, three nodes that serve {per_second:.0f} requests/s"
    return [
        Row("monitor at 5 Hz, 3 nodes: share of a core", share, "", "", None, share, "at most", CPU_BAR, note),
        Row(
            "monitor: memory of the model an hour later",
            after / 1024,
            "KB",
            "after a quarter of an hour",
            before / 1024,
            after / before,
            "at most",
            GROWTH_BAR,
        ),
    ]


def share_under_load(running: RunningCluster) -> tuple[float, float]:
    """Return the share of a core that the monitor's process takes while the nodes are busy, and how busy they are.

    The latter in requests a second. Raises `RuntimeError` where the load could not be run.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool, tempfile.TemporaryDirectory() as folder:
        busy = pool.submit(_load, running, stop)
        try:
            share = _share(running, Path(folder))
        finally:
            stop.set()
        return share, busy.result()


def _share(running: RunningCluster, folder: Path) -> float:
    places = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("DATA", "CONFIG", "STATE")}
    env = {**os.environ, **places, "GLIMPSE_CLUSTER": str(running.file)}
    with Terminal([*GLIMPSE, "monitor"], env=env, columns=120, rows=40) as terminal:
        terminal.wait_for("leads")
        terminal.read_for(SETTLE_S)
        share = share_of_a_core(terminal, MEASURED_S)
        terminal.press("ctrl+q")
        terminal.wait_until_over()
    return share


def _load(running: RunningCluster, stop: threading.Event) -> float:
    """Keep the nodes busy until told to stop; return requests a second, pauses between two loads included."""
    began, done = time.perf_counter(), 0
    while not stop.is_set():
        done += load(running, requests=LOAD_REQUESTS)["ok"]
    return done / (time.perf_counter() - began)


def hour() -> tuple[int, int]:
    """Return the bytes that a model of three nodes holds after a quarter of an hour, and after an hour more."""
    cloud = healthy()
    model = Model(cloud.node_index)
    gc.collect()
    tracemalloc.start()
    try:
        for at, place, message in cloud.run(WARM_S):
            model.take(place, message, at)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for at, place, message in cloud.run(HOUR_S):
            model.take(place, message, at)
        gc.collect()
        return before, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
