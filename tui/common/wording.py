"""How numbers, times and people are put into words, the same on every screen. No widget in here."""

import math
from datetime import datetime, tzinfo
from typing import Final

from rich.cells import cell_len, set_cell_size

from shared.text import clean

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_KILO: Final = 1024
ELLIPSIS: Final = "…"


def plain(text: str, cells: int = 120) -> str:
    """Return a remote text fit for one line of a screen: no control characters, at most `cells` wide."""
    line = " ".join(clean(text).split())
    if cell_len(line) <= cells:
        return line
    return set_cell_size(line, max(0, cells - 1)).rstrip() + ELLIPSIS


def views(number: int) -> str:
    """Return `1 view`, `5 views`."""
    return f"{number} view" if number == 1 else f"{number} views"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 image`, `3 images`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}".replace(",", " ")


def size(size_bytes: float) -> str:
    """Return a size in bytes, KB or MB, to two digits."""
    if size_bytes < _KILO:
        return f"{size_bytes:.0f} B"
    kilo = size_bytes / _KILO
    return f"{kilo:.0f} KB" if kilo < 999.5 else f"{kilo / _KILO:.1f} MB"


def ago(at: float | None, now: float) -> str:
    """Return how long ago something was, both in seconds since 1970: `now`, `5 min ago`, `3 d ago`, `never`."""
    if at is None:
        return "never"
    passed = max(0.0, now - at)
    if passed < _MINUTE:
        return "now"
    return f"{_span(passed)} ago"


def until(at: float | None, now: float) -> str:
    """Return how long something still lasts: `no expiry`, `expired`, `expires in 3 h`."""
    if at is None:
        return "no expiry"
    return "expired" if at <= now else f"expires in {_span(math.ceil(at - now))}"


def moment(at: float, zone: tzinfo | None = None) -> str:
    """Return a moment by the clock of `zone` (None: the machine's), `2026-11-26 14:03`."""
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M")


def latency(seconds: float | None) -> str:
    """Return a round-trip time in milliseconds, or a dash."""
    return "–" if seconds is None else f"{1000 * seconds:.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.1f} ms"


def lasting(seconds: float | None) -> str:
    """Return how long something lasted or may last, a dash where that is not known: `12 s`, `4 min`."""
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 10 * _MINUTE and seconds % _MINUTE else _span(seconds)


def _span(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR:.0f} h"
    return f"{seconds // _DAY:.0f} d"
