"""The directory's effects per second, and what losing the leader costs."""

import os
import tempfile
from pathlib import Path
from statistics import median

from tests.bench import directory
from tests.bench.rows import Row, not_measured
from tests.databases import ROOT
from tests.sim.failover import SIZES, message_row, percentile, recovery_heartbeats

SECONDS, DIRECTORY_RUNS = 2.0, 3
SEEDS, RECOVERY_SEEDS = 10, 300
RECOVERY_BARS = {"crash": 8.0, "deaf": 16.0}


def directory_rows() -> list[Row]:
    """Let three processes make effects on each engine that is here, the engines taking turns.

    The files lie beside the project unless TMPDIR says otherwise: a folder in memory would make syncing free.
    """
    (ROOT / "build").mkdir(exist_ok=True)
    place = os.environ.get("TMPDIR", ROOT / "build")
    with (
        tempfile.TemporaryDirectory(prefix="glimpse-bench-", dir=place) as folder,
        directory.directories(Path(folder)) as urls,
    ):
        runs = [
            {engine: directory.measure(url, SECONDS) for engine, url in urls.items()} for _ in range(DIRECTORY_RUNS)
        ]
    found = []
    for engine in ("sqlite", "mysql"):
        what, against = f"directory, {engine}, 3 processes", "fixed number"
        if engine not in runs[0]:
            found.append(not_measured(what, against, directory.BAR_PER_S, "no server program is installed"))
            continue
        rate = median(run[engine]["effects_per_s"] for run in runs)
        late = max(run[engine]["node_row_p99_ms"] for run in runs)
        note = f"a node's own row waits {late:.0f} ms at p99"
        found.append(
            Row(what, rate, "effects/s", against, directory.BAR_PER_S, rate, "at least", directory.BAR_PER_S, note)
        )
    return found


def election_rows() -> list[Row]:
    """Count messages beside the classic Bully, and heartbeats until there is a usable leader, in simulated clusters."""
    found = []
    for nodes in SIZES:
        row = message_row(nodes, SEEDS)
        successor = f"{row.next_in_line_heir_dead:.0f} with the heir dead too"
        note = f"Bully from {row.bully_best:.0f} to {row.bully_worst:.0f}; {successor}"
        found.append(
            Row(
                f"messages for a dead leader, n = {nodes}",
                row.next_in_line,
                "",
                "Bully, all notice",
                row.bully_all,
                row.bully_all / row.next_in_line,
                "at least",
                None,
                note,
            )
        )
    for failure, bar in RECOVERY_BARS.items():
        beats = recovery_heartbeats(failure, RECOVERY_SEEDS)
        p50, p99, most = (percentile(beats, share) for share in (0.5, 0.99, 1.0))
        note = f"p50 {p50:.1f}, longest {most:.1f}, {RECOVERY_SEEDS} failures"
        found.append(
            Row(f"{failure} leader: p99 until a usable one", p99, "heartbeats", "", None, p99, "at most", bar, note)
        )
    return found
