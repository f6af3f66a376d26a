"""Effects per second of the directory on each engine: `python -m tests.bench.directory [SECONDS]`.

Three processes share one directory, as three nodes do. An effect is what a request costs: its request row, one insert,
one update, all of it acknowledged only when it is on disk. Each process keeps 64 effects in flight.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.directory import Directory, EffectKey, NodeRow, Query, Step, Tx, open_directory
from shared.config import LOCAL
from shared.wire.node_messages import RequestKey
from tests.databases import ROOT, MariaDb, find_program

PROCESSES = 3
IN_FLIGHT = 64
BAR_PER_S = 2_000


def account(tx: Tx) -> Step[int]:
    """Register an account that the effects change."""
    row = {"name": "bench", "signing_key": os.urandom(32), "session_key": os.urandom(32)}
    times = {"session_signature": b"", "created": tx.now, "last_seen": tx.now}
    return (yield tx.insert("accounts", row | times)).inserted_id


async def worker(url: str, seconds: float) -> dict[str, float]:
    """Keep effects in flight for a time; count those that were acknowledged, and how late the lease's lane answers."""
    async with open_directory(url, timing=LOCAL) as directory:
        accounts = [await directory.write(account) for _ in range(IN_FLIGHT)]
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        until = time.perf_counter() + seconds
        counts = await asyncio.gather(
            *(keep_busy(directory, number, until) for number in accounts), heartbeat(directory, until)
        )
        return {"effects": sum(counts[:-1]), "lease_p99_ms": counts[-1] * 1000}


async def keep_busy(directory: Directory, account_id: int, until: float) -> int:
    """Make one effect after the other."""
    done = 0
    while time.perf_counter() < until:

        def effect(tx: Tx) -> Step[bytes]:
            mail = {"id": os.urandom(16).hex(), "account_id": account_id, "kind": "bench", "body": b"x" * 200}
            yield tx.insert("mail", mail | {"created": tx.now})
            yield Query("UPDATE accounts SET last_seen = :now WHERE id = :id", {"now": tx.now, "id": account_id})
            return b"done" * 16

        await directory.effect(EffectKey(RequestKey(b"k" * 32, os.urandom(16).hex()), b"d" * 32), effect)
        done += 1
    return done


async def heartbeat(directory: Directory, until: float) -> float:
    """Announce a node four times a second, as a node does; return the slowest but one in a hundred."""
    name, took = os.urandom(4).hex(), []
    while time.perf_counter() < until:
        began = time.perf_counter()
        await directory.announce_node(NodeRow(name, 1, True, "", 1))
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.05)
    return sorted(took)[int(len(took) * 0.99)]


def measure(url: str, seconds: float) -> dict[str, float]:
    """Run the processes against one directory."""
    command = [sys.executable, "-m", "tests.bench.directory", "worker", url, str(seconds)]
    workers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in workers:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    results = [json.loads(process.communicate("go\n")[0]) for process in workers]
    return {
        "effects_per_s": round(sum(result["effects"] for result in results) / seconds),
        "slowest_process_share": round(
            min(result["effects"] for result in results) * PROCESSES / sum(result["effects"] for result in results), 2
        ),
        "node_row_p99_ms": round(max(result["lease_p99_ms"] for result in results), 1),
        "bar_per_s": BAR_PER_S,
    }


@contextmanager
def directories(folder: Path) -> Iterator[dict[str, str]]:
    """Give the URL of an empty directory on each engine that is here."""
    urls = {"sqlite": f"sqlite:///{folder / 'directory.sqlite'}"}
    if find_program("mariadbd", "mysqld") is None:
        yield urls
        return
    server = MariaDb(folder / "mariadb")
    try:
        server.start()
        with server.database() as url:
            yield urls | {"mysql": url}
    finally:
        server.stop()


def run(seconds: float = 5.0) -> dict[str, dict[str, float]]:
    """Measure both engines."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder, directories(Path(folder)) as urls:
        return {engine: measure(url, seconds) for engine, url in urls.items()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        print(json.dumps(asyncio.run(worker(sys.argv[2], float(sys.argv[3])))))
    else:
        print(json.dumps(run(*map(float, sys.argv[1:2])), indent=2))
