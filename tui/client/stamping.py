"""A line of text in the pixels of a picture, for terminals where text cannot be written over pixels. For threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL import Image

_HEIGHT_SHARE: Final = 0.04
"""Height of the letters by that of the picture."""
_LEAST_PX: Final = 10
_WIDTH_SHARE: Final = 0.9
_PAPER: Final = (0, 0, 0)
_INK: Final = (255, 255, 255)


def stamp(image: Image.Image, text: str) -> None:
    """Write a line of text into an RGB picture, over the middle of its lower edge, as wide as the picture at most.

    Letters that Pillow's own typeface lacks become boxes.
    """
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(image)
    size = max(_LEAST_PX, round(image.height * _HEIGHT_SHARE))
    width = draw.textlength(text, ImageFont.load_default(size))
    size = max(1, int(size * min(1.0, _WIDTH_SHARE * image.width / max(1.0, width))))
    font = ImageFont.load_default(size)
    middle, bottom = image.width // 2, image.height - size // 2
    left, top, right, low = draw.textbbox((middle, bottom), text, font, anchor="mb")
    margin = size // 3
    draw.rectangle((left - margin, top - margin, right + margin, low + margin), _PAPER)
    draw.text((middle, bottom), text, _INK, font, anchor="mb")
