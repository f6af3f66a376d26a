"""How pictures go between this device and somebody's, in words. No widget in here."""

from __future__ import annotations

from typing import Final

from tui.common.wording import plain

_THROUGH: Final = "through "
_PATH_CELLS: Final = 30


def short(path: str) -> str:
    """Return it for a cell of a list: `direct`, `via n2`, `cloud`; empty where it is not known."""
    path = plain(path, _PATH_CELLS)
    return path.replace(_THROUGH, "via ", 1) if path.startswith(_THROUGH) else path.removeprefix("in the ")


def whole(path: str) -> str:
    """Return it for the end of a sentence about pictures: `directly`, `through n2`, `by way of the cloud`."""
    path = plain(path, _PATH_CELLS)
    return {"direct": "directly", "in the cloud": "by way of the cloud"}.get(path, path)
