"""What a picture file says of itself, read without decoding it: enough to refuse what would cost too much.

A closed list of formats, each walked by its own markers or chunks: JPEG (ITU T.81), PNG (third edition, with APNG) and
WebP (RFC 9649). A JPEG of 334 KB can repeat its last scan 6 000 times, each of which makes a decoder go through the
whole picture; a PNG of 250 KB can unpack to 350 MB; a file of chunks without content keeps a reader busy. All of that
shows here, in milliseconds. What does not show here meets the limits of the process that decodes (`children`).
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.config import (
    MAX_ASPECT_RATIO,
    MAX_JPEG_SCANS,
    MAX_JPEG_SEGMENTS,
    MAX_ORIGINAL_BYTES,
    MAX_PICTURE_PIXELS,
    MAX_PNG_CHUNKS,
    MAX_WEBP_CHUNKS,
)
from shared.errors import UnusableImage

_MEGABYTE: Final = 1024 * 1024
_PIXEL_BYTES: Final = 4
"""What Pillow holds of a pixel in colour."""
_WEBP_PIXEL_BYTES: Final = 16
"""The decoder's two canvases, its result, and Pillow's picture."""
_OTHER_FORMATS: Final = (
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
)
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_RIFF_HEADER_BYTES: Final = 12
_MARKER: Final = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
"""A JPEG marker as a decoder finds it: fill bytes, stuffed zeros and restart markers are passed over."""
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin with the size of the picture (SOF); the three others in their midst hold tables."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture says it is. `format` is JPEG, PNG or WEBP; sizes in pixels, as stored.

    `memory_bytes` is what decoding it takes at most, without the file itself.
    """

    format: str
    width: int
    height: int
    memory_bytes: int


def check(data: bytes, name: str = "This file") -> Header:
    """Return what a picture file says it is. Raises `UnusableImage` with what to do for one that is not decoded."""
    if not data:
        raise UnusableImage(f"{name} is empty; choose another picture.")
    if len(data) > MAX_ORIGINAL_BYTES:
        raise UnusableImage(too_large(name, len(data)))
    header = _walker_of(data, name)(data, name)
    _check_shape(header.width, header.height, name)
    return header


def too_large(name: str, size_bytes: int) -> str:
    """Return the sentence about a file of more bytes than a picture may have."""
    return (
        f"{name} has {size_bytes / _MEGABYTE:.1f} MB, more than {MAX_ORIGINAL_BYTES // _MEGABYTE} MB; "
        "save it smaller or with stronger compression."
    )


def damaged(name: str) -> UnusableImage:
    """Return the error for a file that is cut short or no longer what it was."""
    return UnusableImage(f"{name} is damaged or cut short and does not decode; get a whole copy of the picture.")


def animated(name: str, frames: int) -> UnusableImage:
    """Return the error for a picture of several frames."""
    return UnusableImage(f"{name} is animated ({frames} frames); save one frame of it as a picture of its own.")


def _walker_of(data: bytes, name: str) -> Callable[[bytes, str], Header]:
    if data.startswith(PNG_SIGNATURE):
        return _png
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp
    for start, what in _OTHER_FORMATS:
        if data.startswith(start):
            raise UnusableImage(f"{name} is {what}; save the picture as PNG, JPEG or WebP first.")
    raise UnusableImage(f"{name} is not a picture whatever its name says; choose a PNG, JPEG or WebP file.")


