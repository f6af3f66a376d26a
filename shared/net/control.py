"""Messages about object transfers. They travel in sessions and are told from the owner's messages by their first byte.

    sender                                  receiver
    OFFER  ------------------------------>  repeated until it is answered
           <------------------------------  QUEUED: waits for a worker port; keep repeating, slowly
           <------------------------------  ACCEPT: send to this worker port, I hold these ranges already
           <------------------------------  COMPLETE: I have the whole object
           <------------------------------  REFUSE
    CANCEL ------------------------------>  either way, at any time
    ALIVE  ------------------------------>  either way: keeps the session of a long transfer from idling out

A small object rides along with its OFFER, which saves it a round trip and the receiver a worker port; the receiver says
something only if it does not take it.

All are idempotent by the number of the transfer: a repeated OFFER gets the answer that the first one got. Kinds 240 to
249, append-only.
"""

from typing import Annotated, Final

import msgspec

from shared.config import MAX_DATAGRAM_BYTES, RELAYED_DATAGRAM_BYTES
from shared.wire.base import Count, Digest, Message
from shared.wire.codec import decode, encode
from shared.wire.labels import MAX_LABEL_BYTES

FOR_OWNER: Final = b"\x00"
"""First byte of a message for whoever owns the endpoint."""
FOR_TRANSFERS: Final = b"\x01"
"""First byte of a message about transfers."""
MAX_CONTROL_BYTES: Final = 1_110
"""With first byte, frame kind, header and tag it fits the smallest datagram, that of a relayed path included."""
MAX_RANGES_BYTES: Final = 600
"""Encoded ranges in an ACCEPT; what does not fit is sent again."""

TransferId = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class OfferMessage(Message, frozen=True, tag=240):
    """An object can be sent."""

    transfer: TransferId
    label: Annotated[bytes, msgspec.Meta(max_length=MAX_LABEL_BYTES)]
    size: Count
    sha256: Digest
    rides_along: bool = False
    """The object is so small that its datagrams follow at once, to the parent port, without waiting for ACCEPT."""


class Accept(Message, frozen=True, tag=241):
    """Send it to this port of the host that the session is with; 0 means the port of the session itself."""

    transfer: TransferId
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    datagram_bytes: Annotated[int, msgspec.Meta(ge=RELAYED_DATAGRAM_BYTES, le=MAX_DATAGRAM_BYTES)]
    """The largest datagram of which the receiver's socket buffer holds a good number."""
    have: Annotated[bytes, msgspec.Meta(max_length=MAX_RANGES_BYTES)] = b""
    """Encoded `shared.transfer.ranges.Ranges` of the bytes that are held already."""


class Queued(Message, frozen=True, tag=242):
    """The offer is welcome and waits for its turn."""

    transfer: TransferId


class Complete(Message, frozen=True, tag=243):
    """The whole object is here and its hash is right."""

    transfer: TransferId


class Refuse(Message, frozen=True, tag=244):
    """The object is not wanted."""

    transfer: TransferId
    code: Annotated[str, msgspec.Meta(max_length=32)]
    text: Annotated[str, msgspec.Meta(max_length=400)]


class Cancel(Message, frozen=True, tag=245):
    """The side that sends this has ended the transfer."""

    transfer: TransferId
    by_sender: bool
    """Which role the side that sends this had in the transfer."""
    failed: bool = False
    """True where it did not want to end it: the transfer may be taken up again."""
    text: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Alive(Message, frozen=True, tag=246):
    """A transfer of this session is running."""


Answer = Accept | Queued | Complete | Refuse
ControlMessage = OfferMessage | Accept | Queued | Complete | Refuse | Cancel | Alive


def encode_control(message: ControlMessage) -> bytes:
    """Return the message with its first byte. Raises `LocalError` where it is too long."""
    return FOR_TRANSFERS + encode(message, cap_bytes=MAX_CONTROL_BYTES)


def decode_control(data: bytes) -> ControlMessage:
    """Return the message after the first byte. Raises `MalformedMessage`."""
    message: ControlMessage = decode(data, ControlMessage, cap_bytes=MAX_CONTROL_BYTES)
    return message
