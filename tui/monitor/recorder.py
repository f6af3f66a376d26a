"""Writes a recording while the monitor runs. The file's format is told in `tui.monitor.recording`."""

from __future__ import annotations

import os
import threading
import zlib
from collections import deque
from io import FileIO
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from shared.errors import StorageError
from tui.common.wording import size
from tui.monitor.recording import header_line, message_line

if TYPE_CHECKING:
    from pathlib import Path

    from shared.wire.feed_messages import FeedMessage
    from tui.monitor.node_index import NodeIndex

FLUSH_EVERY_S: Final = 1.0
"""A monitor that is killed loses at most this of its recording."""
MAX_FILE_BYTES: Final = 256 * 1024 * 1024
"""A day and more of three nodes; then the recording ends, and says so."""
_LEVEL: Final = 6
_GZIP: Final = 31


class Recorder:
    """A recording that is being made at `path`, which must not exist yet. `began` is seconds since 1970 at time 0.

    Raises `StorageError` if the file cannot be made. What goes wrong later ends the recording, never the monitor:
    see `trouble`.
    """

    def __init__(self, path: Path, node_index: NodeIndex, began: float, *, max_bytes: int = MAX_FILE_BYTES) -> None:
        self.path = path
        self.written_bytes = 0
        self.trouble = ""
        """Why the recording has ended early; empty while it goes on."""
        self._max_bytes = max_bytes
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._waiting = deque([header_line(node_index, began)])
        self._writing = threading.Lock()
        self._last_at = 0.0
        try:
            self._file = FileIO(path, "xb", opener=_private)
        except FileExistsError:
            raise StorageError(f"{path} is there already; choose another name for the recording.") from None
        except OSError as error:
            raise StorageError(f"The recording {path} cannot be written: {error.strerror}.") from error

    def take(self, place: int, message: FeedMessage, at: float) -> None:
        """Record a message. Cheap; it is written with the next flush."""
        if not self.trouble:
            self._last_at = max(self._last_at, at)
            self._waiting.append(message_line(self._last_at, place, message))

    async def run(self) -> None:
        """Write what is recorded, about once a second, until cancelled; then write the rest and close the file."""
        try:
            await self._flush()
            while not self.trouble:
                await anyio.sleep(FLUSH_EVERY_S)
                await self._flush()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self.close)

    def farewell(self) -> str:
        """Return what is to be said in the terminal when the monitor has closed."""
        play = f"play it with `glimpse monitor --replay {self.path}`."
        if self.trouble:
            return f"{self.trouble}; what there is of it lies in {self.path}: {play}"
        return f"Recorded {size(self.written_bytes)} in {self.path}; {play}"

    def close(self) -> None:
        """Write the rest and close the file. Blocks."""
        with self._writing:
            if not self._file.closed:
                self._write(zlib.Z_FINISH)
                self._file.close()

    async def _flush(self) -> None:
        if self._waiting:
            await anyio.to_thread.run_sync(self._write_some)

    def _write_some(self) -> None:
        with self._writing:
            if not self._file.closed:
                self._write(zlib.Z_SYNC_FLUSH)

    def _write(self, mode: int) -> None:
        """Take what waits, pack and write it; in a thread.

        Whoever waits for that thread may be cancelled at any moment, so lines are taken where they are written: taken
        before, they were lost when the thread never began.
        """
        data = b"".join(self._waiting.popleft() for _ in range(len(self._waiting)))
        packed = self._packer.compress(data) + self._packer.flush(mode)
        try:
            while packed:
                packed = packed[self._file.write(packed) :]
            self.written_bytes = self._file.tell()
        except OSError as error:
            self._end(f"The recording has ended ({error.strerror})")
        if self.written_bytes > self._max_bytes:
            self._end(f"The recording has ended, {self.written_bytes // 2**20} MB long")

    def _end(self, reason: str) -> None:
        self.trouble = self.trouble or reason
        self._waiting.clear()


def _private(path: str, flags: int) -> int:
    """Open a file that others may not read: it holds addresses, names of accounts' requests, and log lines."""
    return os.open(path, flags, 0o600)
