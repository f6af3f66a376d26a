"""Keeps a node's memory of the directory: reads, compares, recovers, writes it down and tells the other nodes.

The rules are in `node.memory`; what recovering means is in `node.directory.recovery`.
"""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from node.directory import Directory, Marks, recover
from node.directory.recovery import count_frozen
from node.memory import NOTHING, Memory, Restored
from node.node_folder import Damaged, load_memory, save_memory
from shared.errors import GlimpseError, StorageError
from shared.wire.base import Message
from shared.wire.node_messages import DirectoryMark

log = logging.getLogger(__name__)

_READ_EVERY_HEARTBEATS: Final = 2
_TELL_EVERY_S: Final = 1.0
"""How often the other nodes are told, and the file is written where there is something new."""
_COUNT_EVERY_S: Final = 30.0
"""How often the grants that wait for their owners are counted, while there can be any: it reads all grants."""


class Remembering:
    """One node's memory at work. `send` posts a message to a node, `recovered` is told the epoch of a new recovery and
    how many grants wait, `forget` is called when what was read of accounts may no longer be so. `cluster_version` is
    told to the other nodes along with the rest."""

    def __init__(
        self,
        path: Path,
        cluster_id: str,
        *,
        directory: Directory,
        others: Sequence[str],
        heartbeat_s: float,
        clock: Callable[[], float],
        send: Callable[[str, Message], None],
        recovered: Callable[[int, int], None],
        forget: Callable[[], None],
        cluster_version: int = 0,
    ) -> None:
        self._path = path
        self._cluster_id = cluster_id
        self._directory = directory
        self._others = others
        self._every_s = _READ_EVERY_HEARTBEATS * heartbeat_s
        self._clock = clock
        self._send = send
        self._recovered = recovered
        self._forget = forget
        self._cluster_version = cluster_version
        self.memory = Memory()
        self.recoveries = 0
        """Restored directories that this node has recovered, since its start."""
        self.frozen = 0
        """Grants that wait for their owners' word, as they were counted last."""
        self._epoch = 0
        self._written = NOTHING
        self._write_failed = False
        self._trouble = ""
        self._told_at = self._counted_at = -math.inf

    @property
    def epoch(self) -> int:
        """The directory's epoch as it was read last; 0 while it is not known."""
        return self.memory.epoch

    @property
    def must_wait(self) -> bool:
        """Tell whether nothing may take effect: the directory was restored and is not recovered yet, or it could not
        be compared since this node began."""
        return self.memory.epoch == 0

    def heard(self, sender: str, mark: DirectoryMark) -> None:
        """Another node tells what it remembers."""
        if sender in self._others:
            self.memory.told(Marks(mark.commits, mark.epoch, mark.term, mark.accounts))

    async def start(self) -> None:
        """Compare before anything is served. Where the directory cannot be asked now, `run` does it."""
        try:
            kept = await anyio.to_thread.run_sync(load_memory, self._path, self._cluster_id)
        except Damaged as damage:
            log.warning(
                "the node's memory of the directory is not used (%s); it goes by what the other nodes remember",
                damage,
                extra={"file": str(self._path)},
            )
            kept = NOTHING
        self.memory = Memory(kept)
        self._written = kept
        await self._compare()

    async def run(self) -> None:
        """Compare, tell and write down until cancelled."""
        while True:
            await anyio.sleep(self._every_s)
            await self._compare()
            if self._clock() - self._told_at >= _TELL_EVERY_S:
                self._told_at = self._clock()
                self._tell()
                await self._write()

    async def stop(self) -> None:
        """Read once more and write down what a node that stops in order has seen."""
        await self._compare()
        self.memory.settle()
        self._tell()
        await self._write()

    # --- Comparing ---------------------------------------------------------------------------------------------------
    async def _compare(self) -> None:
        # What was acknowledged to this node is on disk: no second reading has to confirm it.
        self.memory.told(Marks(self._directory.acknowledged.total, epoch=0, term=0, accounts=0))
        asked_with = self.memory.highest
        try:
            if await self._read(asked_with) is not None:
                await self._recover()
        except GlimpseError as error:
            self._note_trouble(str(error))
            return
        self._trouble = ""
        if not self.must_wait and self.epoch != self._epoch:
            if self._epoch:
                log.info("the directory is in a new epoch", extra={"epoch": self.epoch})
                self._forget()
            self._epoch, self._counted_at = self.epoch, -math.inf
        await self._count()

    async def _read(self, asked_with: Marks) -> Restored | None:
        found = await self._directory.marks()
        return self.memory.read(asked_with, found, lost=self._directory.acknowledged.lost)

    def _note_trouble(self, reason: str) -> None:
        """Say once why a restored directory is not recovered; that one cannot be read is said by everybody else."""
        if self.memory.restored is None:
            log.debug("the directory was not compared", extra={"reason": reason})
        elif reason != self._trouble:
            self._trouble = reason
            log.warning("the restored directory is not safe to use yet; all requests wait", extra={"reason": reason})

    async def _recover(self) -> None:
        restored = self.memory.restored
        assert restored is not None
        if not self._trouble:
            log.warning(
                "the directory is behind what is remembered of it: it was restored from a backup",
                extra={"found": str(restored.found), "remembered": str(restored.highest)},
            )
        done = await self._directory.write(recover(restored.highest))
        self._forget()
        await self._read(self.memory.highest)
        if done is not None:
            self.recoveries += 1
            self.frozen = done.frozen
            log.info("the directory is safe to use again", extra={"epoch": done.epoch, "frozen_grants": done.frozen})
            self._recovered(done.epoch, done.frozen)

    async def _count(self) -> None:
        if self.epoch <= 1 or self._clock() - self._counted_at < _COUNT_EVERY_S:
            return
        self._counted_at = self._clock()
        try:
            self.frozen = await self._directory.read(count_frozen)
        except GlimpseError as error:
            log.debug("frozen grants were not counted", extra={"reason": str(error)})

    # --- Keeping and telling -----------------------------------------------------------------------------------------
    def _tell(self) -> None:
        highest = self.memory.highest
        mark = DirectoryMark(
            commits=highest.commits,
            epoch=highest.epoch,
            term=highest.term,
            accounts=highest.accounts,
            cluster=self._cluster_version,
        )
        for node in self._others:
            self._send(node, mark)

    async def _write(self) -> None:
        highest = self.memory.highest
        if highest == self._written:
            return
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(save_memory, self._path, self._cluster_id, highest)
        except StorageError as error:
            if not self._write_failed:
                log.warning("the node cannot remember how far the directory is", extra={"reason": str(error)})
            self._write_failed = True
            return
        self._written, self._write_failed = highest, False
