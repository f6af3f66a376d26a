"""Follows the cluster file: a node takes a newer one from an operator or from the directory, hands it on, restarts.

The directory keeps the newest one, so that a node that was down, or is new, finds it, and so that nodes need not know
each other to agree. A node believes none that `shared.cluster.newer_cluster` does not. To run by a newer file it
restarts within its process, when it is its turn (`node.rollout`): a node that begins has one state, not two halves.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from node.directory import Directory
from node.directory.operators import publish_cluster, read_cluster_file
from node.rollout import Rollout
from shared.cluster import Cluster, newer_cluster, replace_cluster_file
from shared.cluster_parts import part_of
from shared.errors import GlimpseError, RemoteError
from shared.wire.node_messages import DirectoryMark
from shared.wire.peer_messages import ClusterPart, ClusterQuery

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.5


class Following:
    """One node's cluster file. `restart` is called once the node is to begin anew by a newer one."""

    def __init__(
        self,
        me: str,
        file: Path,
        known: Cluster,
        data: bytes,
        *,
        directory: Directory,
        clock: Callable[[], float],
        leader: Callable[[], str | None],
        restart: Callable[[], None],
    ) -> None:
        """`data` are the bytes of `file`, as the node began with it. A file without a signature is not followed."""
        self._file = file
        self._running = self._newest = known
        self._data = data
        self._directory = directory
        self._clock = clock
        self._leader = leader
        self._restart = restart
        self._in_directory = 0
        self._refused = 0
        self._since = clock()
        self._rollout = Rollout(me, [node.name for node in known.nodes])
        self._trouble = ""

    @property
    def version(self) -> int:
        """The newest version that this node knows and may hand on."""
        return self._newest.version if self._newest.is_signed else 0

    def answer(self, query: ClusterQuery) -> ClusterPart | None:
        """Return the part of the newest file that somebody asks for, None where he has that version."""
        return part_of(self.version, self._data, query)

    def heard(self, node: str, mark: DirectoryMark) -> None:
        """Another node tells which version it runs by."""
        self._rollout.heard(node, mark.cluster, self._clock())

    def seen(self, version: int) -> None:
        """The directory holds a cluster file of this version, 0 for none."""
        self._in_directory = version

    async def take(self, data: bytes) -> None:
        """Take a newer cluster file from an operator; the one that this node has is no error.

        Raises `RemoteError` for one that it must not follow, `OSError` where it cannot be written down.
        """
        if data != self._data:
            await self._adopt(data)

    async def run(self) -> None:
        """Agree with the directory, and restart when it is time, until cancelled."""
        while True:
            await anyio.sleep(_LOOK_EVERY_S)
            if not self._newest.is_signed:
                continue
            try:
                await self._agree()
            except (GlimpseError, OSError) as error:
                self._note_trouble(str(error))
            else:
                self._note_trouble("")
            waited_s = self._clock() - self._since
            is_newer = self._newest.version > self._running.version
            if is_newer and self._rollout.is_turn(self._newest.version, self._leader(), waited_s, self._clock()):
                log.info("restarting with a newer cluster file", extra={"version": self._newest.version})
                self._restart()
                return

    async def _agree(self) -> None:
        if self._in_directory < self._newest.version:
            await self._directory.write(publish_cluster(self._newest.version, self._data))
            self._in_directory = self._newest.version
        elif self._newest.version < self._in_directory != self._refused:
            data = await self._directory.read(read_cluster_file)
            try:
                await self._adopt(data or b"")
            except RemoteError:
                self._refused = self._in_directory  # it is looked at again when there is another
                raise

    async def _adopt(self, data: bytes) -> None:
        found = newer_cluster(self._newest, data)
        await anyio.to_thread.run_sync(replace_cluster_file, self._file, data, found.version)
        self._newest, self._data, self._since = found, data, self._clock()
        log.info("a newer cluster file", extra={"version": found.version})

    def _note_trouble(self, reason: str) -> None:
        if reason and reason != self._trouble:
            log.warning("the cluster file is not agreed upon", extra={"reason": reason})
        self._trouble = reason
