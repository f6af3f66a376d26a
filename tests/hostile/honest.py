"""An honest person beside an attack: what they do, and how long it takes before, during and after."""

import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from tests.hostile.attacks import Attack, Target
from tests.integration.cluster import RunningCluster
from tests.patience import until
from tui.peer import Peer

_CHEAP = 30
"""Cheap requests of one measurement."""


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
            f"{self.sessions:3} sessions   {self.memory_mb:6.1f} MB"
        )


@dataclass
class Course:
    """An attack from before to after."""

    before: Measured
    during: Measured
    after: Measured
    sent: dict[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        did = ", ".join(f"{count} {what}" for what, count in sorted(self.sent.items()))
        return [
            self.before.line("before"),
            self.during.line("during"),
            self.after.line("after"),
            f"the attacker: {did or 'nothing'}",
        ]


async def course(cluster: RunningCluster, folder: Path, picture: Path, attack: Attack, *, per_s: float, rest_s: float):
    """Measure, attack and measure, rest and measure."""
    target = Target(cluster.folder, per_s)
    before = await measured(cluster, folder, picture)
    async with anyio.create_task_group() as group:
        group.start_soon(attack, target)
        await until(anyio.lowlevel.checkpoint, lambda _: target.sent)
        await anyio.sleep(min(rest_s, 2.0))
        during = await measured(cluster, folder, picture)
        group.cancel_scope.cancel()
    await anyio.sleep(rest_s)
    return Course(before, during, await measured(cluster, folder, picture), dict(target.sent))


async def measured(cluster: RunningCluster, folder: Path, picture: Path) -> Measured:
    """Be a new person: sign in, encrypt a picture, ask for something cheap again and again."""
    async with Peer(folder / os.urandom(4).hex(), cluster.file) as peer:
        await peer.register("ada")
        sign_in_s = await _timed(peer.sign_in)
        encrypt_s = await _timed(lambda: peer.encrypt(picture))
        cheap_s = [await _timed(peer.my_images) for _ in range(_CHEAP)]
    status: dict[str, Any] = await anyio.to_thread.run_sync(cluster.status)
    nodes = [node for node in status["nodes"] if node.get("pid")]
    return Measured(
        sign_in_s,
        encrypt_s,
        cheap_s,
        status["leader"],
        status["term"],
        sum(node["sessions"] for node in nodes),
        max((node["rss_mb"] for node in nodes), default=0.0),
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
