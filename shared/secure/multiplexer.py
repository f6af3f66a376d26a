"""All secure sessions of one socket: feed it datagrams and time, take datagrams and events.

    initiator                                    responder
    connect --> INIT (1200 bytes) ------------>  half-open, nobody is told; or only a COOKIE, if too many are
            <-- RESPONSE <---------------------
    opened  --> DATA: PING, queued messages -->  opened
            <-- DATA: PONG, messages <-------->

A DATA datagram for an unknown session is answered with a HINT. Hints are not authenticated: the side that gets one
probes its session, and only where no answer comes begins a new handshake, which takes the old session's place when it
succeeds. So a restarted node is back in touch with its peers within some round trips.

Nothing that a remote side sends makes `receive` raise; what is dropped is counted in `dropped`.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from shared.config import MIN_PATH_DATAGRAM_BYTES, PROTOCOL_VERSION, Limits, Timing
from shared.errors import DatagramRefused, RemoteError, Unavailable
from shared.secure.connection import MESSAGE, Connection, DatagramVerdict, check_message
from shared.secure.connections import ConnectionTable
from shared.secure.context import Deadlines, SocketContext
from shared.secure.datagrams import (
    CONNECTION_ID_BYTES,
    MIN_DATA_BYTES,
    ROUTING_BYTES,
    Address,
    DatagramType,
    Drop,
    FrameKind,
    of_other_version,
    peek,
    read_versions,
)
from shared.secure.events import (
    CloseReason,
    Event,
    MessageReceived,
    PathsSilent,
    PathValidated,
    SessionClosed,
    SessionInfo,
    SessionOpened,
)
from shared.secure.initiator import Initiation, Initiator
from shared.secure.noise import HandshakeKeys, KeyPair
from shared.secure.relayed import FOR_RELAY
from shared.secure.responder import HalfOpen, Responder
from shared.secure.session import SessionKeys
from shared.secure.transfer_keys import TransferCipher
from shared.secure.unproven import StatelessResets

_DATA_HEAD: Final = bytes((PROTOCOL_VERSION, DatagramType.DATA))
_CARRIED_HEAD: Final = MESSAGE + FOR_RELAY


class SecureMultiplexer:
    """The sans-IO machine behind one socket. `now` is in seconds of any monotonic clock."""

    def __init__(
        self,
        static_private: bytes,
        *,
        entropy: Callable[[int], bytes],
        timing: Timing,
        limits: Limits,
        cluster_prologue: bytes = b"",
    ) -> None:
        """Take this side's X25519 private key (32 bytes) and a source of random bytes.

        Sides with different `cluster_prologue` cannot shake hands. Raises `LocalError` for a key of wrong length.
        """
        self.dropped: Counter[str] = Counter()
        """Datagrams dropped so far, by the reasons of `Drop`."""
        self._last_number = 0
        self._datagrams: list[tuple[Address, bytes]] = []
        self._events: list[Event] = []
        self._carried: dict[int, list[bytes]] = {}
        self._deadlines = Deadlines()
        self._context = SocketContext(
            static=KeyPair(static_private),
            prologue=b"glimpse session 1\0" + cluster_prologue + b"\0",
            entropy=entropy,
            new_id=self._new_id,
            timing=timing,
            limits=limits,
            send=self._send,
            deadlines=self._deadlines,
        )
        self.public_key = self._context.static.public
        self._connections = ConnectionTable()
        self._resets = StatelessResets(limits)
        self._initiator = Initiator(self._context)
        self._responder = Responder(self._context)
        self._handlers: dict[DatagramType, Callable[[Address, bytes, bytes, float], None]] = {
            DatagramType.INIT: self._on_init,
            DatagramType.RESPONSE: self._on_response,
            DatagramType.COOKIE: self._on_cookie,
            DatagramType.HINT: self._on_hint,
        }

    # --- What the owner asks for -----------------------------------------------------------------------------------

    def connect(self, address: Address, remote_key: bytes, now: float) -> int:
        """Return the number of a session with that key at that address: an open one, one that is being opened, or a new
        one whose handshake begins here. `SessionOpened` or `SessionClosed` follows, unless it is open already.

        Raises `InvalidInput` where the key is no key, `Unavailable` where too many handshakes are under way.
        """
        connection = self._connections.latest(address, remote_key)
        if connection is not None:
            return connection.number
        initiation = self._initiator.find(address, remote_key)
        if initiation is not None:
            initiation.announced = True
            return initiation.number
        number = self._new_number()
        self._initiator.begin(number, address, remote_key, now)
        return number

    def send(
        self, session: int, plaintext: bytes, now: float, *, max_datagram_bytes: int = MIN_PATH_DATAGRAM_BYTES
    ) -> None:
        """Send a message, which arrives once or never; until the handshake is through it is kept.

        Raises `LocalError` where it does not fit a datagram of `max_datagram_bytes`, `Unavailable` where the session is
        over or `Limits.queued_messages` wait for its handshake already.
        """
        connection = self._connections.get(session)
        if connection is not None:
            connection.send_message(plaintext, now, max_datagram_bytes=max_datagram_bytes)
            return
        initiation = self._initiator.get(session)
        if initiation is None:
            raise Unavailable("this session is over; connect again")
        check_message(plaintext, max_datagram_bytes)
        if len(initiation.queue) >= self._context.limits.queued_messages:
            raise Unavailable("too many messages wait for the other side to answer the handshake")
        initiation.queue.append(plaintext)

    def carry(self, session: int, plaintexts: Iterable[bytes], now: float) -> None:
        """Send messages that hold datagrams for somebody else; in a session that is not open they are lost."""
        if (connection := self._connections.get(session)) is not None:
            connection.carry(plaintexts, now)

    def close(self, session: int, now: float) -> None:
        """End a session or its handshake and tell the other side. One that is over already stays so."""
        connection = self._connections.get(session)
        if connection is not None:
            self._end(connection, CloseReason.LOCAL, now)
        elif (initiation := self._initiator.get(session)) is not None:
            self._initiator.forget(initiation)
            self._events.append(SessionClosed(session, CloseReason.LOCAL))

    def next_transfer_id(self, session: int) -> int:
        """Draw the number of a transfer in an open session; none comes twice, and the other side draws others.

        Raises `Unavailable` where the session is not open.
        """
        return self._open_connection(session).next_transfer_id()

    def transfer_keys(self, session: int, transfer_id: int, *, sender_is_me: bool) -> TransferCipher:
        """Return this side's cipher of a transfer; works once per transfer id, as a second would repeat nonces.

        Raises `DatagramRefused` for a number that was used or never drawn, `Unavailable` where the session is not open.
        """
        return self._open_connection(session).transfer_keys(transfer_id, sender_is_me=sender_is_me)

    def roam(self, session: int, addresses: Iterable[Address], now: float) -> None:
        """Let an open session look for better paths to the other side, these among them (`shared.secure.path_choice`).

        `PathValidated` follows whenever it goes over to another one. Both sides of the session must roam. Without
        effect on a session that is over, as the next two.
        """
        if (connection := self._connections.get(session)) is not None:
            connection.roam(addresses, now)

    def doubt_path(self, session: int, now: float) -> None:
        """Something is awaited in a session and does not come: try other paths if the one in use does not answer.

        `PathsSilent` follows where none does.
        """
        if (connection := self._connections.get(session)) is not None:
            connection.doubt_path(now)

    def lose_path(self, address: Address, now: float) -> None:
        """A path through a node is gone: sessions that use it look for another at once."""
        for connection in self._connections:
            connection.lose_path(address, now)

    def session_info(self, session: int) -> SessionInfo:
        """How an open session stands. Raises `Unavailable` where it is not open."""
        return self._open_connection(session).info()

    def sessions(self) -> list[int]:
        """The numbers of all open sessions, the one silent longest first."""
        return [connection.number for connection in self._connections]

    # --- What the shell feeds and takes ----------------------------------------------------------------------------

    def receive(self, address: Address, datagram: bytes | memoryview, now: float) -> None:
        """Take a datagram that came in. Never raises because of what is in it."""
        try:
            if datagram[:2] == _DATA_HEAD and len(datagram) >= ROUTING_BYTES:  # nearly all of them
                self._on_data(address, bytes(datagram[2:ROUTING_BYTES]), bytes(datagram), now)
                return
            seen = peek(datagram)
            if seen is None:
                self._on_unreadable(address, bytes(datagram), now)
                return
            kind, routing_id = seen
            handler = self._handlers.get(kind)
            if handler is None:
                self.dropped[Drop.NOT_FOR_SESSIONS] += 1
                return
            handler(address, routing_id, bytes(datagram), now)
        except DatagramRefused as refusal:
            self.dropped[refusal.reason] += 1
        except RemoteError:
            self.dropped[Drop.HANDSHAKE] += 1

    def tick(self, now: float) -> None:
        """Do what time asks for: repeats, time-outs, probes, idle sessions."""
        for number in self._deadlines.take_due(now):
            initiation = self._initiator.get(number)
            connection = self._connections.get(number)
            if initiation is not None:
                self._attend_initiation(initiation, now)
            elif connection is not None:
                self._attend_connection(connection, now)
        self._responder.expire(now)

    def next_deadline(self) -> float | None:
        """When `tick` should be called next, at the latest."""
        own, half_open = self._deadlines.next(), self._responder.next_deadline()
        if own is None or half_open is None:
            return half_open if own is None else own
        return min(own, half_open)

    def take_datagrams(self) -> list[tuple[Address, bytes]]:
        """What is to be sent, in order; the caller sends it now."""
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def take_events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def take_carried(self) -> dict[int, list[bytes]]:
        """Messages about datagrams for somebody else that came in since the last call, without their first bytes, by
        session. They come apart from the events, because there may be many."""
        carried, self._carried = self._carried, {}
        return carried

    # --- Handshakes, this side first -------------------------------------------------------------------------------

    def _attend_initiation(self, initiation: Initiation, now: float) -> None:
        if not self._initiator.attend(initiation, now) and initiation.announced:
            self._events.append(SessionClosed(initiation.number, CloseReason.TIMED_OUT))

    def _on_cookie(self, address: Address, local_id: bytes, datagram: bytes, _now: float) -> None:
        self._initiator.take_cookie(address, local_id, datagram)

    def _on_response(self, address: Address, local_id: bytes, datagram: bytes, now: float) -> None:
        initiation = self._initiator.awaiting(address, local_id)
        remote_id, keys = initiation.finish(datagram)
        self._initiator.forget(initiation)
        connection = self._open(
            initiation.number,
            initiation.remote_key,
            address,
            now,
            keys=self._session_keys(keys, remote_id, now, initiator=True),
            local_id=local_id,
            remote_id=remote_id,
        )
        if initiation.repeats == 0:
            connection.rtt.sample(now - initiation.began_at)
        connection.confirm(now)
        for plaintext in initiation.queue:
            connection.send_message(plaintext, now, max_datagram_bytes=len(plaintext) + MIN_DATA_BYTES)
        replaced = None if initiation.replaces is None else self._connections.get(initiation.replaces)
        if replaced is not None:
            self._end(replaced, CloseReason.REPLACED, now)

    # --- Handshakes, the other side first --------------------------------------------------------------------------

    def _on_init(self, address: Address, _remote_id: bytes, datagram: bytes, now: float) -> None:
        answer, drop = self._responder.answer(address, datagram, now)
        self._send(address, answer)
        if drop is not None:
            self.dropped[drop] += 1

    def _confirm(self, half_open: HalfOpen, address: Address, datagram: bytes, now: float) -> tuple[Connection, bytes]:
        """Turn a half-open handshake into a session, if the datagram proves that its initiator has the keys.

        Returns the session and the frame of the datagram. Raises `DatagramRefused`.
        """
        if address != half_open.address:
            raise DatagramRefused(Drop.ADDRESS)
        keys = self._session_keys(half_open.keys, half_open.remote_id, now, initiator=False)
        frame = keys.open(datagram, now)
        self._responder.forget(half_open.local_id)
        connection = self._open(
            self._new_number(),
            half_open.remote_key,
            address,
            now,
            keys=keys,
            local_id=half_open.local_id,
            remote_id=half_open.remote_id,
        )
        if not half_open.repeated:
            connection.rtt.sample(now - half_open.answered_at)
        return connection, frame

    # --- Other versions of the protocol ----------------------------------------------------------------------------

    def _on_unreadable(self, address: Address, datagram: bytes, now: float) -> None:
        """Take what is no datagram of this version: a stranger's first message, or word that ours cannot be read."""
        if (connection_id := of_other_version(datagram)) is not None:
            self._send(address, self._resets.versions(address, connection_id, now))
            self.dropped[Drop.OTHER_VERSION] += 1
        elif (told := read_versions(datagram)) is not None:
            self._on_versions(address, *told)
        else:
            self.dropped[Drop.MALFORMED] += 1

    def _on_versions(self, address: Address, local_id: bytes, versions: frozenset[int]) -> None:
        """Give a handshake up whose first message cannot be read there. Nobody but whoever saw that message knows its
        connection id; a list with our version answers nothing that we sent (RFC 9000, section 6.2)."""
        initiation = self._initiator.awaiting(address, local_id)
        if PROTOCOL_VERSION in versions:
            raise DatagramRefused(Drop.UNEXPECTED)
        self._initiator.forget(initiation)
        if initiation.announced:
            is_newer = max(versions) > PROTOCOL_VERSION
            reason = CloseReason.NEWER_VERSION if is_newer else CloseReason.OLDER_VERSION
            self._events.append(SessionClosed(initiation.number, reason))

    # --- Sessions --------------------------------------------------------------------------------------------------

    def _on_data(self, address: Address, local_id: bytes, datagram: bytes, now: float) -> None:
        connection = self._connections.by_local_id(local_id)
        if connection is not None:
            frame = connection.open(datagram, now)
        elif (half_open := self._responder.get(local_id)) is not None:
            connection, frame = self._confirm(half_open, address, datagram, now)
        else:
            answer, drop = self._resets.answer(address, local_id, datagram, now)
            self._send(address, answer)
            raise DatagramRefused(drop)
        previous_address = connection.address
        kind = connection.take_frame(frame, address, len(datagram), now)
        self._connections.heard(connection, previous_address)
        if connection.address != previous_address:
            self._events.append(PathValidated(connection.number, connection.address))
        if frame[:2] == _CARRIED_HEAD:
            self._carried.setdefault(connection.number, []).append(frame[2:])
        elif kind == FrameKind.MESSAGE:
            self._events.append(MessageReceived(connection.number, frame[1:], connection.address))
        elif kind == FrameKind.CLOSE:
            self._remove(connection, CloseReason.REMOTE)
        elif kind not in (FrameKind.PING, FrameKind.PONG):
            raise DatagramRefused(Drop.MALFORMED)

    def _on_hint(self, address: Address, remote_id: bytes, _datagram: bytes, now: float) -> None:
        connection = self._connections.by_remote_id(address, remote_id)
        if connection is None:
            raise DatagramRefused(Drop.UNEXPECTED)
        if not self._initiator.is_replacing(connection.number):
            connection.suspect(now)

    def _attend_connection(self, connection: Connection, now: float) -> None:
        verdict = connection.on_deadline(now)
        if verdict is DatagramVerdict.DEAD:
            self._end(connection, CloseReason.TIMED_OUT, now)
        elif verdict is DatagramVerdict.IDLE:
            self._end(connection, CloseReason.IDLE, now)
        else:
            self._deadlines.set(connection.number, connection.next_deadline())
            if connection.paths is not None and connection.paths.take_stranded():
                self._events.append(PathsSilent(connection.number))
            if verdict is DatagramVerdict.FORGOTTEN:
                self._replace(connection, now)

    def _replace(self, connection: Connection, now: float) -> None:
        """Find or make another session in place of one that the other side has forgotten."""
        latest = self._connections.latest(connection.address, connection.remote_key)
        if latest is not None and latest is not connection and latest.opened_at >= connection.opened_at:
            self._end(connection, CloseReason.REPLACED, now)
        elif not self._initiator.is_replacing(connection.number) and not self._initiator.is_full:
            self._initiator.begin(
                self._new_number(), connection.address, connection.remote_key, now, replaces=connection.number
            )

    def _open(
        self,
        number: int,
        remote_key: bytes,
        address: Address,
        now: float,
        *,
        keys: SessionKeys,
        local_id: bytes,
        remote_id: bytes,
    ) -> Connection:
        limits = self._context.limits
        while True:
            excess = self._connections.excess(remote_key, sessions=limits.sessions, per_key=limits.sessions_per_key)
            if excess is None:
                break
            self._end(excess, CloseReason.EVICTED, now)
        connection = Connection(
            number,
            remote_key,
            address,
            now,
            keys=keys,
            local_id=local_id,
            remote_id=remote_id,
            context=self._context,
        )
        self._connections.add(connection)
        self._deadlines.set(number, connection.next_deadline())
        self._events.append(SessionOpened(number, remote_key, address, keys.initiator))
        return connection

    def _end(self, connection: Connection, reason: CloseReason, now: float) -> None:
        """Close a session from this side."""
        datagram = connection.close_datagram()
        if datagram is not None:
            self._send(connection.address, datagram)
            self._resets.remember_close(connection.local_id, connection.address, datagram, now)
        self._remove(connection, reason)

    def _remove(self, connection: Connection, reason: CloseReason) -> None:
        self._initiator.replaced_is_gone(connection.number)
        self._connections.remove(connection)
        self._deadlines.discard(connection.number)
        self._events.append(SessionClosed(connection.number, reason))

    # --- Helpers ---------------------------------------------------------------------------------------------------

    def _session_keys(self, keys: HandshakeKeys, remote_id: bytes, now: float, *, initiator: bool) -> SessionKeys:
        timing, limits = self._context.timing, self._context.limits
        return SessionKeys(keys, now, initiator=initiator, remote_id=remote_id, timing=timing, limits=limits)

    def _open_connection(self, session: int) -> Connection:
        connection = self._connections.get(session)
        if connection is None:
            raise Unavailable("this session is not open; connect again")
        return connection

    def _send(self, address: Address, datagram: bytes) -> None:
        self._datagrams.append((address, datagram))

    def _new_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _new_id(self) -> bytes:
        while True:
            drawn = self._context.entropy(CONNECTION_ID_BYTES)
            if (
                not self._initiator.has_id(drawn)
                and self._connections.by_local_id(drawn) is None
                and self._responder.get(drawn) is None
            ):
                return drawn
