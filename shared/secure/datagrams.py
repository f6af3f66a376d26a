"""What every datagram looks like from outside, and the sizes and kinds that are common to handshakes and sessions.

    datagram  = version 1 | type 1 | routing id 8 | rest                                         big endian
    INIT      = ... sender's connection id | cookie 16 | first handshake message, 1200 bytes in all (relayed: 1152)
    RESPONSE  = ... receiver's connection id | second handshake message
    COOKIE    = ... receiver's connection id | cookie 16
    HINT      = ... the connection id that its sender does not know
    DATA      = ... receiver's connection id | key epoch 1 | packet number 8 | AEAD(frame)
    TRANSFER  = ... token of the transfer | belongs to the transfers, not to sessions
    VERSIONS  = version 0 | type | connection id of an INIT | versions that its receiver speaks, a byte each

Version, type and connection id of an INIT, and all of VERSIONS, are the same in every version of the protocol, so that
programs which share none can say so (after RFC 8999).

    frame     = MESSAGE | bytes  or  PING | number 4  or  PONG | number 4  or  CLOSE

Numbers of types and frames are append-only.
"""

from enum import IntEnum, StrEnum
from struct import Struct
from typing import Final

from shared.config import MIN_PATH_DATAGRAM_BYTES, PROTOCOL_VERSION

Address = tuple[str, int]


class DatagramType(IntEnum):
    """The second byte of a datagram; append-only."""

    INIT = 0x01
    RESPONSE = 0x02
    COOKIE = 0x03
    HINT = 0x04
    DATA = 0x05
    VERSIONS = 0x06
    TRANSFER = 0x10
    """Not for sessions: routed by its token to a transfer."""


class FrameKind(IntEnum):
    """The first byte inside a DATA datagram; append-only."""

    MESSAGE = 1
    PING = 2
    """Asks for a PONG with the same number; the first one confirms the session's keys to the responder."""
    PONG = 3
    CLOSE = 4


class Drop(StrEnum):
    """Why a datagram was dropped; the words under which drops are counted."""

    MALFORMED = "malformed"
    FORGED = "forged"
    REPLAYED = "replayed"
    """Seen before, or older than the replay window can tell."""
    EPOCH = "epoch"
    """Under a key that is no longer or not yet in use."""
    HANDSHAKE = "handshake"
    """A handshake message that does not authenticate."""
    UNEXPECTED = "unexpected"
    """A well-formed answer to nothing that is under way: late, repeated or guessed."""
    ADDRESS = "address"
    """From another address than the handshake that it belongs to."""
    COOKIE_ASKED = "cookie asked"
    """A first handshake message that was answered with a cookie."""
    RATE = "rate"
    UNKNOWN_CONNECTION = "unknown connection"
    CLOSED_CONNECTION = "closed connection"
    NOT_FOR_SESSIONS = "not for sessions"
    OTHER_VERSION = "other version"
    """A first handshake message of another version of the protocol, which was told the version that is spoken here."""


ROUTING: Final = Struct(">BB8s")
ROUTING_BYTES: Final = ROUTING.size
CONNECTION_ID_BYTES: Final = 8
COOKIE_BYTES: Final = 16
TAG_BYTES: Final = 16
DATA_HEADER: Final = Struct(">BB8sBQ")
DATA_HEADER_BYTES: Final = DATA_HEADER.size
MIN_DATA_BYTES: Final = DATA_HEADER_BYTES + 1 + TAG_BYTES
DATA_OVERHEAD_BYTES: Final = MIN_DATA_BYTES
"""What a message is longer by when it travels: header, frame kind and tag."""
COOKIE_DATAGRAM_BYTES: Final = ROUTING_BYTES + COOKIE_BYTES

_NO_VERSION: Final = 0
_MAX_VERSIONS: Final = 32
_KNOWN_TYPES: Final = {int(kind): kind for kind in DatagramType}


def routing_header(kind: DatagramType, routing_id: bytes) -> bytes:
    """Return the first bytes of a datagram."""
    return ROUTING.pack(PROTOCOL_VERSION, kind, routing_id)


def of_other_version(datagram: bytes) -> bytes | None:
    """Return the connection id of a first handshake message of another version, None for everything else.

    It is as long as one of ours: whoever wants an answer sends many times more than the answer.
    """
    if len(datagram) < MIN_PATH_DATAGRAM_BYTES or datagram[0] in (_NO_VERSION, PROTOCOL_VERSION):
        return None
    return datagram[2:ROUTING_BYTES] if datagram[1] == DatagramType.INIT else None


def versions_spoken(connection_id: bytes) -> bytes:
    """Return the VERSIONS datagram that answers an INIT."""
    return ROUTING.pack(_NO_VERSION, DatagramType.VERSIONS, connection_id) + bytes((PROTOCOL_VERSION,))


def read_versions(datagram: bytes) -> tuple[bytes, frozenset[int]] | None:
    """Return the connection id and the versions of a VERSIONS datagram, None for everything else."""
    if datagram[:2] != bytes((_NO_VERSION, DatagramType.VERSIONS)):
        return None
    versions = datagram[ROUTING_BYTES:]
    return (datagram[2:ROUTING_BYTES], frozenset(versions)) if 0 < len(versions) <= _MAX_VERSIONS else None


def peek(datagram: bytes | memoryview) -> tuple[DatagramType, bytes] | None:
    """Return type and routing id (token or connection id), or None where it is no datagram of this version.

    Costs no decryption and proves nothing.
    """
    if len(datagram) < ROUTING_BYTES or datagram[0] != PROTOCOL_VERSION:
        return None
    kind = _KNOWN_TYPES.get(datagram[1])
    return None if kind is None else (kind, bytes(datagram[2:ROUTING_BYTES]))
