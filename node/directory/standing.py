"""Single-statement steps that stand outside the groups: the lease of leadership and the rows of the nodes.

The lease is what fences leaders: its term only grows, and it is taken by one compare-and-set that only one of any
number of contenders can win. All comparisons use database time inside the statement, so that no machine's own clock
matters. `clock` is the engine's expression for it, in epoch seconds.
"""

import math
from typing import Final

from node.directory.interface import Announced, LeaseRow, NodeRow, Query, Step, Value
from shared.errors import Unavailable

GENUINE_LEASES: Final = 2.0
"""Lengths of the lease that one may lie ahead: one, and as much again because a statement's clock stands still while
the statement waits for the row, and because clocks are also set back by moments."""

# S608: the only text put into statements here is the engine's own clock expression.


def claim_lease(clock: str, holder: str, seen_term: int, lease_s: float) -> Step[int | None]:
    """Take the lease from a term that still stands; the new term, or None if somebody was faster or it is held.

    A lease that lies further ahead than any can was taken before the clock was set back, and is free.
    """
    claimed = yield Query(
        f"UPDATE lease SET term = term + 1, holder = :holder, expires = {clock} + :lease_s "  # noqa: S608
        "WHERE name = 'leader' AND term = :seen_term "
        f"AND (holder IS NULL OR holder = :holder OR expires < {clock} OR expires > {clock} + :furthest_s)",
        {"holder": holder, "seen_term": seen_term, "lease_s": lease_s, "furthest_s": GENUINE_LEASES * lease_s},
    )
    return seen_term + 1 if claimed.rowcount else None


def renew_lease(clock: str, holder: str, term: int, lease_s: float) -> Step[bool]:
    """Extend a lease that is still the holder's, even if it has run out unclaimed."""
    renewed = yield Query(
        f"UPDATE lease SET expires = {clock} + :lease_s "  # noqa: S608
        "WHERE name = 'leader' AND term = :term AND holder = :holder",
        {"holder": holder, "term": term, "lease_s": lease_s},
    )
    return bool(renewed.rowcount)


def release_lease(holder: str, term: int) -> Step[bool]:
    """Give the lease up; the term stays, so that the next claim has a higher one."""
    released = yield Query(
        "UPDATE lease SET holder = NULL, expires = 0 WHERE name = 'leader' AND term = :term AND holder = :holder",
        {"holder": holder, "term": term},
    )
    return bool(released.rowcount)


def read_lease(clock: str, lease_s: float | None) -> Step[LeaseRow]:
    """Read the lease and the database's time together. Raises Unavailable while a dump is being loaded over it."""
    rows = yield Query(f"SELECT term, holder, expires, {clock} AS now FROM lease WHERE name = 'leader'")  # noqa: S608
    if not rows.rows:
        raise Unavailable("The directory has no lease: it is being restored just now, or was not in full.")
    return LeaseRow(**rows.rows[0], furthest_s=math.inf if lease_s is None else GENUINE_LEASES * lease_s)


def announce_node(clock: str, row: NodeRow) -> Step[Announced]:
    """Write a node's row, unless the row is of a newer incarnation; return what all nodes have to know."""
    values: dict[str, Value] = {
        "name": row.name,
        "incarnation": row.incarnation,
        "hears": int(row.hears),
        "address": row.address,
        "term": row.term,
    }
    updated = yield Query(
        f"UPDATE nodes SET incarnation = :incarnation, heard = {clock}, hears = :hears, address = :address, "  # noqa: S608
        "term = :term WHERE name = :name AND incarnation <= :incarnation",
        values,
    )
    if not updated.rowcount:
        yield Query(
            "INSERT INTO nodes (name, incarnation, heard, hears, address, term) "  # noqa: S608
            f"VALUES (:name, :incarnation, {clock}, :hears, :address, :term)",
            values,
            "ignore",
        )
    found = yield from nodes(clock)
    chosen = yield Query(
        "SELECT (SELECT value FROM choices WHERE name = 'policy') AS policy, "
        "(SELECT COALESCE(MAX(id), 0) FROM audit) AS audited, "
        "(SELECT COALESCE(MAX(version), 0) FROM cluster_files) AS cluster"
    )
    known = chosen.rows[0]
    return Announced(found, known["policy"], int(known["audited"]), int(known["cluster"]))


def nodes(clock: str) -> Step[list[NodeRow]]:
    """Read all node rows with their ages."""
    rows = yield Query(
        f"SELECT name, incarnation, hears, address, term, heard, {clock} AS now FROM nodes ORDER BY name"  # noqa: S608
    )
    return [
        NodeRow(
            name=row["name"],
            incarnation=row["incarnation"],
            hears=bool(row["hears"]),
            address=row["address"],
            term=row["term"],
            heard_at=row["heard"],
            age_s=max(0.0, row["now"] - row["heard"]),
        )
        for row in rows.rows
    ]
