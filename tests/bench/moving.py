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

from tests.bench import stop_and_wait
from tests.bench.rows import Row, not_measured
from tests.databases import ROOT
from tests.sim.test_congestion import PATHS, contend

MEGABYTES = 10
WAITING_MEGABYTES = 3
ROUNDS, STOP_AND_WAIT_ROUNDS = 5, 2
QUIC_BARS = {"aioquic": (20.0, None), "qh3": (9.0, 15.0)}
"""By library: times its goodput without loss, and at 5 % loss."""


def rows() -> list[Row]:
    """Measure all of it. Stop-and-wait runs before and after the rest, so that a busier machine hits both."""
    waiting = {shell: stop_and_wait_mb_per_s(shell) for shell in stop_and_wait.SHELLS}
    found = goodputs()
    for shell, speeds in waiting.items():
        speeds += stop_and_wait_mb_per_s(shell)
    plain, lossy, large = found["1200 B"], found["1200 B, 5 % loss both ways"], found["large"]
    tcp, quick = found["TCP over anyio"], large["ms_10_kb"]
    return [
        *(
            goodput("10 MB, 1200 B, encrypted", plain, f"stop-and-wait, {shell}", median(speeds), 25.0)
            for shell, speeds in waiting.items()
        ),
        goodput("10 MB, 1200 B, encrypted", plain, "TCP over anyio", tcp["mb_per_s"], None),
        goodput("10 MB at 5 % loss both ways", lossy, "itself without loss", plain["mb_per_s"], 0.6),
        goodput("10 MB, large datagrams", large, "TCP over anyio", tcp["mb_per_s"], 0.8),
        Row(
            "10 KB, round trip", quick, "ms", "TCP over anyio", tcp["ms_10_kb"], quick / tcp["ms_10_kb"], "at most", 2.0
        ),
        *quic(),
        *shares(),
    ]


def goodput(what: str, ours: dict[str, float], against: str, theirs: float, bar: float | None) -> Row:
    """Return a row for two speeds in megabytes a second."""
    speed = ours["mb_per_s"]
    return Row(what, speed, "MB/s", against, theirs, speed / theirs, "at least", bar)


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


def stop_and_wait_mb_per_s(shell: str) -> list[float]:
    """Return the goodputs of the reference's way; fewer bytes do, since it is as fast in the middle as at the end."""
    data = os.urandom(WAITING_MEGABYTES * 1_000_000)
    return [WAITING_MEGABYTES / took for took in stop_and_wait.seconds(shell, [data] * STOP_AND_WAIT_ROUNDS)]


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
