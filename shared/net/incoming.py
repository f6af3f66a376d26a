"""An object that another side offers, and the handle of one that is being received."""

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from shared.errors import GlimpseError, TransferCancelled

Progress = Callable[[int, int], None]
"""Called with bytes that are there and bytes in all; never with less than before."""


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
        if isinstance(outcome, GlimpseError):
            self._failure = outcome
        else:
            self._object = outcome
        self._settled.set()
