"""textual-image, which asks the terminal while it is imported: imported here without letting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual_image.renderable._protocol import ImageRenderable


def drawn_by(
    protocol: Literal["kitty", "sixel"], cell_px: tuple[int, int], image: Image, *, width: int, height: int
) -> ImageRenderable:
    """Return what draws a picture in so many cells. For threads: the first call imports for a moment."""
    from textual_image import _terminal

    # The screens read what the terminal answers, so nobody may ask it now; what was asked before them has to do.
    _terminal.capture_terminal_response = _refuse
    vars(_terminal.get_cell_size)["_result"] = _terminal.CellSize(*cell_px)
    from textual_image.renderable import SixelImage, TGPImage

    kind: Any = TGPImage if protocol == "kitty" else SixelImage
    renderable: ImageRenderable = kind(image, width=width, height=height)
    return renderable


def _refuse(*_arguments: Any, **_options: Any) -> NoReturn:
    """Stand in for what reads answers: textual-image takes it, while imported, for a terminal without graphics."""
    from textual_image._terminal import TerminalError

    raise TerminalError("the terminal is read by the screens")
