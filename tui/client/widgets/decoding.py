"""Picture files to pixels fit for a screen. Slow: for threads, where it is imported, as screens start without Pillow.

What Pillow does to 12 megapixels in one call may hold the interpreter's lock all the while, which stops the event loop
in its thread too. So a picture is made opaque and reduced in bands, with the lock free for others between them.
"""

from typing import Final

from PIL import Image, ImageDraw, ImageFont

from shared.stego.pictures import damage_named, decode_picture, decode_preview, opaque, quiet_pillow

_BAND_PIXELS: Final = 1 << 18
"""A quarter of a megapixel: about 4 ms for the slowest of what is done to a band."""
_OVERSAMPLING: Final = 2
"""How many times larger than the result the cheap box filter may leave a picture for the good filter to finish."""
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of an EXIF orientation upright."""
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
    image = decode_picture(data, edge_px=max(box_px))
    with quiet_pillow(), damage_named():
        turn = _turn(image)
        box = box_px[::-1] if _lies(turn) else box_px
        return _turned(shrunk(image, inside(image.size, box)), turn)


def full(data: bytes) -> Image.Image:
    """Return a picture file upright, opaque and in RGB, with all its pixels. Raises `UnusableImage`."""
    image = decode_picture(data)
    with quiet_pillow(), damage_named():
        return _turned(_opaque(image, 1), _turn(image))


def reduced_preview(data: bytes, box_px: tuple[int, int]) -> Image.Image:
    """Return a preview that another peer published, no larger than `box_px`; never enlarged.

    Raises `MalformedMessage` for what no honest peer publishes.
    """
    image = decode_preview(data)
    return shrunk(image, inside(image.size, box_px))


def inside(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Return the largest (width, height) of the aspect of `size` that is no larger than it and fits into `box`."""
    scale = min(box[0] / size[0], box[1] / size[1], 1.0)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrunk(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an opaque RGB copy of a loaded picture with (width, height) `size`, which is no larger than it."""
    factor = max(1, min(image.width // size[0], image.height // size[1]) // _OVERSAMPLING)
    smaller = _opaque(image, factor)
    return smaller if smaller.size == size else smaller.resize(size, Image.Resampling.LANCZOS)


def _opaque(image: Image.Image, factor: int) -> Image.Image:
    """Return an opaque RGB copy, smaller by a whole factor, made band by band."""
    width, height = image.size
    result = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    band_rows = factor * max(1, _BAND_PIXELS // (width * factor))
    for top in range(0, height, band_rows):
        band = opaque(image.crop((0, top, width, min(top + band_rows, height))))
        result.paste(band.reduce(factor) if factor > 1 else band, (0, top // factor))
    return result


def _turn(image: Image.Image) -> Image.Transpose | None:
    return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))


def _lies(turn: Image.Transpose | None) -> bool:
    sideways = (
        Image.Transpose.ROTATE_90,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.TRANSVERSE,
    )
    return turn in sideways


def _turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


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
