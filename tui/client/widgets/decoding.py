"""Picture files to pixels fit for a screen. Slow: for threads, where it is imported, as screens start without Pillow.

What is decoded is decoded in a child process (`shared.decoding`), upright, opaque and no larger than it is shown.
"""

from typing import Final

from PIL import Image, ImageDraw, ImageFont

from shared.stego.pictures import decode_picture, decode_preview

_HEIGHT_SHARE: Final = 0.04
"""Height of the letters by that of the picture."""
_LEAST_LETTER_PX: Final = 10
_WIDTH_SHARE: Final = 0.9
_PAPER: Final = (0, 0, 0)
_INK: Final = (255, 255, 255)


def reduced(data: bytes, box_px: tuple[int, int]) -> Image.Image:
    """Return a picture file upright, opaque, in RGB, and no larger than `box_px` (width, height); never enlarged.

    Raises `UnusableImage` with what to do about it.
    """
    return decode_picture(data, box_px=box_px)


def full(data: bytes) -> Image.Image:
    """Return a picture file upright, opaque and in RGB, with all its pixels. Raises `UnusableImage`."""
    return decode_picture(data)


def reduced_preview(data: bytes, box_px: tuple[int, int]) -> Image.Image:
    """Return a preview that another peer published, no larger than `box_px`; never enlarged.

    Raises `MalformedMessage` for what no honest peer publishes.
    """
    return decode_preview(data, box_px=box_px)


def stamp(image: Image.Image, text: str) -> None:
    """Write a line of text into an RGB picture, over the middle of its lower edge, as wide as the picture at most.

    For terminals where no text can be written over pixels. Letters that Pillow's own typeface lacks become boxes.
    """
    draw = ImageDraw.Draw(image)
    size = max(_LEAST_LETTER_PX, round(image.height * _HEIGHT_SHARE))
    width = draw.textlength(text, ImageFont.load_default(size))
    size = max(1, int(size * min(1.0, _WIDTH_SHARE * image.width / max(1.0, width))))
    font = ImageFont.load_default(size)
    middle, bottom = image.width // 2, image.height - size // 2
    left, top, right, low = draw.textbbox((middle, bottom), text, font, anchor="mb")
    margin = size // 3
    draw.rectangle((left - margin, top - margin, right + margin, low + margin), _PAPER)
    draw.text((middle, bottom), text, _INK, font, anchor="mb")
