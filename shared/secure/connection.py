"""One open session: its frames, probes, path and timers.

PING is the only probe. It confirms the keys to the responder, finds out whether a silent or suspected other side still
knows the session, confirms a key epoch, and validates a new address of the other side (RFC 9000 section 8.2). A session
that roams (`shared.secure.path_choice`) also looks for better paths with it.
"""

from collections.abc import Iterable
from enum import Enum, auto
from struct import Struct
from typing import Final

from shared.errors import DatagramRefused, LocalError, Unavailable
from shared.rtt import RttEstimator
from shared.secure.context import SocketContext
from shared.secure.datagrams import DATA_OVERHEAD_BYTES, MIN_DATA_BYTES, Address, Drop, FrameKind
from shared.secure.events import SessionInfo
from shared.secure.path_choice import PathChoice
from shared.secure.session import MAX_PACKETS_PER_KEY, ReplayWindow, SessionKeys
from shared.secure.transfer_keys import TransferCipher, TransferKeys

MESSAGE: Final = bytes((FrameKind.MESSAGE,))
CLOSE: Final = bytes((FrameKind.CLOSE,))
_PING: Final = int(FrameKind.PING)
_PROBES: Final = frozenset((_PING, int(FrameKind.PONG)))
_PROBE: Final = Struct(">BI")
PROBE_DATAGRAM_BYTES: Final = MIN_DATA_BYTES - 1 + _PROBE.size
CHALLENGE_PAUSE_S: Final = 1.0
"""Least time between two challenges of new addresses."""
SUSPICION_RTTS: Final = 4
SUSPICION_SLACK_S: Final = 0.02
"""A suspected other side has this long, beside some round trips, to answer a probe before a new handshake begins."""


class DatagramVerdict(Enum):
    """What a session's timers say about it."""

    FINE = auto()
    DEAD = auto()
    """The responder never confirmed: it never heard the confirmation, or has forgotten the handshake."""
    IDLE = auto()
    FORGOTTEN = auto()
    """The other side says that it does not know the session, and does not answer in it."""


