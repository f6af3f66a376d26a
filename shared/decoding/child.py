"""The process that decodes: reads tasks from its parent, one after the other, until the parent goes away.

It is started by `children` with a socket as its standard input and the read end of a pipe as its standard output. Both
belong to the parent: when that ends, however it went, the pipe closes and the kernel ends this process, in the middle
of a picture if need be (Linux), or the next read from the socket finds its end (elsewhere).

Its limits are computing time and memory, set anew for each task; it may write no file and leaves no core. All of
Pillow's decoding happens here and nowhere else. numpy stays out: it would take three times as long to start.
"""

import os
import struct
import sys
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Final

from PIL import ExifTags, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from shared.decoding.opaque import opaque
from shared.decoding.task import READY, TASK_BYTES, Answer, Place, Status, Task

if sys.platform != "win32":
    import fcntl
    import resource
    import signal

_SOCKET: Final = 0
_LIFELINE: Final = 1
_PIECE_BYTES: Final = 1 << 20
_BAND_PIXELS: Final = 1 << 18
_OVERSAMPLING: Final = 2
"""How many times larger than the result the cheap box filter may leave a picture for the good filter to finish."""
_LANCZOS_SUPPORT: Final = 3
_OWN_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Address space of the interpreter and of Pillow, with room for bands."""
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
_SIDEWAYS: Final = {5, 6, 7, 8}
_LATITUDE: Final = 2
"""Number of the EXIF tag GPSLatitude."""
_XMP_KEYS: Final = ("xmp", "XML:com.adobe.xmp")
_XMP_PLACE: Final = "GPSLatitude"
_PLUGINS: Final[dict[str, type[ImageFile.ImageFile]]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.JpegImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}
"""A closed list, called directly: `Image.open` would try every format that Pillow knows."""
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
    RuntimeError,
)
"""What Pillow is known to raise on damaged files."""


class _Damaged(Exception):
    """The file is not what its first bytes promise."""


class _Animated(Exception):
    """The file has this many frames."""


def main() -> None:
    """Serve tasks until the parent goes away."""
    _live_no_longer_than_the_parent()
    warnings.simplefilter("ignore")  # what matters of Pillow's warnings about odd files is raised as an error
    os.write(_SOCKET, READY)
    while head := _read(TASK_BYTES):
        task, length = Task.unpack(head.getvalue())
        file = _read(length)
        if file is None:
            return
        _limit(task)
        for piece in _answered(task, file):
            _write(piece)


def _live_no_longer_than_the_parent() -> None:
    """Have the kernel end this process when the parent's end of the pipe closes, and leave nothing behind."""
    if sys.platform == "win32":
        return
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (0, 0))
    if sys.platform == "linux":
        fcntl.fcntl(_LIFELINE, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(_LIFELINE, fcntl.F_SETFL, fcntl.fcntl(_LIFELINE, fcntl.F_GETFL) | os.O_ASYNC)
        signal.signal(signal.SIGIO, signal.SIG_DFL)


def _limit(task: Task) -> None:
    """Set how much this task may take. Where the system has no such limits, the parent's deadline remains."""
    if sys.platform == "win32":
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    wanted = {
        resource.RLIMIT_CPU: int(used.ru_utime + used.ru_stime) + 1 + task.cpu_s,
        resource.RLIMIT_AS: task.memory_bytes + _OWN_MEMORY_BYTES,
    }
    for limit, soft in wanted.items():
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (soft, resource.getrlimit(limit)[1]))


# --- Talking to the parent -------------------------------------------------------------------------------------------
def _read(count: int) -> BytesIO | None:
    """Return the next `count` bytes, None where the parent is gone."""
    found, missing = BytesIO(), count
    while missing:
        piece = os.read(_SOCKET, min(missing, _PIECE_BYTES))
        if not piece:
            return None
        found.write(piece)
        missing -= len(piece)
    found.seek(0)
    return found


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(_SOCKET, view) :]


def _answered(task: Task, file: BytesIO) -> Iterator[bytes]:
    """Do a task: yield the answer, then the pixels. What fails after the answer ends the process."""
    bands: Iterable[Image.Image] = ()
    try:
        answer, bands = _done(task, file)
    except _Animated as animated:
        answer = Answer(Status.ANIMATED, width=int(animated.args[0]))
    except MemoryError:
        answer = Answer(Status.TOO_MUCH_MEMORY)
    except (_Damaged, *_DECODING_FAILURES):
        answer = Answer(Status.DAMAGED)
    yield answer.pack()
    for band in bands:
        yield band.tobytes()


