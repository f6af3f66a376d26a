"""What the services know of the directory: queries, transactions, and what they give.

A transaction is written once for every engine, as a generator function that takes a `Tx`, yields `Query` objects and is
sent `Rows`. It does nothing else: no clock, no network, no outside effect, because the directory may run it again from
the start (another node held a lock, the connection was lost). An error that it raises undoes what it did and nothing
that its neighbours in the same commit did.

    def rename(tx: Tx) -> Step[int]:
        row = (yield Query("SELECT id FROM accounts WHERE signing_key = :key" + tx.for_update, {"key": key})).one()
        if row is None:
            raise Refused("unknown_account", "This account is not registered.")
        yield Query("UPDATE accounts SET name = :name WHERE id = :id", {"name": name, "id": row["id"]})
        return row["id"]

    account_id = await directory.write(rename)

SQL is the part that SQLite and MySQL share; what differs is behind the helpers of `Tx`.
"""

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypeVar

from shared.errors import LocalError
from shared.wire.node_messages import RequestKey

Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = Mapping[str, Any]
"""One result row by column name; values are `Value`. Columns that are computed need an alias (`COUNT(*) AS n`)."""

EngineName: TypeAlias = Literal["sqlite", "mysql"]
Conflict: TypeAlias = Literal["raise", "ignore", "update"]

T = TypeVar("T")


class StatementFailed(LocalError):
    """The database refused one statement: wrong SQL, a value too long or of the wrong kind.

    Raised at the `yield` of the query; the transaction may catch it and go on.
    """


class DuplicateKey(StatementFailed):
    """An insert or update met an existing row with the same primary or unique key."""


class MissingReference(StatementFailed):
    """A row refers to a row that is not there, or a row that others refer to was to be deleted."""


