"""What both engines have in common: every call of the interface, put together from transactions and steps."""

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar, Final

import anyio

from node.directory import standing, upkeep
from node.directory.idempotency import exactly_once, stored_answer
from node.directory.interface import Announced, EffectKey, EngineName, LeaseRow, NodeRow, Outcome, T, Transaction
from node.directory.marks import Marks, read_marks
from shared.config import Timing
from shared.errors import GlimpseError, StorageError

PROBE_EVERY_S: Final = 2.0
"""Between attempts to write to a directory that could not be written to."""
_SWEEP_BATCHES: Final = 40
"""Batches per sweep, so that one call stays short even after a long absence; the next goes on."""


class Engine(ABC):
    """A directory without its database: the engines add how transactions are run."""

    engine: ClassVar[EngineName]

    def __init__(self, timing: Timing, clock: str, writer: str) -> None:
        """`clock` is SQL for database time in epoch seconds; `writer` is the node whose commits are counted here."""
        self._timing = timing
        self.clock = clock
        self.writer = writer
        self.writable = True
        self.last_error = ""
        self._answers = True

    @abstractmethod
    async def read(self, transaction: Transaction[T]) -> T:
        """See `Directory.read`."""

    @abstractmethod
    async def ping(self) -> float:
        """See `Directory.ping`."""

    @abstractmethod
    async def close(self) -> None:
        """See `Directory.close`."""

    @abstractmethod
    async def _write(self, transaction: Transaction[T], *, repeatable: bool) -> T:
        """Run a transaction in a group; again after a commit in doubt only if it is repeatable."""

    @abstractmethod
    async def _stand(self, transaction: Transaction[T]) -> T:
        """Run single statements on the fast path; `tx.now` is not read for them."""

    @property
    def ok(self) -> bool:
        """See `Directory.ok`."""
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
        """See `Directory.write`."""
        return await self._write(transaction, repeatable=False)

    async def effect(self, key: EffectKey, transaction: Transaction[bytes]) -> Outcome:
        """See `Directory.effect`."""
        return await self._write(exactly_once(key, transaction), repeatable=True)

    async def stored_answer(self, account_key: bytes, request_id: str) -> bytes | None:
        """See `Directory.stored_answer`."""
        return await self.read(stored_answer(account_key, request_id))

    async def claim_lease(self, holder: str, seen_term: int, lease_s: float) -> int | None:
        """See `Directory.claim_lease`."""
        return await self._stand(lambda _: standing.claim_lease(self.clock, holder, seen_term, lease_s))

    async def renew_lease(self, holder: str, term: int, lease_s: float) -> bool:
        """See `Directory.renew_lease`."""
        return await self._stand(lambda _: standing.renew_lease(self.clock, holder, term, lease_s))

    async def release_lease(self, holder: str, term: int) -> bool:
        """See `Directory.release_lease`."""
        return await self._stand(lambda _: standing.release_lease(holder, term))

    async def read_lease(self, lease_s: float | None = None) -> LeaseRow:
        """See `Directory.read_lease`."""
        return await self._stand(lambda _: standing.read_lease(self.clock, lease_s))

    async def announce_node(self, row: NodeRow) -> Announced:
        """See `Directory.announce_node`."""
        return await self._stand(lambda _: standing.announce_node(self.clock, row))

    async def nodes(self) -> list[NodeRow]:
        """See `Directory.nodes`."""
        return await self._stand(lambda _: standing.nodes(self.clock))

    async def marks(self) -> Marks:
        """See `Directory.marks`."""
        return await self._stand(read_marks)

    async def sweep(self) -> int:
        """See `Directory.sweep`."""
        swept = 0
        for _ in range(_SWEEP_BATCHES):
            batch = await self.write(upkeep.sweep_batch)
            swept += batch
            if batch < upkeep.SWEEP_BATCH_ROWS:
                break
        return swept