def _done(task: Task, file: BytesIO) -> tuple[Answer, Iterable[Image.Image]]:
    image = _PLUGINS[task.format](file)
    _decode(image, task)
    place = _place(image) if task.place else Place.NO
    if not task.pixels:
        return Answer(Status.DONE, image.width, image.height, place), ()
    orientation = _orientation(image) if task.upright else 1
    size = _wanted_size(image, task, lies=orientation in _SIDEWAYS)
    small = _smaller(image, size)
    if (turn := _UPRIGHT.get(orientation)) is not None:
        small = _whole(small, size).transpose(turn)
        size = small.size
    return Answer(Status.DONE, *size, place), _bands(small, size)


# --- Decoding --------------------------------------------------------------------------------------------------------
def _decode(image: ImageFile.ImageFile, task: Task) -> None:
    """Read the pixels. A JPEG of which less is wanted is decoded to a half, a quarter or an eighth, several times as
    fast, though to no less than twice of what is wanted."""
    if image.size != (task.width, task.height):
        raise _Damaged
    if (frames := int(getattr(image, "n_frames", 1))) > 1:
        raise _Animated(frames)
    if (wanted := task.size or task.box) is not None:
        scale = _OVERSAMPLING * max(wanted) / max(image.size)
        image.draft(None, (max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    image.load()
    if task.solid and not _is_solid(image):
        raise _Damaged


def _is_solid(image: Image.Image) -> bool:
    return image.mode == "RGB" or (image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255))


def _orientation(image: Image.Image) -> int:
    """Return how the picture lies, 1 for upright; whatever else stands there turns nothing."""
    found = image.getexif().get(_ORIENTATION, 1)
    return found if isinstance(found, int) else 1


def _place(image: Image.Image) -> Place:
    """Say whether metadata holds where the picture was taken. Looks where cameras and photo programs put it."""
    if any(_XMP_PLACE in _text(image.info.get(key, b"")) for key in _XMP_KEYS):
        return Place.YES
    try:
        exif = image.getexif()
        block = exif.get_ifd(ExifTags.IFD.GPSInfo)
    except _DECODING_FAILURES:
        return Place.UNREAD
    if _LATITUDE in block:
        return Place.YES
    # Pillow passes over what it cannot read: a block that is announced and empty, or none at all in what is there.
    unread = (ExifTags.IFD.GPSInfo in exif and not block) or ("exif" in image.info and not exif)
    return Place.UNREAD if unread else Place.NO


def _text(packet: object) -> str:
    return packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)


# --- To the size that is wanted, in bands: a second picture of 20 megapixels would cost 80 MB -------------------------
def inside(size: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Return the largest (width, height) of the aspect of `size` that is no larger than it and fits into `box`."""
    scale = min(box[0] / size[0], box[1] / size[1], 1.0)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _wanted_size(image: Image.Image, task: Task, *, lies: bool) -> tuple[int, int]:
    if task.size is not None:
        return task.size
    if task.box is not None:
        return inside(image.size, task.box[::-1] if lies else task.box)
    return image.size


def _smaller(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return the picture reduced by the largest whole factor that leaves the good filter enough to do."""
    factor = max(1, min(image.width // size[0], image.height // size[1]) // _OVERSAMPLING)
    if factor == 1:
        return image
    width, height = image.size
    result = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    rows = factor * max(1, _BAND_PIXELS // (width * factor))
    for top in range(0, height, rows):
        band = opaque(image.crop((0, top, width, min(top + rows, height))))
        result.paste(band.reduce(factor), (0, top // factor))
    return result


def _bands(image: Image.Image, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Yield the rows of the picture at this size, opaque, in RGB, some at a time: together what one call would make."""
    width, height = size
    rows = max(1, _BAND_PIXELS // width)
    scale = image.height / height
    margin = int(_LANCZOS_SUPPORT * max(scale, 1.0)) + 2
    for first in range(0, height, rows):
        last = min(first + rows, height)
        if size == image.size:
            yield opaque(image.crop((0, first, width, last)))
            continue
        top, bottom = max(0, int(first * scale) - margin), min(image.height, int(last * scale) + margin + 1)
        source = opaque(image.crop((0, top, image.width, bottom)))
        part = (0, first * scale - top, image.width, min(last * scale - top, source.height))
        yield source.resize((width, last - first), Image.Resampling.LANCZOS, box=part)


def _whole(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    result, top = Image.new("RGB", size), 0
    for band in _bands(image, size):
        result.paste(band, (0, top))
        top += band.height
    return result
