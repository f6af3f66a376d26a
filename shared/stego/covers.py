"""Cover pictures: a procedural dusk in fixed sizes, or a picture of the owner's choice scaled to what it must hold.

The procedural cover is value noise (five octaves of smoothed random lattices; Perlin, "An image synthesizer", 1985,
describes the family) over a dusk palette with grain. Its smooth part is made once at a small size and scaled up, since
it has no detail that would be missed; grain is made afresh for every pixel.

The cover is public: whoever has Glimpse can subtract it from a stego image. Hiding is for the eye, secrecy comes from
the payload being ciphertext.
"""

import threading
from collections import OrderedDict
from functools import lru_cache
from math import ceil, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.config import COVER_MEMORY_BYTES, MAX_COVER_PIXELS, MIN_COVER_WIDTH_PX, TWO_BITS_ABOVE_BYTES
from shared.decoding.checks import check
from shared.decoding.children import Decoded
from shared.errors import InvalidInput
from shared.stego.payload import capacity
from shared.stego.pictures import decoded
from shared.stego.png import Size, encode
from shared.stego.rights_strip import Pixels, strip_rows

TIERS: Final = (
    Size(240, 150),
    Size(400, 300),
    Size(640, 480),
    Size(1024, 768),
    Size(1440, 1080),
    Size(2016, 1512),
    Size(2880, 2160),
    Size(4000, 3000),
    Size(4608, 3456),
)
DEFAULT_TIER: Final = Size(640, 480)
"""What stands for a picture that cannot be seen; also the size up to which an owner's cover is never made smaller."""

_SEED: Final = 1815
_SMOOTH_MAX_EDGE_PX: Final = 1024
_OCTAVES: Final = 5
_GRAIN_SIGMA: Final = 2.0
_GRAIN_BLOCK_ROWS: Final = 128
_DUSK: Final = np.array(
    [(24, 22, 52), (62, 42, 92), (128, 66, 112), (206, 106, 104), (242, 168, 116), (250, 214, 166)], dtype=np.float32
)
"""Colours from the top of the sky to the horizon."""


def body_channels(width: int, height: int) -> int:
    """Return the channels below the rights strip of a picture of this size."""
    return max(height - strip_rows(width), 0) * width * 3


def fits(payload_bytes: int, width: int, height: int) -> bool:
    """Say whether a cover of this size holds the payload at the bits per channel that its length calls for."""
    bits = 1 if payload_bytes <= TWO_BITS_ABOVE_BYTES else 2
    return payload_bytes <= capacity(body_channels(width, height), bits)


def tier_for(payload_bytes: int) -> Size:
    """Return the smallest tier that holds the payload. Raises `InvalidInput` where none does."""
    for tier in TIERS:
        if fits(payload_bytes, tier.width, tier.height):
            return tier
    raise InvalidInput(f"{payload_bytes} bytes are more than the largest cover holds; make the picture smaller.")


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


class CoverStore:
    """Procedural covers, made on first use and kept while they fit `max_bytes`; the least used go first.

    Safe to use from several threads; a cover is made once.
    """

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Size, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def cover(self, tier: Size) -> Pixels:
        """Return the cover of a tier: rows, columns and three channels, read-only."""
        with self._lock:
            cover = self._kept.pop(tier, None)
            if cover is None:
                cover = procedural_cover(tier)
            self._kept[tier] = cover
            while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)
        return cover


COVERS: Final = CoverStore()
"""The covers that this process shares."""


@lru_cache(maxsize=1)
def default_cover_png() -> bytes:
    """Return the picture that stands for one that cannot be seen: the cover that nodes use, with nothing hidden."""
    return encode(COVERS.cover(DEFAULT_TIER))


def procedural_cover(tier: Size) -> Pixels:
    """Return the dusk of this size, always the same, read-only."""
    random = np.random.Generator(np.random.PCG64([_SEED, tier.width, tier.height]))
    shrink = min(1.0, _SMOOTH_MAX_EDGE_PX / max(tier.width, tier.height))
    smooth = _dusk(round(tier.width * shrink), round(tier.height * shrink))
    if shrink < 1.0:
        smooth = _enlarged(smooth, tier)
    _add_grain(smooth, random)
    smooth.setflags(write=False)
    return smooth


def _enlarged(pixels: Pixels, tier: Size) -> Pixels:
    """Return pixels scaled up to a tier; taken out of Pillow in bands, as a copy of the largest tier takes 48 MB."""
    scaled = Image.fromarray(pixels).resize((tier.width, tier.height), Image.Resampling.BICUBIC)
    result = np.empty((tier.height, tier.width, 3), dtype=np.uint8)
    for first in range(0, tier.height, _GRAIN_BLOCK_ROWS):
        last = min(first + _GRAIN_BLOCK_ROWS, tier.height)
        result[first:last] = np.asarray(scaled.crop((0, first, tier.width, last)))
    return result


def _dusk(width: int, height: int) -> Pixels:
    """Return the smooth part: a sky that brightens downwards, its bands bent and clouded by noise."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    noise = np.zeros((height, width), dtype=np.float32)
    for octave in range(_OCTAVES):
        cells = 3 << octave
        lattice = random.random((cells + 1, cells + 1), dtype=np.float32) - 0.5
        scaled = Image.fromarray(lattice).resize((width, height), Image.Resampling.BICUBIC)
        noise += np.asarray(scaled, dtype=np.float32) / (1 << octave)
    down = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    place = np.clip(down * 0.85 + 0.08 + noise * 0.30, 0.0, 1.0) * (len(_DUSK) - 1)
    stops = np.arange(len(_DUSK))
    colours = [np.interp(place, stops, _DUSK[:, channel]) for channel in range(3)]
    return np.asarray(np.stack(colours, axis=-1) + 0.5, dtype=np.uint8)


def _add_grain(pixels: Pixels, random: np.random.Generator) -> None:
    """Add rounded normal noise of `_GRAIN_SIGMA` in place, some rows at a time to keep memory small."""
    grain = _grain_table()
    for first in range(0, len(pixels), _GRAIN_BLOCK_ROWS):
        block = pixels[first : first + _GRAIN_BLOCK_ROWS]
        drawn = grain[np.frombuffer(random.bytes(block.size), dtype=np.uint8)].reshape(block.shape)
        block[:] = np.clip(block.astype(np.int16) + drawn, 0, 255).astype(np.uint8)


def _grain_table() -> NDArray[np.int16]:
    """Return normally distributed steps, one for each value of a random byte: the quantiles of 256 equal shares."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    sample = np.sort(random.normal(0.0, _GRAIN_SIGMA, 256 * 257))
    return np.rint(sample[128::257]).astype(np.int16)
