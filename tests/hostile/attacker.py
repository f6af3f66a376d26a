"""`python -m tests.hostile.attacker ATTACK FOLDER RATE PICTURES BYTES`: an attacker in a process of its own.

Writes what it did so far as a line of JSON, several times a second, until it is killed.
"""

import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.hostile import pictures
from tests.hostile.intruder import Run, Target

_TOLD_EVERY_S = 0.2
_LINE_CAP_BYTES = 65_536
RUNS: dict[str, Run] = {
    run.__name__: run for run in (pictures.hostile_covers, pictures.hostile_shares, pictures.many_pictures)
}


async def elsewhere(name: str, target: Target) -> None:
    """Run an attack in another process until cancelled; `target.sent` follows what that says."""
    numbers = (target.per_s, target.pictures, target.picture_bytes)
    command = [sys.executable, "-m", "tests.hostile.attacker", name, str(target.folder), *map(str, numbers)]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        lines = BufferedByteReceiveStream(process.stdout)
        try:
            while True:
                line = await lines.receive_until(b"\n", _LINE_CAP_BYTES)
                target.sent = Counter(json.loads(line))
        finally:
            process.kill()


def attack(name: str) -> Run:
    """Return an attack that runs in a process of its own."""
    return partial(elsewhere, name)


async def _run(name: str, target: Target) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(RUNS[name], target)
        while True:
            await anyio.sleep(_TOLD_EVERY_S)
            if target.sent:
                print(json.dumps(target.sent), flush=True)


def main() -> None:
    name, folder, rate, number, size = sys.argv[1:]
    anyio.run(_run, name, Target(Path(folder), float(rate), int(number), int(size)))


if __name__ == "__main__":
    main()
