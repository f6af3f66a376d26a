"""Objects that arrived in part: kept so that a later transfer, in another session or after a restart, goes on there.

They are found again by hash, size and the key of the sender, so that nobody can learn by offering a hash what somebody
else has sent.
"""

import logging
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol

import anyio.to_thread

from shared.errors import MalformedMessage
from shared.files import TEMPORARY_SUFFIX, replace_file
from shared.transfer.ranges import Ranges
from shared.transfer.receiver import PartialObject

log = logging.getLogger(__name__)

MEMORY_BYTES: Final = 256 * 1024 * 1024
FOLDER_BYTES: Final = 1024 * 1024 * 1024
MEMORY_AGE_S: Final = 3600.0
FOLDER_AGE_S: Final = 7 * 24 * 3600.0
MAX_HAVE_BYTES: Final = 256 * 1024
"""Encoded ranges in a file; shorter intervals are left out beyond it."""
CHECKPOINT_S: Final = 1.0
"""How often a running transfer is written to disk: what a killed process loses."""


@dataclass(frozen=True, slots=True)
class PartialKey:
    """Which object, and who sends it."""

    sha256: bytes
    size: int
    remote_key: bytes


class PartialStore(Protocol):
    """Keeps partial objects. Loss is allowed at any time: what is not there is sent again."""

    checkpoint_s: float | None
    """How often running transfers should be kept as well; None where that gains nothing."""

    async def take(self, key: PartialKey) -> PartialObject | None:
        """Return what is held of an object, for the caller to change."""

    async def keep(self, key: PartialKey, partial: PartialObject) -> None:
        """Hold what has arrived of an object. Its bytes in `have` do not change any more."""

    async def discard(self, key: PartialKey) -> None:
        """Let go of an object."""


