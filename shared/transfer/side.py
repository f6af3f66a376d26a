"""What sender and receiver have in common: states, the closing frame, time-outs, and the guard against replays."""

from typing import Final

from shared.errors import RemoteError
from shared.transfer.frames import (
    CONFIRMED,
    FAILURE,
    HEARD,
    FailureCode,
    PacketCipher,
    PacketSealer,
    decode_failure,
    encode_failure,
)
from shared.transfer.ranges import Ranges
from shared.transfer.settings import TransferSettings, TransferState

MAX_RECEIVED_INTERVALS: Final = 256
"""Gaps among received packet numbers that are remembered; what is older counts as seen. Bounds memory."""
MAX_PACKET_NUMBER_JUMP: Final = 2**20
"""How far a packet number may be ahead of all others; keeps the numbers of an acknowledgement in 32 bits."""
FIRST_REPEAT_S: Final = 0.030
"""Least wait for the first repeat of an unconfirmed closing frame; doubles every time."""
FIRST_REPEAT_RTTS: Final = 3
"""The same in assumed round trips, so that far paths do not see the closing frame twice."""


class ReceivedPackets:
    """Packet numbers that were received and authenticated: what is acknowledged, and the guard against replays.

    `ReplayWindow` would not do: acknowledgements need the intervals.
    """

    __slots__ = ("_floor", "numbers")

    def __init__(self) -> None:
        self.numbers = Ranges()
        self._floor = 0

    def is_fresh(self, number: int) -> bool:
        """Whether a datagram of this number may be looked at."""
        if number >= self.numbers.end:
            return True
        return number >= self._floor and not self.numbers.contains(number)

    def is_plausible(self, number: int) -> bool:
        """Whether a sender that numbers its datagrams one by one can have come this far."""
        return number <= self.numbers.end + MAX_PACKET_NUMBER_JUMP

    def mark(self, number: int) -> None:
        """Note the number of an authenticated datagram."""
        self.numbers.add(number, number + 1)
        if len(self.numbers) > MAX_RECEIVED_INTERVALS:
            _, self._floor = next(iter(self.numbers))
            self.numbers.drop_below(self._floor)


class ClosingFrame:
    """A frame that is repeated, on demand and by itself, until it is confirmed or a bounded time is over."""

    __slots__ = ("_ends_at", "_frame", "_interval_s", "_pending", "_repeat_at", "over")

    def __init__(self, frame: bytes, *, now: float, linger_s: float, first_repeat_s: float) -> None:
        self._frame = frame
        self._pending = True
        self._ends_at = now + linger_s
        self._interval_s = first_repeat_s
        self._repeat_at = now + first_repeat_s
        self.over = False

    def send_again(self) -> None:
        """Send it again: the other side has evidently not received it."""
        self._pending = not self.over

    def take(self) -> bytes | None:
        """Return the frame if it is to be sent now."""
        frame, self._pending = (self._frame if self._pending else None), False
        return frame

    def tick(self, now: float) -> None:
        """Repeat or end by the clock."""
        if self.over:
            return
        if now >= self._ends_at:
            self.over, self._pending = True, False
        elif now >= self._repeat_at:
            self._pending = True
            self._interval_s *= 2
            self._repeat_at = now + self._interval_s

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return None if self.over else min(self._repeat_at, self._ends_at)


