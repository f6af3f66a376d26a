"""The receiving side of an object transfer."""

from dataclasses import dataclass
from hashlib import sha256 as new_sha256
from typing import Final

from shared.errors import LocalError, RemoteError
from shared.transfer.flow import window_datagrams
from shared.transfer.frames import (
    DATA,
    DATA_HEAD,
    DATA_HEAD_BYTES,
    MAX_ACK_RANGES,
    MAX_U32,
    PING,
    FailureCode,
    PacketCipher,
    encode_ack,
    encode_failure,
)
from shared.transfer.ranges import Ranges
from shared.transfer.settings import ReceivingStatistics, TransferSettings, TransferState
from shared.transfer.side import CLOSING_KINDS, TransferSide

MAX_HELD_INTERVALS: Final = 16_384
"""Islands of the object that are kept apart. A sender that sends every other byte could otherwise make the receiver
hold many times the size of the object; what is beyond is dropped and not acknowledged."""
HASH_STEP_BYTES: Final = 64 * 1024
"""Bytes of the object that are hashed at the end of a batch once they are there, while they are warm."""
MAX_HASH_STEP_BYTES: Final = 1024 * 1024
"""Most bytes hashed at the end of one batch, so that a resumed transfer does not hold up its event loop."""


@dataclass(frozen=True, slots=True)
class PartialObject:
    """What is held of an object: enough to go on in a later transfer, in another session or after a restart."""

    size: int
    sha256: bytes
    data: bytearray
    """All `size` bytes; only those in `have` mean anything."""
    have: Ranges
    """Byte ranges that are held."""


