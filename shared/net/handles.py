"""What the owner of an endpoint gets to hold: sessions, objects that come in, statistics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio

from shared.errors import GlimpseError, TransferCancelled
from shared.net.udp import Address

Progress = Callable[[int, int], None]
"""Called with bytes that are there and bytes in all; never with less than before."""


class Session:
    """An open session with one other side. Hashable; equal only to itself."""

    __slots__ = ("address", "alive", "initiator", "number", "opened_at", "remote_key", "roams")

    def __init__(self, number: int, remote_key: bytes, address: Address, *, initiator: bool, opened_at: float) -> None:
        self.number = number
        """Unique within the endpoint, never used again."""
        self.remote_key = remote_key
        """The other side's static public key, 32 bytes: who it is."""
        self.address = address
        """Where it is; follows the other side when it proves a new address."""
        self.initiator = initiator
        """Whether this side opened the session."""
        self.opened_at = opened_at
        """In seconds of the endpoint's clock."""
        self.roams = False
        """Whether it goes over to other paths by itself, also through nodes: its transfers then use the endpoint's own
        port and datagrams that every path carries."""
        self.alive = True
        """False once it is over; a new session to the same side is a new object."""

    def __repr__(self) -> str:
        state = "open" if self.alive else "over"
        return f"<Session {self.number} with {self.address[0]}:{self.address[1]}, {state}>"


@dataclass(frozen=True, slots=True)
class IncomingOffer:
    """Another side would like to send an object."""

    label: bytes
    """What it is, in the owners' own words; at most 512 bytes."""
    size: int
    """Bytes."""
    sha256: bytes
    transfer_id: int
    """Unique within the session."""


class Incoming:
    """Made by whoever accepts an offer; hands out the object once it is there and verified."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress
        self.received = 0
        """Bytes that are there."""
        self.total = 0
        """Bytes in all; 0 until the offer is accepted."""
        self._object: bytes | None = None
        self._failure: GlimpseError | None = None
        self._settled = anyio.Event()
        self._cancel: Callable[[], None] | None = None

    @property
    def done(self) -> bool:
        """Whether `wait` returns or raises at once."""
        return self._settled.is_set()

    async def wait(self) -> bytes:
        """Return the object. Raises `TransferFailed` where it did not arrive, `TransferCancelled` where either side
        cancelled it. Giving up waiting does not end the transfer."""
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure
        assert self._object is not None
        return self._object

    def cancel(self) -> None:
        """End the transfer; without effect on one that has ended."""
        if self.done:
            return
        if self._cancel is not None:
            self._cancel()
        self.settle(TransferCancelled("The transfer was cancelled here."))

    # --- For the endpoint --------------------------------------------------------------------------------------------

    def begin(self, total: int, cancel: Callable[[], None]) -> None:
        """The offer is accepted. `cancel` ends the transfer."""
        self.total = total
        self._cancel = cancel

    def report(self, received: int) -> None:
        """More bytes are there."""
        if received > self.received and not self.done:
            self.received = received
            if self.progress is not None:
                self.progress(received, self.total)

    def settle(self, outcome: bytes | GlimpseError) -> None:
        """The transfer has ended; only the first outcome counts."""
        if self.done:
            return
        self._cancel = None  # it knows the transfer, which knows this: nothing would free the object for a long time
        if isinstance(outcome, GlimpseError):
            self._failure = outcome
        else:
            self._object = outcome
        self._settled.set()


@dataclass(frozen=True, slots=True)
class EndpointStatistics:
    """A snapshot. Counts are since the endpoint was opened."""

    sessions: int
    """Open now."""
    sending: int
    """Objects under way to other sides now."""
    receiving: int
    """Objects under way from other sides now, waiting ones included."""
    queued: int
    """Of both directions, those that wait for a place or a worker port."""
    worker_ports: int
    """In use now."""
    received_datagrams: int
    received_bytes: int
    sent_datagrams: int
    sent_bytes: int
    send_errors: int
    """Datagrams that the kernel refused to send."""
    dropped: Mapping[str, int]
    """Datagrams and messages that were dropped, by reason."""
