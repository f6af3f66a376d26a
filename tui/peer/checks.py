"""What the methods of a peer take: types and ranges, checked before anything is stored or sent.

Each returns the value or raises `InvalidInput` with a sentence that says what to give instead. A `bool` is no number
here, whatever Python says, and neither is a number that is written as text.
"""

from pathlib import Path
from typing import TypeGuard

from shared.config import MAX_NAME_CHARS, MAX_NOTE_CHARS, MAX_VIEWS
from shared.errors import InvalidInput
from shared.records import MAX_EXPIRES_S, MAX_LOOK_S
from shared.text import is_clean

_HEX = frozenset("0123456789abcdef")
_MAX_ACCOUNT = 2**53
_MAX_PAGE = 1_000_000
_MAX_SECONDS = 10_000_000


def checked_id(text: object) -> str:
    """Return an id of an image or a request: 32 hexadecimal digits."""
    if not isinstance(text, str) or len(text) != 32 or not _HEX.issuperset(text):
        raise InvalidInput("An id has 32 hexadecimal digits; copy it from the list.")
    return text


def checked_account(account: object) -> int:
    """Return an account number."""
    if not _is_whole(account) or not 1 <= account <= _MAX_ACCOUNT:
        raise InvalidInput("An account is given by its number, such as 7; look for it in the list of users.")
    return account


def checked_views(views: object) -> int:
    """Return a number of views that can be asked for or given."""
    if not _is_whole(views) or not 1 <= views <= MAX_VIEWS:
        raise InvalidInput(f"The number of views must be a whole number and lie between 1 and {MAX_VIEWS}.")
    return views


def checked_left(views: object) -> int | None:
    """Return how many views somebody shall have left; None leaves the number as it is."""
    if views is None:
        return None
    if not _is_whole(views) or not 0 <= views <= MAX_VIEWS:
        raise InvalidInput(f"The number of views left must be a whole number and lie between 0 and {MAX_VIEWS}.")
    return views


def checked_expiry(expires: object, now: float) -> float | None:
    """Return an expiry in seconds since 1970, None for none. `now` is the cloud's time, as far as it is known.

    A number that is none (NaN, infinity) must not get any further: written as JSON it becomes no expiry at all.
    """
    if expires is None:
        return None
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise InvalidInput(
            "An expiry is given in seconds since 1970; for a moment of `datetime`, give its timestamp()."
        )
    if not 0 < expires <= MAX_EXPIRES_S:  # no NaN is
        raise InvalidInput("The time of expiry is not a time that can be reached; give seconds since 1970.")
    if expires <= now:
        raise InvalidInput("The time of expiry is over already; give one in the future, or revoke the rights.")
    return float(expires)


def checked_look(look_s: object) -> float | None:
    """Return how many seconds one look may last, None for as long as the right stands."""
    if look_s is None:
        return None
    if isinstance(look_s, bool) or not isinstance(look_s, int | float) or not 1 <= look_s <= MAX_LOOK_S:
        raise InvalidInput(f"One look may last between 1 and {MAX_LOOK_S} seconds, or as long as the right stands.")
    return float(look_s)


def checked_seconds(seconds: object) -> float:
    """Return a length of time in seconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MAX_SECONDS:
        raise InvalidInput(f"A length of time is given in seconds, from 0 to {_MAX_SECONDS}.")
    return float(seconds)


def checked_note(text: object, what: str) -> str:
    """Return a text that goes to somebody else; `what` names it at the start of a sentence."""
    if not isinstance(text, str) or len(text) > MAX_NOTE_CHARS or not is_clean(text):
        raise InvalidInput(f"{what} has at most {MAX_NOTE_CHARS} characters and none that control a terminal.")
    return text


def checked_text(text: object, what: str) -> str:
    """Return a text; `what` names it at the start of a sentence."""
    if not isinstance(text, str):
        raise InvalidInput(f"{what} is a text.")
    return text


def checked_name(name: object) -> str:
    """Return a display name without blanks around it, as it can be registered."""
    name = checked_text(name, "A name").strip()
    if not name:
        raise InvalidInput("A name needs at least one character; type the name that others should see.")
    if len(name) > MAX_NAME_CHARS or not is_clean(name):
        raise InvalidInput(
            f"A name has at most {MAX_NAME_CHARS} characters and none that control a terminal; choose another."
        )
    return name


def checked_page(page: object) -> int:
    """Return the number of a page, from 0."""
    if not _is_whole(page) or not 0 <= page <= _MAX_PAGE:
        raise InvalidInput(f"Pages are counted from 0 to {_MAX_PAGE}.")
    return page


def checked_path(path: object, what: str) -> Path:
    """Return the path of a file, with `~` put in full; `what` names the file at the start of a sentence."""
    if not isinstance(path, str | Path) or "\0" in str(path):
        raise InvalidInput(f"{what} is given by the path of its file.")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InvalidInput(f"{what} lies in the home folder of nobody on this machine; give its whole path.") from None


def checked_flag(flag: object, what: str) -> bool:
    """Return something that is true or false."""
    if not isinstance(flag, bool):
        raise InvalidInput(f"`{what}` is either True or False.")
    return flag


def checked_bytes(data: object, what: str) -> bytes:
    """Return the bytes of a file; `what` names it at the start of a sentence."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidInput(f"{what} is given as bytes.")
    return bytes(data)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
