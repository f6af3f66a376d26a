"""A peer's side of the request plane: sessions to every node, requests repeated until answered, keep-alives.

A request goes to all nodes under an id that stays the same however often it is repeated; the first answer counts. The
nodes make each effect once, so repeating is always safe. Where a repeat may have crossed the answer, the nodes are told
that nobody waits any more.
"""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio
from anyio.abc import TaskGroup

from shared.cluster import Cluster, NodeAddress
from shared.config import LIMITS, MAX_MESSAGE_BYTES, MAX_REPLY_OBJECT_BYTES, MAX_STEGO_BYTES, Timing
from shared.errors import (
    Explained,
    GlimpseError,
    MalformedMessage,
    Refused,
    TransferCancelled,
    Unavailable,
    ViewRefused,
)
from shared.net.candidates import is_here
from shared.net.endpoint import Address, Endpoint, Incoming, IncomingOffer, Session
from shared.text import clean
from shared.wire.base import PathAddress
from shared.wire.codec import decode, encode
from shared.wire.labels import MAX_LABEL_BYTES, AnswerObject, Label, OperationObject, StegoObject, UploadObject
from shared.wire.operations import Encrypted, Operation, Outcome, SpendView
from shared.wire.peer_messages import (
    Answer,
    CloudState,
    ClusterPart,
    KeepAlive,
    MailNudge,
    Meeting,
    NodeToPeer,
    NoLeader,
    Pull,
    Received,
    Request,
)
from shared.wire.refusals import FINAL_CODES, VIEW_CODES, RefusalCode
from tui.peer.keep_alives import KeepAlivePace
from tui.peer.tending import attempt, tend

log = logging.getLogger(__name__)

DEFAULT_WAIT_S = 15.0
_REQUEST_BYTES = 100
"""Room in a datagram for what a request holds besides its operation."""
_STEGOS_AT_ONCE = 3
"""Stego images of one request taken at a time: each node may send one when leadership changes."""
_LEFT_OUT_S = 600.0
"""How long a node that answered with what cannot be is left out. It may have been updated or put right since."""
_UNHEARD_PRESENCES = 2
"""After so many spans of presence without a word of a node its session is given up."""
_ANSWERERS = 256
"""Requests of which is remembered who answered them; whoever asked looks at the answer at once."""
_AT_ONCE: Final = frozenset({RefusalCode.UNKNOWN_ACCOUNT})
"""Passing refusals that waiting alone does not end: whoever asked has to do something first."""
Progress = Callable[[str, int, int], None]
"""Called with a stage, the bytes done and the bytes in all."""


