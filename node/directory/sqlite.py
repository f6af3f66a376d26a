"""The directory in one SQLite file, shared by the node processes of one machine.

Each kind of work has a thread with its own connection: one writer that commits in groups, readers that see a
consistent snapshot without waiting for writers, and one for the lease and the node rows, which so never queue behind a
group. WAL with synchronous=FULL: what was acknowledged survives the loss of power, and the groups pay for the fsync.
Writers begin with BEGIN IMMEDIATE, because a transaction that first reads and then writes can fail halfway.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import ClassVar, Final

import anyio

from node.directory.engine import Directory
from node.directory.groups import (
    GroupVerdict,
    Interrupted,
    Job,
    drive,
    refuse_waiting,
    run_alone,
    run_group,
    settle_all,
    take,
)
from node.directory.interface import EngineName, Query, T, Transaction, Tx
from node.directory.migrations import migrate
from node.directory.sqlite_file import CLOCK, File, FileUsers, Gate
from shared.config import Timing
from shared.errors import InvalidInput, StorageError, Unavailable

_READERS: Final = 2
_BEGIN: Final = Query("BEGIN")
_COMMIT: Final = Query("COMMIT")


class _Lane:
    """A queue of jobs and the thread that serves it until it is told to stop."""

    def __init__(self, name: str, queue: SimpleQueue[Job | None], serve: Callable[[Job], None]) -> None:
        self.queue = queue
        self._serve = serve
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (job := self.queue.get()) is not None:
            if job.is_wanted:
                self._serve(job)

    def join(self) -> None:
        """Wait for the thread to end, after a None was put into the queue for each thread that serves it."""
        self._thread.join()


class SqliteDirectory(Directory):
    """A directory in a file."""

    engine: ClassVar[EngineName] = "sqlite"

    def __init__(self, path: Path, timing: Timing, writer: str) -> None:
        """Open and migrate the file. Blocks; raises StorageError, Unavailable or UserError."""
        super().__init__(timing, CLOCK, writer)
        self._closed = False
        deadline = time.monotonic() + timing.directory_deadline_s
        self._folder = path.parent
        self._users = FileUsers(path)
        self._files: list[File] = []
        try:
            self._writer = File(path)
            self._files.append(self._writer)
            self._writer.prepare(deadline)
            self._migrate(deadline)
            self._files += [File(path)] + [File(path, read_only=True) for _ in range(_READERS)]
            for file in self._files[1:]:
                file.prepare(deadline)
            self._gate = Gate(path.with_name(path.name + "-gate"))
        except BaseException:
            self._close_files()
            self._users.close()
            raise
        self._writes: SimpleQueue[Job | None] = SimpleQueue()
        self._standing: SimpleQueue[Job | None] = SimpleQueue()
        self._reads: SimpleQueue[Job | None] = SimpleQueue()
        self._lanes = [
            _Lane("directory-writer", self._writes, self._serve_group),
            _Lane("directory-lease", self._standing, partial(self._serve_standing, self._files[1])),
        ]
        for reader in self._files[2:]:
            self._lanes.append(_Lane("directory-reader", self._reads, partial(self._serve_read, reader)))

    @staticmethod
    async def open(path: Path, timing: Timing, writer: str = "") -> "SqliteDirectory":
        """Open the directory in `path`; its folder must be there. Raises InvalidInput, StorageError or UserError."""

        def build() -> SqliteDirectory:
            if not path.parent.is_dir():
                raise InvalidInput(f"The folder {str(path.parent)!r} of the directory is not there: create it first.")
            return SqliteDirectory(path, timing, writer)

        return await anyio.to_thread.run_sync(build)

    @property
    def folder(self) -> Path:
        """See `Directory.folder`."""
        return self._folder

    def _migrate(self, deadline: float) -> None:
        self._writer.begin(deadline)
        try:
            drive(migrate(self.engine), self._writer.execute)
            self._writer.execute(_COMMIT)
        finally:
            self._writer.roll_back()

    # --- the event loop's side

    async def read(self, transaction: Transaction[T]) -> T:
        """See `Directory.read`."""
        return await self._submit(self._reads, transaction, self._timing.directory_deadline_s, self._failed)

    async def ping(self) -> float:
        """See `Directory.ping`."""
        began = time.perf_counter()
        await self.read_lease()
        return time.perf_counter() - began

    async def _write(self, transaction: Transaction[T], *, repeatable: bool) -> T:
        deadline_s = self._timing.directory_deadline_s
        return await self._submit(self._writes, transaction, deadline_s, self._failed_to_write, repeatable=repeatable)

    async def _stand(self, transaction: Transaction[T]) -> T:
        return await self._submit(self._standing, transaction, self._standing_deadline_s, self._failed)

    @property
    def _standing_deadline_s(self) -> float:
        """An answer about the lease that comes after the lease is of no use."""
        return min(self._timing.directory_deadline_s, self._timing.lease_s)

    async def _submit(
        self,
        queue: SimpleQueue[Job | None],
        transaction: Transaction[T],
        deadline_s: float,
        failed: Callable[[object], None],
        *,
        repeatable: bool = False,
    ) -> T:
        if self._closed:
            raise Unavailable("The directory is closed.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        queue.put(Job(transaction, future, repeatable))
        try:
            with anyio.fail_after(deadline_s):
                return await future
        except TimeoutError:
            failed("The directory did not answer in time: try again.")
            raise Unavailable("The directory did not answer in time: try again.") from None

    async def leave(self) -> None:
        """See `Directory.leave`. Connections belong to threads here, not to event loops."""

    async def close(self) -> None:
        """See `Directory.close`."""
        if self._closed:
            return
        self._closed = True
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._stop)
        for queue in (self._writes, self._standing, self._reads):
            refuse_waiting(queue)

    def _stop(self) -> None:
        for lane in self._lanes:
            lane.queue.put(None)
        for lane in self._lanes:
            lane.join()
        self._close_files()
        self._gate.close()
        self._users.close()

    def _close_files(self) -> None:
        for file in self._files:
            file.close()

    # --- the threads' side

    def _settle(self, verdicts: list[GroupVerdict]) -> None:
        """Hand results to the event loop that waits for them; those of a group wait in the same one."""
        if not verdicts:
            return
        with suppress(RuntimeError):  # that loop has ended, and nobody waits
            verdicts[0].job.future.get_loop().call_soon_threadsafe(settle_all, verdicts)

    def _serve_group(self, first: Job) -> None:
        taken = [first]
        if not self._serve_jobs(take(taken, self._writes), taken):
            # A transaction that fits where the whole group did not, or that was not to blame, must not suffer for it.
            for job in taken:
                self._serve_jobs(iter((job,)), [job])

    def _serve_jobs(self, jobs: Iterator[Job], taken: list[Job]) -> bool:
        """Commit jobs and settle them; False, with none of them settled, where the commit of several failed."""
        try:
            verdicts = self._commit(jobs)
            self._wrote()
        except (Interrupted, StorageError, Unavailable) as error:
            if len(taken) > 1:
                return False
            verdicts = [self._broken(taken[0], error, self._failed_to_write)]
        except Exception as error:  # noqa: BLE001 - the thread must outlive a defect, and its callers be told
            verdicts = [GroupVerdict(job, error=error) for job in taken]
        self._settle(verdicts)
        return True

    def _commit(self, jobs: Iterator[Job]) -> list[GroupVerdict]:
        deadline = time.monotonic() + self._timing.directory_deadline_s
        with self._gate.turn(deadline):
            self._writer.begin(deadline)
        try:
            group = run_group(jobs, self.engine, self.clock, self.writer, self.acknowledged)
            done = drive(group, self._writer.execute)
            self._writer.execute(_COMMIT)
            self.acknowledged.add(done.own, done.commits)
        finally:
            self._writer.roll_back()
        return done.verdicts

    def _serve_standing(self, file: File, job: Job) -> None:
        deadline = time.monotonic() + self._standing_deadline_s
        try:
            step = job.transaction(Tx(now=0.0, engine=self.engine))
            value = drive(step, lambda query: file.wait_for_lock(lambda: file.execute(query), deadline))
            self._worked()
            self._settle([GroupVerdict(job, value=value)])
        except (StorageError, Unavailable) as error:
            self._settle([self._broken(job, error, self._failed)])
        except Exception as error:  # noqa: BLE001 - the thread must outlive a defect, and its callers be told
            self._settle([GroupVerdict(job, error=error)])

    def _serve_read(self, file: File, job: Job) -> None:
        try:
            file.execute(_BEGIN)
            result = drive(run_alone(job.transaction, self.engine, self.clock), file.execute)
            self._worked()
            self._settle([GroupVerdict(job, result.value, result.error)])
        except (Interrupted, StorageError) as error:
            self._settle([self._broken(job, error, self._failed)])
        except Exception as error:  # noqa: BLE001 - the thread must outlive a defect, and its callers be told
            self._settle([GroupVerdict(job, error=error)])
        finally:
            file.roll_back()
