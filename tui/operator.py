"""An operator's connection to the nodes: status queries, orders and the status feed, over sessions of its key."""

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import msgspec

from shared.cluster import Cluster, NodeAddress
from shared.config import MAX_MESSAGE_BYTES, MAX_REPLY_OBJECT_BYTES
from shared.errors import Explained, GlimpseError, InvalidInput, MalformedMessage, Refused, Unavailable
from shared.identity import words_of
from shared.keyfiles import load_identity
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.wire.base import Message
from shared.wire.codec import decode, encode
from shared.wire.feed_messages import (
    KEPT_NOTICES,
    LINE_CHARS,
    MIN_INTERVAL_MS,
    WATCH_RENEW_MS,
    FeedMessage,
    FeedMessageBase,
    FeedNotices,
    Notice,
    Unwatch,
    Watch,
    WatchRefused,
)
from shared.wire.labels import MAX_LABEL_BYTES, AnswerObject, Label, OrderObject
from shared.wire.peer_messages import (
    DirectoryStatus,
    NodeToPeer,
    OperatorAnswer,
    OperatorCommand,
    StatusQuery,
    StatusReport,
)
from tui.common.user_paths import OPERATOR_KEY

log = logging.getLogger(__name__)

_WAIT_S = 2.0
_ANSWER_S = 1.9
"""How long a node may take to answer a handshake; a little less, so that it can be said why it does not."""
_REPEAT_S = 0.4
_HAND_S = 20.0
"""How long a node may take for an order with content: it opens another directory before it takes it for its own."""
SILENT_S = 2.5
"""A node that pushes nothing for this long is connected to anew: it may have restarted and not know the session."""
_CONNECT_S = 2.0
"""How long a handshake of a feed may take: long enough to find out whether it is the path that is in the way."""
_RETRY_S = 0.25

Deliver = Callable[[str, FeedMessage], None]
"""Told of every message of the feed, with the name of the node; must not block."""


@dataclass(slots=True)
class NoticeOrder:
    """Puts the numbered notices of one node in order, each once, over all its lives.

    No clock: what is missing is asked for by `Watch.after`.
    """

    incarnation: int = 0
    after: int = 0
    """All notices of this life up to here were given out or are gone for good."""
    gone: int = 0
    """Notices that the node no longer had when they were missed, over all lives."""
    _early: dict[int, Notice] = field(default_factory=dict)
    _reconnected: bool = False

    def reconnected(self) -> None:
        """A new session to the node begins: whatever comes in it is of the node's present life.

        A node that lost its files, and the directory's memory of it with a restore, may count its lives from 1 again.
        """
        self._reconnected = True

    def take(self, message: FeedNotices) -> list[Notice]:
        """Return what can be given out now, in order. Notices of an earlier life are ignored."""
        if message.incarnation < self.incarnation and not self._reconnected:
            return []
        self._reconnected = False
        if message.incarnation != self.incarnation:
            self.incarnation, self.after = message.incarnation, 0
            self._early.clear()
        for notice in message.notices:
            if self.after < notice.number <= self.after + 2 * KEPT_NOTICES + message.oldest:
                self._early[notice.number] = notice
        ready: list[Notice] = []
        while self._early:
            if self.after + 1 in self._early:
                ready.append(self._early.pop(self.after + 1))
                self.after += 1
            elif self.after + 1 < message.oldest:
                first = min(message.oldest, min(self._early))
                self.gone += first - self.after - 1
                self.after = first - 1
            else:
                break
        for number in sorted(self._early)[KEPT_NOTICES:]:  # no more than a node keeps, whatever it sends
            del self._early[number]
        return ready


@dataclass(slots=True)
class FeedLink:
    """What is known of the watch on one node."""

    node: NodeAddress
    session: Session | None = None
    heard_at: float = -math.inf
    """When the last message came, in seconds of the operator's clock."""
    lost: int = 0
    """Messages that were lost on the way, seen by gaps in their numbers."""
    seq: int = 0
    notices: NoticeOrder = field(default_factory=NoticeOrder)

    def count(self, seq: int) -> None:
        """Take the number of a message: 1 begins a watch; one before the last came late and was counted as lost."""
        if seq == 1:
            self.seq = 1
        elif seq > self.seq:
            self.lost += seq - self.seq - 1
            self.seq = seq
        else:
            self.lost = max(0, self.lost - 1)


