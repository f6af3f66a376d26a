"""Where a key stands in the last line of a screen, to click it."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from tui.common.footer import Footer


def place_of(screen: Screen[Any], does: str) -> tuple[int, int]:
    """Return a cell of the key that does so, from the beginning of the line."""
    return next(at + 1 for at, hint in screen.query_one(Footer).spots() if hint.does == does), 0
