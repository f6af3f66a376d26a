"""People of a scripted run: peers in their own processes, called like objects."""

import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import anyio.abc
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from shared.errors import GlimpseError
from tui.commands.demo_peer import Call, Reply

_LINE_CAP_BYTES = 16 * 1024 * 1024
_GOODBYE_S = 10.0


class CallFailed(GlimpseError):
    """A method of the other process raised; `kind` is the type of its error and `code` the cloud's, if any."""

    def __init__(self, kind: str, code: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.code = code


class Person:
    """A peer in a process of its own. An asynchronous context manager; it can be closed, killed and opened again."""

    def __init__(self, name: str, profile: Path, cluster: Path) -> None:
        self.name = name
        self.account = 0
        self._profile = profile
        self._cluster = cluster
        self._process: anyio.abc.Process | None = None
        self._lines: BufferedByteReceiveStream
        self._turn = anyio.Lock()

    async def __aenter__(self) -> "Person":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.close()

    async def open(self) -> None:
        """Start the process."""
        command = [sys.executable, "-m", "tui.commands.demo_peer", str(self._profile), str(self._cluster)]
        self._process = await anyio.open_process(command, stderr=None)
        assert self._process.stdout is not None
        self._lines = BufferedByteReceiveStream(self._process.stdout)

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the peer. Raises `CallFailed` with what it raised."""
        assert self._process is not None
        assert self._process.stdin is not None
        async with self._turn:
            call = Call(method, list(arguments), options)
            await self._process.stdin.send(msgspec.json.encode(call) + b"\n")
            try:
                line = await self._lines.receive_until(b"\n", _LINE_CAP_BYTES)
            except (anyio.IncompleteRead, anyio.EndOfStream):
                raise CallFailed("Gone", "", f"The process of {self.name} ended; its message is above.") from None
        reply = msgspec.json.decode(line, type=Reply)
        if reply.error:
            raise CallFailed(reply.error, reply.code, reply.text)
        return reply.result

    async def close(self) -> None:
        """Let the peer sign out and end."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            await process.stdin.aclose()
        with anyio.move_on_after(_GOODBYE_S):
            await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()

    async def kill(self) -> None:
        """End the process at once, as a crash does."""
        process, self._process = self._process, None
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        await process.aclose()
