"""Pictures that come from outside: what they are, and their pixels, fit for screens and previews.

Whatever is decoded here is decoded in a child process with limits, after cheap checks (`shared.decoding`). All but
`read_picture` blocks until that is done, so it is for threads; `shared.decoding.cancelling` runs it in one. Where no
child can be started, or a decoding is cancelled, it raises `Unavailable`.
"""

import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from shared.config import DECODE_MEMORY_BYTES, MAX_ORIGINAL_BYTES, PREVIEW_MAX_BYTES, PREVIEW_MAX_EDGE_PX
from shared.decoding.checks import Header, check, too_large
from shared.decoding.children import CHILDREN, Decoded, too_hungry
from shared.decoding.task import Place, Task
from shared.errors import MalformedMessage, UnusableImage

_PREVIEW_QUALITIES: Final = (85, 70, 55, 40, 25, 10)
_BAND_PIXELS: Final = 1 << 18
"""A quarter of a megapixel: about 4 ms for the slowest of what is done to a band with the interpreter's lock held."""


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
            raise UnusableImage(too_large(name, status.st_size))
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
        raise UnusableImage(too_large(name, len(data)))
    return data


def inspect(data: bytes | Path) -> PictureInfo:
    """Decode a picture completely and say what it is. Raises `UnusableImage` with what to do about it."""
    if isinstance(data, Path):
        return _inspect(read_picture(data), repr(data.name))
    return _inspect(data, "This file")


def _inspect(data: bytes, name: str) -> PictureInfo:
    header = check(data, name)
    decoded(data, header, name, pixels=False)
    return _info(header, data)


def _info(header: Header, data: bytes) -> PictureInfo:
    return PictureInfo(header.format, header.width, header.height, frames=1, bytes=len(data))


def decode_picture(data: bytes, *, box_px: tuple[int, int] | None = None) -> Image.Image:
    """Return a picture upright, opaque, in RGB, no larger than `box_px` (width, height); never enlarged.

    Raises `UnusableImage` with what to do about it.
    """
    name = "This file"
    return _image(decoded(data, check(data, name), name, box=box_px, upright=True))


def examine_picture(data: bytes, box_px: tuple[int, int]) -> tuple[PictureInfo, Image.Image, bool | None]:
    """Decode a picture once and say what it is, how it looks in a box, and whether it says where it was taken.

    The last is None where its metadata does not read. Raises `UnusableImage`.
    """
    name = "This file"
    header = check(data, name)
    found = decoded(data, header, name, box=box_px, upright=True, place=True)
    place = {Place.YES: True, Place.NO: False, Place.UNREAD: None}[found.answer.place]
    return _info(header, data), _image(found), place


def make_preview(data: bytes) -> bytes:
    """Return a JPEG of at most `PREVIEW_MAX_EDGE_PX` and `PREVIEW_MAX_BYTES` that shows `data` upright and opaque.

    It carries no metadata. Raises `UnusableImage`.
    """
    bare = decode_picture(data, box_px=(PREVIEW_MAX_EDGE_PX, PREVIEW_MAX_EDGE_PX))
    for quality in _PREVIEW_QUALITIES:
        out = BytesIO()
        bare.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= PREVIEW_MAX_BYTES:
            break
    return out.getvalue()


def decode_preview(data: bytes, *, box_px: tuple[int, int] | None = None) -> Image.Image:
    """Return a preview that came from another peer, no larger than `box_px`.

    Raises `MalformedMessage` for what `make_preview` never makes.
    """
    if len(data) > PREVIEW_MAX_BYTES:
        raise MalformedMessage(f"a preview of {len(data)} bytes, the cap is {PREVIEW_MAX_BYTES}")
    name = "The preview"
    try:
        header = check(data, name)
        if header.format != "JPEG" or max(header.width, header.height) > PREVIEW_MAX_EDGE_PX:
            raise MalformedMessage(f"a preview that is no JPEG of at most {PREVIEW_MAX_EDGE_PX} pixels")
        return _image(decoded(data, header, name, box=box_px))
    except UnusableImage as error:
        raise MalformedMessage("a preview that does not decode") from error


def decoded(
    data: bytes,
    header: Header,
    name: str,
    *,
    box: tuple[int, int] | None = None,
    size: tuple[int, int] | None = None,
    upright: bool = False,
    pixels: bool = True,
    place: bool = False,
    memory_bytes: int = DECODE_MEMORY_BYTES,
) -> Decoded:
    """Have a picture that was checked decoded. See `shared.decoding.task.Task`; raises as `Children.decode`."""
    if header.memory_bytes > memory_bytes:
        raise too_hungry(name)
    task = Task(
        header.format,
        header.width,
        header.height,
        box=box,
        size=size,
        upright=upright,
        pixels=pixels,
        place=place,
        memory_bytes=memory_bytes,
    )
    return CHILDREN.decode(data, task, name)


def _image(found: Decoded) -> Image.Image:
    """Return pixels as a picture, made band by band, with the interpreter's lock free for others in between."""
    width, height = found.answer.width, found.answer.height
    image, view = Image.new("RGB", (width, height)), memoryview(found.pixels)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        count = min(rows, height - top)
        part = bytes(view[3 * width * top : 3 * width * (top + count)])
        image.paste(Image.frombuffer("RGB", (width, count), part, "raw", "RGB", 0, 1), (0, top))
    return image
