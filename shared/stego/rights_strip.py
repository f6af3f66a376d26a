"""The rights record in the top rows of a stego image, in the format of stegano's own LSB writer.

Format: the decimal length in bytes, a colon, the record, most significant bit first, in the lowest bits of red, green
and blue, row by row. Unmodified `stegano.lsb.reveal` on those rows reads it.

stegano reads and rewrites records, always on the cropped strip: on a whole image without a record its search for the
colon walks every pixel. Only the first record of a new stego image is written by numpy (`write_first_record`), with
the same pixels as stegano's, because a node writes hundreds of them in a second.

stegano is imported on first use. Its generator for corner detection imports OpenCV, which needs a system library for
windows; nothing here uses that generator, so an empty module stands in while stegano is imported.
"""

import sys
import threading
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.config import RIGHTS_RECORD_BYTES
from shared.errors import DamagedStego, LocalError

Pixels = NDArray[np.uint8]
"""Rows, columns and the channels red, green, blue."""

MAX_LENGTH_DIGITS: Final = len(str(RIGHTS_RECORD_BYTES))
STRIP_PIXELS: Final = -(-(MAX_LENGTH_DIGITS + 1 + RIGHTS_RECORD_BYTES) * 8 // 3)
"""Pixels that hold the longest record; one channel holds one bit."""
_PREFIX_CHANNELS: Final = (MAX_LENGTH_DIGITS + 1) * 8
_IMPORTING: Final = threading.Lock()


def strip_rows(width: int) -> int:
    """Return how many top rows of an image `width` pixels wide are kept for the record."""
    return -(-STRIP_PIXELS // width)


def write_first_record(strip: Pixels, record: bytes) -> None:
    """Write `record` into `strip` in place: the pixels that stegano would write, about a hundred times as fast.

    Raises `LocalError` for a record that is empty, too long or not UTF-8 text.
    """
    _text(record)
    bits = np.unpackbits(np.frombuffer(b"%d:%b" % (len(record), record), dtype=np.uint8))
    channels = strip.reshape(-1)
    padded = -(-len(bits) // 3) * 3
    channels[:padded] &= 0xFE
    channels[: len(bits)] |= bits


def write_record(strip: Pixels, record: bytes) -> Pixels:
    """Return a copy of `strip` with `record` in it, written by stegano. Raises as `write_first_record` does."""
    text = _text(record)
    written = _stegano_lsb().hide(Image.fromarray(strip), text)
    return np.asarray(written, dtype=np.uint8)


def read_record(strip: Pixels) -> bytes:
    """Return the record in `strip`, read by stegano.

    The length is checked first, because stegano takes lengths with leading zeros and then returns the wrong text, and
    searches on where there is none. Raises `DamagedStego` where no record is.
    """
    length = _record_length(strip)
    try:
        text = _stegano_lsb().reveal(Image.fromarray(strip))
    except (IndexError, ValueError, TypeError) as error:
        raise DamagedStego(_NO_RECORD) from error
    record = str(text).encode()
    if len(record) != length:
        raise DamagedStego(_NO_RECORD)
    return record


_NO_RECORD: Final = (
    "There is no rights record in this picture: it is no stego image, or another program re-encoded it; "
    "ask the owner for it again."
)


def _record_length(strip: Pixels) -> int:
    """Return the length that stands before the record: at most four digits, without a leading zero, within the room."""
    start = np.packbits(strip.reshape(-1)[:_PREFIX_CHANNELS] & 1).tobytes()
    digits, colon, _ = start.partition(b":")
    if not colon or not digits.isdigit() or digits.startswith(b"0") or int(digits) > RIGHTS_RECORD_BYTES:
        raise DamagedStego(_NO_RECORD)
    return int(digits)


def _text(record: bytes) -> str:
    if not 0 < len(record) <= RIGHTS_RECORD_BYTES:
        raise LocalError(f"a rights record has 1 to {RIGHTS_RECORD_BYTES} bytes, this one has {len(record)}")
    try:
        return record.decode()
    except UnicodeDecodeError as error:
        raise LocalError("a rights record is UTF-8 text") from error


def _stegano_lsb() -> Any:
    """Import `stegano.lsb` with an empty `cv2`, which goes again so that nobody else mistakes it for OpenCV."""
    with _IMPORTING:
        if (module := sys.modules.get("stegano.lsb")) is not None:
            return module
        stand_in = ModuleType("cv2")
        replaced = sys.modules.setdefault("cv2", stand_in)
        try:
            from stegano import lsb
        finally:
            if replaced is stand_in:
                del sys.modules["cv2"]
        return lsb
