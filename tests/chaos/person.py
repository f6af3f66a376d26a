"""One person of a run: an account, its profile folder, and the process in which its peer runs now, if any."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.network import ROOT, Net

_LINE_BYTES = 4 * 1024 * 1024


class Died(Exception):
    """The process went away before it answered."""


class Failed(Exception):
    """The peer answered with an error."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["text"])
        self.kinds: list[str] = answer["kinds"]
        self.code: str = answer["code"]
        self.text: str = answer["text"]

    @property
    def refused(self) -> bool:
        """Whether the caller was told no, as against "not now" or "nobody knows"."""
        return "Refused" in self.kinds or "UserError" in self.kinds


class Person:
    """See the module. `told(event)` is called for every event of the peer."""

    def __init__(
        self,
        name: str,
        party: int,
        folder: Path,
        *,
        net: Net,
        cluster: Path,
        without: list[str],
        told: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.name, self.party, self.folder = name, party, folder
        self.account: int | None = None
        self._net, self._cluster, self._without, self._told = net, cluster, without, told
        self._process: asyncio.subprocess.Process | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._opened: asyncio.Future[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._number = 0
        self.signed_in = False
        self.reserved = False
        """Whether a fault has this person for itself: nobody else asks it for anything new."""

    @property
    def alive(self) -> bool:
        """Whether the peer's process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process; returns when the peer is open. Raises `Died` with its last words."""
        command = [
            sys.executable,
            "-m",
            "tests.chaos.peer_main",
            str(self._net.block),
            ",".join(self._without),
            str(self.party),
            str(self.folder),
            str(self._cluster),
        ]
        with (self.folder.parent / f"{self.folder.name}.out").open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                cwd=ROOT,
                limit=_LINE_BYTES,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self._opened = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(self._process, self._opened))
        await self._opened

    async def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and return its answer. Raises `Died` or `Failed`."""
        if not self.alive:
            raise Died("the process does not run")
        assert self._process is not None
        assert self._process.stdin is not None
        self._number += 1
        number = self._number
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(json.dumps({"id": number, "do": verb, "with": arguments}).encode() + b"\n")
        except (ConnectionError, RuntimeError):
            self._answers.pop(number, None)
            raise Died("the process does not run") from None
        answer = await future
        if "ok" not in answer:
            raise Failed(answer)
        return dict(answer["ok"])

    async def stop(self, patience_s: float = 60.0) -> bool:
        """Close the peer cleanly; False if it had to be killed."""
        if self._process is None:
            return True
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), patience_s)
        except TimeoutError:
            await self.kill()
            return False
        await self._end()
        return True

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """SIGSTOP the process for the length of a block; nothing where it ends meanwhile."""
        process = self._process
        if process is None or process.returncode is not None:
            yield
            return
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._end()

    async def _end(self) -> None:
        """Wait until the process is gone and everything that it said is taken."""
        if self._process is not None:
            await self._process.wait()
        if self._reader is not None:
            await self._reader
        self._process = self._reader = None

    def copy(self, name: str, party: int, folder: Path) -> "Person":
        """Return somebody with a copy of this profile, which must be closed now."""
        shutil.copytree(self.folder, folder)
        twin = Person(name, party, folder, net=self._net, cluster=self._cluster, without=self._without, told=self._told)
        twin.account = self.account
        return twin

    async def _read(self, process: asyncio.subprocess.Process, opened: asyncio.Future[None]) -> None:
        assert process.stdout is not None
        last: dict[str, Any] = {}
        while text := await process.stdout.readline():
            try:
                last = json.loads(text)
            except ValueError:
                continue  # a line cut off by a kill
            if "id" in last:
                future = self._answers.pop(last["id"], None)
                if future is not None and not future.done():
                    future.set_result(last)
            elif "event" in last:
                self._told(self.name, last)
            elif "open" in last and not opened.done():
                opened.set_result(None)
        self.signed_in = False
        await process.wait()
        death = Died(f"the peer of {self.name} ended with code {process.returncode}: {last.get('text', '')}")
        for future in [*self._answers.values(), opened]:
            if not future.done():
                future.set_exception(death)
        self._answers.clear()
