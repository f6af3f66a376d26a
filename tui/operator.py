"""An operator's connection to the nodes: status queries, orders and the status feed, over sessions of its key."""

import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import msgspec

from shared.cluster import Cluster, NodeAddress
from shared.config import MAX_MESSAGE_BYTES, MAX_REPLY_OBJECT_BYTES
from shared.errors import GlimpseError, InvalidInput, MalformedMessage, Unavailable
from shared.identity import words_of
from shared.keyfiles import load_identity
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.wire.base import Message
from shared.wire.codec import decode, encode
from shared.wire.feed_messages import FeedMessage
from shared.wire.labels import MAX_LABEL_BYTES, AnswerObject, Label
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
_REPEAT_S = 0.4


class Operator:
    """Asks and commands the nodes of a cluster. The operator's key lies beside the cluster file."""

    def __init__(self, cluster: Cluster, cluster_file: Path) -> None:
        key = cluster_file.parent / OPERATOR_KEY
        if not key.exists():
            raise InvalidInput(f"There is no operator's key at {key}; only who set the cluster up can do this.")
        identity = load_identity(key)
        self.cluster = cluster
        self.words = words_of(identity.public.session_key)
        """How audit logs name this operator."""
        self.on_feed: Callable[[str, Session, FeedMessage], None] | None = None
        """Told of every message of the feed, with the name of the node. See `tui.monitor.feed_client`."""
        self._names = {node.key: node.name for node in cluster.nodes}
        self._endpoint = Endpoint(
            identity.session_private,
            bind=(cluster.bind_host, 0),
            timing=cluster.timing,
            prologue=cluster.prologue,
        )
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

    async def session(self, node: NodeAddress, *, timeout_s: float = _WAIT_S) -> Session:
        """Return an open session with a node. Raises `Unavailable` if it does not answer."""
        return await self._endpoint.connect((node.host, node.port), node.key, timeout_s=timeout_s)

    def post(self, session: Session, message: Message) -> None:
        """Send a message to a node, which arrives once or never."""
        self._endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))

    def close_session(self, session: Session) -> None:
        """End a session that leads nowhere; the next question opens a new one."""
        self._endpoint.close_session(session)

    async def command(self, name: str, command: str, *, number: float = 0.0, text: str = "") -> None:
        """Give one node an order; `OperatorCommand` says which there are. All nodes write it to their audit logs.

        Raises `InvalidInput` with the node's objection, `Unavailable` if it does not answer: it may have obeyed.
        """
        request = os.urandom(16).hex()
        order = OperatorCommand(request=request, command=command, number=number, text=text)
        answer = await self._ask(self.cluster.node(name), request, order)
        if not isinstance(answer, OperatorAnswer):
            raise Unavailable(f"Node {name} does not answer; see whether its process runs.")
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
        return summary(self.cluster, reports)

    async def _ask(self, node: NodeAddress, request: str, message: Message) -> Message | None:
        event, found = self._answers[request] = (anyio.Event(), [])
        data = encode(message, cap_bytes=MAX_MESSAGE_BYTES)
        try:
            with anyio.move_on_after(_WAIT_S):
                session = await self.session(node)
                while not found:
                    self._endpoint.post(session, data)
                    with anyio.move_on_after(_REPEAT_S):
                        await event.wait()
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
        elif self.on_feed is not None:
            self.on_feed(name, session, message)

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


def summary(cluster: Cluster, reports: dict[str, StatusReport | None]) -> dict[str, Any]:
    """Return the cluster's state from what its nodes say. The leader is the one that leads the highest term.

    The directory of the whole is as the node sees it that fares worst: ok only if every node that answers can write.
    """
    leading = [report.status for report in reports.values() if report is not None and report.status.role == "leader"]
    leader = max(leading, key=lambda status: status.term, default=None)
    terms = [report.status.term for report in reports.values() if report is not None]
    nodes: list[dict[str, Any]] = []
    for node in cluster.nodes:
        report = reports.get(node.name)
        if report is None:
            nodes.append({"name": node.name, "role": "down"})
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
