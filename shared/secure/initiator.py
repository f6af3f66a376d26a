"""The side that begins a handshake: one first message, repeated with growing pauses until it is answered."""

from collections import deque
from collections.abc import Callable
from typing import Final

from shared.config import Timing
from shared.errors import DatagramRefused
from shared.secure.datagrams import (
    CONNECTION_ID_BYTES,
    COOKIE_BYTES,
    COOKIE_DATAGRAM_BYTES,
    INIT_BYTES,
    ROUTING_BYTES,
    Address,
    DatagramType,
    Drop,
    routing_header,
)
from shared.secure.noise import KEY_BYTES, HandshakeKeys, InitiatorHandshake, KeyPair

MAX_COOKIE_REPEATS: Final = 3
"""Cookies that make the first message go out again at once; later ones wait for the next repeat. Bounds what someone
who forges cookies can make this side send."""
_PADDING: Final = bytes(INIT_BYTES - ROUTING_BYTES - COOKIE_BYTES - InitiatorHandshake.MESSAGE_OVERHEAD_BYTES)
_JITTER: Final = 0.25
"""Repeats come up to this fraction later, so that the peers of a restarted node do not all call at one instant."""


class Initiation:
    """A handshake that this side began and that is not answered yet."""

    __slots__ = (
        "_cookie",
        "_cookie_repeats",
        "_entropy",
        "_handshake",
        "_header",
        "_message",
        "_pause_s",
        "_repeat_at",
        "address",
        "announced",
        "began_at",
        "give_up_at",
        "local_id",
        "number",
        "queue",
        "remote_key",
        "repeats",
        "replaces",
    )

    def __init__(
        self,
        number: int,
        address: Address,
        remote_key: bytes,
        now: float,
        *,
        static: KeyPair,
        local_id: bytes,
        prologue: bytes,
        entropy: Callable[[int], bytes],
        timing: Timing,
        replaces: int | None = None,
    ) -> None:
        """Prepare the first message. `replaces` is the session that this one shall take the place of.

        Raises `HandshakeFailed` where the remote key is no key.
        """
        self.number = number
        self.address = address
        self.remote_key = remote_key
        self.local_id = local_id
        self.replaces = replaces
        self.announced = replaces is None
        """Whether someone knows the number and wants to hear of a failure."""
        self.queue: deque[bytes] = deque()
        """Sealed by no one yet: frames that wait for the keys."""
        self.began_at = now
        self.give_up_at = now + timing.handshake_timeout_s
        self.repeats = 0
        self._pause_s = timing.handshake_retry_s
        self._entropy = entropy
        self._repeat_at = now + self._jittered_pause()
        self._cookie = bytes(COOKIE_BYTES)
        self._cookie_repeats = 0
        self._header = routing_header(DatagramType.INIT, local_id)
        self._handshake = InitiatorHandshake(
            static, remote_key, ephemeral=entropy(KEY_BYTES), prologue=prologue + self._header
        )
        self._message = self._handshake.write_first(_PADDING)

    def datagram(self) -> bytes:
        """The first message as it travels."""
        return self._header + self._cookie + self._message

    def next_deadline(self) -> float:
        """When to repeat or to give up."""
        return min(self._repeat_at, self.give_up_at)

    def repeat(self, now: float) -> bool:
        """Whether it is time to send the first message again; the next pause is then twice as long."""
        if now < self._repeat_at:
            return False
        self.repeats += 1
        self._pause_s *= 2
        self._repeat_at = now + self._jittered_pause()
        return True

    def take_cookie(self, datagram: bytes) -> bool:
        """Keep a cookie for the next repeat; whether that repeat should happen now.

        Cookies are not authenticated: a forged one delays the handshake until the next true one.
        """
        if len(datagram) != COOKIE_DATAGRAM_BYTES:
            raise DatagramRefused(Drop.MALFORMED)
        self._cookie = datagram[ROUTING_BYTES:]
        self._cookie_repeats += 1
        self.repeats += 1
        return self._cookie_repeats <= MAX_COOKIE_REPEATS

    def finish(self, datagram: bytes) -> tuple[bytes, HandshakeKeys]:
        """Return the other side's connection id and the keys.

        Raises `HandshakeFailed` or `DatagramRefused`, and the handshake goes on as if nothing had come.
        """
        remote_id, keys = self._handshake.read_second(datagram[ROUTING_BYTES:])
        if len(remote_id) != CONNECTION_ID_BYTES:
            raise DatagramRefused(Drop.MALFORMED)
        return remote_id, keys

    def _jittered_pause(self) -> float:
        return self._pause_s * (1.0 + _JITTER * self._entropy(1)[0] / 256)
