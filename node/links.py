"""Sessions from this node to the others: kept open, looked up by name, and only for keys in the cluster file."""

import logging
import math

import anyio

from shared.cluster import Cluster
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError, LocalError, Unavailable
from shared.net.endpoint import Endpoint, Session
from shared.wire.base import Message
from shared.wire.codec import encode

log = logging.getLogger(__name__)

_RETRY_HEARTBEATS = 2


class NodeLinks:
    """One live session to each other node. Messages to a node without a session are lost, as on any network."""

    def __init__(self, me: str, cluster: Cluster, endpoint: Endpoint) -> None:
        self._me = me
        self._cluster = cluster
        self._endpoint = endpoint
        self._names = {node.key: node.name for node in cluster.nodes if node.name != me}
        self._sessions: dict[str, Session] = {}
        self._lost = anyio.Event()

    def name_of(self, session: Session) -> str | None:
        """Return the node that the session's key belongs to, None for anybody else."""
        return self._names.get(session.remote_key)

    def opened(self, session: Session) -> None:
        """Take a session that was opened from either side; the newest one is used for sending."""
        if (name := self.name_of(session)) is None:
            self._endpoint.close_session(session)
            return
        self._sessions[name] = session

    def closed(self, session: Session) -> None:
        """Forget a session that ended."""
        name = self.name_of(session)
        if name is not None and self._sessions.get(name) is session:
            del self._sessions[name]
            self._lost.set()

    def send(self, node: str, message: Message) -> None:
        """Send one message, unreliably."""
        session = self._sessions.get(node)
        if session is None or not session.alive:
            return
        try:
            self._endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))
        except LocalError:
            log.exception("a message to a node could not be sent", extra={"node": node})

    async def keep(self) -> None:
        """Open sessions to the other nodes and open them again when they are lost. Runs until cancelled."""
        async with anyio.create_task_group() as group:
            for node in self._cluster.nodes:
                if node.name != self._me:
                    group.start_soon(self._keep_one, node.name)

    async def _keep_one(self, name: str) -> None:
        node = self._cluster.node(name)
        pause = _RETRY_HEARTBEATS * self._cluster.timing.heartbeat_s
        while True:
            session = self._sessions.get(name)
            if session is None or not session.alive:
                try:
                    self._sessions[name] = await self._endpoint.connect_any(node.node_addresses, node.key)
                except Unavailable:
                    log.debug("a node does not answer", extra={"node": name})
                except GlimpseError:
                    log.exception("a session to a node failed", extra={"node": name})
            lost = self._lost
            with anyio.move_on_after(pause if name not in self._sessions else math.inf):
                await lost.wait()
            if lost.is_set() and self._lost is lost:
                self._lost = anyio.Event()
