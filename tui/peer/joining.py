"""Joining: from the code of an invitation to the cluster file, which one of its nodes hands over."""

import os
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from shared.cluster import Cluster, bind_host_for, invited_cluster, prologue_of
from shared.cluster_parts import ClusterParts
from shared.config import LAN, MAX_MESSAGE_BYTES
from shared.errors import Explained, GlimpseError, MalformedMessage, RemoteError, StorageError, Unavailable
from shared.files import PUBLIC, replace_file
from shared.invitation import Invitation, InvitedNode
from shared.net.endpoint import Endpoint, Session
from shared.net.paths import shown_address
from shared.wire.codec import decode, encode
from shared.wire.peer_messages import ClusterPart, NodeToPeer

_WAIT_S: Final = 15.0
_REPEAT_S: Final = 0.5


async def join(code: str, file: Path) -> Path:
    """Ask the nodes of an invitation for the cluster file, check that it is the one meant, write it, return its place.

    Raises `InvalidInput` for what is no code, `Unavailable` where no node answers with that file, `StorageError`.
    """
    invitation = Invitation.of(code)
    _, data = await fetch(invitation)

    def write() -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(file, data, mode=PUBLIC)

    try:
        await anyio.to_thread.run_sync(write)
    except OSError as error:
        raise StorageError(f"The cluster file {file} cannot be written: {error.strerror}.") from error
    return file


async def fetch(invitation: Invitation) -> tuple[Cluster, bytes]:
    """Return the cluster file that an invitation leads to, from the first node that has it.

    Raises `Unavailable` with what to do. A file that the operator of the invitation has not signed is as no answer.
    """
    gathering = _Gathering(invitation)
    endpoint = Endpoint(
        os.urandom(32),
        bind=(bind_host_for([node.host for node in invitation.nodes]), 0),
        timing=LAN,
        prologue=prologue_of(invitation.cluster_id),
        looks_at_paths=True,
    )
    endpoint.on_message = gathering.receive
    async with endpoint:
        with anyio.move_on_after(_WAIT_S):
            async with anyio.create_task_group() as tasks:
                for node in invitation.nodes:
                    tasks.start_soon(gathering.ask, endpoint, node)
                await gathering.whole.wait()
                tasks.cancel_scope.cancel()
    if gathering.found is None:
        where = " or ".join(shown_address((node.host, node.port)) for node in invitation.nodes)
        raise gathering.trouble or Unavailable(
            f"No node of this invitation answers at {where}; check the network, or ask for a new invitation."
        )
    return gathering.found


class _Gathering:
    """The parts of the file, by the session in which they come."""

    def __init__(self, invitation: Invitation) -> None:
        self.whole = anyio.Event()
        self.found: tuple[Cluster, bytes] | None = None
        self.trouble: GlimpseError | None = None
        self._invitation = invitation
        self._parts: dict[Session, ClusterParts] = {}
        self._news = anyio.Event()

    async def ask(self, endpoint: Endpoint, node: InvitedNode) -> None:
        """Ask one node for part after part, until cancelled."""
        while True:
            try:
                session = await endpoint.connect_any([(node.host, node.port)], node.key)
            except Explained as error:
                self.trouble = error
                return
            except GlimpseError:
                await anyio.sleep(_REPEAT_S)
                continue
            parts = self._parts.setdefault(session, ClusterParts(0))
            while session.alive:
                endpoint.post(session, encode(parts.query(), cap_bytes=MAX_MESSAGE_BYTES))
                news = self._news
                with anyio.move_on_after(_REPEAT_S):
                    await news.wait()

    def receive(self, session: Session, data: bytes) -> None:
        """Take a part. Raises `RemoteError` for anything else, and for a file that is not the one meant."""
        message: NodeToPeer = decode(data, NodeToPeer, cap_bytes=MAX_MESSAGE_BYTES)
        if not isinstance(message, ClusterPart) or session not in self._parts:
            raise MalformedMessage("a message that a newcomer did not ask for")
        whole = self._parts[session].take(message)
        self._news.set()
        self._news = anyio.Event()
        if whole is None or self.found is not None:
            return
        try:
            self.found = invited_cluster(self._invitation.cluster_id, self._invitation.operator, whole), whole
        except RemoteError:
            self.trouble = Unavailable(
                "A node answered with a cluster file that the operator of this invitation has not signed. Ask whoever"
                " invited you for a new one, and do not use this."
            )
            raise
        self.whole.set()
