"""What the error codes of a MySQL or MariaDB server mean for a transaction, and the sentence that a person reads.

Only a closed list of codes says that our statement or its values are wrong, which repeating cannot change. Every other
code, also one that is not known here, is the server's trouble: it passes, and what was asked for is kept and tried
again. No sentence quotes the server's own text: it names users, hosts, tables and sometimes values.
"""

import re
from types import MappingProxyType
from typing import Final

from asyncmy.errors import MySQLError

from node.directory.groups import Interrupted
from node.directory.interface import DuplicateKey, MissingReference, StatementFailed
from node.directory.schema import META, MIGRATIONS, Table
from shared.errors import StorageError, Unavailable


class Lost(Interrupted):
    """The connection went away in the middle of a statement."""


_LOST: Final = frozenset(
    {0, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2003, 2006, 2013, 2014, 2055, 4031}
)
"""The connection is gone or going; 0 is the driver's own word for it."""
_LOST_TEXT: Final = "The connection to the directory's server was lost: it is made again by itself; try again."

_AGAIN_TEXT: Final = "Another node holds the same rows of the directory: try again."
_AGAIN: Final = MappingProxyType(
    {
        1020: _AGAIN_TEXT,
        1205: "Another node holds rows of the directory for too long: try again.",
        1213: _AGAIN_TEXT,
        1305: "The directory's server ended a transaction early: try again.",  # our savepoint went with it
        1317: "The directory's server was told to interrupt a statement: try again.",
        1614: _AGAIN_TEXT,
        1637: "The directory's server has too many transactions open: try again.",
        3572: _AGAIN_TEXT,
    }
)
"""The transaction as a whole can be run again: deadlocks, waits for locks, rows that changed under a snapshot."""

_STATEMENT_CODES: Final = (
    "1048 1052 1054 1056 1059 1060 1061 1063 1064 1065 1066 1075 1101 1109 1110 1111 1136 1138 1139 1166 "
    "1210 1211 1221 1222 1235 1239 1240 1241 1242 1247 1248 1250 1253 1264 1265 1267 1270 1271 1292 1300 "
    "1364 1365 1366 1367 1406 1411 1427 1439 1441 1525 1582 1583 1584 1630 1690 1906 3819 4025 "
)
_STATEMENT: Final = frozenset(map(int, _STATEMENT_CODES.split()))
"""Our SQL is wrong, or a value does not fit its column."""
_DUPLICATE: Final = frozenset({1022, 1062, 1586})
_REFERENCE: Final = frozenset({1216, 1217, 1451, 1452})

_FULL_TEXT: Final = "The directory's server is out of disk or memory: make room, then try again."
_FULL: Final = frozenset({3, 28, 1021, 1026, 1037, 1038, 1041, 1114, 1135})

_RIGHTS: Final = "The directory's server denies its user a right: give it all rights on the directory's database."
_CONNECTIONS: Final = "The directory's server has no connection left: raise max_connections, or end other users of it."
_READ_ONLY: Final = "The directory's server is read-only now: end that, or name the server that can be written."
_TOO_SLOW: Final = "The directory's server ended a statement that took too long: see its load and max_statement_time."
_LOCKED: Final = "The directory's user is locked on the server: unlock it."
_GONE: Final = "The directory's tables are not all there: restore the directory from a backup."
_NOT_COMMITTED: Final = "The directory's server could not commit: see its log and disk; try again."
SENTENCES: Final = MappingProxyType(
    {
        1030: "The directory's server cannot read or write its files: see its log and disk.",
        1036: _READ_ONLY,
        1040: _CONNECTIONS,
        1044: _RIGHTS,
        1045: "The directory's server does not accept the user and password of the URL.",
        1047: "The directory's servers have no quorum: they serve again when most of them are connected.",
        1049: "The directory's database is not on its server any more: restore it from a backup.",
        1142: _RIGHTS,
        1143: _RIGHTS,
        1146: _GONE,
        1153: "The directory's server takes no statement of this size: set max_allowed_packet to at least 16M.",
        1180: _NOT_COMMITTED,
        1203: _CONNECTIONS,
        1206: "The directory's server has no room for more locks: raise innodb_buffer_pool_size.",
        1226: _CONNECTIONS,
        1227: _RIGHTS,
        1290: _READ_ONLY,
        1370: _RIGHTS,
        1436: "The directory's server has no stack left for a statement: raise thread_stack.",
        1698: "The directory's server does not accept the user and password of the URL.",
        1792: _READ_ONLY,
        1820: "The password of the directory's user has run out on the server: set a new one.",
        1836: _READ_ONLY,
        1862: "The password of the directory's user has run out on the server: set a new one.",
        1969: _TOO_SLOW,
        3024: _TOO_SLOW,
        3118: _LOCKED,
        3100: _NOT_COMMITTED,
        3101: _NOT_COMMITTED,
        4151: _LOCKED,
        4166: _READ_ONLY,
    }
)
"""What passes by itself or by what an operator does, in one sentence each."""
_CANNOT_SERVE: Final = frozenset({1036, 1047, 1290, 1792, 1836, 4166})
"""The server is read-only or without quorum."""
_OTHERWISE: Final = "The directory's server cannot do this now (its error {code}): see its log; it is tried again."

_OURS: Final = frozenset(
    {META.name, *(step.name for migration in MIGRATIONS for step in migration.steps if isinstance(step, Table))}
)
_TABLE: Final = re.compile(r"Table '[^'.]*\.([^']+)'")


def code_of(error: BaseException) -> int:
    """Return the code of a server's or the driver's error; 0 where it has none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def cannot_serve(error: MySQLError, *, reads_only: bool = False) -> bool:
    """Tell whether the server is of no use to a node now, so that another of its database should be used. On a
    connection that `reads_only`, a refused write says nothing of the server."""
    code = code_of(error)
    return code in _CANNOT_SERVE and not (code == 1792 and reads_only)


def translate(error: MySQLError, *, reads_only: bool = False) -> Exception:
    """Return what a statement's error means: StatementFailed or a kind of it only for what is wrong with the statement,
    otherwise Interrupted, StorageError or Unavailable. On a connection that `reads_only`, a write is such a mistake."""
    code = code_of(error)
    if code in _LOST:
        return Lost(_LOST_TEXT)
    if code in _AGAIN:
        return Interrupted(_AGAIN[code])
    if code in _DUPLICATE:
        return DuplicateKey("a row with this key is there already")
    if code in _REFERENCE:
        return MissingReference("a row that is referred to is missing, or is still referred to")
    if code in _STATEMENT or (code == 1792 and reads_only) or (code == 1146 and not _is_ours(error)):
        return StatementFailed(f"{code}: {error.args[1] if len(error.args) > 1 else ''}")
    if code in _FULL:
        return StorageError(_FULL_TEXT)
    return Unavailable(SENTENCES.get(code) or _OTHERWISE.format(code=code))


def _is_ours(error: MySQLError) -> bool:
    """Tell whether a table that is missing is one of the directory's, and not one that never was."""
    named = _TABLE.search(str(error.args[1]) if len(error.args) > 1 else "")
    return named is None or named[1] in _OURS