class ReceivingTransfer(TransferSide):
    """Receives one object from one sender. Feed datagrams and the clock, take acknowledgements; no I/O happens inside.

    Memory is `size` bytes and a bounded number of intervals, whatever the sender does.
    """

    other = "sender"

    def __init__(
        self,
        *,
        size: int,
        sha256: bytes,
        cipher: PacketCipher,
        settings: TransferSettings,
        now: float,
        buffer_bytes: int,
        partial: PartialObject | None = None,
    ) -> None:
        """Prepare to receive an object of `size` bytes with that hash.

        `buffer_bytes` is what the kernel really grants the socket (SO_RCVBUF as read back). `partial` is taken over,
        not copied. Raises `LocalError` for an impossible size and for a partial of another object.
        """
        super().__init__(cipher=cipher, settings=settings, now=now)
        if not 0 < size <= MAX_U32 or len(sha256) != 32:
            raise LocalError(f"an object of {size} bytes with a hash of {len(sha256)} bytes cannot be received")
        if partial is None:
            partial = PartialObject(size, sha256, bytearray(size), Ranges())
        elif (partial.size, partial.sha256, len(partial.data)) != (size, sha256, size) or partial.have.end > size:
            raise LocalError("the partial object is not of the object that is to be received")
        self._size = size
        self._sha256 = sha256
        self._data = partial.data
        self._view = memoryview(partial.data)
        self._held = partial.have.copy()
        self._hash = new_sha256()
        self._hashed_bytes = 0
        self._buffer_bytes = buffer_bytes
        self._largest_datagram_bytes = settings.datagram_bytes
        self._window = self._fitting_datagrams()
        self._least_unacked = 0
        self._unacknowledged = 0
        self._ack_at: float | None = None
        self._largest_received_at = now
        self._received = 0
        if self._held.total == size:
            self._finish(now)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes held and the size of the object."""
        return self._held.total, self._size

    @property
    def partial(self) -> PartialObject:
        """What is held, for a later transfer; it shares its memory with this one. Empty after a hash mismatch.

        Not to be asked for after `let_go`.
        """
        return PartialObject(self._size, self._sha256, self._data, self._held.copy())

    @property
    def statistics(self) -> ReceivingStatistics:
        """A snapshot of the work done."""
        return ReceivingStatistics(self._received, self._duplicates, self._bad)

    def object(self) -> bytes:
        """Return the verified object. Raises `LocalError` in any state but DONE."""
        if self.state is not TransferState.DONE:
            raise LocalError("the object has not arrived")
        return bytes(self._data)

    def let_go(self) -> None:
        """Let go of the bytes, once whoever wants them has them: this machine lives on for its closing frame."""
        self._data = bytearray()
        self._view = memoryview(self._data)

    def receive(self, datagram: bytes | memoryview, now: float) -> None:
        """Take a datagram of the sender. Bad ones are counted and dropped; nothing is raised."""
        if (opened := self._authenticate(datagram, now)) is None:
            return
        number, frame = opened
        kind = frame[0]
        if kind in CLOSING_KINDS:
            self._received_packets.mark(number)
            try:
                self._receive_closing(frame)
            except RemoteError:
                self._bad += 1
            return
        if self.state is not TransferState.OPEN:
            self._received_packets.mark(number)
            if self._closing_frame is not None:
                self._closing_frame.send_again()
            return
        if len(datagram) > self._largest_datagram_bytes:
            self._largest_datagram_bytes = len(datagram)
            self._window = self._fitting_datagrams()
        if kind == DATA:
            if not self._receive_data(number, frame, now):
                self._bad += 1
                return
        elif kind == PING:
            self._ack_at = now
        else:
            self._bad += 1
            return
        self._note_arrival(number, now)
        if self._held.total == self._size:
            self._finish(now)

    def take_datagrams(self, now: float, limit: int) -> list[bytes]:
        """Return what is to be sent now: one acknowledgement for all that arrived since the last one, or nothing.

        Call it once after every batch of `receive`, and after `tick`.
        """
        if self.state is not TransferState.OPEN:
            return self._take_closing()[:limit]
        prefix = self._held_prefix()
        if prefix - self._hashed_bytes >= HASH_STEP_BYTES:
            self._hash_up_to(min(prefix, self._hashed_bytes + MAX_HASH_STEP_BYTES))
        if limit < 1 or self._ack_at is None:
            return []
        if now < self._ack_at and self._unacknowledged < self._settings.ack_every_datagrams:
            return []
        self._ack_at = None
        self._unacknowledged = 0
        intervals = self._received_packets.numbers.newest(MAX_ACK_RANGES, self._least_unacked)
        return [self._sealer.seal(encode_ack(max(now - self._largest_received_at, 0.0), self._window, intervals))]

    def tick(self, now: float) -> None:
        """Act on what is due by `now`. A due acknowledgement comes from `take_datagrams`."""
        if self.state is TransferState.OPEN:
            self._check_idle(now)
        elif self._closing_frame is not None:
            self._closing_frame.tick(now)

    def next_deadline(self) -> float | None:
        """When `tick` and `take_datagrams` are to be called at the latest; None once the transfer is finished."""
        if self.state is not TransferState.OPEN:
            return None if self._closing_frame is None else self._closing_frame.next_deadline()
        deadline = self._idle_deadline()
        return deadline if self._ack_at is None else min(deadline, self._ack_at)

    def _fitting_datagrams(self) -> int:
        cap = max(self._settings.max_receive_window_bytes // self._largest_datagram_bytes, 1)
        return min(window_datagrams(self._buffer_bytes, self._largest_datagram_bytes), cap)

    def _receive_data(self, number: int, frame: bytes, now: float) -> bool:
        """Store a chunk; False where it is malformed or there is no room for another island."""
        size = len(frame) - DATA_HEAD_BYTES
        if size < 1:
            return False
        _, offset, unacked_span = DATA_HEAD.unpack_from(frame)
        end = offset + size
        if end > self._size:
            return False
        held = self._held
        if offset >= held.end:
            if offset > held.end and len(held) >= MAX_HELD_INTERVALS:
                return False
            self._view[offset:end] = memoryview(frame)[DATA_HEAD_BYTES:]
        else:
            # What is held may have been hashed already and is never written again.
            missing = list(held.missing(offset, end))
            if missing and len(held) + len(missing) > MAX_HELD_INTERVALS:
                return False
            body = memoryview(frame)[DATA_HEAD_BYTES:]
            for low, high in missing:
                self._view[low:high] = body[low - offset : high - offset]
        if held.add(offset, end):
            self._last_progress_at = now
        # Not of one that is refused: it would be said to have arrived, and there would be nothing to acknowledge.
        self._least_unacked = max(self._least_unacked, number - unacked_span)
        return True

    def _note_arrival(self, number: int, now: float) -> None:
        """Decide when the packet is to be acknowledged: soon, or at the end of the batch if the order is broken."""
        expected = self._received_packets.numbers.end
        self._received_packets.mark(number)
        self._received += 1
        self._unacknowledged += 1
        if number >= expected:
            self._largest_received_at = now
        if number != expected:
            self._ack_at = now
        elif self._ack_at is None:
            self._ack_at = now + self._settings.max_ack_delay_s

    def _held_prefix(self) -> int:
        for start, end in self._held:
            return end if start == 0 else 0
        return 0

    def _hash_up_to(self, end: int) -> None:
        self._hash.update(self._view[self._hashed_bytes : end])
        self._hashed_bytes = end

    def _finish(self, now: float) -> None:
        """Everything is held: verify the hash and send the closing frame."""
        self._hash_up_to(self._size)
        if self._hash.digest() == self._sha256:
            self._end(TransferState.DONE)
            self._confirm(now)
            return
        self._data = bytearray(self._size)
        self._view = memoryview(self._data)
        self._held = Ranges()
        reason = "the hash of the object is not the one that was announced"
        self._end(TransferState.FAILED, reason)
        self._close_with(encode_failure(FailureCode.HASH_MISMATCH, reason), now)
