"""Bring a directory's schema up to date, however many nodes start at once.

The steps are written once as a generator, like every transaction. The engine makes sure that only one runs at a time:
SQLite in one transaction, MySQL under a named lock, because there every change of a table commits by itself. So each
step leaves alone what is already there, and a start that was cut off is completed by the next. The lock of a MySQL
server is not known to others that replicate the same database: there each step also bears that another node makes it.
"""

import re
from collections.abc import Callable, Sequence

from node.directory.interface import EngineName, Query, StatementFailed, Step, Tx
from node.directory.schema import META, MIGRATIONS, Column, Filled, Index, Migration, Renamed, Seed, Table
from shared.errors import UserError

_SQLITE_TYPES = {
    "id": "TEXT CHECK (length({column}) <= 32)",
    "key": "BLOB CHECK (length({column}) <= 32)",
    "bytes": "BLOB CHECK (length({column}) <= {size})",
    "text": "TEXT CHECK (length({column}) <= {size})",
    "blob": "BLOB",
    "big": "INTEGER",
    "time": "REAL",
    "number": "INTEGER PRIMARY KEY AUTOINCREMENT",
}
_MYSQL_TYPES = {
    "id": "CHAR(32) CHARACTER SET ascii COLLATE ascii_bin",
    "key": "VARBINARY(32)",
    "bytes": "VARBINARY({size})",
    "text": "VARCHAR({size})",
    "blob": "MEDIUMBLOB",
    "big": "BIGINT",
    "time": "DOUBLE",
    "number": "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
}
_TYPED_COLUMN = re.compile(r"(?P<column>\w+) \{(?P<word>\w+)(:(?P<size>\d+))?\}")


def migrate(engine: EngineName, migrations: Sequence[Migration] = MIGRATIONS) -> Step[int]:
    """Apply every migration that is missing; return the version reached.

    Raises UserError if the directory was made by a newer program, and has then changed nothing.
    """
    yield from _create(engine, META)
    row = (yield Query("SELECT value FROM meta WHERE name = 'schema_version'")).one()
    version = 0 if row is None else int(row["value"])
    newest = migrations[-1].version
    if version > newest:
        raise UserError(
            f"The directory has schema version {version}, but this Glimpse knows only up to {newest}: update Glimpse "
            "on this machine."
        )
    tx = Tx(now=0.0, engine=engine)
    for migration in migrations:
        if migration.version <= version:
            continue
        for step in migration.steps:
            if isinstance(step, Table):
                yield from _create(engine, step)
            elif isinstance(step, Column):
                yield from _add(engine, step)
            elif isinstance(step, Filled):
                yield Query(f"UPDATE {step.table} SET {step.column} = {step.value} WHERE {step.column} IS NULL")  # noqa: S608
            elif isinstance(step, Renamed):
                yield from _rename(engine, step)
            elif isinstance(step, Index):
                yield from _index(engine, step)
            else:
                yield from _plant(tx, step)
        yield tx.upsert("meta", {"name": "schema_version", "value": migration.version}, keys=("name",))
    return newest


def _create(engine: EngineName, table: Table) -> Step[None]:
    lines = [typed(engine, line) for line in table.lines]
    if engine == "mysql":
        lines += [f"INDEX {name} ({columns})" for name, columns in table.indexes]
        options = "ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin"
    else:
        options = "STRICT"
    yield Query(f"CREATE TABLE IF NOT EXISTS {table.name} ({', '.join(lines)}) {options}")
    if engine == "sqlite":
        for name, columns in table.indexes:
            yield Query(f"CREATE INDEX IF NOT EXISTS {name} ON {table.name} ({columns})")


def _add(engine: EngineName, column: Column) -> Step[None]:
    change = Query(f"ALTER TABLE {column.table} ADD COLUMN {typed(engine, column.line)}")
    name = column.line.partition(" ")[0]
    yield from _unless_done(change, lambda: _has(_columns_of(engine, column.table), name))


def _rename(engine: EngineName, renamed: Renamed) -> Step[None]:
    change = Query(f"ALTER TABLE {renamed.table} RENAME COLUMN {renamed.old} TO {renamed.new}")
    yield from _unless_done(change, lambda: _has(_columns_of(engine, renamed.table), renamed.new))


def _index(engine: EngineName, index: Index) -> Step[None]:
    change = Query(f"CREATE INDEX {index.name} ON {index.table} ({index.columns})")
    yield from _unless_done(change, lambda: _has(_indexes_of(engine, index.table), index.name))


def _unless_done(change: Query, is_done: Callable[[], Step[bool]]) -> Step[None]:
    """Make a change that is not there. A node on another server of the same database may be faster: the lock that keeps
    nodes apart is known to one server only."""
    if not (yield from is_done()):
        try:
            yield change
        except StatementFailed:
            if not (yield from is_done()):
                raise


def _has(names: Step[set[str]], name: str) -> Step[bool]:
    return name in (yield from names)


def _columns_of(engine: EngineName, table: str) -> Step[set[str]]:
    return (yield from _names(engine, table, pragma="table_info", kind="column", view="columns"))


def _indexes_of(engine: EngineName, table: str) -> Step[set[str]]:
    return (yield from _names(engine, table, pragma="index_list", kind="index", view="statistics"))


def _names(engine: EngineName, table: str, *, pragma: str, kind: str, view: str) -> Step[set[str]]:
    """Return the names of what a table has, by SQLite's pragma or by a view of the server's information schema."""
    # S608: all names are this package's own.
    if engine == "sqlite":
        found = yield Query(f"SELECT name FROM pragma_{pragma}('{table}')")  # noqa: S608
    else:
        found = yield Query(
            f"SELECT {kind}_name AS name FROM information_schema.{view} "  # noqa: S608
            "WHERE table_schema = DATABASE() AND table_name = :table",
            {"table": table},
        )
    return {row["name"] for row in found.rows}


def _plant(tx: Tx, seed: Seed) -> Step[None]:
    yield tx.insert_if_absent(seed.table, dict(seed.row))


def typed(engine: EngineName, line: str) -> str:
    """Fill the type word of one line of a table. Lengths are enforced on both engines."""
    types = _SQLITE_TYPES if engine == "sqlite" else _MYSQL_TYPES

    def fill(match: re.Match[str]) -> str:
        column, size = match["column"], match["size"]
        return f"{column} {types[match['word']].format(column=column, size=size)}"

    return _TYPED_COLUMN.sub(fill, line)
