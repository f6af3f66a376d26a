"""True pixels, where the terminal has them: asked once before the screens start, and a widget for either case.

textual-image asks the terminal while it is imported and reads the answer from the keyboard's side, so that it may be
imported before the screens run and never later: the answer would be typed into whatever has the focus.
"""

from __future__ import annotations

import array
import fcntl
import logging
import os
import sys
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TextIO

from tui.widgets.cells import Mode
from tui.widgets.zooming import ZoomablePicture

if TYPE_CHECKING:
    from textual_image.renderable._protocol import ImageRenderable

log = logging.getLogger(__name__)

FORCE_VARIABLE: Final = "GLIMPSE_PICTURES"
"""Set to `cells` or `half`, no terminal is asked; overrules the settings file."""
_USUAL_CELL_PX: Final = (10, 20)


@dataclass(frozen=True, slots=True)
class Graphics:
    """How a terminal shows pixels: its protocol, the (width, height) of a cell in pixels, and what draws with it."""

    protocol: Literal["kitty", "sixel"]
    cell_px: tuple[int, int]
    renderable: type[ImageRenderable]


def probe(pictures: str = "auto") -> Graphics | None:
    """Ask the terminal for true pixels; None where it has none, is no terminal, or anything but `auto` is wished.

    To be called once, before the screens start. It takes up to a third of a second where the terminal does not answer.
    """
    wish = os.environ.get(FORCE_VARIABLE, pictures)
    if wish != "auto" or os.environ.get("NO_COLOR") is not None or not _is_terminal():
        return None
    try:
        # Imported for the terminal's size of a cell, which is asked for there.
        import textual_image.widget  # noqa: F401
        from textual_image import renderable
    except (OSError, ValueError, ArithmeticError, termios.error, ImportError) as error:
        log.info("The terminal could not be asked for graphics: %r", error)
        return None
    if renderable.Image is renderable.TGPImage:
        return Graphics("kitty", _cell_px(), renderable.TGPImage)
    if renderable.Image is renderable.SixelImage:
        return Graphics("sixel", _cell_px(), renderable.SixelImage)
    return None


def picture_widget(
    graphics: Graphics | None,
    *,
    mode: Mode = Mode.QUADRANT,
    caption: str | None = None,
    id: str | None = None,  # noqa: A002 - the name that every widget of Textual takes
    classes: str | None = None,
) -> ZoomablePicture:
    """Return a widget to look at a picture with: in true pixels where there are any, in cells of a mode elsewhere."""
    if graphics is None:
        return ZoomablePicture(mode=mode, caption=caption, id=id, classes=classes)
    from tui.widgets.pixels import PixelPicture

    return PixelPicture(graphics, caption=caption, id=id, classes=classes)


def _is_terminal() -> bool:
    return all(_is_tty(stream) for stream in (sys.__stdin__, sys.__stdout__))


def _is_tty(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _cell_px() -> tuple[int, int]:
    """Return the width and height of a cell in pixels as the terminal's driver knows them, or what is usual."""
    size = array.array("H", [0, 0, 0, 0])
    try:
        fcntl.ioctl(sys.__stdout__.fileno() if sys.__stdout__ else 1, termios.TIOCGWINSZ, size)
    except OSError:
        return _USUAL_CELL_PX
    rows, columns, width, height = size
    if not (rows and columns and width >= columns and height >= rows):
        return _USUAL_CELL_PX
    return width // columns, height // rows
