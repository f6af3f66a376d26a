"""How large a picture must be for what is hidden in it.

Without numpy: a node makes room for a picture by these numbers before it has hidden any.
"""

from dataclasses import dataclass
from typing import Final

from shared.config import (
    MAX_ASPECT_RATIO,
    MAX_COVER_PIXELS,
    MIN_COVER_WIDTH_PX,
    RIGHTS_RECORD_BYTES,
    TWO_BITS_ABOVE_BYTES,
)
from shared.errors import InvalidInput

# --- The rights strip (`shared.stego.rights_strip`) -----------------------------------------------------------------
MAX_LENGTH_DIGITS: Final = len(str(RIGHTS_RECORD_BYTES))
STRIP_PIXELS: Final = -(-(MAX_LENGTH_DIGITS + 1 + RIGHTS_RECORD_BYTES) * 8 // 3)
"""Pixels that hold the longest record; one channel holds one bit."""


def strip_rows(width: int) -> int:
    """Return how many top rows of an image `width` pixels wide are kept for the record."""
    return -(-STRIP_PIXELS // width)


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels, and what follows from them."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def row_bytes(self) -> int:
        """Bytes of one row with its filter byte."""
        return 1 + 3 * self.width

    @property
    def strip_rows(self) -> int:
        """Top rows that belong to the rights record."""
        return strip_rows(self.width)

    @property
    def usable(self) -> bool:
        """Whether a stego image can have this size: caps what a hostile header can make us hold."""
        width, height = self.width, self.height
        return (
            width >= MIN_COVER_WIDTH_PX
            and self.pixels <= MAX_COVER_PIXELS
            and max(width, height) <= MAX_ASPECT_RATIO * min(width, height) + 1
            and height > self.strip_rows
        )


# --- The body (`shared.stego.payload`) -------------------------------------------------------------------------------
HEADER_CHANNELS: Final = 128
"""Channels before the payload, for a header of 16 bytes, one bit each."""
TWO_BITS: Final = 0
"""The code of two bits in each channel: half the file of a large payload, and 5 dB less quality."""


def group_channels(code: int) -> int:
    """Return how many channels carry one symbol."""
    return 1 << (code - 1) if code else 1


def capacity(channels: int, code: int) -> int:
    """Return the payload bytes that a body of `channels` holds with a code, 0 where not even the header fits."""
    room = max(channels - HEADER_CHANNELS, 0)
    return room * 2 // 8 if code == TWO_BITS else room // group_channels(code) * code // 8


# --- Covers (`shared.stego.covers`) ----------------------------------------------------------------------------------
TIERS: Final = (
    Size(368, 276),
    Size(640, 480),
    Size(1024, 768),
    Size(1600, 1200),
    Size(2016, 1512),
    Size(2880, 2160),
    Size(4000, 3000),
    Size(4608, 3456),
)
DEFAULT_TIER: Final = Size(640, 480)
"""What stands for a picture that cannot be seen; also the size up to which an owner's cover is never made smaller."""

_CODES: Final = ((32 * 1024, 5), (128 * 1024, 4), (512 * 1024, 3), (TWO_BITS_ABOVE_BYTES, 2))
"""Up to how many bytes a cover is chosen so large that the payload fits by this code (`shared.stego.payload`).

10 KB in the smallest tier keep 60 dB. A better code for larger payloads would multiply their files."""


def body_channels(width: int, height: int) -> int:
    """Return the channels below the rights strip of a picture of this size."""
    return max(height - strip_rows(width), 0) * width * 3


def fits(payload_bytes: int, width: int, height: int) -> bool:
    """Say whether a cover of this size holds the payload by the code that its length calls for."""
    code = next((code for most, code in _CODES if payload_bytes <= most), TWO_BITS)
    return payload_bytes <= capacity(body_channels(width, height), code)


def tier_for(payload_bytes: int) -> Size:
    """Return the smallest tier that holds the payload. Raises `InvalidInput` where none does."""
    for tier in TIERS:
        if fits(payload_bytes, tier.width, tier.height):
            return tier
    raise InvalidInput(f"{payload_bytes} bytes are more than the largest cover holds; make the picture smaller.")


def cover_bytes(payload_bytes: int, *, is_drawn: bool) -> int:
    """Return about how many bytes the pixels of a cover take that holds such a payload. Raises as `tier_for`.

    One of the owner's choice may be a few percent larger, for its shape.
    """
    tier = tier_for(payload_bytes)
    return 3 * (tier.pixels if is_drawn else max(tier.pixels, DEFAULT_TIER.pixels))
