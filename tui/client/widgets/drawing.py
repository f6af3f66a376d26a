"""Pictures out of characters: parts of them resized and toned, and pixels made one glyph and two colours a cell.

A terminal's cell is about twice as high as wide. A half block gives it two square pixels one above the other; a
quadrant block four pixels, each half as wide as high, of which only two colours may differ. Which pixels share a colour
is chosen by the smallest squared error, so that quadrants are never further from the picture than half blocks are.
Slow: for threads. Arrays are numpy's; `rgb` is (rows of pixels, columns of pixels, 3) of 8 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.decoding.opaque import opaque
from tui.client.widgets.cells import Look, Mode, Painting
from tui.client.widgets.strips import Cells, Pixels, to_strips

if TYPE_CHECKING:
    from tui.client.widgets.viewport import Box

LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Share of red, green and blue in the lightness of a pixel (ITU-R BT.601)."""
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


# --- Blocks --------------------------------------------------------------------------------------------------------
def draw(rgb: Pixels, mode: Mode) -> Cells:
    """Return the pixels as cells of a mode; their number must be a multiple of the mode's pixels."""
    drawers = {Mode.HALF: half_blocks, Mode.QUADRANT: quadrants, Mode.SHADES: shades}
    return drawers[mode](rgb)


def half_blocks(rgb: Pixels) -> Cells:
    """Return two pixels a cell, one above the other."""
    upper, lower = rgb[0::2], rgb[1::2]
    same = (upper == lower).all(axis=2)
    return Cells(np.where(same, _SPACE, _UPPER_HALF).astype(np.uint32), upper, lower)


def quadrants(rgb: Pixels) -> Cells:
    """Return four pixels a cell in the two colours and the glyph that come nearest to them."""
    parts = np.stack([rgb[0::2, 0::2], rgb[0::2, 1::2], rgb[1::2, 0::2], rgb[1::2, 1::2]]).astype(np.int32)
    total = parts.sum(axis=0, dtype=np.int32)
    best = np.zeros(total.shape[:2], dtype=np.intp)
    inks = [_mean(total, 4)]
    papers = [inks[0]]
    # The squares of the pixels are the same in every sum of errors and are left out of it.
    least = _error(total, 4, inks[0])
    for number, members in enumerate(_QUADRANT_MEMBERS[1:], start=1):
        ink_sum = parts[list(members)].sum(axis=0, dtype=np.int32)
        paper_sum = total - ink_sum
        ink, paper = _mean(ink_sum, len(members)), _mean(paper_sum, 4 - len(members))
        error = _error(ink_sum, len(members), ink) + _error(paper_sum, 4 - len(members), paper)
        nearer = error < least
        best[nearer] = number
        least = np.where(nearer, error, least)
        inks.append(ink)
        papers.append(paper)
    chosen = best[None, :, :, None]
    return Cells(
        _QUADRANT_GLYPHS[best],
        np.take_along_axis(np.stack(inks), chosen, axis=0)[0].astype(np.uint8),
        np.take_along_axis(np.stack(papers), chosen, axis=0)[0].astype(np.uint8),
    )


def shades(rgb: Pixels) -> Cells:
    """Return four pixels a cell as one glyph without colour, for bright glyphs on a dark screen.

    Each cell takes the shade or the quadrant glyph that comes nearest to its lightness, which is stretched over the
    whole range first. Mixing neighbours by a pattern would make slopes smoother, and faces harder to know.
    """
    light = rgb.astype(np.float32) @ LUMA
    low, high = np.percentile(light, (1, 99))
    light = np.clip((light - low) / max(high - low, 1.0), 0, 1)
    parts = np.stack([light[0::2, 0::2], light[0::2, 1::2], light[1::2, 0::2], light[1::2, 1::2]], axis=-1)
    errors = np.stack([((parts - levels) ** 2).sum(axis=-1) for levels in _SHADE_LEVELS])
    return Cells(_SHADE_GLYPHS[errors.argmin(axis=0)], None, None)


def _mean(total: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    mean: NDArray[np.int32] = (2 * total + count) // (2 * count)
    return mean


def _error(total: NDArray[np.int32], count: int, shown: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the squared error of showing `count` pixels in one colour, less the sum of their squares."""
    error: NDArray[np.int32] = (shown * (count * shown - 2 * total)).sum(axis=2, dtype=np.int32)
    return error


def _levels(members: tuple[int, ...]) -> NDArray[Any]:
    return np.array([1.0 if part in members else 0.0 for part in range(4)], dtype=np.float32)


_SPACE: Final = ord(" ")
_UPPER_HALF: Final = ord("▀")

_QUADRANTS: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    (" ", ()),
    ("▀", (0, 1)),
    ("▌", (0, 2)),
    ("▘", (0,)),
    ("▝", (1,)),
    ("▖", (2,)),
    ("▛", (0, 1, 2)),
    ("▚", (0, 3)),
)
"""Glyphs and the quarters they ink: 0 and 1 above, 2 and 3 below. With two colours the other eight are these with ink
and paper exchanged. What comes first wins where several are equally near."""
_QUADRANT_MEMBERS: Final = tuple(members for _, members in _QUADRANTS)
_QUADRANT_GLYPHS: Final = np.array([ord(glyph) for glyph, _ in _QUADRANTS], dtype=np.uint32)

_DENSITIES: Final = ((" ", 0.0), ("░", 0.25), ("▒", 0.5), ("▓", 0.75), ("█", 1.0))
_SHAPES: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    ("▀", (0, 1)),
    ("▄", (2, 3)),
    ("▌", (0, 2)),
    ("▐", (1, 3)),
    ("▘", (0,)),
    ("▝", (1,)),
    ("▖", (2,)),
    ("▗", (3,)),
    ("▛", (0, 1, 2)),
    ("▜", (0, 1, 3)),
    ("▙", (0, 2, 3)),
    ("▟", (1, 2, 3)),
    ("▚", (0, 3)),
    ("▞", (1, 2)),
)
_SHADE_GLYPHS: Final = np.array([ord(glyph) for glyph, _ in (*_DENSITIES, *_SHAPES)], dtype=np.uint32)
_SHADE_LEVELS: Final = (
    *(np.full(4, density, dtype=np.float32) for _, density in _DENSITIES),
    *(_levels(members) for _, members in _SHAPES),
)
