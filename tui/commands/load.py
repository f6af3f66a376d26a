"""`glimpse load`: N copies of a picture sent for encryption at once by several clients; every one is compared."""

import io
import math
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import orjson
from anyio.streams.buffered import BufferedByteReceiveStream

from shared.cluster import Cluster, load_cluster
from shared.errors import InvalidInput, Unavailable
from shared.identity import Identity
from shared.rights import create_owner_record
from shared.sealed_record import seal_record
from shared.sealing import seal_picture
from shared.stego import container, covers, pictures
from tui.commands.load_worker import Progress, Report, Task
from tui.common.user_paths import find_cluster
from tui.operator import Operator

_FLOOR_RUNS = 15
_LEADER_WAIT_S = 15.0
_LINE_CAP_BYTES = 64 * 1024 * 1024
_MADE_IMAGE_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is to be run: `kill` is a node (or `leader`) and the share of requests after which it dies."""

    requests: int
    clients: int
    concurrency: int
    image: Path | None
    policy: str | None
    kill: tuple[str, float] | None

    @classmethod
    def of(
        cls, requests: int, clients: int, concurrency: int, image: Path | None, policy: str | None, kill: str | None
    ) -> "LoadPlan":
        """Check the arguments of the command line. Raises `InvalidInput`."""
        target = None
        if kill is not None:
            name, _, percent = kill.partition("@")
            if not name or not percent.isdigit() or not 0 < int(percent) < 100:
                raise InvalidInput("--kill takes a node's name or `leader`, @, and a percentage: leader@50.")
            target = (name, int(percent) / 100)
        if image is not None:
            pictures.inspect(image)
        return cls(requests, min(clients, requests), concurrency, image, policy, target)


async def run_load(cluster: Path | None, plan: LoadPlan) -> dict[str, Any]:
    """Run the plan against a running cluster; return the figures of `glimpse load --json`."""
    file = find_cluster(cluster)
    known = load_cluster(file)
    with tempfile.TemporaryDirectory(prefix="glimpse-load-") as folder:
        image = plan.image
        if image is None:
            image = await anyio.to_thread.run_sync(_made_image, Path(folder) / "picture.jpg")
        async with Operator(known, file) as operator:
            before = await _status_with_leader(operator)
            if plan.policy is not None:
                await operator.command(before["leader"], "policy", text=plan.policy)
            floor = await anyio.to_thread.run_sync(_encoder_median_s, image)
            killer = _Killer(plan, before)
            reports = await _run_clients(file, image, plan, killer)
            after = await operator.status()
    return _figures(plan, known, reports, floor, before, after, killer)


async def _status_with_leader(operator: Operator) -> dict[str, Any]:
    """Return the state of the cluster once it has a leader; an election takes a few heartbeats."""
    with anyio.move_on_after(_LEADER_WAIT_S):
        while True:
            status = await operator.status()
            if status["leader"] is not None:
                return status
            await anyio.sleep(0.1)
    raise Unavailable(next(iter(operator.troubles.values()), "The cluster has no leader; see `glimpse status`."))


@dataclass
class _Killer:
    """Kills a node's process when enough requests are done."""

    plan: LoadPlan
    status: dict[str, Any]
    killed: str | None = None

    def __post_init__(self) -> None:
        self._done: dict[int, int] = {}

    def progress(self, client: int, done: int) -> None:
        """Note how far a client is."""
        self._done[client] = done
        if self.plan.kill is None or self.killed is not None:
            return
        name, share = self.plan.kill
        if sum(self._done.values()) >= share * self.plan.requests:
            self.killed = self.status["leader"] if name == "leader" else name
            pids = {node["name"]: node.get("pid") for node in self.status["nodes"]}
            if pids.get(self.killed) is None:
                raise InvalidInput(f"The cluster has no running node {name!r}.")
            os.kill(pids[self.killed], signal.SIGKILL)


