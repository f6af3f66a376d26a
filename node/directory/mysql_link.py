"""One connection to a MySQL or MariaDB server the way the directory needs it, and what its errors mean.

Where there are several servers, a link goes to the one that the node uses now; it changes between transactions only.

A link that was interrupted in the middle of anything (an error of the network, a deadline, a cancelled caller) is
closed: the rows still on their way would otherwise be taken for the next statement's.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from asyncmy import Connection, connect
from asyncmy.constants import CLIENT, FIELD_TYPE
from asyncmy.converters import conversions
from asyncmy.errors import Error, MySQLError

from node.directory.groups import Interrupted
from node.directory.interface import DuplicateKey, Query, Rows, StatementFailed
from node.directory.mysql_errors import SENTENCES, Lost, cannot_serve, code_of, translate
from node.directory.mysql_text import render
from node.directory.servers import ServerChoice
from node.directory.url import MysqlUrl, Server
from shared.errors import InvalidInput, StorageError, Unavailable

log = logging.getLogger(__name__)

CLOCK: Final = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6)"
"""The server's wall clock in microseconds, whatever the time zones. Within a statement it stands at its beginning."""

LOCK_WAIT_S: Final = 2
"""How long the server lets a statement wait for another node's rows; then the whole group is tried again."""

_SESSION: Final = (
    # Strict, so that nothing is cut to fit; '||' and double quotes mean what they mean in SQLite.
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,PIPES_AS_CONCAT,"
    "ANSI_QUOTES', sql_notes = 0, time_zone = '+00:00', "
    f"innodb_lock_wait_timeout = {LOCK_WAIT_S}",
    "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
)

_NOT_ALLOWED: Final = {1044, 1045, 1049, 1130, 1698}
_CONNECT_S: Final = 2.0
"""How long one of several servers may take to let a connection in; where there is one, the caller's deadline counts."""


def _number(text: str | bytes) -> int | float:
    """Read a DECIMAL, which is what sums of integers come as."""
    try:
        return int(text)
    except ValueError:
        return float(text)


_CONVERSIONS: Final = conversions | {FIELD_TYPE.DECIMAL: _number, FIELD_TYPE.NEWDECIMAL: _number}