class Operator:
    """Asks and commands the nodes of a cluster. The operator's key lies beside the cluster file, or is `key_file`."""

    def __init__(
        self,
        cluster: Cluster,
        cluster_file: Path,
        *,
        key_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        key = key_file or cluster_file.parent / OPERATOR_KEY
        if not key.exists():
            raise InvalidInput(f"There is no operator's key at {key}; only who set the cluster up can do this.")
        identity = load_identity(key)
        self.cluster = cluster
        self.words = words_of(identity.public.session_key)
        """How audit logs name this operator."""
        self.links = {node.name: FeedLink(node) for node in cluster.nodes}
        """The watches of `watch`, by node."""
        self._clock = clock
        self._deliver: Deliver | None = None
        self._names = {node.key: node.name for node in cluster.nodes}
        self._endpoint = Endpoint(
            identity.session_private,
            bind=(cluster.bind_host, 0),
            timing=cluster.timing,
            prologue=cluster.prologue,
            looks_at_paths=True,
        )
        self.troubles: dict[str, str] = {}
        """Why a node could not be reached, in a sentence that says what to do, where that is known; by name."""
        self._endpoint.on_message = self._receive
        self._endpoint.on_offer = self._offered
        self._answers: dict[str, tuple[anyio.Event, list[Message]]] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Operator":
        await self._stack.__aenter__()
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(self._tasks.cancel_scope.cancel)
        await self._stack.enter_async_context(self._endpoint)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def report(self, node: NodeAddress) -> StatusReport | None:
        """Return a node's report, None if it does not answer."""
        request = os.urandom(16).hex()
        answer = await self._ask(node, request, StatusQuery(request=request))
        return answer if isinstance(answer, StatusReport) else None

    async def command(self, name: str, command: str, *, number: float = 0.0, text: str = "") -> None:
        """Give one node an order; `OperatorCommand` says which there are. All nodes write it to their audit logs.

        Raises `InvalidInput` with the node's objection, `Unavailable` if it does not answer: it may have obeyed.
        """
        await self._order(
            name, OperatorCommand(request=os.urandom(16).hex(), command=command, number=number, text=text)
        )

    async def hand(self, name: str, command: str, data: bytes) -> None:
        """Give one node an order with what belongs to it, such as a cluster file. Raises as `command`."""
        order = OperatorCommand(request=os.urandom(16).hex(), command=command)
        node = self.cluster.node(name)
        try:
            session = await self._session(node, _ANSWER_S)
            label = encode(OrderObject(request=order.request), cap_bytes=MAX_LABEL_BYTES)
            with anyio.fail_after(_HAND_S):
                await self._endpoint.send_object(session, label, data)
        except Refused:
            raise InvalidInput(f"Node {name} does not take this from the operator's key that is here.") from None
        except (GlimpseError, TimeoutError):
            raise Unavailable(f"Node {name} does not answer; see whether its process runs.") from None
        await self._order(name, order, wait_s=_HAND_S)

    async def _order(self, name: str, order: OperatorCommand, *, wait_s: float = _WAIT_S) -> None:
        answer = await self._ask(self.cluster.node(name), order.request, order, wait_s=wait_s)
        if not isinstance(answer, OperatorAnswer):
            raise Unavailable(self.troubles.get(name) or f"Node {name} does not answer; see whether its process runs.")
        if not answer.ok:
            raise InvalidInput(answer.text)

    async def status(self) -> dict[str, Any]:
        """Return the state of the cluster in the shape of `glimpse status --json`."""
        reports: dict[str, StatusReport | None] = {}

        async def ask(node: NodeAddress) -> None:
            reports[node.name] = await self.report(node)

        async with anyio.create_task_group() as group:
            for node in self.cluster.nodes:
                group.start_soon(ask, node)
        return summary(self.cluster, reports, self.troubles)

    async def watch(self, deliver: Deliver, *, interval_ms: int = MIN_INTERVAL_MS) -> None:
        """Watch all nodes until cancelled, connecting again where that is needed; then tell them that it is over.

        `deliver` gets every message, `WatchRefused` included; notices once each and in order, as messages of their own.
        """
        self._deliver = deliver
        request = os.urandom(16).hex()
        try:
            async with anyio.create_task_group() as group:
                for link in self.links.values():
                    group.start_soon(self._keep_watch, link, request, interval_ms)
        finally:
            for link in self.links.values():
                if link.session is not None and link.session.alive:
                    self._post(link.session, Unwatch())

    async def _keep_watch(self, link: FeedLink, request: str, interval_ms: int) -> None:
        while True:
            try:
                session = await self._session(link.node, _CONNECT_S)
            except GlimpseError as error:
                if isinstance(error, Explained) and self._deliver is not None:
                    self._deliver(link.node.name, WatchRefused(request=request, reason=str(error)[:LINE_CHARS]))
                await anyio.sleep(_RETRY_S)
                continue
            link.session, link.seq = session, 0
            link.notices.reconnected()
            await self._renew_watch(link, session, request, interval_ms)
            # Closing says good-bye; a node that hears nothing now forgets the session by itself.
            self._endpoint.close_session(session)

    async def _renew_watch(self, link: FeedLink, session: Session, request: str, interval_ms: int) -> None:
        """Renew the watch on one session until it is over or nothing comes of it."""
        since = self._clock()
        silent_s = max(SILENT_S, 2.5 * interval_ms / 1000)
        while session.alive:
            notices = link.notices
            incarnation, after = notices.incarnation, notices.after
            message = Watch(request=request, interval_ms=interval_ms, incarnation=incarnation, after=after)
            self._post(session, message)
            await anyio.sleep(WATCH_RENEW_MS / 1000)
            if self._clock() - max(since, link.heard_at) > silent_s:
                return

    async def _session(self, node: NodeAddress, timeout_s: float) -> Session:
        """Return an open session with a node. Raises `Unavailable` if it does not answer."""
        return await self._endpoint.connect_any(node.addresses, node.key, timeout_s=timeout_s)

    def _post(self, session: Session, message: Message) -> None:
        """Send a message to a node, which arrives once or never."""
        self._endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))

    async def _ask(
        self, node: NodeAddress, request: str, message: Message, *, wait_s: float = _WAIT_S
    ) -> Message | None:
        event, found = self._answers[request] = (anyio.Event(), [])
        try:
            with anyio.move_on_after(wait_s):
                session = await self._session(node, _ANSWER_S)
                self.troubles.pop(node.name, None)
                while not found:
                    self._post(session, message)
                    with anyio.move_on_after(_REPEAT_S):
                        await event.wait()
        except Explained as error:
            self.troubles[node.name] = str(error)
            return None
        except GlimpseError:
            return None
        finally:
            del self._answers[request]
        return found[0] if found else None

    def _receive(self, session: Session, data: bytes) -> None:
        message = decode(data, NodeToPeer | FeedMessage, cap_bytes=MAX_MESSAGE_BYTES)
        if not isinstance(message, FeedMessage):
            self._take(message)
        elif (name := self._names.get(session.remote_key)) is None:
            raise MalformedMessage("a feed of a stranger")
        elif self._deliver is not None:
            self._take_feed(self.links[name], session, message, self._deliver)

    def _take_feed(self, link: FeedLink, session: Session, message: FeedMessage, deliver: Deliver) -> None:
        if link.session is not session:
            return  # of a session that was given up
        link.heard_at = self._clock()
        if isinstance(message, FeedMessageBase):
            link.count(message.seq)
        if isinstance(message, FeedNotices):
            ready = link.notices.take(message)
            if not ready:
                return
            message = msgspec.structs.replace(message, notices=tuple(ready))
        deliver(link.node.name, message)

    def _take(self, message: Message) -> None:
        if isinstance(message, StatusReport | OperatorAnswer) and message.request in self._answers:
            event, found = self._answers[message.request]
            found.append(message)
            event.set()

    def _offered(self, _session: Session, offer: IncomingOffer) -> Incoming | None:
        label: Label = decode(offer.label, Label, cap_bytes=MAX_LABEL_BYTES)
        if not isinstance(label, AnswerObject) or offer.size > MAX_REPLY_OBJECT_BYTES:
            return None
        incoming = Incoming()
        self._tasks.start_soon(self._take_long, incoming)
        return incoming

    async def _take_long(self, incoming: Incoming) -> None:
        try:
            self._take(decode(await incoming.wait(), NodeToPeer, cap_bytes=MAX_REPLY_OBJECT_BYTES))
        except GlimpseError as error:
            log.info("a long answer did not arrive", extra={"reason": str(error)})


