"""Keeps a watch on every node of a cluster: renews it, connects again, and delivers what the nodes push.

Needs no screen. `FeedClient.run` runs until it is cancelled; messages are delivered in the event loop by a call that
must not block. Notices are delivered once each and in order, as messages that hold only those.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import msgspec

from shared.cluster import NodeAddress
from shared.errors import GlimpseError
from shared.net.endpoint import Session
from shared.wire.feed_messages import (
    MIN_INTERVAL_MS,
    WATCH_RENEW_MS,
    FeedMessage,
    FeedMessageBase,
    FeedNotices,
    FeedState,
    Unwatch,
    Watch,
    WatchRefused,
)
from tui.monitor.notices import NoticeOrder
from tui.operator import Operator

SILENT_S = 2.5
"""A node that pushes nothing for this long is connected to anew: it may have restarted and not know the session."""
_CONNECT_S = 1.0
_RETRY_S = 0.25

Deliver = Callable[[str, FeedMessage], None]


@dataclass(slots=True)
class FeedLink:
    """What the client knows of its watch on one node."""

    node: NodeAddress
    session: Session | None = None
    heard_at: float = -math.inf
    """When the last message came, in seconds of the client's clock."""
    lost: int = 0
    """Messages that were lost on the way, seen by gaps in their numbers."""
    received: int = 0
    refused: str = ""
    """Why the node takes no further monitor; empty while it does."""
    seq: int = 0
    notices: NoticeOrder = field(default_factory=NoticeOrder)
    heard: anyio.Event = field(default_factory=anyio.Event)


class FeedClient:
    """The watches of one monitor. `deliver(node, message)` gets every message, `WatchRefused` included."""

    def __init__(
        self,
        operator: Operator,
        deliver: Deliver,
        *,
        interval_ms: int = MIN_INTERVAL_MS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.links = {node.name: FeedLink(node) for node in operator.cluster.nodes}
        self._operator = operator
        self._deliver = deliver
        self._interval_ms = interval_ms
        self._clock = clock
        self._request = os.urandom(16).hex()
        operator.on_feed = self._receive

    async def run(self) -> None:
        """Watch all nodes until cancelled; then tell them that it is over."""
        try:
            async with anyio.create_task_group() as group:
                for link in self.links.values():
                    group.start_soon(self._keep, link)
        finally:
            for link in self.links.values():
                if link.session is not None and link.session.alive:
                    self._operator.post(link.session, Unwatch())

    def silent_s(self, node: str) -> float:
        """Return for how long a node has pushed nothing; infinite if it never did."""
        return self._clock() - self.links[node].heard_at

    async def _keep(self, link: FeedLink) -> None:
        while True:
            try:
                session = await self._operator.session(link.node, timeout_s=_CONNECT_S)
            except GlimpseError:
                await anyio.sleep(_RETRY_S)
                continue
            link.session, link.seq = session, 0
            link.notices.reconnected()
            await self._renew(link, session)
            # Closing says good-bye; a node that hears nothing now forgets the session by itself.
            self._operator.close_session(session)

    async def _renew(self, link: FeedLink, session: Session) -> None:
        """Renew the watch on one session until it is over or nothing comes of it."""
        since = self._clock()
        silent_s = max(SILENT_S, 2.5 * self._interval_ms / 1000)
        while session.alive:
            notices = link.notices
            self._operator.post(
                session,
                Watch(
                    request=self._request,
                    interval_ms=self._interval_ms,
                    incarnation=notices.incarnation,
                    after=notices.after,
                ),
            )
            await anyio.sleep(WATCH_RENEW_MS / 1000)
            if self._clock() - max(since, link.heard_at) > silent_s:
                return

    def _receive(self, name: str, session: Session, message: FeedMessage) -> None:
        link = self.links[name]
        if link.session is not session:
            return  # of a session that was given up
        link.heard_at = self._clock()
        link.received += 1
        if isinstance(message, WatchRefused):
            link.refused = message.reason
        if isinstance(message, FeedMessageBase):
            self._count(link, message.seq)
        if isinstance(message, FeedState):
            link.refused = ""
        if isinstance(message, FeedNotices):
            ready = link.notices.take(message)
            if not ready:
                return
            message = msgspec.structs.replace(message, notices=tuple(ready))
        self._deliver(name, message)

    def _count(self, link: FeedLink, seq: int) -> None:
        """Number 1 begins a watch; a number before the last one came late and was counted as lost."""
        if seq == 1:
            link.seq = 1
        elif seq > link.seq:
            link.lost += seq - link.seq - 1
            link.seq = seq
        else:
            link.lost = max(0, link.lost - 1)