class MemoryPartials:
    """Partial objects in memory, bounded in bytes and age; the oldest go first."""

    checkpoint_s: float | None = None

    def __init__(
        self,
        *,
        max_bytes: int = MEMORY_BYTES,
        max_age_s: float = MEMORY_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._kept: OrderedDict[PartialKey, tuple[float, PartialObject]] = OrderedDict()
        self._bytes = 0

    async def take(self, key: PartialKey) -> PartialObject | None:
        """See `PartialStore`."""
        self._expire()
        return self._pop(key)

    async def keep(self, key: PartialKey, partial: PartialObject) -> None:
        """See `PartialStore`."""
        self._pop(key)
        self._kept[key] = (self._clock(), partial)
        self._bytes += key.size
        self._expire()

    async def discard(self, key: PartialKey) -> None:
        """See `PartialStore`."""
        self._pop(key)

    def _pop(self, key: PartialKey) -> PartialObject | None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        self._bytes -= key.size
        return kept[1]

    def _expire(self) -> None:
        horizon = self._clock() - self._max_age_s
        while self._kept:
            key, (kept_at, _) = next(iter(self._kept.items()))
            if self._bytes <= self._max_bytes and kept_at >= horizon:
                break
            self._pop(key)


MIN_KEPT_BYTES: Final = 64 * 1024
"""A smaller object is sent again sooner than it is read from disk."""
_HEAD: Final = struct.Struct(">8sQ32s32s")
_MAGIC: Final = b"GLIMPSE1"


class FolderPartials:
    """Partial objects in a folder, so that they survive a restart; bounded in bytes and age, the oldest go first.

    An object is two files with a generated name: the bytes, and which of them are held. The second is replaced whole
    after the first is on disk. A file that cannot be written or makes no sense is as good as none.
    """

    checkpoint_s: float | None = CHECKPOINT_S

    def __init__(self, folder: Path, *, max_bytes: int = FOLDER_BYTES, max_age_s: float = FOLDER_AGE_S) -> None:
        """Use `folder`, which is made on first use and readable by nobody else."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._lock = threading.Lock()
        self._written: dict[PartialKey, Ranges] = {}

    async def take(self, key: PartialKey) -> PartialObject | None:
        """See `PartialStore`."""
        if key.size < MIN_KEPT_BYTES:
            return None
        return await anyio.to_thread.run_sync(self._load, key)

    async def keep(self, key: PartialKey, partial: PartialObject) -> None:
        """See `PartialStore`. A full disk is logged and otherwise without effect."""
        if key.size >= MIN_KEPT_BYTES:
            await anyio.to_thread.run_sync(self._store, key, partial)

    async def discard(self, key: PartialKey) -> None:
        """See `PartialStore`."""
        if key.size >= MIN_KEPT_BYTES:
            await anyio.to_thread.run_sync(self._remove, key)

    async def sweep(self) -> None:
        """Remove what is too old or too much, and what a killed process left behind. Errors are logged."""
        await anyio.to_thread.run_sync(self._sweep_safely)

    # --- In a thread -------------------------------------------------------------------------------------------------

    def _sweep_safely(self) -> None:
        with self._lock:
            try:
                self._sweep()
            except OSError:
                log.warning("partial objects could not be cleared away", exc_info=True)

    def _paths(self, key: PartialKey) -> tuple[Path, Path]:
        name = blake2b(key.remote_key + key.sha256 + key.size.to_bytes(8, "big"), digest_size=16).hexdigest()
        return self._folder / f"{name}.data", self._folder / f"{name}.have"

    def _load(self, key: PartialKey) -> PartialObject | None:
        data_path, have_path = self._paths(key)
        with self._lock:
            try:
                raw = have_path.read_bytes()
                if raw[: _HEAD.size] != _HEAD.pack(_MAGIC, key.size, key.sha256, key.remote_key):
                    return None
                have = Ranges.decode(raw[_HEAD.size :], limit=key.size, cap_bytes=MAX_HAVE_BYTES)
                data = bytearray(key.size)
                view = memoryview(data)
                with data_path.open("rb") as file:
                    for start, end in have:
                        file.seek(start)
                        if file.readinto(view[start:end]) != end - start:
                            return None
            except FileNotFoundError:
                return None
            except (OSError, MalformedMessage):
                log.warning("a partial object cannot be read and is received anew", exc_info=True)
                return None
            self._written[key] = have.copy()
            return PartialObject(key.size, key.sha256, data, have)

    def _store(self, key: PartialKey, partial: PartialObject) -> None:
        with self._lock:
            try:
                self._write(key, partial)
                self._sweep()
            except OSError:
                log.warning("a partial object could not be kept", exc_info=True)
                self._unlink(key)

    def _write(self, key: PartialKey, partial: PartialObject) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_path, have_path = self._paths(key)
        written = self._written.get(key)
        if written is None or not data_path.exists():
            written = self._written[key] = Ranges()
        view = memoryview(partial.data)
        with os.fdopen(os.open(data_path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            for start, end in partial.have:
                for low, high in written.missing(start, end):
                    file.seek(low)
                    file.write(view[low:high])
            file.flush()
            os.fsync(file.fileno())
        self._written[key] = partial.have.copy()
        head = _HEAD.pack(_MAGIC, key.size, key.sha256, key.remote_key)
        replace_file(have_path, head + partial.have.encode(MAX_HAVE_BYTES))

    def _remove(self, key: PartialKey) -> None:
        with self._lock:
            self._unlink(key)

    def _unlink(self, key: PartialKey) -> None:
        self._written.pop(key, None)
        for path in self._paths(key):
            try:
                path.unlink(missing_ok=True)
            except OSError:
                log.warning("a partial object could not be removed", exc_info=True)

    def _sweep(self) -> None:
        """Remove what is too old or too much, and what belongs to nothing: a process may end between two files."""
        for path in (*self._folder.glob(f"*{TEMPORARY_SUFFIX}"), *self._folder.glob("*.have")):
            if path.suffix == TEMPORARY_SUFFIX or not path.with_suffix(".data").exists():
                path.unlink(missing_ok=True)
        objects = []
        for data_path in self._folder.glob("*.data"):
            status = data_path.stat()
            objects.append((status.st_mtime, status.st_size, data_path))
        objects.sort(key=lambda item: item[0], reverse=True)
        total, horizon = 0, time.time() - self._max_age_s
        for modified_at, size, data_path in objects:
            total += size
            if total > self._max_bytes or modified_at < horizon:
                data_path.with_suffix(".have").unlink(missing_ok=True)
                data_path.unlink(missing_ok=True)
        for key in [key for key in self._written if not self._paths(key)[0].exists()]:
            del self._written[key]
