"""Which cluster a directory belongs to, so that no node and no restore takes another cluster's for its own.

The directory's `meta` holds numbers only: a cluster is known in it by the beginning of a hash of its id.
"""

import hashlib
from typing import Final

from node.directory.interface import Query, Step, Transaction, Tx

CLUSTER: Final = "cluster"
"""Name of the row of `meta` that says it; absent until a node has opened the directory."""
_NUMBER_BYTES: Final = 6


def number_of(cluster_id: str) -> int:
    """Return the number by which a directory knows a cluster."""
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
