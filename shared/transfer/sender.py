"""The sending side of an object transfer."""

from collections import deque
from typing import Final

from shared.errors import LocalError, RemoteError
from shared.rtt import RttEstimator
from shared.transfer.congestion import CongestionController, DelayController
from shared.transfer.frames import (
    ACK,
    CONFIRMED,
    DATA,
    DATA_HEAD,
    DATA_HEAD_BYTES,
    HEADER_BYTES,
    MAX_U32,
    PING,
    PacketCipher,
    decode_ack,
)
from shared.transfer.pacing import Pacer
from shared.transfer.ranges import Ranges
from shared.transfer.recovery import PING_CHUNK, SentPackets
from shared.transfer.settings import SendingStatistics, TransferSettings, TransferState
from shared.transfer.side import CLOSING_KINDS, TransferSide

ACKED: Final = 1
"""Flag of a chunk that the receiver holds."""
QUEUED: Final = 2
"""Flag of a chunk that waits for its retransmission."""
PROBES: Final = 2
"""Datagrams of one probe: the second survives the loss of the first (RFC 9002 section 6.2.4)."""


class SendingTransfer(TransferSide):
    """Sends one object to one receiver. Feed datagrams and the clock, take datagrams; no I/O happens inside.

    The object is cut into chunks that fill a datagram. A lost chunk is sent again in a new packet; packet numbers are
    never used twice.
    """

    other = "receiver"

    def __init__(
        self,
        data: bytes | memoryview,
        *,
        cipher: PacketCipher,
        settings: TransferSettings,
        now: float,
        have: Ranges | None = None,
        congestion: CongestionController | None = None,
    ) -> None:
        """Prepare to send `data`, without the bytes in `have`, which the receiver already holds.

        Raises `LocalError` for an empty object and for one of 4 GiB and more.
        """
        super().__init__(cipher=cipher, settings=settings, now=now)
        self._data = memoryview(data)
        self._size = len(self._data)
        if not 0 < self._size <= MAX_U32:
            raise LocalError(f"an object of {self._size} bytes cannot be transferred")
        self._datagram_bytes = settings.datagram_bytes
        self._chunk_bytes = settings.datagram_bytes - HEADER_BYTES - DATA_HEAD_BYTES - cipher.overhead_bytes
        self._last_chunk = (self._size - 1) // self._chunk_bytes
        self._flags = bytearray(self._last_chunk + 1)
        self._acked_bytes = 0
        self._fresh = self._mark_held(have or Ranges())
        self._retransmissions: deque[int] = deque()
        self._sent = SentPackets()
        self._rtt = RttEstimator(settings.initial_rtt_s)
        self._congestion: CongestionController = congestion or DelayController(
            datagram_bytes=settings.datagram_bytes,
            initial_window_bytes=settings.initial_window_bytes,
            max_window_bytes=settings.max_window_bytes,
            rtt=self._rtt,
            slack_s=settings.scheduling_slack_s,
        )
        self._pacer = Pacer(datagram_bytes=settings.datagram_bytes, now=now)
        self._largest_acked = -1
        self._flow_control_limit = max(settings.initial_window_bytes // settings.datagram_bytes, 1)
        self._loss_time: float | None = None
        self._pto_base = now
        self._pto_count = 0
        self._probes_due = 0 if self._fresh else 1  # the receiver holds everything: ask for its confirmation
        self._retransmitted = 0

    @property
    def progress(self) -> tuple[int, int]:
        """Acknowledged bytes and the size of the object."""
        return self._acked_bytes, self._size

    @property
    def statistics(self) -> SendingStatistics:
        """A snapshot of the work done."""
        return SendingStatistics(
            sent=self._sealer.next_packet_number,
            bytes_in_flight=self._sent.in_flight.total * self._datagram_bytes,
            retransmitted=self._retransmitted,
            bad=self._bad,
        )

    def receive(self, datagram: bytes | memoryview, now: float) -> None:
        """Take a datagram of the receiver. Bad ones are counted and dropped; nothing is raised."""
        if (opened := self._authenticate(datagram, now)) is None:
            return
        number, frame = opened
        self._received_packets.mark(number)
        try:
            kind = frame[0]
            if kind == ACK:
                if self.state is TransferState.OPEN:
                    self._receive_ack(frame, now)
                elif self._closing_frame is not None:
                    self._closing_frame.send_again()
            elif kind == CONFIRMED:
                self._heard_frame_due = True
                self.confirmed()
            elif kind in CLOSING_KINDS:
                self._receive_closing(frame)
            else:
                self._bad += 1
        except RemoteError:
            self._bad += 1

    def take_datagrams(self, now: float, limit: int) -> list[bytes]:
        """Return up to `limit` datagrams that may leave now under window, pacing and flow control.

        All but the last have the same size. Call again when the socket is writable, after `receive` and after `tick`.
        """
        if self.state is not TransferState.OPEN:
            return self._take_closing()[:limit]
        rate = self._congestion.pacing_rate
        room = min(self._window_room(), self._flow_room(), self._pacer.allowance(now, rate))
        count = max(min(limit, room), 0)
        probes = min(self._probes_due, limit)
        chunks = self._next_chunks(count) if count >= probes else []
        if not chunks and probes:
            chunks = self._probe_chunks(probes)
        if not chunks:
            return []
        self._probes_due = 0
        self._pto_base = now
        self._pacer.spend(len(chunks) * self._datagram_bytes)
        return self._seal_chunks(chunks, now)

    def confirmed(self) -> None:
        """The receiver is known to have the whole object; without effect on a transfer that has ended."""
        if self.state is TransferState.OPEN:
            self._acked_bytes = self._size
            self._end(TransferState.DONE)

    def path_changed(self, now: float) -> None:
        """Ask at once whether anybody is there: datagrams take another way from now on, since nothing came back over
        the one before."""
        if self.state is TransferState.OPEN:
            self._pto_count = 0
            self._probes_due = PROBES
            self._pto_base = now

    def tick(self, now: float) -> None:
        """Act on what is due by `now`: probes, losses, time-outs."""
        if self.state is not TransferState.OPEN:
            if self._closing_frame is not None:
                self._closing_frame.tick(now)
            return
        if self._check_idle(now):
            return
        if self._loss_time is not None and now >= self._loss_time:
            self._detect_losses(now)
        if now >= self._pto_at():
            self._pto_count += 1
            self._probes_due = PROBES
            self._pto_base = now
            self._congestion.on_pto(self._pto_count)

    def next_deadline(self) -> float | None:
        """When `tick` and `take_datagrams` are to be called at the latest; None once the transfer is finished."""
        if self.state is not TransferState.OPEN:
            return None if self._closing_frame is None else self._closing_frame.next_deadline()
        deadline = min(self._pto_at(), self._idle_deadline())
        if self._loss_time is not None:
            deadline = min(deadline, self._loss_time)
        if (self._retransmissions or self._fresh) and self._window_room() > 0 and self._flow_room() > 0:
            deadline = min(deadline, self._pacer.ready_at(self._congestion.pacing_rate))
        return deadline

    def _end(self, state: TransferState, failure: str | None = None) -> None:
        """End, and let go of the object: this machine lives on for a frame or two, and an object has many megabytes."""
        super()._end(state, failure)
        self._data = memoryview(b"")

    # --- What to send ------------------------------------------------------------------------------------------------

    def _mark_held(self, have: Ranges) -> deque[tuple[int, int]]:
        """Flag the chunks that are wholly held and return the intervals of the others, in order."""
        held = Ranges()
        for start, end in have:
            first = -(-start // self._chunk_bytes)
            past = self._last_chunk + 1 if end >= self._size else end // self._chunk_bytes
            if first < past:
                held.add(first, past)
                self._flags[first:past] = bytes((ACKED,)) * (past - first)
        for first, past in held:
            self._acked_bytes += min(past * self._chunk_bytes, self._size) - first * self._chunk_bytes
        return deque(held.missing(0, self._last_chunk + 1))

    def _window_room(self) -> int:
        return self._congestion.congestion_window // self._datagram_bytes - self._sent.in_flight.total

    def _flow_room(self) -> int:
        return self._flow_control_limit - self._sealer.next_packet_number

    def _next_chunks(self, count: int) -> list[int]:
        """Return up to `count` chunks that are to be sent: lost ones first, then fresh ones."""
        chunks: list[int] = []
        repeats, flags = self._retransmissions, self._flags
        while repeats and len(chunks) < count:
            chunk = repeats.popleft()
            flags[chunk] &= ~QUEUED
            if not flags[chunk] & ACKED:
                chunks.append(chunk)
        self._retransmitted += len(chunks)
        while self._fresh and len(chunks) < count:
            first, past = self._fresh.popleft()
            end = min(past, first + count - len(chunks))
            chunks.extend(range(first, end))
            if end < past:
                self._fresh.appendleft((end, past))
        return chunks

    def _probe_chunks(self, count: int) -> list[int]:
        """Return what a probe carries: data while the receiver has room, otherwise nothing but the question."""
        if self._flow_room() < count:
            return [PING_CHUNK]
        chunks = self._next_chunks(count)
        if not chunks:
            oldest = self._sent.oldest_in_flight_chunks(count)
            chunks = [chunk for chunk in oldest if chunk != PING_CHUNK and not self._flags[chunk] & ACKED]
            self._retransmitted += len(chunks)
        return chunks or [PING_CHUNK]

    def _seal_chunks(self, chunks: list[int], now: float) -> list[bytes]:
        if self._last_chunk in chunks:  # the short one ends the train
            chunks.remove(self._last_chunk)
            chunks.append(self._last_chunk)
        data, chunk_bytes, seal = self._data, self._chunk_bytes, self._sealer.seal
        pack_head = DATA_HEAD.pack
        first_number = self._sealer.next_packet_number
        unacked_span = min(first_number - self._sent.least_unacked(), MAX_U32 - len(chunks))
        self._sent.record(first_number, chunks, now)
        datagrams: list[bytes] = []
        for chunk in chunks:
            if chunk == PING_CHUNK:
                datagrams.append(seal(bytes((PING,))))
            else:
                offset = chunk * chunk_bytes
                datagrams.append(seal(pack_head(DATA, offset, unacked_span) + data[offset : offset + chunk_bytes]))
            unacked_span += 1
        return datagrams

    # --- What is received -------------------------------------------------------------------------------------------

    def _receive_ack(self, frame: bytes, now: float) -> None:
        delay_s, window, intervals = decode_ack(frame)
        largest = intervals[0][1] - 1
        sent = self._sent
        if largest >= sent.next_number:  # acknowledges what was never sent
            self._bad += 1
            return
        largest_before = self._largest_acked
        if largest >= largest_before:
            self._largest_acked = largest
            self._flow_control_limit = largest + 1 + window
        used = 2 * sent.in_flight.total * self._datagram_bytes >= self._congestion.congestion_window
        chunks, arrived = sent.acknowledge(intervals, largest_before)
        if not chunks:
            return
        rtt_s = None
        if largest > largest_before:
            rtt_s = self._rtt.sample(now - sent.sent_at(largest), delay_s)
        self._settle_chunks(chunks, now)
        self._pto_count = self._probes_due = 0
        self._pto_base = now
        self._detect_losses(now)
        self._congestion.on_packets_acked(
            now, arrived * self._datagram_bytes, rtt_s, used, self._largest_acked, sent.next_number
        )

    def _settle_chunks(self, chunks: list[int], now: float) -> None:
        flags, arrived = self._flags, 0
        for chunk in chunks:
            if chunk >= 0 and not flags[chunk] & ACKED:
                flags[chunk] |= ACKED
                arrived += self._chunk_bytes
                if chunk == self._last_chunk:
                    arrived -= (self._last_chunk + 1) * self._chunk_bytes - self._size
        if arrived:
            self._acked_bytes += arrived
            self._last_progress_at = now

    def _detect_losses(self, now: float) -> None:
        rtt_s = max(self._rtt.smoothed_s, self._rtt.latest_s)
        lost, self._loss_time = self._sent.detect_lost(self._largest_acked, now, rtt_s)
        if not lost:
            return
        self._congestion.on_packets_lost(len(lost) * self._datagram_bytes)
        for chunk in lost:
            if chunk >= 0 and not self._flags[chunk]:
                self._flags[chunk] = QUEUED
                self._retransmissions.append(chunk)

    def _pto_at(self) -> float:
        settings = self._settings
        if self._rtt.is_measured:
            wait_s = self._rtt.pto_s(settings.max_ack_delay_s)
        else:
            wait_s = max(settings.first_probe_s, 3 * settings.initial_rtt_s)
        return self._pto_base + min(
            wait_s * (1 << min(self._pto_count, 16)), max(settings.max_probe_interval_s, wait_s)
        )
