"""How the monitor puts nodes and figures into words; what both programs share is in `tui.common.wording`."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Final

from tui.common.wording import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

_KILO: Final = 1024
_NAME_CELLS: Final = 16


def name_of(place: int | None, names: Sequence[str], *, nobody: str = "?") -> str:
    """Return the harmless name of a node; `nobody` where there is none or the cluster has no such place."""
    return plain(names[place], _NAME_CELLS) if place is not None and 0 <= place < len(names) else nobody


def thousands(number: float) -> str:
    """Return a whole number in groups of three: `1 204`."""
    return f"{number:,.0f}".replace(",", " ")


def ordinal(number: int) -> str:
    """Return `1st`, `2nd`, `3rd`, `4th`."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def per_second(rate: float) -> str:
    """Return a rate: `0/s`, `0.4/s`, `12/s`, `1 204/s`."""
    return f"{rate:.1f}/s" if 0.05 <= rate < 9.95 else f"{thousands(rate)}/s"


def data_rate(bytes_per_s: float) -> str:
    """Return a data rate: `0 KB/s`, `1.2 MB/s`."""
    kilo = bytes_per_s / _KILO
    return f"{kilo:.0f} KB/s" if kilo < 999.5 else f"{kilo / _KILO:.1f} MB/s"


def figure(value: float) -> str:
    """Return a figure of any size in at most five characters: `0.66`, `12.5`, `1204`."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def milliseconds(value: float | None) -> str:
    """Return a time in ms: `0.4 ms`, `12 ms`, `1.3 s`, or a dash."""
    if value is None:
        return "–"
    if value < 9.95:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 999.5 else f"{value / 1000:.1f} s"


def lasting(seconds: float) -> str:
    """Return how long something has lasted or will last: `0.4 s`, `12 s`, `4 min 03 s`, `2 h 05 min`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def time_of_day(at: float, zone: tzinfo | None = None, *, tenths: bool = False) -> str:
    """Return a moment, in seconds since 1970, by the clock of `zone` (None: the machine's): `14:03:22`."""
    if tenths:
        at = round(at, 1)
    moment = datetime.fromtimestamp(at, zone)
    return moment.strftime("%H:%M:%S") + (f".{moment.microsecond // 100_000}" if tenths else "")
