"""Cover pictures: a backdrop drawn for each image, or a picture of the owner's choice scaled to what it must hold.

The backdrop is drawn from numbers that follow from the image id: light that changes from one side to the other between
the colours of a few palettes, soft clouds that are products of a curve across and a curve down, and grain. No two have
a pattern in common, and nobody who lacks the id can draw the same one to see what was changed in it. That it is drawn
can be seen.

Grain is summed over some rows, which gives it streaks, and light hardly changes downwards. So a row is most like the
one above it: filter Up is what an encoder that chooses by the least sum takes for every row but the first (PNG
specification, section 12.7), and the compressed picture is small.
"""

from functools import lru_cache
from math import ceil, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.config import COVER_MEMORY_BYTES, MAX_COVER_PIXELS, MIN_COVER_WIDTH_PX
from shared.decoding.checks import check
from shared.decoding.children import Decoded
from shared.errors import InvalidInput
from shared.stego.keyed import Stream
from shared.stego.pictures import decoded
from shared.stego.png import encode
from shared.stego.rights_strip import Pixels
from shared.stego.sizes import DEFAULT_TIER, Size, fits, tier_for

_PALETTES: Final = np.array(
    [
        [(24, 22, 52), (62, 42, 92), (128, 66, 112), (206, 106, 104), (242, 168, 116), (250, 214, 166)],
        [(18, 36, 66), (34, 66, 104), (70, 110, 146), (126, 158, 180), (186, 200, 206), (228, 222, 208)],
        [(52, 56, 70), (78, 82, 96), (108, 112, 122), (142, 142, 146), (178, 172, 166), (208, 198, 184)],
        [(16, 48, 58), (28, 82, 88), (64, 124, 116), (124, 164, 138), (192, 200, 158), (238, 228, 186)],
        [(58, 26, 44), (102, 38, 52), (156, 62, 58), (204, 104, 72), (232, 154, 104), (244, 204, 158)],
    ]
)
"""Colours of light, from dark to bright."""
_DARKEST, _BRIGHTEST = 44.0, 212.0
"""Clouds and grain together add or take less than 40, so that nothing is cut off at 0 or 255."""
_CLOUDS: Final = 2
_FRACTION_BITS: Final = 6
_CLOUD_ROOT: Final = sqrt(12 << _FRACTION_BITS)
"""Square root of what a cloud adds or takes at the most: 12 levels."""
_STREAK_ROWS: Final = 8
_GRAINS: Final = (96, 257)
"""How much grain there is, see `_steps`, differs from image to image: from a quarter of a step for each channel to
a half. How much it is would otherwise tell a cover with a payload, which adds to it, from one without."""
_BLOCK_BYTES: Final = 1 << 16
_DEFAULT_KEY: Final = b"dusk".ljust(16)


def owner_cover(picture_bytes: bytes, payload_bytes: int) -> Pixels:
    """Return the owner's picture as a cover for a payload: aspect kept, opaque, at most 16 megapixels.

    Scaled up where it would not hold the payload, and down to what the payload needs where it is larger than that and
    than 640x480: a cover of 12 megapixels around a small picture costs everybody 20 MB. It is decoded in a child
    process. Raises `UnusableImage` for what is no picture and `InvalidInput` for payloads that no cover holds.
    """
    found = _cover(picture_bytes, payload_bytes, pixels=True)
    return np.frombuffer(found.pixels, dtype=np.uint8).reshape(found.answer.height, found.answer.width, 3)


def check_owner_cover(picture_bytes: bytes, payload_bytes: int) -> None:
    """Raise what `owner_cover` raises, before a picture is sent to a node as a cover."""
    _cover(picture_bytes, payload_bytes, pixels=False)


def _cover(picture_bytes: bytes, payload_bytes: int, *, pixels: bool) -> Decoded:
    tier = tier_for(payload_bytes)
    header = check(picture_bytes, "The cover")
    wanted = min(max(header.width * header.height, tier.pixels), max(tier.pixels, DEFAULT_TIER.pixels))
    size = _scaled(header.width, header.height, wanted, payload_bytes)
    return decoded(picture_bytes, header, "The cover", size=size, pixels=pixels, memory_bytes=COVER_MEMORY_BYTES)


def _scaled(width: int, height: int, pixels: int, payload_bytes: int) -> tuple[int, int]:
    """Return the size nearest to `pixels` that is wide enough and holds the payload."""
    scale = 1.0 if pixels == width * height else sqrt(pixels / (width * height))
    scale = max(scale, MIN_COVER_WIDTH_PX / width)
    while True:
        size = (max(ceil(width * scale), MIN_COVER_WIDTH_PX), ceil(height * scale))
        if size[0] * size[1] > MAX_COVER_PIXELS:
            size = (int(width * scale), int(height * scale))
        if fits(payload_bytes, *size):
            return size
        if size[0] * size[1] > MAX_COVER_PIXELS:
            raise InvalidInput(
                f"a cover of this shape does not hold {payload_bytes} bytes; choose a cover that is less long."
            )
        scale *= 1.01


