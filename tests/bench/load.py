"""The reference system's experiment on three real nodes: many requests at once, with a node killed or slowed."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.bench.rows import Row
from tests.integration.cluster import RunningCluster
from tests.photos import photo_path

REQUESTS, RUNS, KILLED_RUNS, SLOW_RUNS = 600, 3, 2, 2
WARM_UP_REQUESTS = 60
SLOW_REQUESTS = {"10 KB": 200, "270 KB": 90}
"""By size of picture: resting slows only a node's encoder, which is a small part of what 10 KB cost it."""
POLICIES = ("least-cost", "round-robin")
FLOOR_BAR, SLOW_BAR, SLOW_FACTOR = 2.0, 2.0, 3


def rows() -> list[Row]:
    """Measure all of it."""
    return [*undisturbed(), *killed(), *slowed()]


def pictures() -> dict[str, list[str]]:
    """Return the options of `glimpse load` by size of picture; the small one is its default."""
    return {"10 KB": [], "270 KB": ["--image", str(photo_path("retina.jpg"))]}


@contextmanager
def cluster() -> Iterator[RunningCluster]:
    """Run three nodes on a directory of their own."""
    with tempfile.TemporaryDirectory(prefix="glimpse-bench-") as folder:
        running = RunningCluster(Path(folder))
        try:
            yield running
        finally:
            running.stop()


def load(running: RunningCluster, *options: str, requests: int = REQUESTS, timeout_s: float = 100) -> dict:
    """Run `glimpse load` and return its figures. Raises `RuntimeError` where it has none."""
    done = running.glimpse("load", "--requests", str(requests), *options, "--json", timeout_s=timeout_s)
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"glimpse load {' '.join(options)} ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def undisturbed() -> list[Row]:
    """Encrypt with three healthy nodes."""
    with cluster() as running:
        load(running, requests=WARM_UP_REQUESTS)
        runs = [load(running) for _ in range(RUNS)]
    return [
        against_floor(f"{REQUESTS} requests, 3 nodes, 3 clients", runs, FLOOR_BAR),
        lost(f"{REQUESTS} requests: failed or doubled", runs),
    ]


def killed() -> list[Row]:
    """The same with the leader's process killed midway; every run needs a cluster of its own."""
    runs = []
    for _ in range(KILLED_RUNS):
        with cluster() as running:
            runs.append(load(running, "--kill", "leader@50"))
    return [
        against_floor(f"{REQUESTS} requests, leader killed midway", runs, None),
        lost(f"{REQUESTS} requests, leader killed: failed or doubled", runs),
    ]


def slowed() -> list[Row]:
    """Slow one node that does not lead, and let the policies take turns."""
    found, runs = [], []
    with cluster() as running:
        status = running.status()
        name = next(node["name"] for node in status["nodes"] if node["name"] != status["leader"])
        ordered = running.glimpse("order", name, "slow", str(SLOW_FACTOR))
        if ordered.returncode != 0:
            raise RuntimeError(f"glimpse order {name} slow: {ordered.stderr.strip()}")
        for picture, options in pictures().items():
            turns = [policy for _ in range(SLOW_RUNS) for policy in POLICIES]
            done = [load(running, *options, "--policy", policy, requests=SLOW_REQUESTS[picture]) for policy in turns]
            found.append(policies(f"a node slowed to a third, {picture}: mean latency", name, done))
            runs += done
    return [*found, lost("a node slowed: failed or doubled", runs)]


def policies(what: str, slow: str, runs: list[dict]) -> Row:
    """Return the latency of the first policy beside the second's; their runs take turns."""
    ours, theirs = (median(run["latency_ms"]["mean"] for run in runs[number::2]) for number in (0, 1))
    shares = "; ".join(f"{policy}: {served(runs[number])}" for number, policy in enumerate(POLICIES))
    note = f"{slow} is slow; {shares}"
    return Row(what, ours, "ms", "round robin", theirs, theirs / ours, "at least", SLOW_BAR, note)


def served(run: dict) -> str:
    """Say how many requests each node took."""
    return ", ".join(f"{name} {count}" for name, count in run["per_node"].items())


def against_floor(what: str, runs: list[dict], bar: float | None) -> Row:
    """Return the wall time beside the compute floor of the same run."""
    chosen = sorted(runs, key=lambda run: run["wall_s"] / run["compute_floor_s"])[len(runs) // 2]
    wall, floor = chosen["wall_s"], chosen["compute_floor_s"]
    latency = chosen["latency_ms"]
    note = f"latency mean {latency['mean']} ms, p99 {latency['p99']} ms; {served(chosen)}"
    return Row(what, wall, "s", "compute floor", floor, wall / floor, "at most", bar, note)


def lost(what: str, runs: list[dict]) -> Row:
    """Return how many requests of all runs failed or had two effects; every returned picture was compared."""
    failed, doubled = (sum(run[name] for run in runs) for name in ("failed", "duplicates"))
    count = float(failed + doubled)
    texts = [text for run in runs for text in run["failures"][:1]]
    note = f"{failed} failed, {doubled} doubled of {sum(run['requests'] for run in runs)}"
    return Row(what, count, "requests", "", None, count, "at most", 0.0, "; ".join([note, *texts[:2]]))