def _check_shape(width: int, height: int, name: str) -> None:
    if width * height > MAX_PICTURE_PIXELS:
        raise UnusableImage(
            f"{name} has {width} x {height} pixels, more than {MAX_PICTURE_PIXELS // 1_000_000} megapixels; "
            "make it smaller first."
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise UnusableImage(
            f"{name} has {width} x {height} pixels, which is longer than {MAX_ASPECT_RATIO:.0f} to 1; crop it first."
        )


def _odd(name: str, what: str) -> UnusableImage:
    return UnusableImage(
        f"{name} is made of {what}, as no camera or photo program writes it, and is not decoded; "
        "open it elsewhere and save it anew as an ordinary PNG or JPEG."
    )


# --- JPEG ------------------------------------------------------------------------------------------------------------
def _jpeg(data: bytes, name: str) -> Header:
    """Walk the markers up to the end of the image, as a decoder does; what stands behind it is never read."""
    at, scans, frame = 2, 0, None
    for _ in range(MAX_JPEG_SEGMENTS + MAX_JPEG_SCANS):
        found = _MARKER.search(data, at)
        if found is None:  # cut short; a decoder says so as well
            break
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            break
        if marker in (_SOI, _TEM):
            continue
        length = int.from_bytes(data[at : at + 2])
        if length < 2:
            raise damaged(name)
        if marker in _FRAMES and frame is None:
            frame = marker, data[at + 2 : at + length]
        scans += marker == _SOS
        if scans > MAX_JPEG_SCANS:
            raise _odd(name, f"more than {MAX_JPEG_SCANS} scans")
        at += length
    else:
        raise _odd(name, f"more than {MAX_JPEG_SEGMENTS} segments")
    if frame is None:
        raise damaged(name)
    return _jpeg_header(*frame, scans, name)


def _jpeg_header(marker: int, frame: bytes, scans: int, name: str) -> Header:
    """Return the header by a frame segment: precision, height, width, and three bytes for each component."""
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        raise damaged(name)
    height, width, components = struct.unpack_from(">HHB", frame, 1)
    sampling = [(frame[7 + 3 * index] >> 4, frame[7 + 3 * index] & 15) for index in range(components)]
    if not (width and height and sampling) or 0 in (factor for pair in sampling for factor in pair):
        raise damaged(name)
    memory = _PIXEL_BYTES * width * height
    if marker not in (0xC0, 0xC1) or scans > 1:
        # Progressive, or in several scans: all coefficients are kept, two bytes each.
        whole = max(across for across, _ in sampling) * max(down for _, down in sampling)
        memory += 2 * width * height * sum(across * down for across, down in sampling) // whole
    return Header("JPEG", width, height, memory)


# --- PNG -------------------------------------------------------------------------------------------------------------
def _png(data: bytes, name: str) -> Header:
    """Walk the chunks up to IEND. Sizes come from IHDR, the number of frames from acTL (APNG)."""
    at, size = len(PNG_SIGNATURE), None
    for _ in range(MAX_PNG_CHUNKS):
        if at + 8 > len(data):  # cut short; a decoder says so as well
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + min(length, 13)]
        if size is None and (kind, length, len(body)) != (b"IHDR", 13, 13):
            raise damaged(name)
        if kind == b"IHDR":
            size = size or struct.unpack_from(">II", body)
        elif kind == b"acTL" and len(body) >= 4 and (frames := int.from_bytes(body[:4])) > 1:
            raise animated(name, frames)
        elif kind == b"IEND":
            break
        at += 12 + length
    else:
        raise _odd(name, f"more than {MAX_PNG_CHUNKS} chunks")
    if size is None or 0 in size:
        raise damaged(name)
    width, height = size
    return Header("PNG", width, height, _PIXEL_BYTES * width * height)


# --- WebP ------------------------------------------------------------------------------------------------------------
def _webp(data: bytes, name: str) -> Header:
    """Walk the chunks of the RIFF container; what stands behind it is never read. The first size that is told holds."""
    at, frames, size = _RIFF_HEADER_BYTES, 0, None
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    for _ in range(MAX_WEBP_CHUNKS):
        if at + 8 > end:
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        if size is None:
            size = _webp_size(kind, data[at + 8 : at + 18])
        frames += kind == b"ANMF"
        at += 8 + length + length % 2
    if frames > 1:
        raise animated(name, frames)
    if at + 8 <= end:
        raise _odd(name, f"more than {MAX_WEBP_CHUNKS} chunks")
    if size is None:
        raise damaged(name)
    width, height = size
    return Header("WEBP", width, height, _WEBP_PIXEL_BYTES * width * height)


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int] | None:
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and body[0] == 0x2F:
        packed = int.from_bytes(body[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", body, 6)
        return (width & 0x3FFF, height & 0x3FFF) if width & 0x3FFF and height & 0x3FFF else None
    return None
