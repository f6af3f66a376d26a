"""The file of what operators did, and what strangers can write into it."""

from pathlib import Path
from typing import Any, cast

import anyio
import orjson
import pytest

from node.audit_log import KNOWN_RECORDS, AuditLog
from node.orders import STRANGER_BURST, STRANGER_EVERY_S, StrangerLimit
from shared.errors import StorageError
from shared.wire.node_messages import AuditRecord


def record(number: int, node: str = "a") -> AuditRecord:
    return AuditRecord(node, 1, number, 1_000.0 + number, "acorn album", "deaf", "20")


def log_in(path: Path) -> AuditLog:
    """A log whose directory is not asked."""
    return AuditLog(path, "a", cast("Any", None))


# --- The file --------------------------------------------------------------------------------------------------------
def test_records_are_lines_of_a_private_file_and_come_back(tmp_path) -> None:
    log = log_in(tmp_path / "audit-a.log")
    assert log.tail() == []

    async def write() -> None:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(log.write, record(number))

    anyio.run(write)
    assert log.path.stat().st_mode & 0o777 == 0o600
    lines = [orjson.loads(line) for line in log.path.read_bytes().splitlines()]
    assert [line["number"] for line in lines] == [found.number for found in log.tail()]
    assert sorted(line["number"] for line in lines) == list(range(20))
    assert lines[0]["order"] == "deaf"


def test_a_torn_line_costs_only_itself(tmp_path) -> None:
    path = tmp_path / "audit-a.log"
    path.write_bytes(b'{"node":"a","inc')
    log = log_in(path)
    anyio.run(log.write, record(1))
    assert log.tail() == [record(1)]
    assert len(path.read_bytes().splitlines()) == 2


def test_a_file_that_cannot_be_written_is_a_storage_error(tmp_path) -> None:
    (tmp_path / "there").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="cannot be written"):
        anyio.run(log_in(tmp_path / "there").write, record(1))


def test_only_the_last_records_are_read(tmp_path) -> None:
    path = tmp_path / "audit-a.log"
    line = orjson.dumps({name: getattr(record(1), name) for name in AuditRecord.__struct_fields__}) + b"\n"
    path.write_bytes(line * 5_000)
    assert len(log_in(path).tail()) == KNOWN_RECORDS


# --- Strangers -------------------------------------------------------------------------------------------------------
def test_strangers_cannot_fill_the_disk() -> None:
    limit = StrangerLimit()
    day = 24 * 3600
    written = sum(limit.allows(step / 10) for step in range(10 * day))
    assert written <= STRANGER_BURST + day / STRANGER_EVERY_S
    assert limit.suppressed == 10 * day - written
