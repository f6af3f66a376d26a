"""Parts of pictures, resized and toned, as rows of cells. For threads; see `painting`."""

from typing import Final

import numpy as np
from PIL import Image

from shared.stego.pictures import opaque
from tui.client.widgets.blocks import LUMA, Pixels, draw
from tui.client.widgets.painting import Look, Painting
from tui.client.widgets.strips import to_strips
from tui.client.widgets.viewport import Box

_REDUCING_GAP: Final = 3.0
_DIMMED_LIGHT: Final = 0.4
_DIMMED_COLOR: Final = 0.5


def paint(image: Image.Image, part: Box, cells: tuple[int, int], look: Look) -> Painting:
    """Return a part of a picture as (columns, rows) of cells."""
    across, down = look.mode.pixels
    small = resized(image, part, (cells[0] * across, cells[1] * down))
    strips = to_strips(draw(toned(np.asarray(small), look), look.mode), look.depth)
    return Painting(tuple(strips), cells[0])


def resized(image: Image.Image, part: Box, size: tuple[int, int]) -> Image.Image:
    """Return a part of a picture in (width, height) pixels, opaque and in RGB."""
    enlarged = size[0] > part[2] - part[0] and size[1] > part[3] - part[1]
    source = image if image.mode == "RGB" else opaque(image)
    return source.resize(
        size, Image.Resampling.BICUBIC if enlarged else Image.Resampling.LANCZOS, box=part, reducing_gap=_REDUCING_GAP
    )


def toned(rgb: Pixels, look: Look) -> Pixels:
    """Return the pixels dimmed and without colour as the look wants it."""
    if not (look.dim or look.grey):
        return rgb
    light = (rgb.astype(np.float32) @ LUMA)[:, :, None]
    color = 0.0 if look.grey else _DIMMED_COLOR
    changed = (light + (rgb - light) * color) * (_DIMMED_LIGHT if look.dim else 1.0)
    return np.rint(changed).clip(0, 255).astype(np.uint8)
