"""What transfer datagrams look like on the wire.

    datagram  = version 1 | type 1 | token 8 | packet number 8 | AEAD(frame)      big endian, header as associated data
    DATA      = 1 | offset 4 | unacked span 4 | bytes of the object to the end
    PING      = 2
    ACK       = 3 | delay in microseconds 4 | largest 8 | window 4 | count 1 | length 4 | count - 1 x (gap 4, length 4)
    CONFIRMED = 4                               the receiver has the whole object and its hash is right
    FAILURE   = 5 | code 1 | reason in UTF-8    the side that sends it has given up
    HEARD     = 6                               the answer to CONFIRMED and FAILURE: no need to repeat it

A datagram holds one frame. The unacked span is how far below its own packet number the sender still waits for
acknowledgements; the receiver need not acknowledge anything older, which keeps acknowledgements short under loss.
`window` is how many datagrams beyond the largest one received may be in flight. Numbers of kinds are append-only.
"""

from enum import IntEnum
from struct import Struct, pack, unpack_from
from typing import Final, Protocol

from shared.config import PROTOCOL_VERSION
from shared.errors import MalformedMessage

TRANSFER_DATAGRAM_TYPE: Final = 0x10
"""The type byte of transfer datagrams, by which a socket tells them from those of handshakes and sessions."""
HEADER_BYTES: Final = 18
DATA_HEAD: Final = Struct(">BII")
DATA_HEAD_BYTES: Final = DATA_HEAD.size
ACK_HEAD: Final = Struct(">BIQIBI")
MAX_ACK_RANGES: Final = 32
"""Intervals in one acknowledgement: bounds the work that one datagram makes the sender do."""
MAX_REASON_BYTES: Final = 200
MAX_U32: Final = 2**32 - 1
MAX_PACKET_NUMBER: Final = 2**62

DATA: Final = 1
PING: Final = 2
ACK: Final = 3
CONFIRMED: Final = 4
FAILURE: Final = 5
HEARD: Final = 6


class FailureCode(IntEnum):
    """Why a side gives up; append-only."""

    CANCELLED = 1
    HASH_MISMATCH = 2
    GAVE_UP = 3


class PacketCipher(Protocol):
    """Seals the datagrams that one side sends and opens those that the other side sent.

    One cipher belongs to one side of one transfer. Packet numbers never repeat within a direction, so they may serve
    as nonces. The header is authenticated and not encrypted.
    """

    @property
    def overhead_bytes(self) -> int:
        """By how many bytes a sealed text is longer than the plain one (16 for the usual AEADs)."""

    @property
    def token(self) -> bytes:
        """The 8 bytes by which the receiving socket recognises the transfer."""

    def seal(self, packet_number: int, header: bytes, plaintext: bytes | memoryview) -> bytes:
        """Return the ciphertext, without the header."""

    def open(self, packet_number: int, header: bytes, ciphertext: bytes | memoryview) -> bytes:
        """Return the plaintext. Raises `RemoteError` where header or ciphertext are not what the other side sealed."""


class PacketSealer:
    """Numbers, seals and opens the datagrams of one side of a transfer."""

    __slots__ = ("_cipher", "next_packet_number", "prefix")

    def __init__(self, cipher: PacketCipher) -> None:
        self._cipher = cipher
        self.prefix = bytes((PROTOCOL_VERSION, TRANSFER_DATAGRAM_TYPE)) + cipher.token
        self.next_packet_number = 0

    def seal(self, frame: bytes) -> bytes:
        """Return the next datagram."""
        number = self.next_packet_number
        self.next_packet_number = number + 1
        header = self.prefix + number.to_bytes(8, "big")
        return header + self._cipher.seal(number, header, frame)

    def number_of(self, datagram: bytes | memoryview) -> int | None:
        """Return the packet number that an unproven datagram claims, None where it is none of this transfer."""
        if len(datagram) <= HEADER_BYTES or datagram[:10] != self.prefix:
            return None
        number = int.from_bytes(datagram[10:18], "big")
        return number if number < MAX_PACKET_NUMBER else None

    def open(self, number: int, datagram: bytes | memoryview) -> bytes:
        """Return the frame of the datagram with that number. Raises `RemoteError`; an empty frame is malformed."""
        frame = self._cipher.open(number, bytes(datagram[:HEADER_BYTES]), datagram[HEADER_BYTES:])
        if not frame:
            raise MalformedMessage("a transfer datagram without a frame")
        return frame


def encode_ack(delay_s: float, window: int, intervals: list[tuple[int, int]]) -> bytes:
    """Return an ACK frame for half-open `intervals` of packet numbers, given from the top downwards."""
    (start, end), *older = intervals
    numbers: list[int] = []
    above = start
    for low, high in older[: MAX_ACK_RANGES - 1]:
        numbers += (above - high, high - low)
        above = low
    delay_us = min(int(delay_s * 1e6), MAX_U32)
    head = ACK_HEAD.pack(ACK, delay_us, end - 1, min(window, MAX_U32), 1 + len(numbers) // 2, min(end - start, MAX_U32))
    return head + pack(f">{len(numbers)}I", *numbers) if numbers else head


def decode_ack(frame: bytes) -> tuple[float, int, list[tuple[int, int]]]:
    """Return delay in seconds, window in datagrams and half-open intervals from the top downwards.

    Raises `MalformedMessage` for a wrong length, too many intervals, or intervals that are empty, touch or fall below
    zero.
    """
    if len(frame) < ACK_HEAD.size:
        raise MalformedMessage("an acknowledgement is cut short")
    _, delay_us, largest, window, count, length = ACK_HEAD.unpack_from(frame)
    if not 1 <= count <= MAX_ACK_RANGES or len(frame) != ACK_HEAD.size + 8 * (count - 1):
        raise MalformedMessage("an acknowledgement has a wrong number of ranges")
    start = largest + 1 - length
    intervals = [(start, largest + 1)]
    if count > 1:
        numbers = unpack_from(f">{2 * count - 2}I", frame, ACK_HEAD.size)
        for gap, size in zip(numbers[::2], numbers[1::2], strict=True):
            end = start - gap
            start = end - size
            if gap == 0 or size == 0:
                raise MalformedMessage("ranges of an acknowledgement touch")
            intervals.append((start, end))
    if length == 0 or start < 0:
        raise MalformedMessage("ranges of an acknowledgement fall below zero")
    return delay_us / 1e6, window, intervals


def encode_failure(code: FailureCode, reason: str) -> bytes:
    """Return a FAILURE frame; the reason is cut to `MAX_REASON_BYTES` at a character's border."""
    text = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
    return bytes((FAILURE, code)) + text.encode()


def decode_failure(frame: bytes) -> tuple[FailureCode, str]:
    """Return code and reason, the latter without anything a terminal would act on. Raises `MalformedMessage`."""
    if len(frame) < 2 or len(frame) > 2 + MAX_REASON_BYTES:
        raise MalformedMessage("a failure is cut short or too long")
    try:
        code = FailureCode(frame[1])
    except ValueError:
        raise MalformedMessage("a failure has an unknown code") from None
    text = frame[2:].decode("utf-8", "replace")
    return code, "".join(character if character.isprintable() else "?" for character in text)