@dataclass(frozen=True, slots=True)
class Query:
    """One statement with `:name` parameters, each of which must be in `parameters`.

    `conflict` is set by the helpers of `Tx`; plain queries leave it alone. A `deferred` statement's result is not
    looked at, so an engine may send it along with the next one; if it fails, the whole transaction does.
    """

    sql: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    conflict: Conflict = "raise"
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query gave.

    `rowcount` means the same on every engine: rows selected, inserted, deleted, or *matched* by an update (whether or
    not a value changed). `inserted_id` is the number that an automatic primary key took; 0 for other statements.
    """

    rows: Sequence[Row] = ()
    rowcount: int = 0
    inserted_id: int = 0

    def one(self) -> Row | None:
        """Return the only row, or None if there is none. Raises LocalError for more than one."""
        if len(self.rows) > 1:
            raise LocalError(f"A query for one row gave {len(self.rows)}.")
        return self.rows[0] if self.rows else None

    def scalar(self) -> Any:
        """Return the only column of the only row, or None if there is no row. Raises LocalError for more."""
        row = self.one()
        if row is None:
            return None
        if len(row) != 1:
            raise LocalError(f"A query for one value gave {len(row)} columns.")
        return next(iter(row.values()))


Step: TypeAlias = Generator[Query, Rows, T]


@dataclass(frozen=True, slots=True)
class Tx:
    """What a transaction is handed.

    `now` is directory time in epoch seconds, read once when the group of transactions began: the database's clock, but
    never before the latest time that a commit has seen, so that a clock set back opens nothing that had expired.
    `clock` is the database's clock as it stands, for what lives a few seconds (presence) and must not wait for a clock
    that was set back. `commits` counts the directory's group commits before this one, `own_commits` those of this
    node, and `epoch` its restores. `lost_commits` tells that it lacks commits which were acknowledged to this node: it
    was restored from a backup, and is not recovered yet. `for_update` is appended to a SELECT whose rows are to be held
    until the commit ("" where the engine locks anyway).
    """

    now: float
    engine: EngineName
    clock: float = 0.0
    commits: int = 0
    own_commits: int = 0
    epoch: int = 0
    lost_commits: bool = False

    @property
    def for_update(self) -> str:
        """Suffix of a SELECT that locks what it reads."""
        return "" if self.engine == "sqlite" else " FOR UPDATE"

    def insert(self, table: str, row: Mapping[str, Value]) -> Query:
        """Insert a row given by column name; DuplicateKey is raised at the yield if its key is taken."""
        return Query(_insert_sql(table, tuple(row)), row)

    def insert_if_absent(self, table: str, row: Mapping[str, Value]) -> Query:
        """Insert a row unless one of its keys is taken; `rowcount` is 1 or 0.

        If another node is inserting the same key, this waits until that node has committed or given up.
        """
        return Query(_insert_sql(table, tuple(row)), row, "ignore")

    def upsert(self, table: str, row: Mapping[str, Value], *, keys: Iterable[str]) -> Query:
        """Insert a row, or set its other columns on the row that has the same `keys`; `rowcount` is 1."""
        return Query(_upsert_sql(self.engine, table, tuple(row), tuple(keys)), row, "update")


@lru_cache(maxsize=256)
def _insert_sql(table: str, columns: tuple[str, ...]) -> str:
    names, marks = ", ".join(columns), ", ".join(f":{column}" for column in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - names come from code, values are bound


@lru_cache(maxsize=256)
def _upsert_sql(engine: EngineName, table: str, columns: tuple[str, ...], keys: tuple[str, ...]) -> str:
    others = [column for column in columns if column not in keys]
    if engine == "sqlite":
        action = ", ".join(f"{column} = excluded.{column}" for column in others)
        return f"{_insert_sql(table, columns)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {action}"
    action = ", ".join(f"{column} = VALUES({column})" for column in others)
    return f"{_insert_sql(table, columns)} ON DUPLICATE KEY UPDATE {action}"


def in_list(name: str, values: Iterable[Value]) -> tuple[str, dict[str, Value]]:
    """Return the inside of `IN (...)` and its parameters, `name_0`, `name_1`, ...; an empty list matches nothing."""
    parameters = {f"{name}_{position}": value for position, value in enumerate(values)}
    return ", ".join(f":{key}" for key in parameters) or "NULL", parameters


Transaction: TypeAlias = Callable[[Tx], Step[T]]
"""A generator function that may be run more than once."""


@dataclass(frozen=True, slots=True)
class EffectKey:
    """What makes a request the same request: whose it is, the id that the peer chose, and the digest of its body."""

    request: RequestKey
    body_digest: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of an effect; `repeated` tells that it was stored by an earlier run and nothing was done now."""

    answer: bytes
    repeated: bool


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The lease of leadership, all of it in database time.

    `holder` is None while nobody holds it; `expires` and `now` are epoch seconds of the same reading. A lease more than
    `furthest_s` ahead of `now` was taken before the clock was set back: nobody renews it.
    """

    term: int
    holder: str | None
    expires: float
    now: float
    furthest_s: float = math.inf

    @property
    def is_free(self) -> bool:
        """Tell whether anybody could claim it."""
        return self.holder is None or not self.now <= self.expires <= self.now + self.furthest_s


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node's own entry in the directory.

    `hears` tells whether the node currently hears any other. `heard_at` (epoch seconds of its last announcement) and
    `age_s` are database time and set by the directory; they are ignored when a row is announced.
    """

    name: str
    incarnation: int
    hears: bool
    address: str
    term: int
    heard_at: float = 0.0
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Announced:
    """What a node reads whenever it has announced itself.

    `nodes` are the rows of all nodes by name, `policy` is what an operator chose last (None if nothing was), `audited`
    is the number of the newest record of an order, `cluster` the version of the newest cluster file.
    """

    nodes: list[NodeRow]
    policy: str | None
    audited: int
    cluster: int = 0


Jitter: TypeAlias = Callable[[], float]
"""Gives numbers in [0, 1) that spread retries."""
