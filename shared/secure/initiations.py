"""The handshakes that this side began and that are not answered yet."""

from collections.abc import Callable

from shared.config import Limits, Timing
from shared.errors import DatagramRefused, HandshakeFailed, InvalidInput, Unavailable
from shared.secure.datagrams import Address, Drop
from shared.secure.deadlines import Deadlines
from shared.secure.initiator import Initiation
from shared.secure.noise import KEY_BYTES, KeyPair


class Initiations:
    """Begins handshakes, repeats their first messages, and finds them again when an answer comes."""

    def __init__(
        self,
        static: KeyPair,
        *,
        prologue: bytes,
        entropy: Callable[[int], bytes],
        new_id: Callable[[], bytes],
        timing: Timing,
        limits: Limits,
        send: Callable[[Address, bytes], None],
        deadlines: Deadlines,
    ) -> None:
        """`send` takes what is to be sent; `deadlines` wakes `attend` by the number of the session to be."""
        self._static = static
        self._prologue = prologue
        self._entropy = entropy
        self._new_id = new_id
        self._timing = timing
        self._limits = limits
        self._send = send
        self._deadlines = deadlines
        self._by_number: dict[int, Initiation] = {}
        self._by_local_id: dict[bytes, Initiation] = {}
        self._by_replaced: dict[int, Initiation] = {}

    @property
    def is_full(self) -> bool:
        """Whether no further handshake may begin now."""
        return len(self._by_number) >= self._limits.half_open_handshakes

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
            initiation = Initiation(
                number,
                address,
                remote_key,
                now,
                static=self._static,
                local_id=self._new_id(),
                prologue=self._prologue,
                entropy=self._entropy,
                timing=self._timing,
                replaces=replaces,
            )
        except HandshakeFailed:
            raise InvalidInput("this public key cannot be the key of anyone") from None
        self._by_number[number] = initiation
        self._by_local_id[initiation.local_id] = initiation
        if replaces is not None:
            self._by_replaced[replaces] = initiation
        self._deadlines.set(number, initiation.next_deadline())
        self._send(address, initiation.datagram())

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
            self._send(address, initiation.datagram())

    def attend(self, initiation: Initiation, now: float) -> bool:
        """Repeat the first message if it is time; False where the handshake is given up."""
        if now >= initiation.give_up_at:
            self.forget(initiation)
            return False
        if initiation.repeat(now):
            self._send(initiation.address, initiation.datagram())
        self._deadlines.set(initiation.number, initiation.next_deadline())
        return True

    def forget(self, initiation: Initiation) -> None:
        """Drop a handshake: it is answered, given up, or no longer wanted."""
        del self._by_number[initiation.number]
        del self._by_local_id[initiation.local_id]
        if initiation.replaces is not None:
            del self._by_replaced[initiation.replaces]
        self._deadlines.discard(initiation.number)

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