def tls_context(url: MysqlUrl) -> ssl.SSLContext | None:
    """Make the TLS context that a URL asks for; None only for `tls=off`. Raises InvalidInput for an unusable `ca`."""
    if url.tls == "off":
        return None
    try:
        context = ssl.create_default_context(cafile=url.ca)
    except OSError as error:
        reason = error.strerror or "not a PEM file"
        raise InvalidInput(f"The certificate authority of the MySQL URL cannot be read: {reason}.") from None
    if url.tls == "required":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Link:
    """A connection that is made when it is needed. Used by one task at a time.

    Statements that are marked as deferred are kept and sent together with the next one: each round trip that is saved
    is time in which no other node waits for the rows that the group holds.
    """

    def __init__(
        self,
        url: MysqlUrl,
        context: ssl.SSLContext | None,
        choice: ServerChoice,
        isolation: str,
        *,
        reads_only: bool = False,
    ) -> None:
        self._url = url
        self._context = context
        self._choice = choice
        self._isolation = isolation
        self._reads_only = reads_only
        self._connection: Connection | None = None
        self.server = choice.current
        """Where the connection goes, or went."""
        self._deferred: list[str] = []

    @property
    def _is_current(self) -> bool:
        """Whether there is a connection, and to the server that is used now."""
        return self._connection is not None and self.server == self._choice.current

    async def open(self) -> None:
        """Connect if there is no connection to the server that is used now, or to the next that lets this node in.

        Not to be called within a transaction. Raises NoConnection where no server does.
        """
        if self._is_current:
            return
        self.drop()
        for attempts_left in reversed(range(len(self._choice.servers))):
            self.server = self._choice.current
            try:
                self._connection = await self._connect(self.server)
            except NoConnection:
                self._choice.failed(self.server, time.monotonic())
                if not attempts_left:
                    raise
            else:
                self._choice.served(self.server)
                return

    async def _connect(self, server: Server) -> Any:
        """Return a connection to a server. Raises NoConnection."""
        connection: Any = None
        try:
            async with asyncio.timeout(_CONNECT_S if len(self._choice.servers) > 1 else None):
                connection = await connect(
                    host=server.host,
                    port=server.port,
                    user=self._url.user,
                    password=self._url.password.encode(),
                    database=self._url.database,
                    charset="utf8mb4",
                    conv=_CONVERSIONS,
                    client_flag=CLIENT.FOUND_ROWS,  # rows matched by an update, as SQLite counts them
                    autocommit=True,
                    ssl=self._context,
                )
                for statement in (*_SESSION, f"SET SESSION TRANSACTION ISOLATION LEVEL {self._isolation}"):
                    await connection.query(statement)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, (MySQLError, OSError, EOFError)):
                raise NoConnection(_refused(self._url, server, error)) from None
            raise
        return connection

    async def ping(self) -> None:
        """Find out that the connection is alive, or make a new one. Raises NoConnection or what `execute` raises."""
        if self._is_current:
            try:
                await self.execute(Query("SELECT 1 AS one"))
            except Interrupted:
                self.drop()
        await self.open()

    async def execute(self, query: Query) -> Rows:
        """Run one statement. Raises StatementFailed, StorageError, Unavailable or Interrupted."""
        text = render(query.sql, query.parameters)
        if query.deferred:
            self._deferred.append(text)
            return Rows()
        if self._connection is None:
            raise Interrupted("The connection to the directory's server was lost: try again.")
        try:
            with self._intact():
                return await self._send(text, query)
        except DuplicateKey:
            if query.conflict == "ignore":
                return Rows()
            raise

    async def _send(self, text: str, query: Query) -> Rows:
        assert self._connection is not None
        cursor: Any = self._connection.cursor()
        before, self._deferred = self._deferred, []
        try:
            await cursor.execute("; ".join((*before, text)))
            for _ in before:
                before = before[1:]
                await cursor.nextset()
        except Error as error:
            if cannot_serve(error, reads_only=self._reads_only):
                self._choice.failed(self.server, time.monotonic())
            translated = translate(error, reads_only=self._reads_only)
            if before and isinstance(translated, StatementFailed):
                # Nobody waited for its result, so the transaction fails as a whole, and is run again by itself.
                log.warning("a deferred statement failed", extra={"reason": str(translated)})
                raise Interrupted("The directory refused a statement: the node's log says why.") from None
            raise translated from None
        if cursor.description is None:
            return Rows(rowcount=1 if query.conflict == "update" else cursor.rowcount, inserted_id=cursor.lastrowid)
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
        return Rows(rows, len(rows))

    @contextmanager
    def _intact(self) -> Iterator[None]:
        """Let go of the connection unless what happens inside ends in order or in an answer of the server."""
        try:
            yield
        except (StatementFailed, StorageError):
            raise
        except Interrupted as error:
            if isinstance(error, Lost):
                self.drop()
            raise
        except BaseException:
            self.drop()
            raise

    async def is_well(self, server: Server) -> bool:
        """Tell whether a server, whichever is in use, lets this node in, answers, and can be written."""
        try:
            connection = await self._connect(server)
        except NoConnection:
            return False
        try:
            cursor = connection.cursor()
            await cursor.execute("SELECT @@global.read_only, (SELECT COUNT(*) FROM meta)")
            (row,) = await cursor.fetchall()
        except (MySQLError, OSError, EOFError):
            return False
        finally:
            connection.close()
        return not row[0]

    def drop(self) -> None:
        """Close the connection at once; the server undoes what was not committed."""
        self._deferred.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def roll_back(self) -> None:
        """Undo the open transaction; the connection goes if even that fails."""
        self._deferred.clear()
        if self._connection is None:
            return
        try:
            await self.execute(Query("ROLLBACK"))
        except (Interrupted, Unavailable, StorageError, StatementFailed):
            self.drop()

    async def close(self) -> None:
        """Say goodbye and close."""
        self._deferred.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.ensure_closed()
            finally:
                connection.close()


class NoConnection(Exception):
    """No connection came about; `shown` is what a person is to be told who gave the URL."""

    def __init__(self, shown: InvalidInput | Unavailable) -> None:
        super().__init__(str(shown))
        self.shown = shown


def _refused(url: MysqlUrl, server: Server, error: BaseException) -> InvalidInput | Unavailable:
    """Say why no connection to a server came about, without the password."""
    place = f"{server}/{url.database}"
    code = code_of(error)
    causes = (error, error.__cause__, error.__context__)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return InvalidInput(
            f"The certificate of the directory's server {place} cannot be verified: name its authority with "
            "ca=..., or accept any with tls=required."
        )
    if code in _NOT_ALLOWED and isinstance(error, MySQLError):
        if code == 1049:
            return InvalidInput(f"The directory's server {server} has no database {url.database!r}.")
        if code == 1044:
            return InvalidInput(
                f"The directory's server {server} has no database {url.database!r}, or its user no rights "
                "on it: make it, or grant them."
            )
        return InvalidInput(f"The directory's server {place} does not accept the user and password of the URL.")
    if url.tls != "off" and (code == 1043 or any(isinstance(cause, (ssl.SSLError, EOFError)) for cause in causes)):
        return Unavailable(f"The directory's server {place} does not speak TLS (tls=off would not encrypt).")
    if code in SENTENCES:
        return Unavailable(SENTENCES[code])
    return Unavailable(f"The directory's server {place} cannot be reached: is it running?")


async def close_all(links: list[Link], deadline_s: float) -> None:
    """Close links within a deadline; those that do not answer are dropped."""
    try:
        async with asyncio.timeout(deadline_s):
            await asyncio.gather(*(link.close() for link in links), return_exceptions=True)
    except TimeoutError:
        for link in links:
            link.drop()
