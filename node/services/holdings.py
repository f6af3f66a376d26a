"""Grants as they lie in the directory: as rows that travel, as states that the ledger's rules take, and their lists."""

# ruff: noqa: S608 - what is put into statements here are this package's own names; values are bound.

from collections import defaultdict
from typing import Final

import msgspec

from node.directory.interface import Query, Row, Step, Transaction, Tx, Value, in_list
from node.services.common import Call, count, page_of, read_epoch, required
from shared.ledger import LedgerState
from shared.wire.operations import (
    MAX_TOLD_WISHES,
    GetGrant,
    GivenSums,
    GrantRow,
    Grants,
    GrantState,
    ListGrants,
    WishDone,
)

_COLUMNS: Final = (
    "g.id, g.image_id, i.title, g.owner_id, o.name AS owner_name, g.viewer_id, v.name AS viewer_name, "
    "g.granted, g.consumed, g.expires, g.revoked, g.version, g.record, g.epoch, h.expires AS held_until"
)
_TABLES: Final = (
    "grants g JOIN images i ON i.id = g.image_id JOIN accounts o ON o.id = g.owner_id "
    "JOIN accounts v ON v.id = g.viewer_id LEFT JOIN held_copies h ON h.grant_id = g.id AND h.whole = 1"
)


def grant_row(row: Row, epoch: int) -> GrantRow:
    """Return a grant as it travels, seen from the directory's present epoch."""
    return GrantRow(
        grant=row["id"],
        image=row["image_id"],
        title=row["title"],
        owner=row["owner_id"],
        owner_name=row["owner_name"],
        viewer=row["viewer_id"],
        viewer_name=row["viewer_name"],
        granted=row["granted"],
        consumed=row["consumed"],
        expires=row["expires"],
        revoked=bool(row["revoked"]),
        frozen=row["epoch"] < epoch,
        version=row["version"],
        record=bytes(row["record"]),
        held_until=row["held_until"],
    )


def read_grant(grant: str, epoch: int) -> Step[GrantRow]:
    """Return one grant that is known to be there."""
    rows = yield Query(f"SELECT {_COLUMNS} FROM {_TABLES} WHERE g.id = :grant", {"grant": grant})
    return grant_row(rows.rows[0], epoch)


def state_for_owner(grant: GrantRow, epoch: int) -> Step[GrantState]:
    """Return a grant as its owner is told of it."""
    return GrantState(grant=(yield from with_wishes([grant]))[0], epoch=epoch)


def with_wishes(grants: list[GrantRow]) -> Step[list[GrantRow]]:
    """Return grants with the newest wishes that became part of each; for their owners alone."""
    if not grants:
        return []
    inside, parameters = in_list("grant", [grant.grant for grant in grants])
    rows = yield Query(
        "SELECT w.id, w.grant_id, w.version FROM wishes w JOIN grants g ON g.id = w.grant_id "
        f"WHERE w.grant_id IN ({inside}) AND w.version > g.version - :told AND w.version <= g.version "
        "ORDER BY w.version DESC, w.id",
        {**parameters, "told": MAX_TOLD_WISHES},
    )
    done: defaultdict[str, list[WishDone]] = defaultdict(list)
    for row in rows.rows:
        done[row["grant_id"]].append(WishDone(row["id"], row["version"]))
    return [msgspec.structs.replace(grant, wishes=tuple(done[grant.grant][:MAX_TOLD_WISHES])) for grant in grants]


def state_of(row: Row, epoch: int) -> LedgerState:
    """Return a grant's row as the ledger's rules take it."""
    return LedgerState(
        granted=row["granted"],
        consumed=row["consumed"],
        expires=row["expires"],
        revoked=bool(row["revoked"]),
        version=row["version"],
        frozen=row["epoch"] < epoch,
    )


def given_sums(account: int, epoch: int) -> Step[GivenSums]:
    """Return all grants that an account gave, added up in one query; revoked ones wait for nobody's word."""
    rows = yield Query(
        "SELECT COUNT(*) AS grants, COALESCE(SUM(version), 0) AS versions, COALESCE(SUM(consumed), 0) AS consumed, "
        "COALESCE(SUM(CASE WHEN revoked = 0 AND epoch < :epoch THEN 1 ELSE 0 END), 0) AS frozen "
        "FROM grants WHERE owner_id = :account",
        {"account": account, "epoch": epoch},
    )
    row = rows.rows[0]
    return GivenSums(int(row["grants"]), int(row["versions"]), int(row["consumed"]), int(row["frozen"]))


# --- Reading ---------------------------------------------------------------------------------------------------------


def one(call: Call, operation: GetGrant) -> Transaction[GrantState]:
    """Return a grant to its owner or its viewer."""

    def run(_: Tx) -> Step[GrantState]:
        row = yield from required(
            "grant",
            f"SELECT {_COLUMNS} FROM {_TABLES} WHERE g.id = :grant AND (g.owner_id = :caller OR g.viewer_id = :caller)",
            {"grant": operation.grant, "caller": call.caller.account},
        )
        epoch = yield from read_epoch()
        grant = grant_row(row, epoch)
        if row["owner_id"] != call.caller.account:
            return GrantState(grant=grant, epoch=epoch)
        return (yield from state_for_owner(grant, epoch))

    return run


def listed(call: Call, operation: ListGrants) -> Transaction[Grants]:
    """Return a page of the grants that a caller gave, in all or on one image, or of those that the caller holds,
    newest first."""

    def run(_: Tx) -> Step[Grants]:
        parameters: dict[str, Value] = {"caller": call.caller.account}
        owns = operation.given or operation.image is not None
        where = "WHERE g.owner_id = :caller" if owns else "WHERE g.viewer_id = :caller"
        if operation.image is not None:
            parameters["image"] = operation.image
            where += " AND g.image_id = :image"
        total = yield from count(Query(f"SELECT COUNT(*) AS n FROM grants g {where}", parameters))
        rows = yield Query(
            f"SELECT {_COLUMNS} FROM {_TABLES} {where} ORDER BY g.created DESC, g.id DESC{page_of(operation.page)}",
            parameters,
        )
        epoch = yield from read_epoch()
        found = [grant_row(row, epoch) for row in rows.rows]
        return Grants(rows=(yield from with_wishes(found)) if owns else found, total=total, epoch=epoch)

    return run
