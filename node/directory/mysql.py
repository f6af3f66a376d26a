"""The directory on a server that speaks MySQL: how a cloud outgrows one machine.

One connection writes, in groups; a few read, each on a consistent snapshot; one is for the lease and the node rows, in
each event loop that asks for them.
Every connection is found out to be alive before anything depends on it. Where the URL names several servers, all of a
node's connections go to one of them, see `servers`; one that says nothing is found out by looking every half second.

Groups run at READ COMMITTED and lock what they decide upon (`FOR UPDATE`, compare-and-set updates, unique keys). At
the server's default, REPEATABLE READ, inserts beside each other would block or deadlock on the gaps between rows, and
a transaction that had waited for another's request row would still not see its answer. A group that the server ends is
run again in halves, so that two nodes which met crosswise come apart; its transactions have no effects outside.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, Final

import anyio

from node.directory.engine import Directory
from node.directory.groups import (
    GroupVerdict,
    Interrupted,
    Job,
    Result,
    drive_async,
    refuse_waiting,
    run_alone,
    run_group,
    settle_all,
    take,
)
from node.directory.interface import EngineName, Jitter, Query, T, Transaction, Tx, Value
from node.directory.migrations import migrate
from node.directory.mysql_errors import Lost
from node.directory.mysql_link import CLOCK, Link, NoConnection, close_all, tls_context
from node.directory.servers import ServerChoice, in_order
from node.directory.url import MysqlUrl, Server
from shared.config import Timing
from shared.errors import StorageError, Unavailable

log = logging.getLogger(__name__)

_READERS: Final = 3
_MIGRATION_S: Final = 30
"""How long one node waits for another's migration, and may take for its own: many tables on a slow disk."""
_ATTEMPTS: Final = 7
"""Runs of a transaction in all. With the waits between them they outlast the restart of a server (0.3 s)."""
_BACKOFF_S: Final = 0.010
"""Wait before the second run, doubled each time; 50 % jitter so that nodes do not retry together."""

_WATCH_EVERY_S: Final = 0.5
"""Between looks at the server in use, where there is another to go to."""
_WATCH_S: Final = 1.0
"""Within this a server answers a look, however long it takes for other things."""

_SILENT: Final = "The directory's server did not answer in time: try again."
_BEGIN: Final = Query("START TRANSACTION", deferred=True)
_BEGIN_SNAPSHOT: Final = Query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", deferred=True)
_COMMIT: Final = Query("COMMIT")


