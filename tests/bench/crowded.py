"""Who leads while the machine is busy: three real nodes under `glimpse load`, beside processes that only compute.

Nobody is dead in it, so nobody may be deposed. What heartbeats and the nodes' loops met is told by the nodes' metrics.
"""

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client.parser import text_string_to_metric_families

from tests.bench.load import load
from tests.bench.rows import Row
from tests.integration.cluster import RunningCluster
from tests.ports import free_ports

REQUESTS = 3_000
BUSY_PROCESSES = 8
PATIENCE_S = 900.0
HISTOGRAMS = {
    "between two heartbeats of the leader, p99": "glimpse_heartbeat_gap_seconds",
    "lateness of the loop of requests, p99": "glimpse_loop_lateness_seconds",
}


def rows(requests: int = REQUESTS, busy: int = BUSY_PROCESSES) -> list[Row]:
    """Encrypt beside busy processes; count who led and how heartbeats went."""
    metrics = free_ports(3)
    with TemporaryDirectory(prefix="glimpse-bench-") as folder:
        cluster = RunningCluster(Path(folder), "--metrics", str(metrics))
        try:
            before = leaderships_ended(cluster.folder)
            with busy_processes(busy):
                run = load(cluster, requests=requests, timeout_s=PATIENCE_S)
                found = [scraped(metrics + node) for node in range(3)]
            ends = leaderships_ended(cluster.folder) - before
        finally:
            cluster.stop()
    return [changes(ends, run, busy), *(percentiles(what, name, found) for what, name in HISTOGRAMS.items())]


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run processes that take whatever processor time they get, for the length of a `with` block."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def leaderships_ended(folder: Path) -> Counter[str]:
    """Return how often a node stopped leading, by reason, as the nodes' logs have it."""
    lines = [json.loads(line) for log in folder.glob("node-*.log") for line in log.read_text().splitlines()]
    return Counter(line["why"] for line in lines if line.get("previous") == "LEADER")


def changes(ends: Counter[str], run: dict, busy: int) -> Row:
    """Return how many leaderships ended, beside what the load came to."""
    reasons = "".join(f", {why} {count}" for why, count in sorted(ends.items()))
    note = f"{run['failed']} failed, {run['duplicates']} doubled; {run['wall_s']:.0f} s{reasons}"
    count = float(ends.total())
    what = f"leader deposed, {run['requests']} requests, {busy} busy processes"
    return Row(what, count, "times", "", None, count, "at most", 0.0, note)


def scraped(port: int) -> dict[str, list[tuple[float, float]]]:
    """Return the histograms of one node: upper bounds in seconds with counts up to them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=100) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    wanted = {family.name: family for family in families if family.name in HISTOGRAMS.values()}
    return {
        name: [(float(one.labels["le"]), one.value) for one in family.samples if one.name.endswith("_bucket")]
        for name, family in wanted.items()
    }


def percentiles(what: str, name: str, nodes: list[dict[str, list[tuple[float, float]]]]) -> Row:
    """Return the 99th percentile of a histogram over all nodes, in milliseconds, and beside it the median and worst."""
    bounds = [bound for bound, _ in nodes[0][name]]
    counts = [sum(node[name][index][1] for node in nodes) for index in range(len(bounds))]

    def at(share: float) -> float:
        return 1000 * next(bound for bound, count in zip(bounds, counts, strict=True) if count >= share * counts[-1])

    note = f"p50 {at(0.5):.0f} ms, longest {at(1.0):.0f} ms, of {counts[-1]:.0f} (upper bounds of buckets)"
    return Row(what, at(0.99), "ms", note=note)
