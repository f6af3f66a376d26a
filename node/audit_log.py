"""The audit log of a node: one JSON object a line for every action of an operator, on whichever node it was done.

A record is written to the node's own file first, so that orders are on record also while there is no directory. From
there it goes to the directory, once by its id, and every other node copies it from there into its own file. The file is
append-only, mode 0600, never rotated: it grows by what operators do, and by what strangers try only as far as
`node.orders` lets them. A line that was torn by a crash is left as it is and passed over.
"""

import logging
import os
from collections import OrderedDict
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec
import orjson

from node.directory import Directory
from node.directory.operators import add_audit, read_audit
from shared.errors import GlimpseError, StorageError
from shared.wire.node_messages import AuditRecord

log = logging.getLogger(__name__)

KEPT_RECORDS: Final = 256
"""The last records of this node that are offered to the directory after a start or a long absence of it."""
KNOWN_RECORDS: Final = 2_048
"""Records that are recognised as being in the file already."""
_TAIL_BYTES: Final = 512 * 1024

RecordId = tuple[str, int, int]


class AuditLog:
    """One node's file and its exchange with the directory."""

    def __init__(self, path: Path, me: str, directory: Directory) -> None:
        """Reads what an earlier life of the node wrote; blocks."""
        self.path = path
        self._directory = directory
        self._turn = anyio.Lock()
        self._exchanging = anyio.Lock()
        self._known: OrderedDict[RecordId, None] = OrderedDict()
        earlier = self.tail()
        for record in earlier:
            self._note(record)
        own = [record for record in earlier if record.node == me and record.obeyed]
        self._own = OrderedDict((_id_of(record), record) for record in own[-KEPT_RECORDS:])
        self._unshared = OrderedDict(self._own)
        self._after = 0
        self._trouble = ""

    async def write(self, record: AuditRecord) -> None:
        """Append a record of this node; it is on the disk when this returns, and one that was obeyed goes to the
        directory with the next exchange. Raises `StorageError` if it cannot be written."""
        await self._write(record)
        if record.obeyed:
            for kept in (self._own, self._unshared):
                kept[_id_of(record)] = record
                if len(kept) > KEPT_RECORDS:
                    kept.popitem(last=False)

    def is_behind(self, newest: int) -> bool:
        """Return whether there is anything to exchange, where `newest` is the number of the directory's last record."""
        return bool(self._unshared) or newest != self._after

    async def exchange(self) -> list[AuditRecord]:
        """Bring directory and file together; return the records of other nodes that are new here.

        What does not work now, for want of the directory or of room on the disk, is done by a later call.
        """
        async with self._exchanging:
            return await self._exchange()

    async def _exchange(self) -> list[AuditRecord]:
        written: list[AuditRecord] = []
        try:
            if sharing := list(self._unshared.values()):
                await self._directory.write(add_audit(sharing))
                for record in sharing:
                    self._unshared.pop(_id_of(record), None)
            found = await self._directory.read(read_audit(self._after))
            if found.newest < self._after:  # put back to a backup: what this node knows goes there again
                self._unshared = OrderedDict(self._own)
            for record in found.records:
                if _id_of(record) not in self._known:
                    await self._write(record)
                    written.append(record)
            self._after = found.newest
        except GlimpseError as error:
            self._note_trouble(str(error))
        else:
            self._trouble = ""
        return written

    def tail(self) -> list[AuditRecord]:
        """Return the last records of the file. For the start of a node: it reads at once."""
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
        return records[-KNOWN_RECORDS:]

    async def _write(self, record: AuditRecord) -> None:
        line = orjson.dumps(msgspec.structs.asdict(record)) + b"\n"
        async with self._turn:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._append, line)
        self._note(record)

    def _note(self, record: AuditRecord) -> None:
        self._known[_id_of(record)] = None
        if len(self._known) > KNOWN_RECORDS:
            self._known.popitem(last=False)

    def _note_trouble(self, reason: str) -> None:
        """Say once why records are not exchanged."""
        if reason != self._trouble:
            self._trouble = reason
            log.warning("records of orders are not exchanged with the directory", extra={"reason": reason})

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


def _id_of(record: AuditRecord) -> RecordId:
    """Return what identifies a record everywhere."""
    return record.node, record.incarnation, record.number


def _record(line: bytes) -> AuditRecord:
    fields = orjson.loads(line)
    values = [fields[name] for name in AuditRecord.__struct_fields__]
    return msgspec.convert(values, type=AuditRecord, strict=True)
