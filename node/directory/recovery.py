"""What makes a directory that was restored from a backup safe to use again, in one transaction.

A backup gives back what was spent, revoked and handed out since it was taken. So every grant is frozen until its
owner's peer has compared it (grants of earlier epochs are), and no term and no account number is given a second time.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from node.directory.interface import Query, Step, Transaction, Tx, Value
from node.directory.marks import Marks, read_marks

COMMITS_PASSED_OVER: Final = 1_000_000
"""How far the counter goes beyond the highest that anybody remembers: a node that was away and remembers a little more
than the others must not take the recovered directory for one that was restored once more."""
ACCOUNTS_PASSED_OVER: Final = 1_000
"""Account numbers left out beyond the highest that anybody remembers: some may have been given and seen by no node."""

_RESTORED: Final = "#restored"
"""A row of `writers` that no node can have as its own."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A restored directory that is safe to use again."""

    epoch: int
    frozen: int
    """Grants that wait for their owners' word."""


def recover(highest: Marks, *, certain: bool = False) -> Transaction[Recovered | None]:
    """Recover a directory that is behind `highest`, the furthest state that anybody remembers.

    So is one that lacks commits of the node that runs this, wherever the numbers of all stand. Returns None, and
    changes nothing, where it is not (any more): another node was faster. `certain` says that it was restored whatever
    the numbers say.
    """

    def run(tx: Tx) -> Step[Recovered | None]:
        yield Query("SELECT value FROM meta WHERE name = 'epoch'" + tx.for_update)  # noqa: S608 - the engine's own
        found = yield from read_marks(tx)
        lacks_own = tx.lost_commits and found.epoch == tx.epoch
        if not certain and not lacks_own and not found.is_behind(highest):
            return None
        furthest = found.furthest(highest)
        epoch = furthest.epoch + 1
        yield Query("UPDATE meta SET value = :epoch WHERE name = 'epoch'", {"epoch": epoch})
        yield from _pass_commits(tx, furthest.commits - found.commits + COMMITS_PASSED_OVER)
        yield Query(
            "UPDATE lease SET term = :term, holder = NULL, expires = 0 WHERE name = 'leader'", {"term": furthest.term}
        )
        yield from _pass_accounts(tx, furthest.accounts + ACCOUNTS_PASSED_OVER)
        return Recovered(epoch, (yield from count_frozen(tx)))

    return run


def _pass_commits(tx: Tx, commits: int) -> Step[None]:
    yield tx.insert_if_absent("writers", {"name": _RESTORED, "commits": 0, "latest": 0.0})
    yield Query(
        "UPDATE writers SET commits = commits + :commits WHERE name = :name", {"name": _RESTORED, "commits": commits}
    )


def _pass_accounts(tx: Tx, number: int) -> Step[None]:
    """Let the database go on giving numbers behind `number`: it does so once a row has had it, on both engines and
    over restarts. The number itself stands in `meta`, since the row cannot stay."""
    placeholder: dict[str, Value] = {
        "id": number,
        "name": "-",
        "signing_key": hashlib.sha256(b"glimpse signing placeholder").digest(),
        "session_key": hashlib.sha256(b"glimpse session placeholder").digest(),
        "session_signature": bytes(64),
        "created": tx.now,
        "last_seen": 0.0,
    }
    yield tx.insert("accounts", placeholder)
    yield Query("DELETE FROM accounts WHERE id = :number", {"number": number})
    yield tx.upsert("meta", {"name": "accounts", "value": number}, keys=("name",))


def count_frozen(_: Tx) -> Step[int]:
    """Return how many grants wait for their owners' word; those that are revoked wait for nothing."""
    frozen = yield Query(
        "SELECT COUNT(*) AS n FROM grants WHERE revoked = 0 AND epoch < (SELECT value FROM meta WHERE name = 'epoch')"
    )
    return int(frozen.scalar())
