"""What both directions of object transfers share within one endpoint."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio.to_thread
from anyio.abc import TaskGroup

from shared.config import RELAYED_DATAGRAM_BYTES, Limits, Timing
from shared.errors import GlimpseError, TransferFailed
from shared.net.admission import WorkerPorts
from shared.net.control import Alive, ControlMessage
from shared.net.driver import TransferDriver
from shared.net.handles import Session
from shared.net.partial_store import PartialStore
from shared.net.paths import is_loopback, largest_datagram_bytes
from shared.net.port import Port
from shared.net.udp import Batch
from shared.secure.multiplexer import SecureMultiplexer

HASH_IN_THREAD_BYTES: Final = 1_000_000
"""Objects beyond this are hashed in a thread: 80 MB would hold up the event loop for 50 ms and more."""

STANDS_STILL_S: Final = 0.5
"""A transfer in which nothing has moved for so long may go to an address where the other side is no more."""
LOST_S: Final = 1.0
"""After so long without a move, a younger session of the other side means that nobody is left in the older one."""

BEGUN_ANEW: Final = "the other side has begun anew"

TransferKey = tuple[int, int]
"""Number of the session, number of the transfer."""


@dataclass(slots=True)
class TransferContext:
    """Machines, ports and caps of one endpoint."""

    sessions: SecureMultiplexer
    parent: Port
    workers: WorkerPorts
    tasks: TaskGroup
    clock: Callable[[], float]
    timing: Timing
    limits: Limits
    partials: PartialStore
    datagram_bytes: int | None
    """Fixed size of full datagrams; None to choose by path."""
    ride_along_bytes: int
    """Objects up to this size do not wait for the acceptance of their offer."""
    post: Callable[[Session, ControlMessage], None]
    flush: Callable[[], None]
    """Send at once what was posted."""
    doubt_path: Callable[[Session], None]
    """Something is awaited in a session and does not come: it may have to take another path."""
    is_translated: Callable[[], bool]
    """Whether this side is known to be behind an address translator: others reach it at its parent port alone."""
    has_younger: Callable[[Session], bool]
    """Whether the other side of a session has begun another one since."""
    dropped: Counter[str]
    routes: dict[bytes, TransferDriver] = field(default_factory=dict)
    """Running transfers by the token of their datagrams, for those that come through the parent port."""

    def largest_datagram(self, session: Session) -> int:
        """The size of datagrams that may be exchanged with that side, as far as this side is concerned."""
        if session.roams:
            return RELAYED_DATAGRAM_BYTES
        if self.datagram_bytes is not None:
            return self.datagram_bytes
        return largest_datagram_bytes(session.address[0], self.parent.socket.receive_buffer_bytes)

    def acquire_worker_now(self, session: Session, *, unasked: bool) -> Port:
        """Return a worker port to send from, or the parent port where none is free at this moment.

        What is sent unasked goes by the parent port beyond this machine: an address translator before the other side
        lets in only what comes from the port that the session is with.
        """
        if session.roams or (unasked and not is_loopback(session.address[0])):
            return self.parent
        try:
            return self.workers.try_acquire(session.remote_key) or self.parent
        except OSError:
            return self.parent

    def give_back(self, port: Port, peer: bytes) -> None:
        """Take back what `acquire_worker_now` or the pool gave for that peer."""
        if port is not self.parent:
            self.workers.release(port, peer)

    def release_to(self, peer: bytes) -> Callable[[Port], None]:
        """Return what gives a worker port of that peer back."""
        return lambda port: self.workers.release(port, peer)

    def forget_route(self, token: bytes) -> None:
        """The transfer with these datagrams is over."""
        self.routes.pop(token, None)

    def feed_parent(self, by_token: dict[bytes, Batch]) -> None:
        """Hand transfer datagrams that came through the parent port to their transfers."""
        for token, batch in by_token.items():
            driver = self.routes.get(token)
            if driver is None:
                self.dropped["unknown transfer"] += len(batch)
            else:
                driver.feed(batch, self.parent)

    async def watch(self, driver: TransferDriver, session: Session, every_s: float | None = None) -> bool:
        """Wait until the transfer has ended, or for a while, at most `every_s` seconds; tell whether it has ended.

        Meanwhile the session is kept from idling out. When the transfer stands still, the other side is told that this
        one is there: one that has moved is followed to its new address then. A transfer that stands still in a session
        before the other side's latest one has lost whom it was with.
        """
        alive_s = self.timing.session_idle_s / 3
        still_s = self.clock() - driver.moved_at
        pause_s = STANDS_STILL_S - still_s if still_s < STANDS_STILL_S else STANDS_STILL_S
        with anyio.move_on_after(min(pause_s, alive_s, math.inf if every_s is None else every_s)):
            await driver.ended.wait()
            return True
        now = self.clock()
        stands_still = now - driver.moved_at >= STANDS_STILL_S
        if self.is_left_behind(session, driver.moved_at):
            driver.abandon(BEGUN_ANEW)
        elif now - driver.alive_at >= (STANDS_STILL_S if stands_still else alive_s):
            driver.alive_at = now
            self.post(session, Alive())
            if stands_still:
                self.doubt_path(session)
        return driver.ended.is_set()

    def is_left_behind(self, session: Session, moved_at: float) -> bool:
        """Whether the other side has begun another session, and nothing has moved in this one since `moved_at`."""
        return self.clock() - moved_at >= LOST_S and self.has_younger(session)


async def sha256_of(data: bytes) -> bytes:
    """Return the hash, from a thread where it takes long."""
    if len(data) <= HASH_IN_THREAD_BYTES:
        return hashlib.sha256(data).digest()
    return await anyio.to_thread.run_sync(lambda: hashlib.sha256(data).digest())


def session_is_over(reason: str) -> GlimpseError:
    """The error of a transfer whose session ended."""
    return TransferFailed(f"The connection to the other side ended ({reason}); the transfer can go on in a new one.")
