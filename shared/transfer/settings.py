"""Knobs of an object transfer, its states, and what it tells about itself."""

from dataclasses import dataclass
from enum import Enum

from shared.config import LOCAL, MAX_DATAGRAM_BYTES, MIN_PATH_DATAGRAM_BYTES
from shared.errors import LocalError


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """Knobs of one transfer. Both sides use the same presets; nothing here is negotiated on the wire."""

    datagram_bytes: int = MIN_PATH_DATAGRAM_BYTES
    """Size of a full datagram, header and tag included. Larger ones cost less per byte where the path carries them."""
    initial_rtt_s: float = LOCAL.initial_rtt_s
    """Round trip assumed until one is measured; it paces the first flight."""
    idle_timeout_s: float = LOCAL.transfer_idle_s
    """Silence of the other side after which the transfer fails, to be resumed later."""
    stall_timeouts: int = 3
    """The transfer also fails when nothing new has arrived for this many idle timeouts: a hostile side could otherwise
    hold it open for ever by answering without ever taking anything."""
    initial_window_bytes: int = 64 * 1024
    """First flight, and what the sender may assume the receiver's socket to hold before it is told: 55 datagrams of
    1200 bytes are charged with 127 KB, the usual default buffer is 208 KiB. Larger starts faster and floods more."""
    max_window_bytes: int = 64 * 1024 * 1024
    """Cap of the congestion window. A receiver can advertise anything; this bounds what a sender keeps track of."""
    max_receive_window_bytes: int = 32 * 1024 * 1024
    """Cap of the window that a receiver advertises, however large its socket buffer is."""
    scheduling_slack_s: float = 0.005
    """Delay that the processes at the ends may add without it counting as a queue, and the queue that is tolerated on
    short paths. Smaller starves transfers over the loopback interface, larger lets queues grow."""
    ack_every_datagrams: int = 2
    """In-order datagrams after which an acknowledgement is due at the end of a batch (RFC 9000 section 13.2.2)."""
    max_ack_delay_s: float = 0.001
    """Longest wait of a single in-order datagram for its acknowledgement."""
    first_probe_s: float = 0.060
    """Least wait for the first probe, before a round trip is known. A longer one makes losses of short objects slow, a
    shorter one repeats data needlessly on far paths."""
    max_probe_interval_s: float = 1.0
    """Cap of the exponential back-off of probes, so that a transfer goes on soon after an outage."""
    linger_s: float = 3.0
    """How long the closing frame is repeated, on demand and by itself, when it is not confirmed."""

    def __post_init__(self) -> None:
        if not 128 <= self.datagram_bytes <= MAX_DATAGRAM_BYTES:
            raise LocalError(f"datagrams of {self.datagram_bytes} bytes are outside 128 .. {MAX_DATAGRAM_BYTES}")


class TransferState(Enum):
    """Where a transfer stands; every state but OPEN is final."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class SendingStatistics:
    """What a sender can tell about its work, in datagrams."""

    sent: int
    bytes_in_flight: int
    retransmitted: int
    bad: int
    """Datagrams from the other side that were dropped: malformed, forged or claiming the impossible."""


@dataclass(frozen=True, slots=True)
class ReceivingStatistics:
    """What a receiver can tell about its work, in datagrams."""

    received: int
    duplicates: int
    bad: int
