"""The keys of one established session, and its datagrams: sealed, numbered, opened once.

Data is always under AES-256-GCM. Handshakes are a few datagrams and keep the ChaCha20-Poly1305 of their Noise pattern;
data is many, and on processors with AES instructions (every x86-64 and ARMv8 server or laptop of the last decade) GCM
takes clearly less time per datagram. One fixed cipher leaves nothing to negotiate and so nothing to downgrade.

Each direction has a chain of secrets, one per key epoch: the next secret is derived from the last one, which is then
forgotten, so that a stolen key opens nothing older. A sender enters a new epoch after so many datagrams or seconds, but
never before the other side has proved that it follows the current one (RFC 9001 section 6.1); the receiver follows with
the first datagram that authenticates under the next key and takes the previous epoch for a while longer. Packet numbers
run on through all epochs, so one replay window serves them all.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from shared.config import PROTOCOL_VERSION, Limits, Timing
from shared.errors import DatagramRefused, LocalError
from shared.secure.datagrams import DATA_HEADER, DATA_HEADER_BYTES, MIN_DATA_BYTES, DatagramType, Drop
from shared.secure.noise import HandshakeKeys

MAX_PACKETS_PER_KEY: Final = 2**23
"""Hard stop under one key (RFC 9001 section 6.6), where the other side never confirms an epoch."""
WINDOW_PACKETS: Final = 2_048
"""How far behind the highest number a late one is still told from a repeated one; more tolerates more reordering and
costs one bit each."""
_WINDOW_MASK: Final = (1 << WINDOW_PACKETS) - 1
EPOCHS: Final = 256
_SECRET_BYTES: Final = 32
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 4
_NUMBER_AT: Final = DATA_HEADER_BYTES - 8
"""Where the packet number stands in a header; its eight bytes are the end of the nonce."""
_DATA: Final = int(DatagramType.DATA)


def expand(secret: bytes, label: bytes, length: int) -> bytes:
    """Return `length` bytes derived from a uniformly random secret: HKDF-Expand with SHA-256 (RFC 5869)."""
    return HKDFExpand(algorithm=SHA256(), length=length, info=b"glimpse " + label).derive(secret)


@dataclass(frozen=True, slots=True)
class DirectionKey:
    """The cipher of one direction in one epoch."""

    secret: bytes
    """Secret of the epoch, from which the next one follows."""
    cipher: AESGCM
    salt: bytes
    """First four bytes of every nonce, the packet number being the rest."""

    @classmethod
    def of(cls, secret: bytes) -> "DirectionKey":
        """Derive key and salt from the secret of an epoch."""
        material = expand(secret, b"data key", _KEY_BYTES + _SALT_BYTES)
        return cls(secret, AESGCM(material[:_KEY_BYTES]), material[_KEY_BYTES:])

    def next(self) -> "DirectionKey":
        """Derive the key of the next epoch."""
        return DirectionKey.of(expand(self.secret, b"next epoch", _SECRET_BYTES))


class SealingKeys:
    """The direction that this side sends."""

    __slots__ = ("_age_s", "_key", "_packets_per_epoch", "confirmed", "epoch", "in_epoch", "number", "since")

    def __init__(self, secret: bytes, now: float, *, packets_per_epoch: int, age_s: float) -> None:
        self._key = DirectionKey.of(secret)
        self._packets_per_epoch = packets_per_epoch
        self._age_s = age_s
        self.epoch = 0
        self.number = 0
        self.in_epoch = 0
        self.since = now
        self.confirmed = True
        """Whether the other side has proved to follow this epoch; the first one is proved by the handshake."""

    def is_due(self, now: float) -> bool:
        """Whether the next epoch should begin."""
        return self.confirmed and (self.in_epoch >= self._packets_per_epoch or now - self.since >= self._age_s)

    def advance(self, now: float) -> None:
        """Begin the next epoch. Raises `LocalError` while the current one is unconfirmed."""
        if not self.confirmed:
            raise LocalError("the other side has not proved yet that it follows the current key")
        self._key = self._key.next()
        self.epoch += 1
        self.in_epoch = 0
        self.since = now
        self.confirmed = False

    def seal(self, connection_id: bytes, frame: bytes) -> bytes:
        """Return the next datagram. Raises `LocalError` beyond the hard limit of a key."""
        if self.in_epoch >= MAX_PACKETS_PER_KEY:
            raise LocalError("the key of this session is used up and the other side does not follow to the next one")
        number = self.number
        self.number = number + 1
        self.in_epoch += 1
        key = self._key
        header = DATA_HEADER.pack(PROTOCOL_VERSION, _DATA, connection_id, self.epoch % EPOCHS, number)
        return header + key.cipher.encrypt(key.salt + header[_NUMBER_AT:], frame, header)

    def free(self, now: float) -> int:
        """Return how many datagrams may be sealed at this moment before anything else has to be looked at."""
        if self.is_due(now):
            return 0
        last = min(self._packets_per_epoch, MAX_PACKETS_PER_KEY - 1) if self.confirmed else MAX_PACKETS_PER_KEY - 1
        return max(0, last - self.in_epoch)


class ReplayWindow:
    """A sliding window over numbers that may be used once, in nearly any order (RFC 4303 section 3.4.3)."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0  # bit n stands for the number _highest - n

    def is_fresh(self, number: int) -> bool:
        """Whether `number` was surely not used yet. Changes nothing: the caller first checks that it is authentic."""
        behind = self._highest - number
        if behind < 0:
            return True
        return behind < WINDOW_PACKETS and not self._seen >> behind & 1

    def mark(self, number: int) -> None:
        """Remember that `number` was used; call it only with a fresh number that proved authentic."""
        ahead = number - self._highest
        if ahead <= 0:
            self._seen |= 1 << -ahead
        else:
            self._highest = number
            self._seen = (self._seen << ahead | 1) & _WINDOW_MASK if ahead < WINDOW_PACKETS else 1


