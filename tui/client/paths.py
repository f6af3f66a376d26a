"""Paths as people type, paste and drop them. Nothing here looks at a disk.

A path being typed has two parts: the folder, up to the last slash, and the fragment after it, which names what is
looked for in that folder.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from shared.text import clean, is_clean

if TYPE_CHECKING:
    from collections.abc import Iterable

PICTURE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".webp"})
_LOCAL_HOSTS: Final = ("", "localhost")
_MAX_CHARS: Final = 4096
"""Longest path that is taken from a paste; the system's own limit is no larger."""


def is_picture_name(name: str) -> bool:
    """Return whether a file of this name should be a PNG, JPEG or WebP picture."""
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES  # noqa: PTH122 - called for every file of a folder


def pasted(text: str) -> str:
    """Return the first path in what was pasted, or dropped on the terminal; empty where there is none.

    Takes quotes, escaped spaces and `file://` as terminals and file managers write them. A bare line with spaces is one
    path. What holds control characters is no path.
    """
    line = next((line.strip() for line in text[: 4 * _MAX_CHARS].splitlines() if line.strip()), "")
    if line.lower().startswith("file:"):
        line = _of_url(line.split()[0])
    elif line[:1] in {"'", '"'} or "\\" in line:
        line = _unquoted(line)
    return line if is_clean(line) and len(line) <= _MAX_CHARS else ""


def is_path(text: str) -> bool:
    """Return whether a pasted text names a place from the root or home, rather than a word to be inserted."""
    return text.startswith(("/", "~/")) or text == "~"


def split(text: str) -> tuple[str, str]:
    """Return folder and fragment of a path being typed; together they are the text. A lone `~` is a folder."""
    if text == "~":
        return text, ""
    cut = text.rfind("/") + 1
    return text[:cut], text[cut:]


def expanded(text: str, *, home: Path | None = None, here: Path | None = None) -> Path:
    """Return the path that a text means: `~` is `home`, and what does not begin at the root begins at `here`.

    By default these are the person's home and the folder that the program was started in. `..` steps back by name, as a
    shell does, not through a symbolic link's target.
    """
    home, here = home or Path.home(), here or Path.cwd()
    if text == "~" or text.startswith("~/"):
        return Path(os.path.normpath(f"{home}/{text[1:]}"))
    return Path(os.path.normpath(here / text))


def shown(path: Path, *, home: Path) -> str:
    """Return a path for an input or a label: short, harmless, and what `expanded` takes back if `clean` leaves it."""
    text = clean(str(path), max_chars=_MAX_CHARS)
    root = str(home)
    if root != "/" and (text == root or text.startswith(root + "/")):
        return "~" + text[len(root) :]
    return text


def shown_folder(path: Path, *, home: Path) -> str:
    """Return a folder as `shown` does, with the slash after which a name may follow."""
    return shown(path, home=home).rstrip("/") + "/"


def completed(fragment: str, names: Iterable[str]) -> str:
    """Return the fragment with all that the names beginning with it have in common.

    Case counts while a name agrees in it; otherwise the names' own case is taken.
    """
    known = list(names)
    exact = [name for name in known if name.startswith(fragment)]
    if exact:
        return _common(exact)
    folded = fragment.casefold()
    alike = [name for name in known if name.casefold().startswith(folded)]
    common = _common(alike)
    return common if common.casefold().startswith(folded) else fragment


def _common(names: list[str]) -> str:
    """Return what all names begin with. The first and the last by the alphabet differ soonest."""
    first, last = min(names, default=""), max(names, default="")
    count = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:count]


def _of_url(url: str) -> str:
    """Return the path of a `file:` URL on this machine, empty for another's."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return unquote(parts.path) if parts.netloc.lower() in _LOCAL_HOSTS else ""


def _unquoted(line: str) -> str:
    """Return the first word of a line written for a shell; a line that is none is taken as it stands."""
    try:
        words = shlex.split(line)
    except ValueError:
        return line
    return words[0] if words else ""
