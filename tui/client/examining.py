"""Looks at a picture file before anything is done with it. Synchronous and slow: for threads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import GlimpseError
from shared.stego.pictures import PictureInfo, examine_picture, read_picture

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image


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
        return Examined(path, *examine_picture(read_picture(path), box_px))
    except GlimpseError as error:
        return Examined(path, trouble=str(error))
