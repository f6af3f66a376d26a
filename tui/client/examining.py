"""Looks at a picture file before anything is done with it. Synchronous and slow: for threads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import ExifTags

from shared.errors import UnusableImage
from shared.stego.pictures import PictureInfo, damage_named, decode_picture, inspect, quiet_pillow, read_picture
from tui.client.widgets.decoding import reduced

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

_LATITUDE: Final = 2
"""Number of the EXIF tag GPSLatitude."""
_XMP_KEYS: Final = ("xmp", "XML:com.adobe.xmp")
_XMP_PLACE: Final = "GPSLatitude"


@dataclass(frozen=True, slots=True)
class Examined:
    """What is known of a picture file: what it is, how it looks (small), whether it says where it was taken.

    `trouble` says why it cannot be used; then there is nothing else. `place` is None where its metadata does not read.
    """

    path: Path
    info: PictureInfo | None = None
    image: Image.Image | None = None
    place: bool | None = False
    trouble: str = ""


def examine(path: Path, box_px: tuple[int, int]) -> Examined:
    """Read and decode a whole picture file, made no larger than `box_px` (width, height) to be shown. Never raises."""
    try:
        data = read_picture(path)
        return Examined(path, inspect(data), reduced(data, box_px), says_place(data))
    except UnusableImage as error:
        return Examined(path, trouble=str(error))


def says_place(data: bytes) -> bool | None:
    """Return whether a picture's metadata holds where it was taken; None where it does not read.

    Looks where cameras and photo programs put it: EXIF and XMP.
    """
    # The pixels are of no interest: the smallest that a JPEG decodes to will do.
    image = decode_picture(data, edge_px=1)
    if any(_XMP_PLACE in _text(image.info.get(key, b"")) for key in _XMP_KEYS):
        return True
    try:
        with quiet_pillow(), damage_named():
            exif = image.getexif()
            block = exif.get_ifd(ExifTags.IFD.GPSInfo)
    except UnusableImage:
        return None
    if _LATITUDE in block:
        return True
    # Pillow passes over what it cannot read: a block that is announced and empty, or none at all in what is there.
    unread = ExifTags.IFD.GPSInfo in exif and not block
    return None if unread or ("exif" in image.info and not exif) else False


def _text(packet: object) -> str:
    return packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
