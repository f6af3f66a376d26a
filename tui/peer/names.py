"""What people and their profiles may be called. Light: a screen asks before anything is opened."""

import re
import unicodedata
from collections.abc import Collection

from shared.config import MAX_NAME_CHARS
from shared.errors import InvalidInput
from shared.text import is_clean

_MAX_FOLDER_CHARS = 40
_NOTHING_LEFT = "profile"


def checked_name(name: str) -> str:
    """Return a display name without blanks around it. Raises `InvalidInput` for one that cannot be registered."""
    name = name.strip()
    if not name:
        raise InvalidInput("A name needs at least one character; type the name that others should see.")
    if len(name) > MAX_NAME_CHARS or not is_clean(name):
        raise InvalidInput(
            f"A name has at most {MAX_NAME_CHARS} characters and none that control a terminal; choose another."
        )
    return name


def folder_name(name: str, taken: Collection[str]) -> str:
    """Return a profile name made from what a person typed: `Zoë Müller` gives `zoe-muller`, again `zoe-muller-2`.

    Names differ also where upper and lower case do not count.
    """
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    stem = re.sub(r"[^a-z0-9]+", "-", letters)[:_MAX_FOLDER_CHARS].strip("-") or _NOTHING_LEFT
    used = {other.lower() for other in taken}
    number, found = 1, stem
    while found in used:
        number += 1
        found = f"{stem}-{number}"
    return found