def summary(
    cluster: Cluster, reports: dict[str, StatusReport | None], troubles: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the cluster's state from what its nodes say. The leader is the one that leads the highest term.

    `troubles` say of nodes that do not answer why that is, where it is known.

    The directory of the whole is as the node sees it that fares worst: ok only if every node that answers can write.
    """
    leading = [report.status for report in reports.values() if report is not None and report.status.role == "leader"]
    leader = max(leading, key=lambda status: status.term, default=None)
    terms = [report.status.term for report in reports.values() if report is not None]
    nodes: list[dict[str, Any]] = []
    for node in cluster.nodes:
        report = reports.get(node.name)
        if report is None:
            trouble = (troubles or {}).get(node.name)
            nodes.append({"name": node.name, "role": "down", **({"trouble": trouble} if trouble else {})})
        else:
            nodes.append({**msgspec.to_builtins(report.status), "directory": _as_seen(report.directory)})
    directories = [report.directory for report in reports.values() if report is not None]
    worst = next((found for found in directories if not found.ok), directories[0] if directories else None)
    return {
        "leader": leader.name if leader else None,
        "term": max(terms, default=0),
        "nodes": nodes,
        "directory": msgspec.to_builtins(worst) if worst else {"engine": None, "ok": False, "latency_ms": None},
    }


def _as_seen(directory: DirectoryStatus) -> dict[str, Any]:
    """Return what one node says of its way to the directory."""
    told: dict[str, Any] = msgspec.to_builtins(directory)
    del told["engine"], told["epoch"]
    return told
