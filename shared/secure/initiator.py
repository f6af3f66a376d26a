"""The side that begins handshakes: first messages, repeated with growing pauses until they are answered."""

from collections import deque
from typing import Final

from shared.errors import DatagramRefused, HandshakeFailed, InvalidInput, Unavailable
from shared.secure.context import SocketContext
from shared.secure.datagrams import (
    CONNECTION_ID_BYTES,
    COOKIE_BYTES,
    COOKIE_DATAGRAM_BYTES,
    ROUTING_BYTES,
    Address,
    DatagramType,
    Drop,
    routing_header,
)
from shared.secure.noise import KEY_BYTES, HandshakeKeys, InitiatorHandshake
from shared.secure.relayed import init_bytes

MAX_COOKIE_REPEATS: Final = 3
"""Cookies that make the first message go out again at once; later ones wait for the next repeat. Bounds what someone
who forges cookies can make this side send."""
_UNPADDED_BYTES: Final = ROUTING_BYTES + COOKIE_BYTES + InitiatorHandshake.MESSAGE_OVERHEAD_BYTES
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
        context: SocketContext,
        *,
        replaces: int | None = None,
    ) -> None:
        """Prepare the first message. `replaces` is the session that this one shall take the place of.

        Raises `HandshakeFailed` where the remote key is no key.
        """
        self.number = number
        self.address = address
        self.remote_key = remote_key
        self.local_id = context.new_id()
        self.replaces = replaces
        self.announced = replaces is None
        """Whether someone knows the number and wants to hear of a failure."""
        self.queue: deque[bytes] = deque()
        """Sealed by no one yet: frames that wait for the keys."""
        self.began_at = now
        self.give_up_at = now + context.timing.handshake_timeout_s
        self.repeats = 0
        self._pause_s = context.timing.handshake_retry_s
        self._entropy = context.entropy
        self._repeat_at = now + self._jittered_pause()
        self._cookie = bytes(COOKIE_BYTES)
        self._cookie_repeats = 0
        self._header = routing_header(DatagramType.INIT, self.local_id)
        self._handshake = InitiatorHandshake(
            context.static,
            remote_key,
            ephemeral=context.entropy(KEY_BYTES),
            prologue=context.prologue + self._header,
        )
        self._message = self._handshake.write_first(bytes(init_bytes(address) - _UNPADDED_BYTES))

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


class Initiator:
    """Begins handshakes, repeats their first messages, and finds them again when an answer comes."""

    def __init__(self, context: SocketContext) -> None:
        self._context = context
        self._by_number: dict[int, Initiation] = {}
        self._by_local_id: dict[bytes, Initiation] = {}
        self._by_replaced: dict[int, Initiation] = {}

    @property
    def is_full(self) -> bool:
        """Whether no further handshake may begin now."""
        return len(self._by_number) >= self._context.limits.half_open_handshakes

    def begin(
        self, number: int, address: Address, remote_key: bytes, now: float, *, replaces: int | None = None
    ) -> None:
        """Send the first message of a handshake.

        Raises `InvalidInput` where the key is no key, `Unavailable` where too many handshakes are under way.
        """
        if self.is_full:
            raise Unavailable("too many handshakes are under way")
        if len(remote_key) != KEY_BYTES:
            raise InvalidInput(f"a public key has {KEY_BYTES} bytes, not {len(remote_key)}")
        try:
            initiation = Initiation(number, address, remote_key, now, self._context, replaces=replaces)
        except HandshakeFailed:
            raise InvalidInput("this public key cannot be the key of anyone") from None
        self._by_number[number] = initiation
        self._by_local_id[initiation.local_id] = initiation
        if replaces is not None:
            self._by_replaced[replaces] = initiation
        self._context.deadlines.set(number, initiation.next_deadline())
        self._context.send(address, initiation.datagram())

    def get(self, number: int) -> Initiation | None:
        """The handshake for the session of this number."""
        return self._by_number.get(number)

    def has_id(self, local_id: bytes) -> bool:
        """Whether the connection id is in use."""
        return local_id in self._by_local_id

    def find(self, address: Address, remote_key: bytes) -> Initiation | None:
        """The handshake with this key at this address."""
        for initiation in self._by_number.values():
            if initiation.address == address and initiation.remote_key == remote_key:
                return initiation
        return None

    def awaiting(self, address: Address, local_id: bytes) -> Initiation:
        """The handshake that waits for an answer from that address. Raises `DatagramRefused` if none does."""
        initiation = self._by_local_id.get(local_id)
        if initiation is None:
            raise DatagramRefused(Drop.UNEXPECTED)
        if initiation.address != address:
            raise DatagramRefused(Drop.ADDRESS)
        return initiation

    def take_cookie(self, address: Address, local_id: bytes, datagram: bytes) -> None:
        """Go on with the cookie that came as an answer. Raises `DatagramRefused`."""
        initiation = self.awaiting(address, local_id)
        if initiation.take_cookie(datagram):
            self._context.send(address, initiation.datagram())

    def attend(self, initiation: Initiation, now: float) -> bool:
        """Repeat the first message if it is time; False where the handshake is given up."""
        if now >= initiation.give_up_at:
            self.forget(initiation)
            return False
        if initiation.repeat(now):
            self._context.send(initiation.address, initiation.datagram())
        self._context.deadlines.set(initiation.number, initiation.next_deadline())
        return True

    def forget(self, initiation: Initiation) -> None:
        """Drop a handshake: it is answered, given up, or no longer wanted."""
        del self._by_number[initiation.number]
        del self._by_local_id[initiation.local_id]
        if initiation.replaces is not None:
            del self._by_replaced[initiation.replaces]
        self._context.deadlines.discard(initiation.number)

    def is_replacing(self, session: int) -> bool:
        """Whether a handshake is under way whose session shall take the place of `session`."""
        return session in self._by_replaced

    def replaced_is_gone(self, session: int) -> None:
        """The session to be replaced is over already: go on only if someone else waits for the new one."""
        initiation = self._by_replaced.get(session)
        if initiation is not None and not initiation.announced:
            self.forget(initiation)
        elif initiation is not None:
            del self._by_replaced[session]
            initiation.replaces = None