@lru_cache(maxsize=1)
def default_cover_png() -> bytes:
    """Return the picture that stands for one that cannot be seen: a cover as nodes draw them, with nothing hidden."""
    return encode(procedural_cover(DEFAULT_TIER, _DEFAULT_KEY))


def procedural_cover(size: Size, key: bytes) -> Pixels:
    """Return the backdrop that belongs to an image id: the same one each time, and no other's.

    It is drawn some rows at a time, which keeps the memory of large ones small and that of small ones in the cache.
    """
    stream = Stream(key, b"cover")
    light, clouds = _backdrop(stream, size)
    steps = _steps(int(stream.below(_GRAINS[1] - _GRAINS[0], 1)[0]) + _GRAINS[0])
    cover = np.empty((size.height, 3 * size.width), dtype=np.uint8)
    grain = np.empty((0, 3 * size.width), dtype=np.int8)
    rows = max(1, _BLOCK_BYTES // (3 * size.width))
    lit = np.tile(light, (rows, 1))
    for first in range(0, size.height, rows):
        block = cover[first : first + rows]
        smooth = lit[: len(block)].copy()
        for across, down in clouds:
            smooth += down[first : first + len(block), None] * across
        smooth >>= _FRACTION_BITS
        block[:] = smooth
        missing = len(block) + _STREAK_ROWS - 1 - len(grain)
        grain = np.concatenate((grain, _grain(stream, steps, missing, 3 * size.width)))
        block += _streaks(grain).view(np.uint8)
        grain = grain[len(block) :]
    return cover.reshape(size.height, size.width, 3)


_Whole = NDArray[np.int16]
"""Numbers with `_FRACTION_BITS` behind the point."""


def _backdrop(stream: Stream, size: Size) -> tuple[_Whole, list[tuple[_Whole, _Whole]]]:
    """Draw the smooth part: the light in each channel of a row, and for each cloud a factor for each channel across and
    one for each row down."""
    shares = stream.between(0.0, 1.0, len(_PALETTES)) ** 2
    colours = np.tensordot(shares / shares.sum(), _PALETTES, 1) + stream.between(-12.0, 12.0, 3)
    begin, span, turned = stream.between(0.0, 1.0, 3) * (0.3, 0.4, 1.0) + (0.0, 0.3, 0.0)
    place = np.linspace(begin, begin + span, size.width)[:: 1 if turned < 0.5 else -1] * (len(colours) - 1)
    light = np.stack([np.interp(place, np.arange(len(colours)), colours[:, channel]) for channel in range(3)], axis=1)
    tints = stream.between(0.4, 1.0, 3 * _CLOUDS).reshape(_CLOUDS, 1, 3)
    across = (_curves(stream, size.width, 4.0)[:, :, None] * tints).reshape(_CLOUDS, -1)
    down = _curves(stream, size.height, 1.5)
    clouds = list(zip(_whole(across * _CLOUD_ROOT), _whole(down * _CLOUD_ROOT), strict=True))
    return _whole(light.clip(_DARKEST, _BRIGHTEST).reshape(-1) * (1 << _FRACTION_BITS)), clouds


def _curves(stream: Stream, length: int, most_turns: float) -> NDArray[np.float64]:
    """Draw a smooth curve between -1 and 1 for each cloud: the mean of two cosines."""
    along = np.linspace(0.0, 2 * np.pi, length)
    turns, begins = (stream.between(low, high, 2 * _CLOUDS) for low, high in ((0.3, most_turns), (0.0, 2 * np.pi)))
    waves = np.cos(along * turns[:, None] + begins[:, None])
    return np.asarray(waves[:_CLOUDS] + waves[_CLOUDS:]) / 2


def _whole(numbers: NDArray[np.float64]) -> _Whole:
    return np.rint(numbers).astype(np.int16)


def _steps(grains: int) -> NDArray[np.uint32]:
    """Return four steps, a byte each, for every value of a random byte.

    For `grains` of the 256 values one of the four steps is up or down, each of them as often; all others are none.
    """
    steps = np.zeros((256, 4), dtype=np.int8)
    places = np.arange(grains)
    steps[places, places % 4] = places // 4 % 2 * 2 - 1
    return np.asarray(steps.view(np.uint32)).reshape(-1)


def _grain(stream: Stream, steps: NDArray[np.uint32], rows: int, channels: int) -> NDArray[np.int8]:
    drawn = steps.take(stream.take(-(-rows * channels // 4)))
    return drawn.view(np.int8)[: rows * channels].reshape(rows, channels)


def _streaks(grain: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return each row with the `_STREAK_ROWS` - 1 below it added."""
    rows = 1
    while rows < _STREAK_ROWS:
        grain = grain[rows:] + grain[:-rows]
        rows *= 2
    return grain