class Connection:
    """An open session with one other side."""

    def __init__(
        self,
        number: int,
        remote_key: bytes,
        address: Address,
        now: float,
        *,
        keys: SessionKeys,
        local_id: bytes,
        remote_id: bytes,
        context: SocketContext,
    ) -> None:
        self.number = number
        self.remote_key = remote_key
        self.address = address
        self.local_id = local_id
        self.remote_id = remote_id
        self.opened_at = now
        self.last_heard = now
        self.rtt = RttEstimator(context.timing.initial_rtt_s)
        self._keys = keys
        self._timing = context.timing
        self._send = context.send
        self._wake = context.deadlines.advance
        self._last_message_sent = now
        self._unanswered_since = now
        self._ping_number = 0
        self._pinged_at = now
        self._ping_again_at = now
        self._ping_pause_s = context.timing.handshake_retry_s
        self._confirm_by: float | None = None
        self._suspect_by: float | None = None
        self._suspect_ping = 0
        self._epoch_ping: int | None = None
        self._challenged: tuple[Address, int] | None = None
        self._challenge_after = now
        self.paths: PathChoice | None = None
        """Of a session that roams: all paths that it may go on."""
        self._next_transfer = 0 if keys.initiator else 1
        self._transfers_used = (ReplayWindow(), ReplayWindow())

    # --- Sending ---------------------------------------------------------------------------------------------------

    def send_message(self, plaintext: bytes, now: float, *, max_datagram_bytes: int) -> None:
        """Send one message. Raises `LocalError` if it is too long, `Unavailable` if the key is used up."""
        check_message(plaintext, max_datagram_bytes)
        if self._is_exhausted:
            raise Unavailable("the other side of the session does not answer any more; connect again")
        if not self._is_one_sided:
            self._unanswered_since = now
            self._wake(self.number, self._quiet_at)
        self._last_message_sent = now
        self._seal(MESSAGE + plaintext, now)

    def carry(self, plaintexts: Iterable[bytes], now: float) -> None:
        """Send messages that hold datagrams for somebody else: whether they are answered is not this session's matter.

        They were checked to fit; where the key is used up they are lost.
        """
        sealing, seal, send, address = self._keys.sealing, self._keys.seal, self._send, self.address
        free = sealing.free(now)
        for plaintext in plaintexts:
            if free:
                free -= 1
                send(address, seal(MESSAGE + plaintext))
            else:
                self._seal(MESSAGE + plaintext, now)
                free = sealing.free(now)

    def confirm(self, now: float) -> None:
        """Confirm the keys to the responder, again and again until it is heard."""
        self._confirm_by = now + self._timing.handshake_timeout_s
        self._ping(now)
        self._ask_again(now)

    def suspect(self, now: float) -> None:
        """Someone says that the other side does not know this session: probe it before believing that."""
        if self._suspect_by is None:
            patience = SUSPICION_RTTS * self.rtt.smoothed_s + SUSPICION_SLACK_S
            self._suspect_by = now + min(patience, self._timing.handshake_retry_s)
            self._suspect_ping = self._ping(now)
            self._wake(self.number, self._suspect_by)

    def close_datagram(self) -> bytes | None:
        """The datagram that tells the other side that the session is over; None where the key is used up."""
        return None if self._is_exhausted else self._keys.seal(CLOSE)

    @property
    def _is_exhausted(self) -> bool:
        return self._keys.sealing.in_epoch >= MAX_PACKETS_PER_KEY - 1

    def _seal(self, frame: bytes, now: float, address: Address | None = None) -> None:
        sealing = self._keys.sealing
        if sealing.is_due(now):
            sealing.advance(now)
            self._epoch_ping = self._ping_number + 1
            self._ping(now)
            self._ask_again(now)
        if not self._is_exhausted:
            self._send(self.address if address is None else address, self._keys.seal(frame))

    def _ping(self, now: float, address: Address | None = None) -> int:
        number = self._ping_number = self._ping_number + 1
        self._pinged_at = now
        self._seal(_PROBE.pack(FrameKind.PING, number), now, address)
        return number

    def _ask_again(self, now: float) -> None:
        self._ping_pause_s = self._timing.handshake_retry_s
        self._ping_again_at = now + self._ping_pause_s
        self._wake(self.number, self._ping_again_at)

    # --- Receiving -------------------------------------------------------------------------------------------------

    def open(self, datagram: bytes, now: float) -> bytes:
        """Return the frame of a DATA datagram. Raises `DatagramRefused`."""
        return self._keys.open(datagram, now)

    def take_frame(self, frame: bytes, address: Address, datagram_bytes: int, now: float) -> int:
        """Act on an authentic frame that came in a datagram of that size; return its kind.

        Raises `DatagramRefused` for probes that make no sense.
        """
        self.last_heard = now
        self._confirm_by = None
        if self.paths is not None:
            self.paths.heard(address, now, rtt_s=self.rtt.smoothed_s)
            self._attend_paths(now)
        elif address != self.address:
            self._challenge(address, datagram_bytes, now)
        kind = frame[0]
        if kind in _PROBES:
            if len(frame) != _PROBE.size:
                raise DatagramRefused(Drop.MALFORMED)
            number = _PROBE.unpack(frame)[1]
            if kind == _PING:
                self._seal(_PROBE.pack(FrameKind.PONG, number), now, None if self.paths is None else address)
            else:
                self._take_pong(number, address, now)
        return kind

    def _take_pong(self, number: int, address: Address, now: float) -> None:
        if number > self._ping_number:
            raise DatagramRefused(Drop.UNEXPECTED)
        if number == self._ping_number:
            self.rtt.sample(now - self._pinged_at)
        if self._suspect_by is not None and number >= self._suspect_ping:
            self._suspect_by = None
        if self._epoch_ping is not None and number >= self._epoch_ping:
            self._epoch_ping = None
            self._keys.sealing.confirmed = True
        if self._challenged == (address, number):
            self.address = address
            self._challenged = None
        if self.paths is not None:
            if self.paths.answered(number, address, now):
                self.address = address
            self._attend_paths(now)

    def _challenge(self, address: Address, received_bytes: int, now: float) -> None:
        """Ask a new address of the other side to prove itself; it gets nothing else until then, and not more bytes than
        came from it (RFC 9000 section 8.2)."""
        if now >= self._challenge_after and received_bytes >= PROBE_DATAGRAM_BYTES:
            self._challenge_after = now + CHALLENGE_PAUSE_S
            self._challenged = (address, self._ping(now, address))

    # --- Paths ------------------------------------------------------------------------------------------------------

    def roam(self, addresses: Iterable[Address], now: float) -> None:
        """Look for the best of the known paths and these, and change over as they come and go.

        PING is answered to where it came from then, as RFC 9000 section 8.2.2 asks: with a PONG that is as long.
        """
        if self.paths is None:
            self.paths = PathChoice(self.address, now)
        self.paths.add(addresses, now)
        self._attend_paths(now)

    def doubt_path(self, now: float) -> None:
        """Something is awaited and does not come. Without effect where the session does not roam."""
        if self.paths is not None:
            self.paths.doubt(now, rtt_s=self.rtt.smoothed_s)
            self._attend_paths(now)

    def lose_path(self, address: Address, now: float) -> None:
        """A path is gone for good."""
        if self.paths is not None:
            self.paths.lost(address, now)
            self._attend_paths(now)

    def _attend_paths(self, now: float) -> None:
        assert self.paths is not None
        for address in self.paths.take_due(now):
            self.paths.probed(self._ping(now, address), address)
        if (deadline := self.paths.next_deadline()) is not None:
            self._wake(self.number, deadline)

    # --- Time ------------------------------------------------------------------------------------------------------

    def on_deadline(self, now: float) -> DatagramVerdict:
        """Do what is due. After a verdict of `FORGOTTEN` the suspicion is settled until it is raised again."""
        if self._confirm_by is not None and now >= self._confirm_by:
            return DatagramVerdict.DEAD
        if now >= self.last_heard + self._timing.session_idle_s:
            return DatagramVerdict.IDLE
        if self._suspect_by is not None and now >= self._suspect_by:
            self._suspect_by = None
            return DatagramVerdict.FORGOTTEN
        if self.paths is not None:
            self._attend_paths(now)
        if self._awaits_pong:
            if now >= self._ping_again_at:
                self._ping(now)
                self._ping_pause_s = min(2 * self._ping_pause_s, self._timing.session_idle_s / 8)
                self._ping_again_at = now + self._ping_pause_s
        elif self._is_one_sided and now >= self._quiet_at:
            self._ping(now)
            self._ping_again_at = now + self._timing.session_idle_s / 8
        return DatagramVerdict.FINE

    def next_deadline(self) -> float:
        """When `on_deadline` has something to do, or has to look again."""
        due = self.last_heard + self._timing.session_idle_s
        paths_due = None if self.paths is None else self.paths.next_deadline()
        for deadline in (self._confirm_by, self._suspect_by, paths_due):
            if deadline is not None:
                due = min(due, deadline)
        if self._awaits_pong:
            due = min(due, self._ping_again_at)
        elif self._is_one_sided:
            due = min(due, self._quiet_at)
        return due

    @property
    def _awaits_pong(self) -> bool:
        return self._confirm_by is not None or self._epoch_ping is not None

    @property
    def _is_one_sided(self) -> bool:
        """Whether messages went out and nothing came since: then half an idle time of silence is worth a probe, if an
        answer could have come by now."""
        return self._last_message_sent > self.last_heard

    @property
    def _quiet_at(self) -> float:
        idle_s = self._timing.session_idle_s
        return max(self.last_heard + idle_s / 2, self._unanswered_since + idle_s / 8, self._ping_again_at)

    # --- Transfers -------------------------------------------------------------------------------------------------

    def next_transfer_id(self) -> int:
        """Draw a number: even ones are the initiator's, odd ones the responder's, none comes twice."""
        number = self._next_transfer
        self._next_transfer += 2
        return number

    def transfer_keys(self, transfer_id: int, *, sender_is_me: bool) -> TransferCipher:
        """Derive this side's cipher of a transfer, once per transfer: a second one would repeat packet numbers.

        Raises `DatagramRefused` for a number that has its keys already, or is of this side's and was never drawn: the
        number may be what the other side names, so neither is a mistake of the caller.
        """
        is_own = (transfer_id % 2 == 0) == self._keys.initiator
        if not 0 <= transfer_id < 2**64 or (is_own and transfer_id >= self._next_transfer):
            raise DatagramRefused(Drop.MALFORMED)
        used = self._transfers_used[transfer_id % 2]
        if not used.is_fresh(transfer_id // 2):
            raise DatagramRefused(Drop.REPLAYED)
        used.mark(transfer_id // 2)
        keys = TransferKeys(self._keys.exporter, transfer_id, initiator_sends=sender_is_me == self._keys.initiator)
        return keys.sender_cipher() if sender_is_me else keys.receiver_cipher()

    def info(self) -> SessionInfo:
        """How the session stands."""
        sealing = self._keys.sealing
        return SessionInfo(
            remote_key=self.remote_key,
            address=self.address,
            initiator=self._keys.initiator,
            opened_at=self.opened_at,
            last_heard=self.last_heard,
            rtt_s=self.rtt.smoothed_s if self.rtt.is_measured else None,
            sending_epoch=sealing.epoch,
        )


def check_message(plaintext: bytes, max_datagram_bytes: int) -> None:
    """Raise `LocalError` if the message does not fit a datagram of that size."""
    room = max_datagram_bytes - DATA_OVERHEAD_BYTES
    if len(plaintext) > room:
        raise LocalError(f"a message of {len(plaintext)} bytes does not fit a datagram with room for {room}")