@dataclass(slots=True)
class _Pending:
    """A request that is not answered yet."""

    message: bytes
    """The request as it goes to every node, each time."""
    operation: bytes
    upload: bytes | None
    progress: Progress | None
    at_once: frozenset[str]
    changed: anyio.Event = field(default_factory=anyio.Event)
    answer: Answer | None = None
    answerer: str = ""
    """The name of the node that answered."""
    stegos: dict[bytes, bytes] = field(default_factory=dict)
    """Stego images that arrived, by hash: the answer says which one is meant, for two nodes may have served."""
    reason: str = ""
    passing: str = ""
    """Why the cloud last refused it, if only for now; a whole sentence."""
    is_look: bool = False
    without: str = ""
    """A node that is not asked."""
    repeated: bool = False
    """It was sent more than once: a repeat may still be on its way when the answer is here."""
    sending: set[tuple[Session, str]] = field(default_factory=set)
    receiving: int = 0
    transfers: list[Callable[[], None]] = field(default_factory=list)
    """Each ends a transfer that belongs to this request, if it has not ended."""

    def notify(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    def end(self) -> None:
        """Nobody waits any more: nothing is sent or received for this."""
        for end_transfer in self.transfers:
            end_transfer()


@dataclass(slots=True)
class _NodeSession:
    """An open session with a node, and what was said in it. Moments are by the `clock` of the link."""

    session: Session
    sent_at: float | None = None
    """When anything was sent last."""
    asked_at: float | None = None
    """When the node was last asked how things stand, until it answers."""
    silent_s: float = 0.0
    """For how long nothing had been sent before the keep-alive that the node has not answered yet."""
    unheard_since: float | None = None
    """Since when the node has answered no keep-alive and said nothing else either."""
    state: CloudState | None = None
    """How things stand, as the node told last."""
    heard_at: float = -math.inf
    """When it told that."""


@dataclass(slots=True)
class _KeptNode:
    """A node of the cluster file, and how a session with it is kept open."""

    keeper: anyio.CancelScope
    """Ends the task that keeps it open."""
    open: _NodeSession | None = None
    left_out_until: float = -math.inf
    """By the `clock` of the link."""
    explained: str = ""
    """Why no session can be opened, where it is known to be the path to the node."""


class CloudLink:
    """Sessions to the nodes of a cluster, and requests over them."""

    def __init__(self, cluster: Cluster, endpoint: Endpoint, tasks: TaskGroup, *, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._timing: Timing = cluster.timing
        self._endpoint = endpoint
        self._tasks = tasks
        self._clock = clock
        self._nodes = {node.key: node.name for node in cluster.nodes}
        self._kept: dict[str, _KeptNode] = {}
        """The nodes by name."""
        self._session_lost = anyio.Event()
        self._pending: dict[str, _Pending] = {}
        self._answerers: dict[str, str] = {}
        self._slots = anyio.CapacityLimiter(LIMITS.requests_in_flight_per_key - 8)
        self._directory_time: tuple[float, float] | None = None
        """Directory time as a node told it last, and when that was by `clock`."""
        self._kept_at = -math.inf
        self._pause_s = cluster.timing.keep_alive_s
        """After how long the next keep-alive is due at the latest: for so long the nodes were told that it is there."""
        self._pace = KeepAlivePace(cluster.timing.keep_alive_s, cluster.timing.idle_keep_alive_s)
        self.latency_s: float | None = None
        self.on_mail: Callable[[], None] = lambda: None
        self.on_change: Callable[[], None] = lambda: None
        self.on_signed_out: Callable[[], None] = lambda: None
        self.on_meeting: Callable[[Session, Meeting], None] = lambda _node, _meeting: None
        self.on_epoch: Callable[[int], object] = lambda _epoch: None
        self.on_other_device: Callable[[], None] = lambda: None
        self.on_opened: Callable[[Session], None] = lambda _node: None
        self.on_cluster: Callable[[Session, int], None] = lambda _node, _version: None
        self.on_part: Callable[[Session, ClusterPart], None] = lambda _node, _part: None
        self.other_device = False
        """Another device of this account is the one that others are sent to."""
        self._signed_in_at = math.inf
        """When this device signed in, by `clock`; before that no other can take its place."""
        self._last_view: tuple[bool, str | None, int] = (False, None, 0)

    # --- State of the cloud ------------------------------------------------------------------------------------------
    def is_node(self, session: Session) -> bool:
        """Return whether the other side of a session is a node of this cluster."""
        return self.is_node_key(session.remote_key)

    def session_to(self, name: str) -> Session | None:
        """Return the open session with the node of this name, None where there is none."""
        found = self._open_to(name)
        return found.session if found is not None and found.session.alive else None

    def name_of(self, session: Session) -> str:
        """Return the name of the node that a session is with; empty where it is with somebody else."""
        return self._nodes.get(session.remote_key, "")

    def seen_at(self) -> list[Address]:
        """Return where nodes see this peer, as they told last: several addresses if its router gives it several."""
        told = (each.state.seen for _, each in self._open() if each.state is not None)
        return list(dict.fromkeys((seen.host, seen.port) for seen in told if seen is not None))

    def is_node_key(self, key: bytes) -> bool:
        """Return whether a session key is a node's of this cluster."""
        return key in self._nodes

    @property
    def reachable(self) -> bool:
        """Whether any node has answered lately."""
        return self._view()[0]

    @property
    def leader(self) -> str | None:
        """The leader that the nodes tell of, None while there is none."""
        return self._view()[1]

    @property
    def term(self) -> int:
        """The highest term that the nodes tell of."""
        return self._view()[2]

    @property
    def trouble(self) -> str:
        """Why no node can be reached, in a sentence that says what to do, where that is known; else empty."""
        if any(self._open()):
            return ""
        return next((kept.explained for kept in self._kept.values() if kept.explained), "")

    def directory_time(self) -> float | None:
        """Return seconds since 1970 by the directory's clock: as last told, and gone on since; None before."""
        if self._directory_time is None:
            return None
        seconds, at = self._directory_time
        return seconds + (self._clock() - at)

    def _view(self) -> tuple[bool, str | None, int]:
        horizon = self._clock() - self._lasts_s
        fresh = [each.state for _, each in self._open() if each.state is not None and each.heard_at >= horizon]
        if not fresh:
            return False, None, self._last_view[2]
        best = max(fresh, key=lambda state: (state.term, state.leader is not None))
        return True, best.leader, best.term

    def _check_change(self) -> None:
        view = self._view()
        if view != self._last_view:
            self._last_view = view
            self.on_change()

    # --- Sessions ----------------------------------------------------------------------------------------------------
    def _open(self) -> Iterator[tuple[str, _NodeSession]]:
        """Yield the open sessions, each with the node's name; sessions may be closed on the way."""
        for name, kept in list(self._kept.items()):
            if kept.open is not None:
                yield name, kept.open

    def _open_to(self, name: str) -> _NodeSession | None:
        kept = self._kept.get(name)
        return None if kept is None else kept.open

    def _open_in(self, session: Session) -> _NodeSession | None:
        """Return what is known of a session, None where another took its place or it is over."""
        found = self._open_to(self.name_of(session))
        return found if found is not None and found.session is session else None

    def start(self) -> None:
        """Begin to open sessions to every node, and go on whenever one is lost."""
        for node in self._cluster.nodes:
            self._start_keeping(node)

    def follow(self, cluster: Cluster) -> None:
        """Go on with the nodes of a newer cluster file: what is asked reaches those that came, and no more those that
        went or have another key or address."""
        before = {node.name: node for node in self._cluster.nodes}
        self._cluster = cluster
        stay = {node.name for node in cluster.nodes if before.get(node.name) == node}
        for name in before.keys() - stay:
            self._kept[name].keeper.cancel()
            if (found := self._open_to(name)) is not None:
                self._give_up(found.session)
            del self._kept[name]
        self._nodes = {node.key: node.name for node in cluster.nodes}
        for node in cluster.nodes:
            if node.name not in stay:
                self._start_keeping(node)

    def _start_keeping(self, node: NodeAddress) -> None:
        kept = self._kept[node.name] = _KeptNode(anyio.CancelScope())

        async def keep() -> None:
            with kept.keeper:
                await tend(f"session to {node.name}", partial(self._keep_session, node, kept))

        self._tasks.start_soon(keep)

    def session_closed(self, session: Session) -> None:
        """Note that a session to a node ended; it is opened again."""
        if self._open_in(session) is not None:
            self._kept[self.name_of(session)].open = None
            self._session_lost.set()
            self._session_lost = anyio.Event()
            self._check_change()

    def _give_up(self, session: Session) -> None:
        """End a session; another is opened."""
        self.session_closed(session)
        self._endpoint.close_session(session)

    def leave_out(self, request: str, why: str) -> None:
        """End the session to the node that answered `request` with what cannot be, and ask only the others for a time.

        Nothing for a request that was answered long ago.
        """
        name = self._answerers.get(request, "")
        found = self._open_to(name)
        if found is None:
            return
        log.warning("a node is left out", extra={"node": name, "reason": why})
        self._kept[name].left_out_until = self._clock() + _LEFT_OUT_S
        self._give_up(found.session)

    async def _keep_session(self, node: NodeAddress, kept: _KeptNode) -> None:
        pause = self._timing.request_retry_s
        while True:
            if (left_out_s := kept.left_out_until - self._clock()) > 0:
                await anyio.sleep(left_out_s)
            lost = self._session_lost
            if kept.open is None or not kept.open.session.alive:
                try:
                    session = await self._endpoint.connect_any(node.addresses, node.key)
                    kept.open, kept.explained = _NodeSession(session), ""
                    pause = self._timing.request_retry_s
                    for pending in self._pending.values():
                        pending.repeated = True
                        self._ask_node(node.name, session, pending)
                    self.on_opened(session)
                except GlimpseError as error:
                    if isinstance(error, Explained):
                        kept.explained = str(error)
                    log.debug("a node does not answer", extra={"node": node.name, "reason": str(error)})
                    pause = min(2 * pause, self._timing.request_retry_max_s)
                    await anyio.sleep(pause)
                    continue
            await lost.wait()

    def signed_in(self) -> None:
        """This device is the one that others are sent to, from now on."""
        self.other_device = False
        self._signed_in_at = self._clock()

    def in_use(self) -> None:
        """Somebody uses this peer, or may want to reach it: keep-alives come often for a while."""
        self._pace.used(self._clock())

    @property
    def keep_alive_is_due(self) -> bool:
        """Whether the nodes have to hear of this peer again: one that did not answer at once, the others in turn."""
        now = self._clock()
        # Who asks comes by each `keep_alive_s`, and a little earlier or later.
        pause_s = min(self._pause_s, self._pace.pause_s(now)) - self._timing.keep_alive_s / 4
        is_asked = any(each.asked_at is not None for _, each in self._open())
        return not self.reachable or is_asked or now - self._kept_at >= pause_s

    @property
    def _lasts_s(self) -> float:
        """How long what was said and heard at the last keep-alive holds."""
        return self._timing.presence_s + self._pause_s - self._timing.keep_alive_s

    def keep_alive(self, device: str, port: int) -> None:
        """Tell every node that the signed-in peer is here, at the port that it signed in with."""
        now = self._kept_at = self._clock()
        self._pause_s = self._pace.pause_s(now)
        lasts_s = None if self._pause_s <= self._timing.keep_alive_s else self._lasts_s
        message = KeepAlive(device=device, port=port, lasts_s=lasts_s)
        data = encode(message, cap_bytes=MAX_MESSAGE_BYTES)
        for name, each in self._open():
            if each.session.alive and not self._is_deaf(name, each):
                if each.asked_at is None:  # where an answer is lost, the silence before the first question counts
                    each.silent_s = 0.0 if each.sent_at is None else now - each.sent_at
                each.asked_at = now
                self._post(each.session, data)
        self._check_change()

    def _is_deaf(self, name: str, found: _NodeSession) -> bool:
        """Whether a node has said nothing for so long, though it was asked, that its session is given up for a new one.

        The session itself may seem well: a node that has lost track of who is in it still answers its probes. One in
        which objects are on their way is left alone.
        """
        if found.unheard_since is None:
            found.unheard_since = self._clock()
        unheard_s = self._clock() - found.unheard_since
        if unheard_s < _UNHEARD_PRESENCES * self._timing.presence_s or self._has_transfers(found.session):
            return False
        log.info("a node does not hear this session; another is opened", extra={"node": name})
        self._give_up(found.session)
        return True

    def _has_transfers(self, session: Session) -> bool:
        return any(
            pending.receiving or any(to is session for to, _ in pending.sending) for pending in self._pending.values()
        )

    # --- Requests ----------------------------------------------------------------------------------------------------
    async def ask(
        self,
        operation: Operation,
        *,
        request: str,
        wait_s: float = DEFAULT_WAIT_S,
        upload: bytes | None = None,
        progress: Progress | None = None,
        at_once: Collection[str] = (),
        without: str = "",
    ) -> tuple[Outcome, bytes | None]:
        """Send an operation until it is answered; return its outcome and, for `Encrypt`, the stego image.

        `at_once` are codes of refusals that pass by themselves and are raised at once even so; `without` names a node
        that is to serve this not, and is not asked.
        Raises `Refused` or `ViewRefused` with the cloud's reason where repeating cannot change it (or where something
        else is to be done first: a look at a frozen grant, an account to be registered), `Unavailable` if no answer
        came within `wait_s` seconds: what was asked for may then have happened, and asking again under the same id
        finds out.
        """
        self.in_use()
        async with self._slots:
            body = encode(operation, cap_bytes=MAX_REPLY_OBJECT_BYTES)
            message = encode(_request(request, operation, body), cap_bytes=MAX_MESSAGE_BYTES)
            pending = self._pending[request] = _Pending(message, body, upload, progress, frozenset(at_once))
            pending.is_look = isinstance(operation, SpendView)
            pending.without = without
            try:
                return await self._await_answer(pending, wait_s)
            finally:
                self._pending.pop(request, None)
                self._note_answerer(request, pending)
                pending.end()
                if pending.repeated and pending.answer is not None:
                    for _, each in self._open():
                        self._end_at(each.session, request)

    def _note_answerer(self, request: str, pending: _Pending) -> None:
        if pending.answerer:
            self._answerers[request] = pending.answerer
            while len(self._answerers) > _ANSWERERS:
                del self._answerers[next(iter(self._answerers))]

    async def _await_answer(self, pending: _Pending, wait_s: float) -> tuple[Outcome, bytes | None]:
        deadline = self._clock() + wait_s
        pause = self._timing.request_retry_s
        while self._clock() < deadline:
            for name, each in self._open():
                self._ask_node(name, each.session, pending)
            resend_at = min(self._clock() + pause, deadline)
            pause = min(2 * pause, self._timing.request_retry_max_s)
            while (left := resend_at - self._clock()) > 0:
                changed = pending.changed
                with anyio.move_on_after(left):
                    await changed.wait()
                if (answer := self._finished(pending)) is not None:
                    return answer
                if pending.receiving or pending.sending:
                    deadline = max(deadline, self._clock() + self._timing.transfer_idle_s)
            pending.repeated = True
        if pending.passing:
            raise Unavailable(pending.passing)
        if self.trouble:
            raise Explained(self.trouble)
        reason = pending.reason or (
            "The cloud did not answer in time" if any(self._open()) else "No node of the cloud answers"
        )
        raise Unavailable(f"{reason.rstrip('.')}; try again when the cloud is back.")

    def _finished(self, pending: _Pending) -> tuple[Outcome, bytes | None] | None:
        answer = pending.answer
        if answer is None:
            return None
        if answer.code in pending.at_once:
            raise Refused(answer.code, answer.text)
        if answer.code == RefusalCode.BUSY:
            pending.answer = None
            pending.reason = "The cloud is busy"
            return None
        if answer.code:
            if not _ends(answer.code, is_look=pending.is_look):
                pending.answer = None
                pending.passing = clean(answer.text, max_chars=400) or f"The cloud cannot do this now ({answer.code})."
                return None
            kind = ViewRefused if answer.code in VIEW_CODES else Refused
            raise kind(answer.code, answer.text)
        if not isinstance(answer.outcome, Encrypted):
            return None if answer.outcome is None else (answer.outcome, None)
        stego = pending.stegos.get(answer.outcome.stego_sha256)
        return None if stego is None else (answer.outcome, stego)

    def _ask_node(self, name: str, session: Session, pending: _Pending) -> None:
        if name != pending.without:
            self._post(session, pending.message)

    def _end_at(self, session: Session, request: str) -> None:
        """Tell a node that nobody waits for a request: it need not serve it again."""
        self._post(session, encode(Received(request=request), cap_bytes=MAX_MESSAGE_BYTES))

    def _post(self, session: Session, message: bytes) -> None:
        if session.alive:
            if (found := self._open_in(session)) is not None:
                found.sent_at = self._clock()
            self._endpoint.post(session, message)

    # --- From nodes --------------------------------------------------------------------------------------------------
    def receive(self, session: Session, data: bytes) -> None:
        """Take a message from a node. Raises `MalformedMessage` for anything else."""
        if not self.is_node(session):
            return  # of a node that is none any more
        message: NodeToPeer = decode(data, NodeToPeer, cap_bytes=MAX_MESSAGE_BYTES)
        if (found := self._open_in(session)) is not None:
            found.unheard_since = None
        match message:
            case Answer():
                self._answered(session, message)
            case Pull():
                self._pulled(session, message)
            case NoLeader():
                if (pending := self._pending.get(message.request)) is not None:
                    pending.reason = message.reason
            case MailNudge():
                self.on_mail()
            case Meeting():
                self.on_meeting(session, message)
            case CloudState():
                self._heard(session, message)
            case ClusterPart():
                self.on_part(session, message)
            case _:
                raise MalformedMessage("a message that peers do not take")

    def offered(self, session: Session, label: Label, offer: IncomingOffer) -> Incoming | None:
        """Accept a stego image or a long answer that belongs to a request under way; refuse everything else."""
        if not isinstance(label, StegoObject | AnswerObject):
            return None
        pending = self._pending.get(label.request)
        if pending is None:
            return None
        if isinstance(label, AnswerObject):
            if offer.size > MAX_REPLY_OBJECT_BYTES:
                return None
            incoming = Incoming()
            self._tasks.start_soon(attempt, "long answer", partial(self._take_answer, session, incoming))
            return incoming
        if pending.upload is None or pending.receiving >= _STEGOS_AT_ONCE or offer.size > MAX_STEGO_BYTES:
            return None
        report = pending.progress
        incoming = Incoming(progress=(lambda done, total: report("receiving", done, total)) if report else None)
        pending.receiving += 1
        pending.transfers.append(incoming.cancel)
        take = partial(self._take_stego, pending, offer.sha256, incoming)
        self._tasks.start_soon(attempt, "stego image", take)
        return incoming

    async def _take_answer(self, session: Session, incoming: Incoming) -> None:
        try:
            self._answered(session, decode(await incoming.wait(), Answer, cap_bytes=MAX_REPLY_OBJECT_BYTES))
        except GlimpseError as error:
            log.info("a long answer did not arrive", extra={"reason": str(error)})

    async def _take_stego(self, pending: _Pending, sha256: bytes, incoming: Incoming) -> None:
        try:
            stego = await incoming.wait()
            while len(pending.stegos) >= _STEGOS_AT_ONCE:
                del pending.stegos[next(iter(pending.stegos))]
            pending.stegos[sha256] = stego
        except GlimpseError as error:
            log.info("a stego image did not arrive", extra={"reason": str(error)})
        finally:
            pending.receiving -= 1
            pending.notify()

    def _answered(self, session: Session, answer: Answer) -> None:
        pending = self._pending.get(answer.request)
        if pending is not None and not answer.follows and (pending.answer is None or pending.upload is not None):
            pending.answer = answer
            pending.answerer = self._nodes.get(session.remote_key, "")
            pending.notify()

    def _pulled(self, session: Session, pull: Pull) -> None:
        pending = self._pending.get(pull.request)
        if pending is None:
            self._end_at(session, pull.request)
            return
        if (session, pull.what) in pending.sending:
            return
        data = pending.operation if pull.what == "operation" else pending.upload
        if data is not None:
            pending.sending.add((session, pull.what))
            send = partial(self._send_pulled, session, pull, pending, data)
            self._tasks.start_soon(attempt, "upload", send)

    async def _send_pulled(self, session: Session, pull: Pull, pending: _Pending, data: bytes) -> None:
        label = UploadObject(request=pull.request) if pull.what == "upload" else OperationObject(request=pull.request)
        report = pending.progress
        scope = anyio.CancelScope()
        pending.transfers.append(scope.cancel)
        try:
            with scope:
                await self._endpoint.send_object(
                    session,
                    encode(label, cap_bytes=MAX_LABEL_BYTES),
                    data,
                    progress=(lambda done, total: report("sending", done, total)) if report else None,
                )
        except (Refused, Unavailable, TransferCancelled) as error:
            log.info("an upload did not arrive", extra={"reason": str(error)})
        finally:
            pending.sending.discard((session, pull.what))
            pending.notify()

    def _heard(self, session: Session, state: CloudState) -> None:
        found = self._open_in(session)
        if found is None:
            return  # another session took its place
        now = self._clock()
        if found.asked_at is not None:
            self.latency_s = now - found.asked_at
            self._note_other_device(state, found.asked_at)
        seen_before = None if found.state is None else found.state.seen
        self._note_mapping(found.silent_s, seen_before, state.seen)
        found.state, found.heard_at, found.asked_at, found.silent_s = state, now, None, 0.0
        if state.seen != seen_before:
            bound = self._endpoint.local_address
            self._endpoint.is_translated = any(not is_here(host, bound) for host, _ in self.seen_at())
        if state.now:
            self._directory_time = (state.now, now)
        self._check_change()
        if state.epoch:
            self.on_epoch(state.epoch)
        if not state.signed_in:
            self.on_signed_out()
        if state.mail_waiting:
            self.on_mail()
        self.on_cluster(session, state.cluster)

    def _note_mapping(self, silent_s: float, before: PathAddress | None, seen: PathAddress | None) -> None:
        """Learn from where a node sees this peer whether the router before it kept its mapping through a silence."""
        if before is None or seen is None:
            return
        if seen == before:
            self._pace.held(silent_s)
        elif seen.host == before.host:
            self._pace.forgotten(silent_s, self._clock())

    def _note_other_device(self, state: CloudState, asked: float) -> None:
        """Take note of who is the account's present device, unless this one signed in since that was asked for."""
        if asked < self._signed_in_at or not state.signed_in or state.other_device == self.other_device:
            return
        self.other_device = state.other_device
        if self.other_device:
            self.on_other_device()


def _request(request: str, operation: Operation, encoded: bytes) -> Request:
    """Return the message that asks for an operation, or announces one that is too long for a datagram."""
    if len(encoded) <= MAX_MESSAGE_BYTES - _REQUEST_BYTES:
        return Request(request=request, operation=operation)
    return Request(request=request, large_sha256=hashlib.sha256(encoded).digest(), large_size=len(encoded))


def _ends(code: str, *, is_look: bool) -> bool:
    """Tell whether a refusal ends the request; every other is asked again until the caller's time is over."""
    return code in FINAL_CODES or code in _AT_ONCE or (is_look and code == RefusalCode.FROZEN)


def monotonic() -> float:
    """The clock that peers use unless a test hands in another: seconds, never going back."""
    return time.monotonic()
