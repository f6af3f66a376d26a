"""The audit log of a node: one JSON object a line for every action of an operator, on whichever node it was done.

Append-only, mode 0600, never rotated: it grows by what operators do, and by what strangers try only as far as
`node.orders` lets them. A line that was torn by a crash is left as it is and passed over.
"""

import logging
import os
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import orjson

from node.audit import KEPT_RECORDS
from shared.errors import StorageError
from shared.wire.node_messages import AuditRecord

log = logging.getLogger(__name__)

_TAIL_BYTES = 256 * 1024


class AuditLog:
    """Appends to and reads from one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = anyio.Lock()

    async def write(self, record: AuditRecord) -> None:
        """Append a record; it is on the disk when this returns. Raises `StorageError` if it cannot be."""
        line = orjson.dumps(msgspec.structs.asdict(record)) + b"\n"
        async with self._turn:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._append, line)

    def tail(self) -> list[AuditRecord]:
        """Return the last records, at most `KEPT_RECORDS`. For the start of a node: it reads at once."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - _TAIL_BYTES))
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            log.warning("the audit log cannot be read", extra={"reason": error.strerror})
            return []
        records = []
        for line in lines:
            try:
                records.append(_record(line))
            except (orjson.JSONDecodeError, msgspec.ValidationError, KeyError, TypeError):
                continue  # torn, or cut by the seek
        return records[-KEPT_RECORDS:]

    def _append(self, line: bytes) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line
                if os.write(descriptor, line) != len(line):
                    raise StorageError(f"The audit log {self.path} cannot be written: the disk is full.")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(f"The audit log {self.path} cannot be written: {error.strerror}.") from error


def _record(line: bytes) -> AuditRecord:
    fields = orjson.loads(line)
    values = [fields[name] for name in AuditRecord.__struct_fields__]
    return msgspec.convert(values, type=AuditRecord, strict=True)
