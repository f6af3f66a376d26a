"""Whether the terminal shows true pixels, and how: asked once, before the screens start."""

from __future__ import annotations

import array
import fcntl
import logging
import os
import sys
import termios
from dataclasses import dataclass
from typing import Final, Literal, TextIO

from tui.client.widgets.asking import ask

log = logging.getLogger(__name__)

FORCE_VARIABLE: Final = "GLIMPSE_PICTURES"
"""Set to `cells`, the terminal is not asked for true pixels, whatever the settings file says."""
_USUAL_CELL_PX: Final = (10, 20)


@dataclass(frozen=True, slots=True)
class Graphics:
    """How a terminal shows pixels: its protocol, and the (width, height) of a cell in pixels."""

    protocol: Literal["kitty", "sixel"]
    cell_px: tuple[int, int]


def probe(pictures: str = "auto") -> Graphics | None:
    """Ask the terminal for true pixels; None where it has none, is no terminal, or anything but `auto` is wished.

    To be called once, before the screens start. It takes up to a third of a second where the terminal does not answer.
    """
    wish = os.environ.get(FORCE_VARIABLE, pictures)
    if wish != "auto" or os.environ.get("NO_COLOR") is not None or not _is_terminal():
        return None
    try:
        answers = ask()
    except (OSError, ValueError, termios.error) as error:
        log.info("The terminal could not be asked for graphics: %r", error)
        return None
    if answers is None or not (answers.sixel or answers.kitty):
        return None
    # Sixel first: some terminals say that they have Kitty's graphics and lack the placeholders that pictures need in a
    # screen that scrolls; Kitty itself has no Sixel.
    return Graphics("sixel" if answers.sixel else "kitty", _cell_px() or answers.cell_px or _USUAL_CELL_PX)


def _is_terminal() -> bool:
    return all(_is_tty(stream) for stream in (sys.__stdin__, sys.__stdout__))


def _is_tty(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _cell_px() -> tuple[int, int] | None:
    """Return the width and height of a cell in pixels, if the terminal's driver knows them."""
    size = array.array("H", [0, 0, 0, 0])
    try:
        fcntl.ioctl(sys.__stdout__.fileno() if sys.__stdout__ else 1, termios.TIOCGWINSZ, size)
    except OSError:
        return None
    rows, columns, width, height = size
    if not (rows and columns and width >= columns and height >= rows):
        return None
    return width // columns, height // rows