async def _run_clients(file: Path, image: Path, plan: LoadPlan, killer: _Killer) -> list[Report]:
    reports: list[Report] = []

    async def one(client: int) -> None:
        requests = plan.requests // plan.clients + (client < plan.requests % plan.clients)
        concurrency = max(1, plan.concurrency // plan.clients)
        task = Task(str(file), str(image), requests, concurrency, client)
        reports.append(await _run_client(task, lambda done: killer.progress(client, done)))

    async with anyio.create_task_group() as group:
        for client in range(plan.clients):
            group.start_soon(one, client)
    return reports


async def _run_client(task: Task, progress: Callable[[int], None]) -> Report:
    async with await anyio.open_process([sys.executable, "-m", "tui.commands.load_worker"], stderr=None) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdin.send(msgspec.json.encode(task) + b"\n")
        lines = BufferedByteReceiveStream(process.stdout)
        while True:
            try:
                line = await lines.receive_until(b"\n", _LINE_CAP_BYTES)
            except (anyio.IncompleteRead, anyio.EndOfStream):
                raise Unavailable("A client of the load ended early; its message is above.") from None
            if b'"latencies_s"' in line:
                return msgspec.json.decode(line, type=Report)
            progress(msgspec.json.decode(line, type=Progress).done)


def _encoder_median_s(image: Path) -> float:
    """Return the median time of the encoder's whole path for this picture, alone on one core."""
    identity, original = Identity.generate(), image.read_bytes()
    times = []
    for _ in range(_FLOOR_RUNS):
        image_id, key = os.urandom(16).hex(), os.urandom(32)
        owner = identity.public.signing_key
        sealed = seal_picture(key, original, owner_key=owner, image_id=image_id, nonce=os.urandom(12))
        own = create_owner_record(identity, image_id=image_id, content_key=key)
        record = seal_record(own, identity.session_private, identity.public.session_key)
        began = time.perf_counter()
        container.hide(sealed, record, image_id=bytes.fromhex(image_id))
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _made_image(path: Path) -> Path:
    """Write a JPEG of about 10 KB, made from the procedural cover."""
    from PIL import Image

    picture = Image.open(io.BytesIO(covers.default_cover_png())).convert("RGB")
    best = b""
    for quality in range(20, 96, 5):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if not best or abs(len(buffer.getvalue()) - _MADE_IMAGE_BYTES) < abs(len(best) - _MADE_IMAGE_BYTES):
            best = buffer.getvalue()
    path.write_bytes(best)
    return path


def _figures(
    plan: LoadPlan,
    cluster: Cluster,
    reports: list[Report],
    median_s: float,
    before: dict[str, Any],
    after: dict[str, Any],
    killer: _Killer,
) -> dict[str, Any]:
    latencies = sorted(latency for report in reports for latency in report.latencies_s)
    ok = sum(report.ok for report in reports)
    failures = [text for report in reports for text in report.failures]
    done_before = {node["name"]: node.get("requests_done", 0) for node in before["nodes"]}
    cores = os.cpu_count() or 1
    return {
        "requests": plan.requests,
        "ok": ok,
        "failed": plan.requests - ok,
        "duplicates": sum(max(0, report.images_listed - len(report.latencies_s) - report.failed) for report in reports),
        "wall_s": round(max(r.ended_at for r in reports) - min(r.started_at for r in reports), 3),
        "latency_ms": {
            "mean": _ms(statistics.fmean(latencies)) if latencies else None,
            "p50": _ms(_quantile(latencies, 0.50)),
            "p99": _ms(_quantile(latencies, 0.99)),
        },
        "compute_floor_s": round(plan.requests * median_s / cores, 3),
        "per_node": {
            node["name"]: node["requests_done"] - done_before.get(node["name"], 0)
            for node in after["nodes"]
            if node["role"] != "down"
        },
        "killed": killer.killed,
        "leader": {"before": before["leader"], "after": after["leader"]},
        "term": {"before": before["term"], "after": after["term"]},
        "nodes": len(cluster.nodes),
        "failures": failures[:20],
    }


def _quantile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)


def show(result: dict[str, Any], *, as_json: bool) -> str:
    """Return the figures as text or JSON."""
    if as_json:
        return orjson.dumps(result, option=orjson.OPT_INDENT_2).decode()
    latency = result["latency_ms"]
    return (
        f"{result['ok']} of {result['requests']} pictures came back and opened byte-identical,"
        f" {result['failed']} failed, {result['duplicates']} doubled\n"
        f"{result['wall_s']} s in all (the encoder alone: {result['compute_floor_s']} s);"
        f" mean {latency['mean']} ms, median {latency['p50']} ms, p99 {latency['p99']} ms\n"
        f"served by {', '.join(f'{name} {count}' for name, count in result['per_node'].items())}"
        + (f"; {result['killed']} was killed" if result["killed"] else "")
    )
