"""The rights record in the top rows of a stego image, in the format of stegano's own LSB writer.

Format: the decimal length in bytes, a colon, the record, most significant bit first, in the lowest bits of red, green
and blue, row by row. Unmodified `stegano.lsb.reveal` on those rows reads it.

stegano reads and rewrites records, always on the cropped strip: on a whole image without a record its search for the
colon walks every pixel. Only the first record of a new stego image is written by numpy (`write_first_record`), with
the same low bits as stegano's, because a node writes hundreds of them in a second.

stegano replaces low bits: 0 and 1, 2 and 3 and so on become pairs that are equally frequent, which sample-pairs
analysis finds even where only the top rows were written. So each channel whose low bit has to change is moved to the
other value of a pair of its own: of {2n, 2n + 1} or of {2n - 1, 2n}, by a coin that the image id gives for its place.
As a channel keeps its pair, it does not wander off however often the record is rewritten.

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
from shared.stego.keyed import Stream
from shared.stego.sizes import MAX_LENGTH_DIGITS, STRIP_PIXELS

Pixels = NDArray[np.uint8]
"""Rows, columns and the channels red, green, blue."""

_PREFIX_CHANNELS: Final = (MAX_LENGTH_DIGITS + 1) * 8
_SLACK: Final = 32
"""Of 256 channels behind the first record so many are changed too. A later record that compresses less well than the
first needs some that can be changed back (`shared.stego.rewriting`)."""
_IMPORTING: Final = threading.Lock()


def write_first_record(strip: Pixels, record: bytes, key: bytes) -> None:
    """Write `record` into `strip` in place, as `write_record` would, about a hundred times as fast.

    Raises `LocalError` for a record that is empty, too long or not UTF-8 text.
    """
    _text(record)
    bits = np.unpackbits(np.frombuffer(b"%d:%b" % (len(record), record), dtype=np.uint8))
    taken = record_channels(record)
    channels = strip.reshape(-1)[: max(taken, 3 * STRIP_PIXELS)]
    wanted = channels & np.uint8(1)
    wanted[:taken] = 0
    wanted[: len(bits)] = bits
    coins = Stream(key, b"slack").take(max(len(channels) - taken, 0))
    wanted[taken:] ^= (coins < _SLACK).astype(np.uint8)
    _set_low_bits(channels, wanted, key)


def write_record(strip: Pixels, record: bytes, key: bytes) -> Pixels:
    """Return a copy of `strip` with `record` in it; stegano says which low bits that needs.

    `key` is the image id. Raises as `write_first_record` does.
    """
    written = _stegano_lsb().hide(Image.fromarray(strip), _text(record))
    copy = strip.copy()
    _set_low_bits(copy.reshape(-1), np.asarray(written, dtype=np.uint8).reshape(-1) & np.uint8(1), key)
    return copy


def record_channels(record: bytes) -> int:
    """Return how many channels of a strip a record takes, its length before it included: whole pixels."""
    return -(-len(b"%d:%b" % (len(record), record)) * 8 // 3) * 3


def partners(channels: NDArray[np.uint8], key: bytes) -> NDArray[np.uint8]:
    """Return for each of the first channels of a strip the other value of its pair, which has the other low bit.

    0 and 255 belong to a pair with what is beyond them by half of the coins; they get the value next to them.
    """
    coins = Stream(key, b"strip").bits(len(channels))
    others = ((channels + coins) ^ np.uint8(1)) - coins
    others[(channels == 0) & (coins == 1)] = 1
    others[(channels == 255) & (coins == 1)] = 254
    return others


def _set_low_bits(channels: NDArray[np.uint8], wanted: NDArray[np.uint8], key: bytes) -> None:
    """Move the channels whose low bit is not the wanted one, in place."""
    np.copyto(channels, partners(channels, key), where=(channels & 1) != wanted)


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
