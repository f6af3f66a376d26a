"""The Directory of Service: its calls, and what both engines have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final

import anyio

from node.directory import standing, upkeep
from node.directory.groups import GroupVerdict, Job
from node.directory.idempotency import exactly_once
from node.directory.interface import Announced, EffectKey, EngineName, LeaseRow, NodeRow, Outcome, T, Transaction
from node.directory.marks import AcknowledgedCommits, Marks, read_all_marks
from shared.config import Timing
from shared.errors import GlimpseError, StorageError, Unavailable

PROBE_EVERY_S: Final = 2.0
"""Between attempts to write to a directory that could not be written to."""
_SWEEP_BATCHES: Final = 40
"""Batches per sweep, so that one call stays short even after a long absence; the next goes on."""


class Directory(ABC):
    """The Directory of Service. Every call raises Unavailable when the database cannot be reached within its deadline,
    StorageError when its disk is full, and the transaction's own errors.

    It is used from the event loop in which it was opened. The lease and the node rows may be used from another as well,
    which calls `leave` when it has done with them.

    The engines add how transactions are run.
    """

    engine: ClassVar[EngineName]
    """Which engine is behind it."""

    def __init__(self, timing: Timing, clock: str, writer: str) -> None:
        """`clock` is SQL for database time in epoch seconds; `writer` is the node whose commits are counted here."""
        self._timing = timing
        self.clock = clock
        self.writer = writer
        self.writable = True
        """False from a write that failed until the next one that was committed, of a caller or a probe."""
        self.last_error = ""
        """Why the last failing call failed; "" if none has. Never contains the password."""
        self.acknowledged = AcknowledgedCommits()
        """What this node knows of its own commits."""
        self._answers = True

    @property
    def folder(self) -> Path | None:
        """Where its files are; None where a server keeps them."""
        return None

    @abstractmethod
    async def read(self, transaction: Transaction[T]) -> T:
        """Run a transaction that only selects, on one consistent state, without waiting for writers."""

    @abstractmethod
    async def ping(self) -> float:
        """Return how long the database takes to answer, in seconds."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was accepted, refuse what comes now, and let go of the database."""

    @abstractmethod
    async def leave(self) -> None:
        """Let go of what this event loop has of the directory, where it is not the one in which it was opened."""

    @abstractmethod
    async def _write(self, transaction: Transaction[T], *, repeatable: bool) -> T:
        """Run a transaction in a group; again after a commit in doubt only if it is repeatable."""

    @abstractmethod
    async def _stand(self, transaction: Transaction[T]) -> T:
        """Run single statements on the fast path; `tx.now` is not read for them."""

    @property
    def ok(self) -> bool:
        """False from a call that failed for want of the database until the next one that succeeded; and while it is
        not `writable`."""
        return self._answers and self.writable

    def _worked(self) -> None:
        """A read, the lease or a node row went through: the database answers."""
        self._answers = True

    def _wrote(self) -> None:
        """A group was committed."""
        self._answers = self.writable = True

    def _failed(self, reason: object) -> None:
        """A read, the lease or a node row did not go through. A read that does will not tell whether a write would."""
        self._answers = False
        if isinstance(reason, StorageError):
            self.writable = False
        self.last_error = str(reason)

    def _failed_to_write(self, reason: object) -> None:
        """A group was not committed: the directory is not ok until one is, see `keep_probing`."""
        self.writable = False
        self.last_error = str(reason)

    def _broken(self, job: Job, error: Exception, note: Callable[[object], None]) -> GroupVerdict:
        """Note that the directory failed, and say so with an error of the job's own: one instance is raised once."""
        note(error)
        kind = StorageError if isinstance(error, StorageError) else Unavailable
        return GroupVerdict(job, error=kind(str(error)))

    async def keep_probing(self) -> None:
        """While nothing can be written, find out every `PROBE_EVERY_S` whether it can again; runs until cancelled.

        A read says nothing of it, and a short write may go through where a longer one does not.
        """
        number = 0
        while True:
            await anyio.sleep(PROBE_EVERY_S)
            if not self.writable:
                number += 1
                with suppress(GlimpseError):
                    await self.write(upkeep.probe(self.writer, number))

    async def write(self, transaction: Transaction[T]) -> T:
        """Run a transaction and return its result once it is on disk; concurrent ones share a commit.

        A lost connection during the commit leaves open whether it happened: Unavailable is raised and the transaction
        is not run again, so a caller that repeats must be able to recognise its own effect (or use `effect`).
        """
        return await self._write(transaction, repeatable=False)

    async def effect(self, key: EffectKey, transaction: Transaction[bytes]) -> Outcome:
        """Run a transaction exactly once per key and store its answer in the same commit.

        A repeated id gets the stored answer; refusals are not stored. Raises Refused("id_reused") if the id was used
        with another body.
        """
        return await self._write(exactly_once(key, transaction), repeatable=True)

    async def claim_lease(self, holder: str, seen_term: int, lease_s: float) -> int | None:
        """Take the lease if its term is still `seen_term` and it is free, expired, further ahead than it can be, or
        `holder`'s own.

        Returns the new term, or None if the claim lost. `holder` must differ between incarnations.
        """
        return await self._stand(lambda _: standing.claim_lease(self.clock, holder, seen_term, lease_s))

    async def renew_lease(self, holder: str, term: int, lease_s: float) -> bool:
        """Extend the lease by `lease_s` from database time; False if it is no longer `holder`'s in that term."""
        return await self._stand(lambda _: standing.renew_lease(self.clock, holder, term, lease_s))

    async def release_lease(self, holder: str, term: int) -> bool:
        """Give up the lease so that another can claim it at once; False if it was not held."""
        return await self._stand(lambda _: standing.release_lease(holder, term))

    async def read_lease(self, lease_s: float | None = None) -> LeaseRow:
        """Return the lease as it is. With the length of leases given, one that lies too far ahead shows as free."""
        return await self._stand(lambda _: standing.read_lease(self.clock, lease_s))

    async def announce_node(self, row: NodeRow) -> Announced:
        """Write this node's own row, and read what all nodes have to know; the row of an older incarnation is replaced,
        one of a newer stays."""
        return await self._stand(lambda _: standing.announce_node(self.clock, row))

    async def nodes(self) -> list[NodeRow]:
        """Return the rows of all nodes by name."""
        return await self._stand(lambda _: standing.nodes(self.clock))

    async def marks(self) -> Marks:
        """Return how far the directory is, in one consistent reading; `acknowledged` tells afterwards whether it lacks
        commits of this node."""
        asked_with = self.acknowledged.own
        marks, own = await self._stand(read_all_marks(self.writer))
        self.acknowledged.read(own, asked_with)
        return marks

    async def sweep(self) -> int:
        """Delete what has outlived its use, in bounded batches; return how many rows went."""
        swept = 0
        for _ in range(_SWEEP_BATCHES):
            batch = await self.write(upkeep.sweep_batch)
            swept += batch
            if batch < upkeep.SWEEP_BATCH_ROWS:
                break
        return swept
