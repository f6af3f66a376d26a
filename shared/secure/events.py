"""What the sessions of a socket tell their owner."""

from dataclasses import dataclass
from enum import StrEnum

from shared.secure.datagrams import Address


class CloseReason(StrEnum):
    """Why a session is over."""

    LOCAL = "closed here"
    REMOTE = "closed by the other side"
    IDLE = "idle"
    TIMED_OUT = "handshake timed out"
    """The other side never answered, or never heard the answer; a `connect` may try again."""
    REPLACED = "replaced"
    """The other side has restarted and a younger session to it is open."""
    OLDER_VERSION = "the other side speaks an older version of the protocol"
    NEWER_VERSION = "the other side speaks a newer version of the protocol"
    EVICTED = "evicted"
    """A cap was reached and this session was silent longest."""


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """Messages flow. The other side has proved its key.

    Comes for sessions that were asked for, for those that the other side began, and for those that take the place of
    one whose other side has restarted; then `SessionClosed` with `REPLACED` follows for the old number.
    """

    session: int
    remote_key: bytes
    """The other side's static X25519 key, 32 bytes. Whether it is welcome is for the owner to say."""
    address: Address
    initiator: bool
    """Whether this side began the handshake."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message came in: authentic, and at most once."""

    session: int
    plaintext: bytes
    address: Address
    """Where the other side was when it sent this. Told here, since the session may be over when the event is taken."""


@dataclass(frozen=True, slots=True)
class PathValidated:
    """The other side has moved: it has proved its new address (RFC 9000, section 9), and is sent everything there."""

    session: int
    address: Address


@dataclass(frozen=True, slots=True)
class PathsSilent:
    """The other side of a session that roams answers on none of the known paths: another one is needed."""

    session: int


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The session is over, or its handshake failed; its number is not used again."""

    session: int
    reason: CloseReason


Event = SessionOpened | MessageReceived | PathValidated | PathsSilent | SessionClosed


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """How an open session stands. Times in seconds of the clock that is handed in."""

    remote_key: bytes
    address: Address
    initiator: bool
    opened_at: float
    last_heard: float
    rtt_s: float | None
    """Smoothed round trip of handshake and probes; None before the first sample."""
    sending_epoch: int
