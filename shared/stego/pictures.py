"""Pictures that come from outside: checked before they are trusted, and made small for previews.

Pillow opens three formats here and nothing else; size and number of frames are looked at before a pixel is decoded,
because a file of 250 KB can unpack to 350 MB.
"""

import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFile, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from shared.config import (
    MAX_ASPECT_RATIO,
    MAX_ORIGINAL_BYTES,
    MAX_PICTURE_PIXELS,
    PREVIEW_MAX_BYTES,
    PREVIEW_MAX_EDGE_PX,
)
from shared.errors import MalformedMessage, UnusableImage

_DECODING_FAILURES: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    MemoryError,
    RuntimeError,
    NotImplementedError,
)
"""What Pillow is known to raise on damaged files."""
_PREVIEW_QUALITIES: Final = (85, 70, 55, 40, 25, 10)
_MEGABYTE: Final = 1024 * 1024
_OTHER_FORMATS: Final = (
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
)
_QUIET: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """What is known of a picture that was decoded without fault: sizes in pixels as stored, `bytes` of the file."""

    format: str
    width: int
    height: int
    frames: int
    bytes: int


def read_picture(path: Path) -> bytes:
    """Return the bytes of a person's picture file; symbolic links are followed. Raises `UnusableImage`.

    The size is looked at before a byte is read, and nothing but regular files is opened: a pipe would wait for ever.
    """
    name = repr(path.name)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnusableImage(f"{name} is a folder; choose a picture in it.")
        if not stat.S_ISREG(status.st_mode):
            raise UnusableImage(f"{name} is no ordinary file; choose a PNG, JPEG or WebP file.")
        if status.st_size > MAX_ORIGINAL_BYTES:
            raise UnusableImage(_too_large(name, status.st_size))
        with path.open("rb") as file:
            data = file.read(MAX_ORIGINAL_BYTES + 1)
    except FileNotFoundError as error:
        raise UnusableImage(f"{name} does not exist; check the path.") from error
    except PermissionError as error:
        raise UnusableImage(f"{name} may not be read; change its permissions or choose another picture.") from error
    except (OSError, ValueError) as error:
        raise UnusableImage(
            f"{name} cannot be read; check the path and the disk, or choose another picture."
        ) from error
    if len(data) > MAX_ORIGINAL_BYTES:
        raise UnusableImage(_too_large(name, len(data)))
    return data


def inspect(data: bytes | Path) -> PictureInfo:
    """Decode a picture completely and say what it is. Raises `UnusableImage` with what to do about it."""
    if isinstance(data, Path):
        return _inspect(read_picture(data), repr(data.name))
    return _inspect(data, "This file")


def decode_picture(data: bytes, *, name: str = "This file", edge_px: int | None = None) -> Image.Image:
    """Return the loaded picture, as stored. Raises `UnusableImage`.

    `edge_px` says that its longer edge will be shown no longer than that: a JPEG is then decoded to a half, a quarter
    or an eighth, though to no less than twice of it, which is several times as fast.
    """
    with quiet_pillow():
        return _decoded(data, name, edge_px)


def make_preview(data: bytes) -> bytes:
    """Return a JPEG of at most `PREVIEW_MAX_EDGE_PX` and `PREVIEW_MAX_BYTES` that shows `data` upright and opaque.

    It carries no metadata. Raises `UnusableImage`.
    """
    with quiet_pillow():
        upright = _decoded(data, "This file")
        with damage_named():
            upright = ImageOps.exif_transpose(upright)
            small = opaque(upright)
            small.thumbnail((PREVIEW_MAX_EDGE_PX, PREVIEW_MAX_EDGE_PX), Image.Resampling.LANCZOS)
    bare = Image.fromarray(np.asarray(small))
    for quality in _PREVIEW_QUALITIES:
        out = BytesIO()
        bare.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= PREVIEW_MAX_BYTES:
            break
    return out.getvalue()


