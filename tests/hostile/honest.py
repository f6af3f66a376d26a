"""An honest person beside an attack: what they do, and how long it takes before, during and after."""

import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import psutil

from tests.hostile.attacks import Attack
from tests.hostile.intruder import Target
from tests.integration.cluster import RunningCluster
from tests.patience import until
from tui.peer import Peer

CHEAP = 30
"""Cheap requests of one measurement."""
_SIGN_IN_S, _ENCRYPT_TIMES, _AFTER_TIMES, _PEAK_MB = 2.0, 3.0, 1.2, 200.0
"""What an honest person is promised beside any attack, how much may be left of it, and what a node may take."""


@dataclass(frozen=True)
class Bar:
    """Something that must hold, in the same run."""

    what: str
    figure: float
    most: float

    @property
    def holds(self) -> bool:
        return self.figure <= self.most

    def line(self) -> str:
        return f"{'yes' if self.holds else 'NO':<7} {self.what} {self.figure:.3g}, at most {self.most:g}"


@dataclass
class Measured:
    """What an honest person met. Times in seconds."""

    sign_in_s: float
    encrypt_s: float
    cheap_s: list[float]
    leader: str | None
    term: int
    sessions: int
    memory_mb: float
    """Of the node that has most."""
    peak_mb: float
    """The same at the highest since `clear_peaks`; 0 where the system does not tell."""
    files: int
    """Open files and sockets of all nodes."""
    pids: tuple[int, ...]
    """The processes of the nodes."""

    @property
    def p50_s(self) -> float:
        return sorted(self.cheap_s)[len(self.cheap_s) // 2]

    @property
    def p99_s(self) -> float:
        return sorted(self.cheap_s)[-1 - len(self.cheap_s) // 100]

    def line(self, name: str) -> str:
        return (
            f"{name:<7} sign in {self.sign_in_s:6.3f} s   encrypt {self.encrypt_s:6.3f} s   cheap p50 "
            f"{1000 * self.p50_s:7.1f} ms p99 {1000 * self.p99_s:7.1f} ms   leader {self.leader} of term {self.term}   "
            f"{self.sessions:3} sessions   {self.files:3} files   {self.memory_mb:6.1f} MB, {self.peak_mb:.1f} at most"
        )


@dataclass
class Course:
    """An attack from before to after."""

    before: Measured
    during: Measured
    after: Measured
    sent: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        did = ", ".join(f"{what}: {count}" for what, count in sorted(self.sent.items()))
        return [
            self.before.line("before"),
            self.during.line("during"),
            self.after.line("after"),
            f"the attacker: {did or 'nothing'}",
        ]

    def bars(self, attack: Attack) -> list[Bar]:
        """Return what must hold beside an attack and after it, as ratios to what was before wherever it is a speed."""
        before, during, after = self.before, self.during, self.after
        changed = sum((now.leader, now.term) != (before.leader, before.term) for now in (during, after))
        return [
            Bar("sign in, seconds", during.sign_in_s, _SIGN_IN_S),
            Bar("encrypt, times before", during.encrypt_s / before.encrypt_s, _ENCRYPT_TIMES),
            Bar("cheap request p99, times before", during.p99_s / before.p99_s, attack.cheap_times),
            Bar("changes of leader", changed, 0),
            Bar("memory of a node at the highest, MB", max(during.peak_mb, after.peak_mb), _PEAK_MB),
            Bar("memory after, times before", after.memory_mb / before.memory_mb, _AFTER_TIMES),
            Bar("sessions after, more than before", after.sessions - before.sessions, 0),
            Bar("files after, times before", after.files / max(before.files, 1), _AFTER_TIMES),
        ]


async def course(
    cluster: RunningCluster,
    folder: Path,
    picture: Path,
    attack: Attack,
    target: Target,
    *,
    rest_s: float,
    cheap: int = CHEAP,
    warm_up: bool = False,
) -> Course:
    """Measure, attack and measure, rest and measure."""
    if warm_up:  # what nodes do for the first time takes longer
        await measured(cluster, folder, picture, cheap)
    before = await measured(cluster, folder, picture, cheap)
    clear_peaks(before.pids)
    async with anyio.create_task_group() as group:
        group.start_soon(attack.run, target)
        await until(anyio.lowlevel.checkpoint, lambda _: target.sent)
        await anyio.sleep(min(rest_s, 2.0))
        during = await measured(cluster, folder, picture, cheap)
        await until(anyio.lowlevel.checkpoint, lambda _: not attack.until or target.sent[attack.until], limit_s=900.0)
        during.peak_mb = max(during.peak_mb, highest_mb(during.pids))
        group.cancel_scope.cancel()
    await anyio.sleep(rest_s)
    return Course(before, during, await measured(cluster, folder, picture, cheap), dict(target.sent))


def clear_peaks(pids: tuple[int, ...]) -> None:
    """Have the system measure anew what each process takes at the highest."""
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def highest_mb(pids: tuple[int, ...]) -> float:
    """Return what the process that took most has taken at the highest since `clear_peaks`, 0 where that is not told."""
    return max(map(_peak_mb, pids), default=0.0)


def _peak_mb(pid: int) -> float:
    if sys.platform != "linux":
        return 0.0
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


async def measured(cluster: RunningCluster, folder: Path, picture: Path, cheap: int = CHEAP) -> Measured:
    """Be a new person: sign in, encrypt a picture, ask for something cheap again and again."""
    async with Peer(folder / os.urandom(4).hex(), cluster.file) as peer:
        await peer.register("ada")
        sign_in_s = await _timed(peer.sign_in)
        encrypt_s = await _timed(lambda: peer.encrypt(picture))
        cheap_s = [await _timed(peer.my_images) for _ in range(cheap)]
    status: dict[str, Any] = await anyio.to_thread.run_sync(cluster.status)
    nodes = [node for node in status["nodes"] if node.get("pid")]
    pids = tuple(node["pid"] for node in nodes)
    return Measured(
        sign_in_s,
        encrypt_s,
        cheap_s,
        status["leader"],
        status["term"],
        sum(node["sessions"] for node in nodes),
        max((node["rss_mb"] for node in nodes), default=0.0),
        highest_mb(pids),
        sum(psutil.Process(pid).num_fds() for pid in pids),
        pids,
    )


async def _timed(call: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


@contextlib.contextmanager
def running(folder: Path):
    """A cluster of three real nodes while the block runs."""
    cluster = RunningCluster(folder)
    try:
        yield cluster
    finally:
        assert cluster.stop() == 0
