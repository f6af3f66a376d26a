"""The shell around sessions and object transfers: one parent socket, worker ports, one clock.

It receives, feeds the sans-IO machines, sends what they have and sets the timer; what the owner has to say comes in
through the methods, what it is told goes out through the callbacks, always in the event loop's thread.
"""

import asyncio
import logging
import math
import os
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup

from shared.config import LIMITS, MAX_MESSAGE_BYTES, PROTOCOL_VERSION, Limits, Timing
from shared.errors import LocalError, MalformedMessage, OtherVersion, PathTooNarrow, RemoteError, Unavailable
from shared.net.admission import WorkerPorts
from shared.net.control import (
    FOR_OWNER,
    FOR_TRANSFERS,
    Accept,
    Alive,
    Cancel,
    Complete,
    ControlMessage,
    OfferMessage,
    Queued,
    Refuse,
    decode_control,
    encode_control,
)
from shared.net.handles import EndpointStatistics, Incoming, IncomingOffer, Progress, Session
from shared.net.lazy_timer import LazyTimer
from shared.net.partial_store import MemoryPartials, PartialStore
from shared.net.path_probe import is_too_narrow, narrow_path
from shared.net.paths import is_loopback, other_version, shown_address
from shared.net.port import Port, PortTraffic, Switches
from shared.net.reaching import first_to_answer
from shared.net.receiving import Receiving
from shared.net.relays import RelayedPaths
from shared.net.sending import Sending
from shared.net.transfer_context import TransferContext
from shared.net.udp import ANY_HOST, Address, Batch, UdpSocket
from shared.secure.datagrams import DatagramType
from shared.secure.events import (
    CloseReason,
    Event,
    MessageReceived,
    PathsSilent,
    PathValidated,
    SessionClosed,
    SessionOpened,
)
from shared.secure.multiplexer import SecureMultiplexer
from shared.secure.relayed import FOR_RELAY, is_relayed, wrap

__all__ = ["Address", "Endpoint", "EndpointStatistics", "Incoming", "IncomingOffer", "Progress", "Session"]

log = logging.getLogger(__name__)

RIDE_ALONG_BYTES: Final = 16 * 1024
"""An object of this size is a first flight of 14 small datagrams: about what may be sent unasked over any path
(RFC 9002 section 7.2), and far from filling a socket buffer."""
_LOOK_AFTER_S: Final = 0.7
"""When a handshake without an answer has its path looked at."""
_LOOK_AGAIN_S: Final = 30.0
_LOOKED_AT: Final = 256
"""Paths whose looks are remembered."""
_TRANSFER_HEAD = bytes((PROTOCOL_VERSION, DatagramType.TRANSFER))
_TOKEN = slice(2, 10)


class _Opening:
    """Those who wait for one handshake."""

    __slots__ = ("ended", "reason", "session", "waiting")

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.session: Session | None = None
        self.reason = ""
        self.waiting = 0