def decode_preview(data: bytes) -> Image.Image:
    """Return a preview that came from another peer. Raises `MalformedMessage` for what `make_preview` never makes."""
    if len(data) > PREVIEW_MAX_BYTES:
        raise MalformedMessage(f"a preview of {len(data)} bytes, the cap is {PREVIEW_MAX_BYTES}")
    with quiet_pillow():
        try:
            image = _opened(data, "The preview")
            if image.format != "JPEG" or max(image.size) > PREVIEW_MAX_EDGE_PX:
                raise MalformedMessage(f"a preview that is no JPEG of at most {PREVIEW_MAX_EDGE_PX} pixels")
            image.load()
            return Image.fromarray(np.asarray(image.convert("RGB")))
        except (UnusableImage, *_DECODING_FAILURES) as error:
            raise MalformedMessage("a preview that does not decode") from error


def opaque(image: Image.Image) -> Image.Image:
    """Return a copy in three channels of 8 bits; what is transparent becomes white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    solid = image.convert("RGBA")
    white = Image.new("RGBA", solid.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, solid).convert("RGB")


@contextmanager
def damage_named(name: str = "This file") -> Iterator[None]:
    """Raise `UnusableImage` for whatever Pillow raises inside on a damaged picture."""
    try:
        yield
    except _DECODING_FAILURES as error:
        raise UnusableImage(_damaged(name)) from error


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings about odd files to itself: what matters of them is raised as an error.

    Warning filters belong to the whole process, so only one thread at a time may exchange them.
    """
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _inspect(data: bytes, name: str) -> PictureInfo:
    with quiet_pillow():
        image = _decoded(data, name)
        return PictureInfo(
            format=str(image.format),
            width=image.width,
            height=image.height,
            frames=1,
            bytes=len(data),
        )


def _decoded(data: bytes, name: str, edge_px: int | None = None) -> Image.Image:
    image = _opened(data, name)
    _check_shape(image, name)
    with damage_named(name):
        if edge_px is not None:
            scale = 2 * edge_px / max(image.size)
            image.draft(None, (max(1, round(image.width * scale)), max(1, round(image.height * scale))))
        image.load()
    return image


def _opened(data: bytes, name: str) -> ImageFile.ImageFile:
    """Read the header with the one plugin that the first bytes call for.

    The plugins are called directly, because `Image.open` warns of large pictures by a limit of its own.
    """
    if not data:
        raise UnusableImage(f"{name} is empty; choose another picture.")
    if len(data) > MAX_ORIGINAL_BYTES:
        raise UnusableImage(_too_large(name, len(data)))
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return PngImagePlugin.PngImageFile(BytesIO(data))
        if data.startswith(b"\xff\xd8\xff"):
            return JpegImagePlugin.JpegImageFile(BytesIO(data))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return WebPImagePlugin.WebPImageFile(BytesIO(data))
    except _DECODING_FAILURES as error:
        raise UnusableImage(_damaged(name)) from error
    for start, what in _OTHER_FORMATS:
        if data.startswith(start):
            raise UnusableImage(f"{name} is {what}; save the picture as PNG, JPEG or WebP first.")
    raise UnusableImage(f"{name} is not a picture whatever its name says; choose a PNG, JPEG or WebP file.")


def _check_shape(image: ImageFile.ImageFile, name: str) -> None:
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        raise UnusableImage(f"{name} is animated ({frames} frames); save one frame of it as a picture of its own.")
    width, height = image.size
    if width * height > MAX_PICTURE_PIXELS:
        raise UnusableImage(
            f"{name} has {width} x {height} pixels, more than {MAX_PICTURE_PIXELS // 1_000_000} megapixels; "
            "make it smaller first."
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise UnusableImage(
            f"{name} has {width} x {height} pixels, which is longer than {MAX_ASPECT_RATIO:.0f} to 1; crop it first."
        )


def _too_large(name: str, size_bytes: int) -> str:
    return (
        f"{name} has {size_bytes / _MEGABYTE:.1f} MB, more than {MAX_ORIGINAL_BYTES // _MEGABYTE} MB; "
        "save it smaller or with stronger compression."
    )


def _damaged(name: str) -> str:
    return f"{name} is damaged or cut short and does not decode; get a whole copy of the picture."
