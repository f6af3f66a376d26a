"""Object transfer over the loopback interface, beside TCP, stop-and-wait and two bottlenecked flows.

The transfers themselves are those of `tests.bench.transfer`. Loss there is on arrival at either side's worker ports,
which takes no processor time from the two processes as a relay between them would.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.bench import stop_and_wait
from tests.bench.rows import Row, not_measured
from tests.databases import ROOT
from tests.sim.test_congestion import PATHS, contend

MEGABYTES = 10
ROUNDS, STOP_AND_WAIT_ROUNDS = 5, 3
QUIC_BARS = {"aioquic": (20.0, None), "qh3": (9.0, 15.0)}
"""By library: times its goodput without loss, and at 5 % loss."""


def rows() -> list[Row]:
    """Measure all of it."""
    found = goodputs()
    plain, lossy, large = found["1200 B"], found["1200 B, 5 % loss both ways"], found["large"]
    tcp, waiting = found["TCP over anyio"], stop_and_wait_mb_per_s()

    def goodput(what: str, ours: dict, against: str, theirs: float, bar: float | None) -> Row:
        speed = ours["mb_per_s"]
        return Row(what, speed, "MB/s", against, theirs, speed / theirs, "at least", bar)

    small = min((name for name in found if "ms_10_kb" in found[name] and name != "TCP over anyio"), key=_default_first)
    quick = found[small]["ms_10_kb"]
    return [
        goodput("10 MB, 1200 B, encrypted", plain, "stop-and-wait of 1024 B", waiting, 25.0),
        goodput("10 MB, 1200 B, encrypted", plain, "TCP over anyio", tcp["mb_per_s"], None),
        goodput("10 MB at 5 % loss both ways", lossy, "itself without loss", plain["mb_per_s"], 0.6),
        goodput("10 MB, large datagrams", large, "TCP over anyio", tcp["mb_per_s"], 0.8),
        Row(
            "10 KB, round trip", quick, "ms", "TCP over anyio", tcp["ms_10_kb"], quick / tcp["ms_10_kb"], "at most", 2.0
        ),
        *quic(),
        *shares(),
    ]


def _default_first(way: str) -> int:
    """What the product uses on this path is what counts: the largest datagrams that it takes."""
    return way != "large"


def goodputs() -> dict[str, dict[str, float]]:
    """Return what `tests.bench.transfer` measures, by way."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "transfer.json"
        command = ["-m", "tests.bench.transfer", "--megabytes", str(MEGABYTES), "--rounds", str(ROUNDS)]
        subprocess.run(
            [sys.executable, *command, "--json", str(file)],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )
        return json.loads(file.read_text())


def stop_and_wait_mb_per_s() -> float:
    """Return the goodput of the reference's way."""
    data, speeds = os.urandom(MEGABYTES * 1_000_000), []
    with stop_and_wait.receiver() as sock:
        for _ in range(STOP_AND_WAIT_ROUNDS):
            began = perf_counter()
            stop_and_wait.send(sock, data)
            speeds.append(MEGABYTES / (perf_counter() - began))
    return median(speeds)


def quic() -> list[Row]:
    """Say of each QUIC library whether it is here. Neither is among the pinned packages."""
    found = []
    for name, (bar, lossy_bar) in QUIC_BARS.items():
        why = "installed, but this bench does not drive it" if find_spec(name) else "not installed"
        found.append(not_measured("10 MB, 1200 B, encrypted", name, bar, why))
        if lossy_bar is not None:
            found.append(not_measured("10 MB at 5 % loss both ways", name, lossy_bar, why))
    return found


def shares() -> list[Row]:
    """Let a second flow join a first one on a simulated path; the smaller share is what counts."""
    found = []
    for name in ("40 ms", "1 ms"):
        parts, _, link = contend([0.0, 2.5], 10.5, **PATHS[name])
        queue = link.mean_queue_share(5.0, 10.5)
        found.append(
            Row(f"two flows, {name} bottleneck: smaller share", min(parts), "", "", None, min(parts), "at least", 0.4)
        )
        found.append(Row(f"two flows, {name} bottleneck: queue fill", queue, "", "", None, queue, "at most", 0.5))
    return found