class Endpoint:
    """Sessions, messages and object transfers on one address. An async context manager; nothing works outside.

    Callbacks are synchronous and must not block. What they raise is logged and counted and goes no further; a
    `RemoteError` from them only counts.
    """

    def __init__(
        self,
        static_private: bytes,
        *,
        bind: Address = ("127.0.0.1", 0),
        bound: socket.socket | None = None,
        timing: Timing,
        limits: Limits = LIMITS,
        prologue: bytes = b"",
        clock: Callable[[], float] = time.monotonic,
        entropy: Callable[[int], bytes] = os.urandom,
        partials: PartialStore | None = None,
        gso: bool = True,
        datagram_bytes: int | None = None,
        ride_along_bytes: int = RIDE_ALONG_BYTES,
        looks_at_paths: bool = False,
    ) -> None:
        """Take this side's X25519 private key (32 bytes) and where to listen, port 0 for any.

        `bound` is a UDP socket that another process has bound to `bind`; it is used instead of a new one. Endpoints
        with different `prologue` cannot talk. `partials` keeps objects that arrived in part, in memory if it is not
        given. `gso=False` sends and receives datagrams one by one. `datagram_bytes` fixes the size of transfer
        datagrams (1200 to 65 000) instead of choosing by path. Objects up to `ride_along_bytes` leave together with
        their offer and need no worker port at the receiver. With `looks_at_paths`, `connect` finds out whether it is
        the size of its datagrams that keeps the other side from answering.
        """
        self.on_message: Callable[[Session, bytes], None] = _ignore_message
        self.on_session: Callable[[Session], None] = _ignore_session
        self.on_closed: Callable[[Session, str], None] = _ignore_closed
        self.on_offer: Callable[[Session, IncomingOffer], Incoming | None] = _refuse_offer
        self.on_moved: Callable[[Session], None] = _ignore_session
        """Told of a session that takes another path from now on."""
        self.on_silent: Callable[[Session], None] = _ignore_session
        """Told of a session that roams and whose other side answers on none of the known paths."""
        self.roams_with: Callable[[bytes], bool] = lambda _key: False
        """Whether sessions with the side of this key may go over to other paths, where they begin directly as well.
        Both sides of a session must think so. On one machine none needs to."""
        self.on_relay: Callable[[Session, list[bytes]], None] = self._take_relayed
        """Takes messages about datagrams for somebody else, without their first byte. A node replaces it."""
        self.is_translated = False
        """Whether an address translator stands before this endpoint, as its owner knows: then only the endpoint's own
        port is announced to others."""
        self._relayed_paths = RelayedPaths()
        self._relayed_transfers: dict[bytes, Batch] = {}
        """What came through nodes and belongs to transfers, by their tokens."""
        self._bind = bind
        self._bound = bound
        self._timing = timing
        self._limits = limits
        self._clock = clock
        self._partials = partials if partials is not None else MemoryPartials(clock=clock)
        self._gso = gso
        self._datagram_bytes = datagram_bytes
        self._ride_along_bytes = ride_along_bytes
        self._looks_at_paths = looks_at_paths
        self._narrow: OrderedDict[Address, tuple[float, bool]] = OrderedDict()
        """Which paths were looked at lately, by `clock`, and whether they let only small datagrams through."""
        self._mux = SecureMultiplexer(
            static_private, entropy=entropy, timing=timing, limits=limits, cluster_prologue=prologue
        )
        self.public_key: bytes = self._mux.public_key
        """This side's static public key, 32 bytes."""
        self._sessions: dict[int, Session] = {}
        self._opening: dict[int, _Opening] = {}
        self._switches = Switches()
        self._traffic = PortTraffic()
        self._dropped: Counter[str] = Counter()
        self._timer = LazyTimer(self._on_timer, clock)
        self._is_open = False
        self._was_opened = False
        self._settle_is_due = False
        self._tasks: TaskGroup
        self._parent: Port
        self._workers: WorkerPorts
        self._sending: Sending
        self._receiving: Receiving

    # --- Opening and closing -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the parent socket. Raises `Unavailable` where the address cannot be had."""
        if self._was_opened:
            raise LocalError("an endpoint is opened once")
        self._was_opened = True
        try:
            host = await _numeric_host(self._bind[0])
            self._parent = Port(
                UdpSocket((host, self._bind[1]), gso=self._gso, bound=self._bound),
                self._switches,
                self._traffic,
                is_worker=False,
            )
        except OSError as error:
            where = f"Address {shown_address(self._bind)}" if self._bind[0] else f"Port {self._bind[1]}"
            raise Unavailable(f"{where} cannot be used: {error.strerror}.") from error
        self._parent.on_batch = self._receive
        self._parent.carry = self._carry
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._parent.run)
        self._workers = WorkerPorts(lambda: self._open_worker(host), self._tasks, self._limits)
        context = TransferContext(
            sessions=self._mux,
            parent=self._parent,
            workers=self._workers,
            tasks=self._tasks,
            clock=self._clock,
            timing=self._timing,
            limits=self._limits,
            partials=self._partials,
            datagram_bytes=self._datagram_bytes,
            ride_along_bytes=self._ride_along_bytes,
            post=self._post_control,
            flush=self._settle,
            doubt_path=self.doubt_path,
            is_translated=lambda: self.is_translated,
            has_younger=self._has_younger,
            dropped=self._dropped,
        )
        self._context = context
        self._sending = Sending(context)
        self._receiving = Receiving(context, lambda session, offer: self.on_offer(session, offer))
        self._tasks.start_soon(self._sending.keep_pace)
        self._tasks.start_soon(self._receiving.keep_pace)
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Close all sessions, keep what arrived in part, close all sockets."""
        now = self._clock()
        for number in [*self._sessions, *self._opening]:
            self._mux.close(number, now)
        self._settle()
        self._is_open = False
        self._timer.stop()
        self._tasks.cancel_scope.cancel()
        if kind is None or issubclass(kind, anyio.get_cancelled_exc_class()):
            return await self._tasks.__aexit__(kind, error, trace)
        await self._tasks.__aexit__(None, None, None)
        return None  # what the caller's block raised goes on as it is, not wrapped in a group

    def _open_worker(self, host: str) -> Port:
        return Port(UdpSocket((host, 0), gso=self._gso), self._switches, self._traffic, is_worker=True)

    # --- What the owner asks for -------------------------------------------------------------------------------------

    @property
    def local_address(self) -> Address:
        """Numeric host and port of the parent socket."""
        return self._parent.socket.local_address

    @property
    def families(self) -> Sequence[socket.AddressFamily]:
        """The address families that this endpoint can send to."""
        return self._parent.socket.families

    @property
    def worker_ports_in_use(self) -> int:
        """Worker ports that belong to a transfer now."""
        return self._workers.in_use

    @property
    def sessions(self) -> list[Session]:
        """All open sessions."""
        return list(self._sessions.values())

    async def connect(self, address: Address, remote_key: bytes, *, timeout_s: float | None = None) -> Session:
        """Return an open session with the side that has this key at this address, as `connect_any` does."""
        return await self.connect_any((address,), remote_key, timeout_s=timeout_s)

    async def connect_any(
        self, addresses: Sequence[Address], remote_key: bytes, *, timeout_s: float | None = None
    ) -> Session:
        """Return an open session with the side that has this key at one of its addresses; an open one is used again.

        Hosts may be names, which are looked up each time. All addresses are tried side by side, the first one ahead.
        Waits `timeout_s` seconds, the preset's handshake time-out if not given. Raises `Unavailable` where nobody
        answers, as `Explained` where the reason is known; `InvalidInput` where the key cannot be one.
        """
        if not self._is_open:
            raise Unavailable("The endpoint is closed.")
        return await first_to_answer(
            addresses,
            self.families,
            partial(self._open_session, remote_key),
            timeout_s=self._timing.handshake_timeout_s if timeout_s is None else timeout_s,
        )

    async def _open_session(self, remote_key: bytes, address: Address, *, looks: bool = True) -> Session:
        """Return a session with a numeric address. Raises `Unavailable` with the reason in a few words.

        With `looks`, and where this endpoint looks at paths, the reason may be a path that is too narrow.
        """
        number = self._mux.connect(address, remote_key, self._clock())
        if (session := self._sessions.get(number)) is not None:
            return session
        opening = self._opening.setdefault(number, _Opening())
        opening.waiting += 1
        self._settle()
        try:
            is_narrow = await self._ended_or_narrow(opening.ended, address, looks=looks and self._looks_at_paths)
        finally:
            opening.waiting -= 1
            if not opening.waiting and not opening.ended.is_set():
                self._opening.pop(number, None)
                self._mux.close(number, self._clock())
                self._settle_soon()
        if is_narrow:
            raise PathTooNarrow(narrow_path(address))
        if opening.reason in (CloseReason.NEWER_VERSION, CloseReason.OLDER_VERSION):
            raise OtherVersion(other_version(address, is_newer=opening.reason is CloseReason.NEWER_VERSION))
        if opening.session is None:
            raise Unavailable(opening.reason)
        return opening.session

    async def _ended_or_narrow(self, ended: anyio.Event, address: Address, *, looks: bool) -> bool:
        """Wait until a handshake has ended; return True before that where only small datagrams get to its address."""
        if not looks:
            await ended.wait()
            return False
        with anyio.move_on_after(_LOOK_AFTER_S):
            await ended.wait()
            return False
        is_narrow = False
        async with anyio.create_task_group() as group:

            async def look() -> None:
                nonlocal is_narrow
                is_narrow = await self._is_narrow(address)
                if is_narrow:
                    group.cancel_scope.cancel()

            group.start_soon(look)
            await ended.wait()
            group.cancel_scope.cancel()
        return is_narrow and not ended.is_set()

    async def _is_narrow(self, address: Address) -> bool:
        at, found = self._narrow.get(address, (-math.inf, False))
        if self._clock() - at >= _LOOK_AGAIN_S:
            self._narrow[address] = (self._clock(), False)  # also where the look is cut short: it costs datagrams
            while len(self._narrow) > _LOOKED_AT:
                self._narrow.popitem(last=False)
            found = await is_too_narrow(address, local_host=self.local_address[0])
            self._narrow[address] = (self._clock(), found)
        return found

    # --- Paths through nodes ------------------------------------------------------------------------------------------

    def add_path(self, node: Session, handle: bytes, candidates: Sequence[Address] = ()) -> Address:
        """Return the address of a path through a node to another side, who may open a session on it from now on.

        Such a session looks for better paths, the other side's `candidates` first; see `shared.secure.path_choice`.
        """
        return self._relayed_paths.add(node, handle, candidates)

    async def connect_through(self, path: Address, remote_key: bytes, *, timeout_s: float) -> Session:
        """Return an open session with the side that has this key, on a path that `add_path` returned.

        Raises `Unavailable` where nobody answers in time, `InvalidInput` where the key cannot be one.
        """
        if not self._is_open:
            raise Unavailable("The endpoint is closed.")
        with anyio.move_on_after(timeout_s):
            return await self._open_session(remote_key, path, looks=False)
        raise Unavailable("Nobody answers through the node.")

    def roam(self, session: Session, addresses: Sequence[Address]) -> None:
        """Tell a session that roams of more paths: through nodes, and where the other side might be reached."""
        if session.roams:
            self._mux.roam(session.number, addresses, self._clock())
            self._settle_soon()

    def doubt_path(self, session: Session) -> None:
        """Something is awaited in a session and does not come: one that roams takes another path if it has to."""
        if session.roams:
            self._mux.doubt_path(session.number, self._clock())
            self._settle_soon()

    def node_of_path(self, path: Address) -> Session | None:
        """Return the session with the node that a path leads through, None where there is no such path any more."""
        return None if (known := self._relayed_paths.at(path)) is None else known.node

    def silent_s(self, session: Session) -> float:
        """Return for how many seconds nothing was heard in an open session. Raises `Unavailable` where it is over."""
        return self._clock() - self._mux.session_info(session.number).last_heard

    def relay(self, session: Session, bodies: Sequence[bytes]) -> None:
        """As a node: pass datagrams on, inside a session with whom they are for."""
        self._mux.carry(session.number, [FOR_RELAY + body for body in bodies], self._clock())
        self._settle_soon()

    def _carry(self, address: Address, datagrams: list[bytes]) -> None:
        """Send datagrams through a node."""
        path = self._relayed_paths.at(address)
        if path is None:
            self._dropped["no such path"] += len(datagrams)
            return
        self._mux.carry(path.node.number, [wrap(path.handle, datagram) for datagram in datagrams], self._clock())
        self._settle_soon()

    def _take_relayed(self, session: Session, bodies: list[bytes]) -> None:
        """Take datagrams that came through a node as those from the socket are taken."""
        now = self._clock()
        for body in bodies:
            if (found := self._relayed_paths.received(session, body)) is None:
                self._dropped["no such path"] += 1
                continue
            address, datagram = found
            if datagram[:2] == _TRANSFER_HEAD:
                self._relayed_transfers.setdefault(datagram[_TOKEN], []).append(found)
            else:
                self._mux.receive(address, datagram, now)

    def post(self, session: Session, message: bytes) -> None:
        """Send one message, which arrives once or never; to a session that is over it is lost.

        Messages of one turn of the event loop leave together. Raises `LocalError` beyond `MAX_MESSAGE_BYTES`: such a
        message travels as an object.
        """
        if len(message) > MAX_MESSAGE_BYTES:
            raise LocalError(f"a message of {len(message)} bytes, the cap is {MAX_MESSAGE_BYTES}")
        self._send(session, FOR_OWNER + message)

    async def send_object(
        self,
        session: Session,
        label: bytes,
        data: bytes,
        *,
        progress: Progress | None = None,
        sha256: bytes | None = None,
        goes_on: bool = False,
    ) -> None:
        """Offer an object, send it once it is accepted, and return when the receiver has verified its hash.

        `label` (at most 512 bytes) tells the receiver's owner what it is; `progress` is called with acknowledged bytes
        and bytes in all; `sha256` is the object's hash, if the caller knows it. Cancelling the task cancels the
        transfer, and the receiver drops what it has; with `goes_on` the receiver keeps it, since the caller is going to
        offer the object again. Raises `Refused` as the receiver's owner decides, `TransferFailed` where it may be tried
        again and goes on from what has arrived, `TransferCancelled` where the receiver cancelled it, `LocalError` for a
        label or object that is too long.
        """
        if not self._is_open:
            raise Unavailable("The endpoint is closed.")
        await self._sending.send(session, label, data, progress, sha256, goes_on=goes_on)

    def close_session(self, session: Session) -> None:
        """End a session and tell the other side; without effect on one that is over."""
        self._mux.close(session.number, self._clock())
        self._settle_soon()

    def pause(self, deaf: bool) -> None:
        """Simulate a failure: while `deaf`, everything in and out is dropped."""
        self._switches.deaf = deaf

    def block_worker_ports(self, blocked: bool) -> None:
        """Simulate a firewall that lets only the parent port through."""
        self._switches.workers_blocked = blocked

    def statistics(self) -> EndpointStatistics:
        """Return a snapshot of what goes on and of what was dropped."""
        traffic, dropped = self._traffic, self._dropped + self._mux.dropped
        for reason, count in (
            ("simulated failure", traffic.dropped_deaf),
            ("send queue full", traffic.dropped_backlog),
            ("fault here", traffic.failed_batches),
        ):
            if count:
                dropped[reason] += count
        return EndpointStatistics(
            sessions=len(self._sessions),
            sending=self._sending.running,
            receiving=self._receiving.running,
            queued=self._sending.waiting + self._receiving.waiting,
            worker_ports=self._workers.in_use,
            received_datagrams=traffic.received_datagrams,
            received_bytes=traffic.received_bytes,
            sent_datagrams=traffic.sent_datagrams,
            sent_bytes=traffic.sent_bytes,
            send_errors=self._parent.socket.send_errors,
            dropped={str(reason): count for reason, count in dropped.items()},
        )

    # --- Datagrams and time ------------------------------------------------------------------------------------------

    def _receive(self, batch: Batch) -> None:
        now = self._clock()
        receive = self._mux.receive
        transfers: dict[bytes, Batch] = {}
        for item in batch:
            address, datagram = item
            if datagram[:2] == _TRANSFER_HEAD:
                transfers.setdefault(datagram[_TOKEN], []).append(item)
            elif address[1] == 0:  # nothing can be sent there
                self._dropped["address"] += 1
            else:
                try:
                    receive(address, datagram, now)
                except Exception:
                    self._dropped["fault here"] += 1
                    log.exception("a datagram could not be taken by a fault of this side")
        self._settle()
        if transfers:  # after the offers, which may have come just before their objects
            self._context.feed_parent(transfers)

    def _on_timer(self) -> None:
        self._mux.tick(self._clock())
        self._settle()

    def _settle_soon(self) -> None:
        if not self._settle_is_due:
            self._settle_is_due = True
            asyncio.get_running_loop().call_soon(self._settle_if_due)

    def _settle_if_due(self) -> None:
        if self._settle_is_due:
            self._settle()

    def _settle(self) -> None:
        """Act on what happened, send what there is to send, set the timer."""
        if not self._is_open:
            return
        self._settle_is_due = False
        self._handle_all()
        while self._relayed_transfers:
            transfers, self._relayed_transfers = self._relayed_transfers, {}
            self._context.feed_parent(transfers)
            self._handle_all()
        while datagrams := self._mux.take_datagrams():  # what goes through a node becomes another datagram, to it
            self._parent.send_batch(datagrams)
        self._timer.set(self._mux.next_deadline())

    # --- Events ------------------------------------------------------------------------------------------------------

    def _handle_all(self) -> None:
        while True:
            for event in (events := self._mux.take_events()):  # each by itself: one session must cost no other its own
                self._guard(partial(self._handle, event))
            for number, bodies in (carried := self._mux.take_carried()).items():
                if (session := self._sessions.get(number)) is not None:
                    self._guard(partial(self.on_relay, session, bodies))
            if not events and not carried:
                return

    def _handle(self, event: Event) -> None:
        match event:
            case MessageReceived():
                session = self._sessions.get(event.session)
                if session is not None:
                    self._take_message(session, event.plaintext)
            case PathValidated():
                self._moved(event)
            case PathsSilent():
                if (silent := self._sessions.get(event.session)) is not None:
                    self.on_silent(silent)
            case SessionOpened():
                self._session_opened(event)
            case SessionClosed():
                self._session_closed(event)

    def _session_opened(self, event: SessionOpened) -> None:
        session = Session(
            event.session, event.remote_key, event.address, initiator=event.initiator, opened_at=self._clock()
        )
        self._sessions[event.session] = session
        path = self._relayed_paths.at(event.address)
        if is_relayed(event.address) or (self.roams_with(event.remote_key) and not is_loopback(event.address[0])):
            session.roams = True
            self._mux.roam(event.session, () if path is None else path.candidates, self._clock())
        if (opening := self._opening.pop(event.session, None)) is not None:
            opening.session = session
            opening.ended.set()
        self.on_session(session)

    def _moved(self, event: PathValidated) -> None:
        session = self._sessions.get(event.session)
        if session is not None:
            session.address = event.address
            self._sending.moved(session)
            self._receiving.moved(session)
            self.on_moved(session)

    def _has_younger(self, session: Session) -> bool:
        """Whether the other side has begun another session since."""
        return any(
            other.remote_key == session.remote_key and other.opened_at > session.opened_at
            for other in self._sessions.values()
        )

    def _session_closed(self, event: SessionClosed) -> None:
        if (opening := self._opening.pop(event.session, None)) is not None:
            opening.reason = event.reason
            opening.ended.set()
        session = self._sessions.pop(event.session, None)
        if session is None:
            return
        session.alive = False
        reason = str(event.reason)
        self._guard(lambda: self._sending.session_closed(session, reason))
        self._guard(lambda: self._receiving.session_closed(session, reason))
        self._lose_paths(session)
        self.on_closed(session, reason)

    def _lose_paths(self, node: Session) -> None:
        """The session with a node is over, and with it all paths through it."""
        now = self._clock()
        for address in self._relayed_paths.of_node(node):
            self._relayed_paths.drop(address)
            self._mux.lose_path(address, now)

    def _take_message(self, session: Session, plaintext: bytes) -> None:
        kind, body = plaintext[:1], plaintext[1:]
        if kind == FOR_OWNER:
            self.on_message(session, body)
        elif kind == FOR_TRANSFERS:
            self._take_control(session, decode_control(body))
        else:
            self._dropped["malformed"] += 1

    def _take_control(self, session: Session, message: ControlMessage) -> None:
        match message:
            case OfferMessage():
                self._receiving.offered(session, message)
            case Accept() | Queued() | Complete() | Refuse():
                self._sending.answered(session, message)
            case Cancel(by_sender=True):
                self._receiving.cancelled(session, message)
            case Cancel():
                self._sending.cancelled(session, message)
            case Alive():
                pass

    def _guard(self, call: Callable[[], None]) -> None:
        """Call something that must not take the endpoint down."""
        try:
            call()
        except MalformedMessage:
            self._dropped["malformed message"] += 1
        except RemoteError:
            self._dropped["bad message"] += 1
        except Exception:
            self._dropped["owner failed"] += 1
            log.exception("a callback of the endpoint's owner failed")

    def _post_control(self, session: Session, message: ControlMessage) -> None:
        self._send(session, encode_control(message))

    def _send(self, session: Session, plaintext: bytes) -> None:
        try:
            self._mux.send(session.number, plaintext, self._clock())
        except Unavailable:
            self._dropped["session over"] += 1
            return
        self._settle_soon()


async def _numeric_host(host: str) -> str:
    """Return the IPv4 address of a host name; an address, or `ANY_HOST`, stays what it is. Raises `OSError`."""
    if host == ANY_HOST:
        return host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = await anyio.getaddrinfo(host, None, family=family, type=socket.SOCK_DGRAM)
    return str(found[0][4][0])


def _ignore_message(_session: Session, _message: bytes) -> None:
    """The owner does not take messages."""


def _ignore_session(_session: Session) -> None:
    """The owner does not ask about sessions."""


def _ignore_closed(_session: Session, _reason: str) -> None:
    """The owner does not ask about sessions."""


def _refuse_offer(_session: Session, _offer: IncomingOffer) -> Incoming | None:
    """The owner takes no objects."""
    return None