class TransferSide:
    """Base of both sides. Not for use by itself."""

    other: str
    """What the other side is called in texts."""

    def __init__(self, *, cipher: PacketCipher, settings: TransferSettings, now: float) -> None:
        self.state = TransferState.OPEN
        self.failure: str | None = None
        """Why the state is FAILED or CANCELLED, in a sentence."""
        self._settings = settings
        self._sealer = PacketSealer(cipher)
        self._received_packets = ReceivedPackets()
        self._bad = 0
        self._duplicates = 0
        self._closing_frame: ClosingFrame | None = None
        self._heard_frame_due = False
        self._last_heard_at = now
        self._last_progress_at = now

    @property
    def finished(self) -> bool:
        """Whether nothing is left to send or to answer: the port may be freed and this object dropped."""
        if self.state is TransferState.OPEN or self._heard_frame_due:
            return False
        return self._closing_frame is None or self._closing_frame.over

    def cancel(self, reason: str, now: float) -> None:
        """End an open transfer and tell the other side why; without effect on one that has ended."""
        if self.state is TransferState.OPEN:
            self._end(TransferState.CANCELLED, reason)
            self._close_with(encode_failure(FailureCode.CANCELLED, reason), now)

    def give_up(self, reason: str, now: float) -> None:
        """Like `cancel`, but the object may be taken up again: the other side may keep what it has."""
        if self.state is TransferState.OPEN:
            self._end(TransferState.FAILED, reason)
            self._close_with(encode_failure(FailureCode.GAVE_UP, reason), now)

    def _end(self, state: TransferState, failure: str | None = None) -> None:
        self.state, self.failure = state, failure

    def _close_with(self, frame: bytes, now: float) -> None:
        first_repeat_s = max(FIRST_REPEAT_S, FIRST_REPEAT_RTTS * self._settings.initial_rtt_s)
        self._closing_frame = ClosingFrame(
            frame, now=now, linger_s=self._settings.linger_s, first_repeat_s=first_repeat_s
        )

    def _authenticate(self, datagram: bytes | memoryview, now: float) -> tuple[int, bytes] | None:
        """Return packet number and frame of a fresh, genuine datagram; count and drop any other.

        The number is not marked as seen yet: a datagram that must be refused for lack of room may come again.
        """
        number = self._sealer.number_of(datagram)
        if number is None or not self._received_packets.is_plausible(number):
            self._bad += 1
            return None
        if not self._received_packets.is_fresh(number):
            self._duplicates += 1
            return None
        try:
            frame = self._sealer.open(number, datagram)
        except RemoteError:
            self._bad += 1
            return None
        self._last_heard_at = now
        return number, frame

    def _receive_closing(self, frame: bytes) -> None:
        """Handle FAILURE and HEARD, whatever the state. Raises `MalformedMessage`."""
        if frame[0] == HEARD:
            if self._closing_frame is not None:
                self._closing_frame.over = True
            return
        code, reason = decode_failure(frame)
        self._heard_frame_due = True
        if self._closing_frame is not None:
            self._closing_frame.over = True
        if self.state is TransferState.OPEN:
            state = TransferState.CANCELLED if code is FailureCode.CANCELLED else TransferState.FAILED
            verb = "cancelled" if code is FailureCode.CANCELLED else "gave up"
            self._end(state, f"the {self.other} {verb}: {reason}")

    def _take_closing(self) -> list[bytes]:
        """Return the datagrams of a transfer that has ended."""
        datagrams: list[bytes] = []
        if self._heard_frame_due:
            self._heard_frame_due = False
            datagrams.append(self._sealer.seal(bytes((HEARD,))))
        if self._closing_frame is not None and (frame := self._closing_frame.take()) is not None:
            datagrams.append(self._sealer.seal(frame))
        return datagrams

    def _confirm(self, now: float) -> None:
        self._close_with(bytes((CONFIRMED,)), now)

    def _idle_deadline(self) -> float:
        idle_s = self._settings.idle_timeout_s
        return min(self._last_heard_at + idle_s, self._last_progress_at + self._settings.stall_timeouts * idle_s)

    def _check_idle(self, now: float) -> bool:
        """End an open transfer whose other side is silent or keeps it open without taking anything; tell whether."""
        if now < self._idle_deadline():
            return False
        idle_s = self._settings.idle_timeout_s
        if now >= self._last_heard_at + idle_s:
            self._end(TransferState.FAILED, f"nothing was heard from the {self.other} for {idle_s:g} s")
        else:
            self.give_up(f"nothing of the object arrived for {self._settings.stall_timeouts * idle_s:g} s", now)
        return True


CLOSING_KINDS: Final = frozenset((FAILURE, HEARD))
"""Kinds that `TransferSide` handles for both sides."""
