"""Why the cloud or a peer says no: codes for programs, and the sentence a user reads where there is no better one.

Codes are append-only: peers of another version act on them.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class RefusalCode(StrEnum):
    """The code of a refusal, as it travels in an `Answer`."""

    NOT_FOUND = "not_found"
    NOT_ALLOWED = "not_allowed"
    NO_VIEWS = "no_views"
    EXPIRED = "expired"
    REVOKED = "revoked"
    FROZEN = "frozen"
    CONFLICT = "conflict"
    BUSY = "busy"
    ID_REUSED = "id_reused"
    UNKNOWN_ACCOUNT = "unknown_account"
    ALREADY_REGISTERED = "already_registered"
    TOO_LARGE = "too_large"
    MAILBOX_FULL = "mailbox_full"
    INVALID = "invalid"
    NOT_READY = "not_ready"
    NO_DIRECTORY = "no_directory"
    REPEAT_OVER = "repeat_over"
    UNSUPPORTED = "unsupported"


FINAL_CODES: Final = frozenset(
    {
        RefusalCode.NOT_FOUND,
        RefusalCode.NOT_ALLOWED,
        RefusalCode.NO_VIEWS,
        RefusalCode.EXPIRED,
        RefusalCode.REVOKED,
        RefusalCode.CONFLICT,
        RefusalCode.ID_REUSED,
        RefusalCode.ALREADY_REGISTERED,
        RefusalCode.TOO_LARGE,
        RefusalCode.INVALID,
        RefusalCode.REPEAT_OVER,
        RefusalCode.UNSUPPORTED,
    }
)
"""Refusals that repeating the same request cannot change. Every other code, also one that this version does not know,
is passing: what was asked for waits and is tried again."""

VIEW_CODES: Final = frozenset(
    {RefusalCode.NO_VIEWS, RefusalCode.EXPIRED, RefusalCode.REVOKED, RefusalCode.FROZEN, RefusalCode.REPEAT_OVER}
)
"""Codes that answer a look and nothing else: whoever gets one spent no view by asking."""

REFUSAL_TEXTS: Final[Mapping[RefusalCode, str]] = MappingProxyType(
    {
        RefusalCode.NOT_FOUND: "There is no such thing in the cloud; it may have been withdrawn.",
        RefusalCode.NOT_ALLOWED: "This account may not do that.",
        RefusalCode.NO_VIEWS: "No views are left; ask the owner for more.",
        RefusalCode.EXPIRED: "The time to look at this image is over; ask the owner for more.",
        RefusalCode.REVOKED: "The owner has taken back the right to look at this image.",
        RefusalCode.FROZEN: "The cloud was restored from a backup; the owner must confirm these rights before a look.",
        RefusalCode.CONFLICT: "Something else changed it at the same time; read it again and try once more.",
        RefusalCode.BUSY: "Too many requests at once; try again in a moment.",
        RefusalCode.ID_REUSED: "This request id was used for something else before; ask again under a new one.",
        RefusalCode.UNKNOWN_ACCOUNT: "The cloud knows no account with this key; register first.",
        RefusalCode.ALREADY_REGISTERED: "This key has an account already; sign in with it.",
        RefusalCode.TOO_LARGE: "It is larger than what the cloud takes.",
        RefusalCode.MAILBOX_FULL: "The other side has not read what you sent before; wait until it has signed in.",
        RefusalCode.INVALID: "The cloud does not accept this request as it is.",
        RefusalCode.NOT_READY: "It is not ready yet; try again in a moment.",
        RefusalCode.NO_DIRECTORY: (
            "The cloud cannot reach its directory now; what was asked for is kept and tried again."
        ),
        RefusalCode.REPEAT_OVER: "This look was finished or is too long ago; look again, which spends another view.",
        RefusalCode.UNSUPPORTED: "The other side is of a version that cannot do this; update it.",
    }
)
