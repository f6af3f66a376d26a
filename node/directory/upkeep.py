"""Transactions about the directory itself: sweeping, probing, its time, its epoch, and whose it is."""

import hashlib
from dataclasses import dataclass
from typing import Final

from node.directory.interface import EngineName, Query, Step, Transaction, Tx
from shared.config import REQUEST_ROW_KEPT_S

SWEEP_BATCH_ROWS: Final = 500
"""Rows deleted per commit and table: more would hold other writers up."""


def sweep_batch(tx: Tx) -> Step[int]:
    """Delete one batch of stored answers and lapsed presence; return how many rows went."""
    swept = yield from _delete_oldest("requests", "created", tx.now - REQUEST_ROW_KEPT_S)
    return swept + (yield from _delete_oldest("presence", "expires", tx.clock))


def _delete_oldest(table: str, column: str, before: float) -> Step[int]:
    """Delete rows older than `before`, oldest first, `SWEEP_BATCH_ROWS` and those of the same age as the last."""
    cut = yield Query(
        f"SELECT {column} AS cut FROM {table} WHERE {column} < :before "  # noqa: S608 - names of this module
        f"ORDER BY {column} LIMIT 1 OFFSET {SWEEP_BATCH_ROWS - 1}",
        {"before": before},
    )
    row = cut.one()
    if row is None:
        deleted = yield Query(f"DELETE FROM {table} WHERE {column} < :before", {"before": before})  # noqa: S608
    else:
        deleted = yield Query(f"DELETE FROM {table} WHERE {column} <= :cut", {"cut": row["cut"]})  # noqa: S608
    return deleted.rowcount


PROBE_BYTES: Final = 65_536
"""What a probe writes: more than the room that a full disk, or the log of a database, may have left by chance."""


def probe(writer: str, number: int) -> Transaction[None]:
    """Rewrite a node's own row of `probe`, with other bytes each time, to find out whether writing works."""

    def run(tx: Tx) -> Step[None]:
        filling = bytes((number % 256,)) * PROBE_BYTES
        yield tx.upsert("probe", {"name": writer, "filling": filling}, keys=("name",))

    return run


def how_far_ahead(tx: Tx) -> Step[float]:
    """Return how many seconds directory time stands before the database's clock, which was set back; 0 where not."""
    yield from ()
    ahead_s = tx.now - tx.clock
    return ahead_s if ahead_s > SLEWED_S else 0.0


_SIZE: Final[dict[EngineName, str]] = {
    "sqlite": "SELECT page_count * page_size AS n FROM pragma_page_count(), pragma_page_size()",
    "mysql": (
        "SELECT COALESCE(SUM(data_length + index_length), 0) AS n FROM information_schema.tables "
        "WHERE table_schema = DATABASE()"
    ),
}


@dataclass(frozen=True, slots=True)
class RoomTaken:
    """What the directory takes, in bytes: all of it, and the copies in it that are held for viewers who are away."""

    directory_bytes: int
    held_bytes: int


def room_taken(engine: EngineName) -> Transaction[RoomTaken]:
    """Measure the directory. A server's own figure may be some minutes old."""

    def run(_tx: Tx) -> Step[RoomTaken]:
        whole = yield Query(_SIZE[engine])
        held = yield Query("SELECT COALESCE(SUM(size), 0) AS n FROM held_copies")
        return RoomTaken(int(whole.scalar()), int(held.scalar()))

    return run


def directory_time(tx: Tx) -> Step[float]:
    """Return directory time, in seconds since 1970."""
    yield from ()
    return tx.now


SLEWED_S: Final = 0.1
"""Clocks are set back by less than this all the time, and groups of different nodes begin in no order."""


def read_epoch(_: Tx) -> Step[int]:
    """Return the directory's epoch: 1, and one more for every restore from a backup."""
    return int((yield Query("SELECT value FROM meta WHERE name = 'epoch'")).scalar())


# --- Which cluster it belongs to: no node and no restore takes another cluster's directory for its own ---------------
CLUSTER: Final = "cluster"
"""Row of `meta` with the cluster's number, for `meta` holds numbers only; absent until a node has opened it."""
_NUMBER_BYTES: Final = 6


def number_of(cluster_id: str) -> int:
    """Return the number by which a directory knows a cluster: the beginning of a hash of its id."""
    return int.from_bytes(hashlib.sha256(f"glimpse cluster {cluster_id}".encode()).digest()[:_NUMBER_BYTES], "big")


def read_cluster(_: Tx) -> Step[int | None]:
    """Return the number of the cluster that the directory belongs to, None where nobody has said yet."""
    row = (yield Query("SELECT value FROM meta WHERE name = :name", {"name": CLUSTER})).one()
    return None if row is None else int(row["value"])


def claim(cluster_id: str) -> Transaction[int]:
    """Note that the directory belongs to a cluster, if nobody has; return the number of the one it belongs to."""

    def run(tx: Tx) -> Step[int]:
        yield tx.insert_if_absent("meta", {"name": CLUSTER, "value": number_of(cluster_id)})
        return int((yield Query("SELECT value FROM meta WHERE name = :name", {"name": CLUSTER})).scalar())

    return run
