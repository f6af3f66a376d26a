"""Keys of object transfers: own keys for each, so that a transfer outlives the port and pace of its session.

They are derived from the session's exporter secret with the number of the transfer and the role of its sender, so both
sides arrive at the same keys without a further message. Transfers are short (a picture is some ten thousand datagrams)
and need no key epochs.
"""

from struct import Struct, pack
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.errors import DatagramRefused, LocalError
from shared.secure.datagrams import TAG_BYTES, Drop
from shared.secure.session import expand

TOKEN_BYTES: Final = 8
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 4
_DIRECTION_BYTES: Final = _KEY_BYTES + _SALT_BYTES
_NUMBER: Final = Struct(">Q")
_MAX_U64: Final = 2**64 - 1


class TransferCipher:
    """Seals what one end of a transfer sends and opens what the other end sends.

    The caller never seals two texts under one packet number and refuses repeated numbers that come in.
    """

    overhead_bytes: Final = TAG_BYTES

    __slots__ = ("_open", "_opening_salt", "_seal", "_sealing_salt", "token")

    def __init__(self, token: bytes, sealing: bytes, opening: bytes) -> None:
        """Take the token, and key and salt of both directions."""
        self.token = token
        self._seal = AESGCM(sealing[:_KEY_BYTES]).encrypt
        self._sealing_salt = sealing[_KEY_BYTES:]
        self._open = AESGCM(opening[:_KEY_BYTES]).decrypt
        self._opening_salt = opening[_KEY_BYTES:]

    def seal(self, packet_number: int, header: bytes, plaintext: bytes | memoryview) -> bytes:
        """Return ciphertext and tag, without the header that they authenticate."""
        return self._seal(self._sealing_salt + _NUMBER.pack(packet_number), plaintext, header)

    def open(self, packet_number: int, header: bytes, ciphertext: bytes | memoryview) -> bytes:
        """Return the plaintext. Raises `DatagramRefused` where it was not sealed by the other end in this way."""
        if not 0 <= packet_number <= _MAX_U64:
            raise DatagramRefused(Drop.MALFORMED)
        try:
            return self._open(self._opening_salt + _NUMBER.pack(packet_number), ciphertext, header)
        except InvalidTag:
            raise DatagramRefused(Drop.FORGED) from None


class TransferKeys:
    """The keys of one transfer, and a cipher for each of its ends."""

    __slots__ = ("_acks", "_data", "token")

    def __init__(self, exporter: bytes, transfer_id: int, *, initiator_sends: bool) -> None:
        """Derive the keys of transfer `transfer_id` (0 to 2^64 - 1), sent by the session's initiator or responder."""
        if not 0 <= transfer_id <= _MAX_U64:
            raise LocalError(f"transfer id {transfer_id} is out of range")
        label = b"transfer" + pack(">QB", transfer_id, initiator_sends)
        material = expand(exporter, label, TOKEN_BYTES + 2 * _DIRECTION_BYTES)
        self.token = material[:TOKEN_BYTES]
        """Routes the datagrams of the transfer; public, and tells nothing about the keys."""
        self._data = material[TOKEN_BYTES : TOKEN_BYTES + _DIRECTION_BYTES]
        self._acks = material[TOKEN_BYTES + _DIRECTION_BYTES :]

    def sender_cipher(self) -> TransferCipher:
        """The cipher of the end that sends the object."""
        return TransferCipher(self.token, self._data, self._acks)

    def receiver_cipher(self) -> TransferCipher:
        """The cipher of the end that takes the object and sends acknowledgements."""
        return TransferCipher(self.token, self._acks, self._data)
