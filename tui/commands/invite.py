"""`glimpse invite`: the code by which others find a cluster, and a QR code of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import segno

from shared.cluster import load_cluster
from shared.invitation import Invitation
from tui.common.user_paths import find_cluster

_HALVES: Final = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
"""By upper and lower module, 1 for a dark one: what is painted is light."""
_WHITE_ON_BLACK: Final = "\x1b[38;5;231;48;5;16m"
_USUAL: Final = "\x1b[0m"
_BORDER: Final = 2
"""Light modules around the code; the standard wants four, and readers do with two, which 24 lines have room for."""


def code_for(cluster: Path | None) -> str:
    """Return the code of an invitation. Raises `InvalidInput` for a cluster whose file is not signed."""
    return Invitation.to(load_cluster(find_cluster(cluster))).code


def drawn(code: str) -> str:
    """Return a QR code in half blocks, dark on light whatever the terminal's colours are."""
    rows = [list(row) for row in segno.make_qr(code, error="l", boost_error=False).matrix_iter(border=_BORDER)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    lines = ("".join(_HALVES[upper, lower] for upper, lower in zip(*pair, strict=True)) for pair in _pairs(rows))
    return "\n".join(f"{_WHITE_ON_BLACK}{line}{_USUAL}" for line in lines)


def _pairs(rows: list[list[int]]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the rows two at a time: a line of a terminal shows two."""
    for number in range(0, len(rows), 2):
        yield rows[number], rows[number + 1]
