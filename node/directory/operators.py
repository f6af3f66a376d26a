"""What operators chose and did, kept for all nodes: the placement policy, a record of every order, the cluster file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.directory.interface import Query, Step, Transaction, Tx
from shared.wire.node_messages import AuditRecord

AUDIT_BATCH: Final = 256
"""Records read at once: the newest that a node lacks; older ones stay in the directory."""
_OVERLAP: Final = 16
"""Rows read again each time: one with a lower number may become visible after one with a higher."""


@dataclass(frozen=True, slots=True)
class Audited:
    """Records of orders, oldest first, and the number of the newest row."""

    newest: int
    records: tuple[AuditRecord, ...]


def choose_policy(policy: str) -> Transaction[None]:
    """Choose the policy of the cluster."""

    def run(tx: Tx) -> Step[None]:
        yield tx.upsert("choices", {"name": "policy", "value": policy}, keys=("name",))

    return run


def publish_cluster(version: int, data: bytes) -> Transaction[None]:
    """Put a cluster file where all nodes find it, unless a later or the same version is there."""

    def run(tx: Tx) -> Step[None]:
        row: dict[str, str | int | float | bytes | None] = {"name": "newest", "version": version, "data": data}
        if not (yield tx.insert_if_absent("cluster_files", row)).rowcount:
            yield Query(
                "UPDATE cluster_files SET version = :version, data = :data WHERE name = :name AND version < :version",
                row,
            )

    return run


def read_cluster_file(_: Tx) -> Step[bytes | None]:
    """Return the newest cluster file, None where no node has one that is signed."""
    found = yield Query("SELECT data FROM cluster_files WHERE name = 'newest'")
    return bytes(found.rows[0]["data"]) if found.rows else None


def add_audit(records: Sequence[AuditRecord]) -> Transaction[None]:
    """Add records; one that is there already, by its node, incarnation and number, is left alone."""

    def run(tx: Tx) -> Step[None]:
        for record in records:
            row: dict[str, str | int | float | bytes | None] = {
                "node": record.node,
                "incarnation": record.incarnation,
                "number": record.number,
                "at": record.at,
                "operator": record.operator,
                "command": record.order,
                "value": record.value,
                "obeyed": int(record.obeyed),
                "text": record.text,
            }
            yield tx.insert_if_absent("audit", row)

    return run


def read_audit(after: int) -> Transaction[Audited]:
    """Return the rows numbered above `after` and a few before it, at most the newest `AUDIT_BATCH`."""

    def run(_: Tx) -> Step[Audited]:
        newest = int((yield Query("SELECT COALESCE(MAX(id), 0) AS newest FROM audit")).scalar())
        found = yield Query(
            "SELECT node, incarnation, number, at, operator, command, value, obeyed, text FROM audit "
            "WHERE id > :after ORDER BY id",
            {"after": max(min(after, newest) - _OVERLAP, newest - AUDIT_BATCH)},
        )
        return Audited(newest, tuple(_record(**row) for row in found.rows))

    return run


def _record(command: str, obeyed: int, **fields: str | float) -> AuditRecord:
    return AuditRecord(order=command, obeyed=bool(obeyed), **fields)  # type: ignore[arg-type]
