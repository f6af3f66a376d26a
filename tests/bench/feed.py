"""What the status feed costs a node that is watched at 5 Hz, and whoever watches."""

import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from shared.cluster import load_cluster
from tests.bench.load import cluster, load
from tests.bench.rows import Row
from tests.integration.cluster import RunningCluster
from tui.operator import Operator

ROUNDS, SECONDS, LOAD_REQUESTS = 3, 8.0, 400
SHARE_BAR = 0.01


def rows() -> list[Row]:
    """Measure all of it."""
    with cluster() as running:
        pids = {node["name"]: node["pid"] for node in running.status()["nodes"]}
        load(running, requests=60)
        return [*idle(running, pids), *under_load(running, pids)]


def idle(running: RunningCluster, pids: dict[str, int]) -> list[Row]:
    """Watched and unwatched in turns, while nobody asks for anything."""
    alone: dict[str, list[float]] = {name: [] for name in pids}
    watched: dict[str, list[float]] = {name: [] for name in pids}
    watchers = []
    for _ in range(ROUNDS):
        for name, share in shares(pids, lambda: time.sleep(SECONDS)).items():
            alone[name].append(share)
        with_watcher = shares(pids, lambda: watchers.append(watch(running, SECONDS)))
        for name, share in with_watcher.items():
            watched[name].append(share)
    extra = {name: statistics.median(watched[name]) - statistics.median(alone[name]) for name in pids}
    worst = max(extra, key=lambda name: extra[name])
    messages, lost, client = (statistics.median(column) for column in zip(*watchers, strict=True))
    note = f"{worst}, the worst of {len(pids)}; {messages / SECONDS / len(pids):.0f} messages/s a node, {lost:.0f} lost"
    before = statistics.median(alone[worst])
    return [
        Row(
            "watched at 5 Hz: more of a core",
            extra[worst],
            "",
            "unwatched",
            before,
            extra[worst],
            "at most",
            SHARE_BAR,
            note,
        ),
        Row("whoever watches three nodes: share of a core", client, "", note="decoding and counting, no screen"),
    ]


def under_load(running: RunningCluster, pids: dict[str, int]) -> list[Row]:
    """The same load watched and unwatched: processor time of all nodes for each request."""

    def per_request() -> float:
        before = sum(used_s(pid) for pid in pids.values())
        load(running, requests=LOAD_REQUESTS)
        return 1000 * (sum(used_s(pid) for pid in pids.values()) - before) / LOAD_REQUESTS

    alone, watched = [], []
    for _ in range(ROUNDS):
        alone.append(per_request())
        stop = threading.Event()
        thread = threading.Thread(target=watch, args=(running, None, stop))
        thread.start()
        watched.append(per_request())
        stop.set()
        thread.join()
    ours, theirs = statistics.median(watched), statistics.median(alone)
    note = f"{LOAD_REQUESTS} requests; single runs differ by {spread(alone):.0%}"
    return [
        Row("watched under load: processor time a request", ours, "ms", "unwatched", theirs, ours / theirs, note=note)
    ]


def shares(pids: dict[str, int], call: Callable[[], object]) -> dict[str, float]:
    """Return what share of a core each process used while `call` ran."""
    before, began = {name: used_s(pid) for name, pid in pids.items()}, time.monotonic()
    call()
    passed = time.monotonic() - began
    return {name: (used_s(pid) - before[name]) / passed for name, pid in pids.items()}


def used_s(pid: int) -> float:
    """Return the processor seconds of all threads of a process, to the nanosecond where the kernel counts so."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def watch(
    running: RunningCluster, seconds: float | None, stop: threading.Event | None = None
) -> tuple[int, int, float]:
    """Watch all nodes; return messages, lost ones, and what share of a core that took here."""

    async def main() -> tuple[int, int, float]:
        async with Operator(load_cluster(running.file), running.file) as operator:
            received: list[str] = []
            began, used = time.monotonic(), time.thread_time()
            async with anyio.create_task_group() as group:
                group.start_soon(operator.watch, lambda node, _message: received.append(node))
                if stop is None:
                    await anyio.sleep(seconds or 0)
                else:
                    await anyio.to_thread.run_sync(stop.wait)
                share = (time.thread_time() - used) / (time.monotonic() - began)
                group.cancel_scope.cancel()
        return len(received), sum(link.lost for link in operator.links.values()), share

    return anyio.run(main)


def spread(values: list[float]) -> float:
    """Return by how much of their median values differ."""
    return (max(values) - min(values)) / statistics.median(values)