class OpeningKeys:
    """The direction that the other side sends."""

    __slots__ = ("_current", "_next", "_previous", "_previous_epoch_s", "_previous_until", "epoch", "window")

    def __init__(self, secret: bytes, *, previous_epoch_s: float) -> None:
        self._current = DirectionKey.of(secret)
        self._next: DirectionKey | None = None
        self._previous: DirectionKey | None = None
        self._previous_epoch_s = previous_epoch_s
        self._previous_until = 0.0
        self.epoch = 0
        self.window = ReplayWindow()

    def open(self, datagram: bytes, now: float) -> bytes:
        """Return the frame of a datagram that was not opened before.

        Raises `DatagramRefused`. Nothing that fails to authenticate moves window or epoch.
        """
        if len(datagram) < MIN_DATA_BYTES:
            raise DatagramRefused(Drop.MALFORMED)
        _, _, _, epoch, number = DATA_HEADER.unpack_from(datagram)
        if not self.window.is_fresh(number):
            raise DatagramRefused(Drop.REPLAYED)
        ahead = (epoch - self.epoch) % EPOCHS
        key = self._current if ahead == 0 else self._other_key(ahead, now)
        try:
            header = datagram[:DATA_HEADER_BYTES]
            frame = key.cipher.decrypt(key.salt + header[_NUMBER_AT:], datagram[DATA_HEADER_BYTES:], header)
        except InvalidTag:
            raise DatagramRefused(Drop.FORGED) from None
        self.window.mark(number)
        if ahead == 1:
            self._follow(now)
        return frame

    def _other_key(self, ahead: int, now: float) -> DirectionKey:
        if ahead == 1:
            if self._next is None:  # derived once, so that forged epochs cost no more than forged datagrams do
                self._next = self._current.next()
            return self._next
        if ahead == EPOCHS - 1 and self._previous is not None:
            if now <= self._previous_until:
                return self._previous
            self._previous = None
        raise DatagramRefused(Drop.EPOCH)

    def _follow(self, now: float) -> None:
        assert self._next is not None
        self._previous, self._current, self._next = self._current, self._next, None
        self._previous_until = now + self._previous_epoch_s
        self.epoch += 1


class SessionKeys:
    """Everything secret about one session."""

    __slots__ = ("_remote_id", "exporter", "initiator", "opening", "sealing")

    def __init__(
        self,
        keys: HandshakeKeys,
        now: float,
        *,
        initiator: bool,
        remote_id: bytes,
        timing: Timing,
        limits: Limits,
    ) -> None:
        """Take what the handshake left, and the connection id under which the other side finds the session."""
        own, other = keys.initiator_to_responder, keys.responder_to_initiator
        self.exporter = HKDF(
            algorithm=SHA256(), length=_SECRET_BYTES, salt=keys.handshake_hash, info=b"glimpse exporter"
        ).derive(own + other)
        """Secret from which the keys of transfers are derived; independent of the data keys."""
        if not initiator:
            own, other = other, own
        self.initiator = initiator
        self._remote_id = remote_id
        self.sealing = SealingKeys(own, now, packets_per_epoch=limits.rekey_packets, age_s=timing.rekey_age_s)
        self.opening = OpeningKeys(other, previous_epoch_s=timing.previous_epoch_s)

    def seal(self, frame: bytes) -> bytes:
        """Return the next datagram."""
        return self.sealing.seal(self._remote_id, frame)

    def open(self, datagram: bytes, now: float) -> bytes:
        """Return the frame of a datagram. Raises `DatagramRefused`."""
        return self.opening.open(datagram, now)
