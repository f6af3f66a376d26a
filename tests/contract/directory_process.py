"""What the directory's contract tests run in other processes: `python -m tests.contract.directory_process TASK URL`.

A process prints `ready`, waits for a line, does its task and prints one line of JSON.
"""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from node.directory import Directory, EffectKey, NodeRow, Query, Step, Tx, open_directory
from shared.errors import Unavailable
from shared.wire.node_messages import RequestKey
from tests.databases import PATIENT

ROOT = Path(__file__).parent.parent.parent


def request_id(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()[:32]


def count_up(name: str, request: str):
    """An effect that shows when it is done twice: it adds one to a counter and answers with the counter."""

    def effect(tx: Tx) -> Step[bytes]:
        query = "SELECT incarnation FROM nodes WHERE name = :name" + tx.for_update
        value = (yield Query(query, {"name": name})).scalar() + 1
        yield Query("UPDATE nodes SET incarnation = :value WHERE name = :name", {"value": value, "name": name})
        return f"{request}:{value}".encode()

    return effect


async def start_counter(directory: Directory) -> None:
    """Make the counter of `count_up`."""
    await directory.announce_node(NodeRow("counter", 0, hears=False, address="", term=0))


async def counter(directory: Directory) -> int:
    """Return what it stands at."""

    def run(_: Tx) -> Step[int]:
        return int((yield Query("SELECT incarnation FROM nodes WHERE name = 'counter'")).scalar())

    return await directory.read(run)


async def serve_until_answered(directory: Directory, numbers: Iterable[int], answered: set[str]) -> None:
    """Repeat each request until it is answered, as a peer does."""
    for number in numbers:
        request = request_id(number)
        while request not in answered:
            try:
                await directory.effect(effect_key(request), count_up("counter", request))
                answered.add(request)
            except Unavailable:
                await asyncio.sleep(0)


def effect_key(request: str, body: bytes = b"body") -> EffectKey:
    return EffectKey(RequestKey(b"session key".ljust(32), request), hashlib.sha256(body).digest())


async def effects(directory: Directory, count: int) -> list[str]:
    """Serve the same requests as the other processes do."""

    async def serve(number: int) -> str:
        request = request_id(number)
        return (await directory.effect(effect_key(request), count_up("counter", request))).answer.decode()

    return await asyncio.gather(*map(serve, range(count)))


async def lease(directory: Directory, holder: str, rounds: int) -> list[int]:
    """Claim the lease again and again and give it up at once; return the terms won."""
    terms = []
    while (seen := (await directory.read_lease()).term) < rounds:
        term = await directory.claim_lease(holder, seen, 60.0)
        if term is not None:
            terms.append(term)
            await directory.release_lease(holder, term)
    return terms


async def acknowledge(directory: Directory) -> None:
    """Print the id of every effect that was acknowledged, until somebody kills this process."""
    number = 0
    lock = asyncio.Lock()

    async def serve() -> None:
        nonlocal number
        while True:
            number += 1
            request = request_id(number)
            await directory.effect(effect_key(request), count_up("counter", request))
            async with lock:
                print(request, flush=True)

    await asyncio.gather(*(serve() for _ in range(8)))


async def main(task: str, url: str, *arguments: str) -> None:
    if task == "open":  # opening itself is the task
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        async with open_directory(url, timing=PATIENT) as directory:
            print(json.dumps((await directory.read_lease()).term))
        return
    async with open_directory(url, timing=PATIENT) as directory:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        if task == "effects":
            print(json.dumps(await effects(directory, int(arguments[0]))))
        elif task == "lease":
            print(json.dumps(await lease(directory, arguments[0], int(arguments[1]))))
        else:
            await acknowledge(directory)


def start(command: list[str]) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "tests.contract.directory_process", *command]
    return subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@asynccontextmanager
async def processes(*commands: list[str]) -> AsyncIterator[list[subprocess.Popen[str]]]:
    """Start one process per command, bring all to their mark, and let them go together."""
    running = [start(command) for command in commands]
    try:
        for process in running:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        yield running
    finally:
        for process in running:
            process.kill()
            process.communicate()


async def results(*commands: list[str]) -> list:
    """Run processes together and return what each printed."""
    async with processes(*commands) as running:
        said = [(await asyncio.to_thread(process.communicate))[0] for process in running]
        return [json.loads(text) for text in said]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
