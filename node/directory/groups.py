"""Group commit: many transactions, one commit, and none hurt by a neighbour's failure.

The way of a group is written once, as a generator that yields statements; each engine drives it in its own manner.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Protocol, cast

from node.directory.interface import EngineName, Query, Rows, StatementFailed, Step, T, Transaction, Tx
from node.directory.marks import AcknowledgedCommits, OwnMarks, note_commit
from shared.errors import Unavailable

GROUP_JOBS: Final = 128
"""Most transactions in one commit. More save little, and when a group has to be run again all of it is."""
GROUP_SECONDS: Final = 0.020
"""A group takes in further transactions for no longer than this, since it keeps other nodes from writing meanwhile."""

TIME_STEP_S: Final = 1e-6
"""How far directory time moves with each commit while the database's clock stands behind it."""

_SAVEPOINT: Final = Query("SAVEPOINT job", deferred=True)
_ROLL_BACK: Final = Query("ROLLBACK TO SAVEPOINT job", deferred=True)
_RELEASE: Final = Query("RELEASE SAVEPOINT job")


class Interrupted(Exception):
    """The database ended a whole transaction: a deadlock, a lock held too long, a lost connection.

    `in_doubt` tells that it may nevertheless have been committed.
    """

    def __init__(self, reason: str, *, in_doubt: bool = False) -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt


@dataclass(slots=True, eq=False)
class Job:
    """A transaction and the future that waits for its result.

    `repeatable` tells that running it again after a commit in doubt cannot do its work twice.
    """

    transaction: Transaction[Any]
    future: asyncio.Future[Any]
    repeatable: bool = False

    @property
    def is_wanted(self) -> bool:
        """False once the caller was cancelled or has stopped waiting."""
        return not self.future.done()


@dataclass(frozen=True, slots=True)
class GroupVerdict:
    """How a job ended: with a value, or with an error."""

    job: Job
    value: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Hand the result to whoever still waits. To be called in the event loop."""
        if self.job.future.done():
            return
        if self.error is not None:
            self.job.future.set_exception(self.error)
        else:
            self.job.future.set_result(self.value)


class JobQueue(Protocol):
    """What waits for a writer; None is the order to stop after the group at hand."""

    def empty(self) -> bool:
        """Tell whether nothing waits."""

    def get_nowait(self) -> Job | None:
        """Take the first."""

    def put_nowait(self, item: Job | None, /) -> None:
        """Add one at the end."""


def take(taken: list[Job], queue: JobQueue) -> Iterator[Job]:
    """Give the first job, which is in `taken`, and then whatever waits, until the group is full; note it in `taken`."""
    until = time.monotonic() + GROUP_SECONDS
    yield taken[0]
    while len(taken) < GROUP_JOBS and time.monotonic() < until and not queue.empty():
        job = queue.get_nowait()
        if job is None:
            queue.put_nowait(None)
            return
        if job.is_wanted:
            taken.append(job)
            yield job


def refuse_waiting(queue: JobQueue) -> None:
    """Tell everybody who still waits in a queue that the directory is closed."""
    while not queue.empty():
        if (job := queue.get_nowait()) is not None:
            GroupVerdict(job, error=Unavailable("The directory is closed.")).settle()


def settle_all(verdicts: Iterable[GroupVerdict]) -> None:
    """Settle every verdict; one call for a whole group keeps the event loop's wake-ups few."""
    for verdict in verdicts:
        verdict.settle()


@dataclass(frozen=True, slots=True)
class GroupDone:
    """A group that is ready to be committed: its verdicts, and how far the directory is once that is acknowledged."""

    verdicts: list[GroupVerdict]
    own: OwnMarks
    commits: int


def run_group(
    jobs: Iterable[Job], engine: EngineName, clock: str, writer: str, acknowledged: AcknowledgedCommits
) -> Step[GroupDone]:
    """Run jobs one after the other inside an open transaction, each behind a savepoint; the engine commits after it.

    What any of them did is counted in the row of `writer`, the node whose group it is; `acknowledged` is what that
    node knows of it.
    """
    asked_with = acknowledged.own
    tx = yield from read_time(engine, clock, writer)
    own = OwnMarks(tx.epoch, tx.own_commits)
    tx = replace(tx, lost_commits=acknowledged.read(own, asked_with))
    verdicts = []
    for job in jobs:
        if not job.is_wanted:  # given up while the group waited for its turn
            continue
        yield _SAVEPOINT
        try:
            verdicts.append(GroupVerdict(job, value=(yield from job.transaction(tx))))
        except Exception as error:  # noqa: BLE001 - whatever a transaction raises is its caller's
            yield _ROLL_BACK
            verdicts.append(GroupVerdict(job, error=error))
        if engine == "sqlite":  # MySQL replaces a savepoint of the same name, SQLite would stack them
            yield _RELEASE
    counts = any(verdict.error is None for verdict in verdicts)
    if counts:
        yield note_commit(engine, writer, tx.now)
    return GroupDone(verdicts, replace(own, commits=own.commits + counts), tx.commits + counts)


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What a transaction returned or raised, kept apart from what the database does to it."""

    value: T | None = None
    error: Exception | None = None

    def unwrap(self) -> T:
        """Return the value, or raise the transaction's own error."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


def run_alone(transaction: Transaction[T], engine: EngineName, clock: str) -> Generator[Query, Rows, Result[T]]:
    """Run one transaction, as for a read."""
    tx = yield from read_time(engine, clock)
    try:
        return Result(value=(yield from transaction(tx)))
    except Exception as error:  # noqa: BLE001 - whatever a transaction raises is its caller's
        return Result(error=error)


def read_time(engine: EngineName, clock: str, writer: str = "") -> Step[Tx]:
    """Ask the database for its time, the latest time, the commits of all nodes and of `writer`, and its epoch."""
    rows = yield Query(
        f"SELECT {clock} AS clock, MAX(latest) AS latest, COALESCE(SUM(commits), 0) AS commits, "  # noqa: S608
        "COALESCE(SUM(CASE WHEN name = :writer THEN commits END), 0) AS own, "
        "COALESCE((SELECT value FROM meta WHERE name = 'epoch'), 0) AS epoch FROM writers",
        {"writer": writer},
    )
    row = rows.rows[0]
    at, latest = row["clock"], row["latest"]
    now = at if latest is None else max(at, latest + TIME_STEP_S)
    commits, own, epoch = int(row["commits"]), int(row["own"]), int(row["epoch"])
    return Tx(now=now, engine=engine, clock=at, commits=commits, own_commits=own, epoch=epoch)


def drive(step: Step[T], execute: Callable[[Query], Rows]) -> T:
    """Run a step to its end. A refused statement is raised at its `yield`; anything worse ends the step."""
    try:
        query = next(step)
        while True:
            try:
                rows = execute(query)
            except StatementFailed as error:
                query = step.throw(error)
            else:
                query = step.send(rows)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        step.close()


async def drive_async(step: Step[T], execute: Callable[[Query], Awaitable[Rows]]) -> T:
    """Do as `drive` does, over a connection that has to be awaited."""
    try:
        query = next(step)
        while True:
            try:
                rows = await execute(query)
            except StatementFailed as error:
                query = step.throw(error)
            else:
                query = step.send(rows)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        step.close()