class _Standing:
    """The link for the lease and the node rows in one event loop. It is made when it is first used."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.turn = asyncio.Lock()


class MysqlDirectory(Directory):
    """A directory on a server."""

    engine: ClassVar[EngineName] = "mysql"

    def __init__(self, url: MysqlUrl, timing: Timing, jitter: Jitter, writer: str) -> None:
        """Make the links without connecting them. Raises InvalidInput for an unusable certificate authority."""
        super().__init__(timing, CLOCK, writer)
        self._jitter = jitter
        self._closed = False
        self._url, self._context = url, tls_context(url)
        self._choice = ServerChoice(in_order(url.servers, url.order, writer))
        self._writer = self._link("READ COMMITTED")
        self._standing: dict[asyncio.AbstractEventLoop, _Standing] = {}
        readers = [self._link("REPEATABLE READ", reads_only=True) for _ in range(_READERS)]
        self._links = [self._writer, *readers]
        self._queue: asyncio.Queue[Job | None] = asyncio.Queue()
        self._idle: asyncio.LifoQueue[Link] = asyncio.LifoQueue()
        for link in readers:
            self._idle.put_nowait(link)
        self._task: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def _link(self, isolation: str, *, reads_only: bool = False) -> Link:
        return Link(self._url, self._context, self._choice, isolation, reads_only=reads_only)

    @property
    def server(self) -> Server:
        """The server that this node uses now."""
        return self._choice.current

    @staticmethod
    async def open(url: MysqlUrl, timing: Timing, jitter: Jitter, writer: str = "") -> "MysqlDirectory":
        """Connect and migrate. Raises InvalidInput, Unavailable or UserError."""
        directory = MysqlDirectory(url, timing, jitter, writer)
        try:
            with anyio.fail_after(timing.directory_deadline_s):
                await directory._writer.open()
            with anyio.fail_after(2 * _MIGRATION_S):
                await directory._migrate()
        except NoConnection as error:
            raise error.shown from None
        except TimeoutError:
            directory._writer.drop()
            raise Unavailable(f"The directory's server {url.place} does not answer.") from None
        except Interrupted as error:
            directory._writer.drop()
            raise Unavailable(f"The directory on {url.place} could not be prepared. {error}") from None
        except BaseException:
            directory._writer.drop()
            raise
        directory._task = asyncio.create_task(directory._run_writer(), name="directory-writer")
        if len(url.servers) > 1:
            directory._watching = asyncio.create_task(directory._watch(), name="directory-servers")
        return directory

    async def _migrate(self) -> None:
        """Migrate under a named lock: statements about tables commit by themselves, so nothing else would keep two
        starting nodes apart. Those that meet all the same, because each has a server of its own, begin again."""
        name = "glimpse:" + hashlib.sha256(self._url.database.encode()).hexdigest()[:32]
        lock: dict[str, Value] = {"name": name, "wait_s": _MIGRATION_S}
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                got = await self._writer.execute(Query("SELECT GET_LOCK(:name, :wait_s) AS got", lock))
                if got.scalar() != 1:
                    raise Unavailable("Another node is still preparing the directory: try again.")
                await drive_async(migrate(self.engine), self._writer.execute)
                await self._writer.execute(Query("SELECT RELEASE_LOCK(:name) AS released", lock))
            except Interrupted:
                if attempt == _ATTEMPTS:
                    raise
                self._writer.drop()  # and with it the lock
                await self._back_off(attempt)
                await self._writer.open()
            else:
                return

    # --- servers

    async def _watch(self) -> None:
        """Leave a server that says nothing, which would hold every statement until its deadline, and go back to the
        preferred one when it is well again; runs until cancelled."""
        link, used = self._link("READ COMMITTED", reads_only=True), self.server
        try:
            while True:
                await anyio.sleep(_WATCH_EVERY_S)
                looked_at = self.server
                try:
                    async with asyncio.timeout(_WATCH_S):
                        await link.ping()
                except TimeoutError:
                    self._choice.failed(looked_at, time.monotonic())
                    for each in self._links:
                        if each.server == looked_at:
                            each.drop()
                except (Interrupted, Unavailable, StorageError, NoConnection):
                    pass  # a refusal says so itself to whoever needs the server
                await self._look_at_preferred(link)
                if self.server != used:
                    used = self.server
                    log.warning("another server of the directory is used", extra={"server": str(used)})
        finally:
            link.drop()

    async def _look_at_preferred(self, link: Link) -> None:
        if (server := self._choice.preferred) is not None:
            well = False
            with suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_S):
                    well = await link.is_well(server)
            self._choice.checked(server, well=well)

    # --- reads

    async def read(self, transaction: Transaction[T]) -> T:
        """See `Directory.read`."""
        async with self._within(self._timing.directory_deadline_s):
            link = await self._idle.get()
            try:
                result = await self._read_again(link, transaction)
            finally:
                self._idle.put_nowait(link)
        return result.unwrap()

    async def _read_again(self, link: Link, transaction: Transaction[T]) -> Result[T]:
        for attempt in range(1, _ATTEMPTS):
            try:
                return await self._read_once(link, transaction)
            except (Interrupted, Unavailable, NoConnection):
                await self._back_off(attempt)
        return await self._read_once(link, transaction)

    async def _read_once(self, link: Link, transaction: Transaction[T]) -> Result[T]:
        await link.open()
        try:
            await link.execute(_BEGIN_SNAPSHOT)
            return await drive_async(run_alone(transaction, self.engine, self.clock), link.execute)
        finally:
            await link.roll_back()

    # --- lease and node rows

    async def _stand(self, transaction: Transaction[T]) -> T:
        async with self._standing_link() as link:
            # Not run again: whether a claim that was cut off has won is for the next reading of the lease to tell.
            return await drive_async(transaction(Tx(now=0.0, engine=self.engine)), link.execute)

    async def ping(self) -> float:
        """See `Directory.ping`."""
        async with self._standing_link() as link:
            began = time.perf_counter()
            await link.execute(Query("SELECT 1 AS one"))
            return time.perf_counter() - began

    @asynccontextmanager
    async def _standing_link(self) -> AsyncIterator[Link]:
        """Hold the link of this event loop, which lives, for the length of a `with` block."""
        loop = asyncio.get_running_loop()
        standing = self._standing.get(loop)
        if standing is None:
            standing = self._standing[loop] = _Standing(self._link("READ COMMITTED"))
        async with self._within(min(self._timing.directory_deadline_s, self._timing.lease_s)), standing.turn:
            await standing.link.ping()
            yield standing.link

    async def leave(self) -> None:
        """See `Directory.leave`."""
        standing = self._standing.pop(asyncio.get_running_loop(), None)
        if standing is not None:
            with anyio.CancelScope(shield=True):
                await close_all([standing.link], self._timing.directory_deadline_s)

    @asynccontextmanager
    async def _within(self, deadline_s: float) -> AsyncIterator[None]:
        """Bound what a caller does by a deadline and turn what the database did to it into the interface's errors."""
        if self._closed:
            raise Unavailable("The directory is closed.")
        try:
            with anyio.fail_after(deadline_s):
                yield
        except TimeoutError:
            self._failed(_SILENT)
            raise Unavailable("The directory did not answer in time: try again.") from None
        except Interrupted as error:
            self._failed(error)
            raise Unavailable(str(error)) from None
        except NoConnection as error:
            self._failed(error)
            raise Unavailable(str(error)) from None
        except (Unavailable, StorageError) as error:
            self._failed(error)
            raise
        self._worked()

    # --- writes

    async def _write(self, transaction: Transaction[T], *, repeatable: bool) -> T:
        if self._closed:
            raise Unavailable("The directory is closed.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(Job(transaction, future, repeatable))
        try:
            with anyio.fail_after(self._timing.directory_deadline_s):
                return await future
        except TimeoutError:
            self._failed_to_write(_SILENT)
            raise Unavailable("The directory did not answer in time: try again.") from None

    async def _run_writer(self) -> None:
        while (job := await self._queue.get()) is not None:
            if job.is_wanted:
                taken = [job]
                await self._serve(take(taken, self._queue), taken, 1)

    async def _serve(self, jobs: Iterable[Job], taken: Sequence[Job], attempt: int) -> None:
        """Commit jobs and settle them; those of a group that failed are run again, see `_again`."""
        try:
            settle_all(await self._commit(jobs))
            self._wrote()
        except (Interrupted, Unavailable, StorageError, NoConnection) as error:
            await self._again(taken, error, attempt)
        except Exception as error:  # noqa: BLE001 - the task must outlive a defect, and its callers be told
            settle_all(GroupVerdict(job, error=error) for job in taken)

    async def _commit(self, jobs: Iterable[Job]) -> list[GroupVerdict]:
        """Run and commit a group. Raises what ended it; then nothing of it is there, or its commit is in doubt."""
        committing = False
        try:
            with anyio.fail_after(self._timing.directory_deadline_s):
                await self._writer.open()
                await self._writer.execute(_BEGIN)
                group = run_group(jobs, self.engine, self.clock, self.writer, self.acknowledged)
                done = await drive_async(group, self._writer.execute)
                committing = True
                await self._writer.execute(_COMMIT)
                self.acknowledged.add(done.own, done.commits)
        except TimeoutError:
            raise Interrupted(_SILENT, in_doubt=committing) from None
        except Lost as error:
            raise Interrupted(str(error), in_doubt=committing) from None
        except Unavailable as error:
            await self._writer.roll_back()
            if committing:  # whatever the server says there, it may have committed before
                raise Interrupted(str(error), in_doubt=True) from None
            raise
        except BaseException:
            await self._writer.roll_back()
            raise
        return done.verdicts

    async def _again(self, jobs: Sequence[Job], error: Exception, attempt: int) -> None:
        """Run the jobs of a group that failed again, in halves where they may have been in each other's or another
        node's way; tell those that cannot be run again."""
        if isinstance(error, Interrupted) and error.in_doubt:
            settle_all(self._broken(job, error, self._failed_to_write) for job in jobs if not job.repeatable)
        jobs = [job for job in jobs if job.is_wanted]
        if attempt >= _ATTEMPTS or (isinstance(error, StorageError) and len(jobs) == 1):
            settle_all(self._broken(job, error, self._failed_to_write) for job in jobs)
            return
        if not isinstance(error, Interrupted):
            self._failed_to_write(error)
        await self._back_off(attempt)
        middle = len(jobs) // 2 if isinstance(error, (Interrupted, StorageError)) else 0
        for part in (jobs[:middle], jobs[middle:]):
            if part:
                await self._serve(part, part, attempt + 1)

    async def _back_off(self, attempt: int) -> None:
        await anyio.sleep(_BACKOFF_S * 2 ** (attempt - 1) * (0.5 + 0.5 * self._jitter()))

    async def close(self) -> None:
        """See `Directory.close`."""
        if self._closed:
            return
        self._closed = True
        with anyio.CancelScope(shield=True):
            if self._watching is not None:
                self._watching.cancel()
                await asyncio.wait([self._watching])
            self._queue.put_nowait(None)
            if self._task is not None:
                await self._task
            refuse_waiting(self._queue)
            await self.leave()
            await close_all(self._links, self._timing.directory_deadline_s)
