"""The people of `glimpse demo`: agents in processes of their own, each with photographs and a manner of answering.

Ada accepts at once, Ben takes a while, Cem shares what he has and goes away.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import anyio.abc
import anyio.to_thread

from tui.commands.samples import write_jpegs

_SHARED: Final = " is shared as "
"""What an agent prints for each picture that it has shared."""
_GOODBYE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class SamplePerson:
    """A name, the photographs by title, and how requests are answered.

    `stays_s` is how long somebody stays after having shared everything; None for ever.
    """

    name: str
    photographs: dict[str, str]
    accepts: bool = True
    after_s: float = 0.0
    stays_s: float | None = None


PEOPLE: Final = (
    SamplePerson("Ada", {"Morning coffee": "coffee.png", "The launch": "rocket.jpg"}, after_s=1.0),
    SamplePerson("Ben", {"Chelsea the cat": "chelsea.png", "Deep field": "hubble_deep_field.jpg"}, after_s=20.0),
    SamplePerson("Cem", {"Portrait": "astronaut.png"}, stays_s=25.0),
)


@asynccontextmanager
async def sample_people(
    folder: Path, cluster_file: Path, people: tuple[SamplePerson, ...] = PEOPLE
) -> AsyncIterator[None]:
    """Let people live on a cluster for the length of an `async with` block; their profiles lie in `folder`.

    They arrive while the block runs; at its end their processes sign out and end.
    """
    processes: list[anyio.abc.Process] = []
    async with anyio.create_task_group() as tasks:
        try:
            for person in people:
                tasks.start_soon(_live, person, folder, cluster_file, processes)
            yield
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await _end(processes)


async def _live(person: SamplePerson, folder: Path, cluster_file: Path, processes: list[anyio.abc.Process]) -> None:
    photographs = folder / "photographs" / person.name
    await anyio.to_thread.run_sync(write_jpegs, photographs, person.photographs)
    command = [sys.executable, "-m", "tui.cli", "agent", "--profile", person.name.lower(), "--name", person.name]
    command += ["--cluster", str(cluster_file), "--share", str(photographs), "--previews"]
    command += ["--with-parent", str(os.getpid())]
    command += ["--accept", "all" if person.accepts else "none", "--after", str(person.after_s)]
    process = await anyio.open_process(
        command, stdin=None, stderr=None, env={**os.environ, "XDG_DATA_HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    )
    processes.append(process)
    await _read(person, process)


async def _read(person: SamplePerson, process: anyio.abc.Process) -> None:
    """Read what an agent prints, so that it never waits for a reader; let it go when its time is over."""
    assert process.stdout is not None
    shared, rest = 0, ""
    async for data in process.stdout:
        *lines, rest = (rest + data.decode(errors="replace")).split("\n")
        shared += sum(_SHARED in line for line in lines)
        if person.stays_s is not None and shared >= len(person.photographs):
            await anyio.sleep(person.stays_s)
            process.send_signal(signal.SIGTERM)
            return


async def _end(processes: list[anyio.abc.Process]) -> None:
    for process in processes:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(_GOODBYE_S):
        for process in processes:
            await process.wait()
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.aclose()
