"""Picture files for tests: cheap to draw, of a fixed size and date, so that a list of them always looks the same."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from tests.tui.conftest import NOW

GPS = {1: "N", 2: (47.0, 22.0, 12.0), 3: "E", 4: (8.0, 32.0, 30.0)}
COLORS = ("#27496d", "#0c7b93", "#00a8cc", "#f5b461")


def bands(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Return a picture of four broad bands."""
    image = Image.new("RGB", size, COLORS[0])
    for number, color in enumerate(COLORS[1:], 1):
        image.paste(color, (size[0] * number // 4, 0, size[0], size[1]))
    return image


def encoded(kind: str = "PNG", size: tuple[int, int] = (96, 64), *, gps: bool = False) -> bytes:
    """Return a picture file's bytes, which may tell a place."""
    out = io.BytesIO()
    exif = Image.Exif()
    if gps:
        exif.get_ifd(0x8825).update(GPS)
    bands(size).save(out, kind, exif=exif)
    return out.getvalue()


def write(path: Path, data: bytes | None = None, *, kb: int = 24, days_ago: int = 3) -> Path:
    """Write a file of so many KB; a picture goes on being one with zeros behind it."""
    data = encoded() if data is None else data
    path.write_bytes(data + bytes(max(0, kb * 1024 - len(data))))
    os.utime(path, (NOW - days_ago * 86_400,) * 2)
    return path


def album(folder: Path) -> Path:
    """Fill a folder with pictures, folders, and what is neither."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "harbour.png", days_ago=2)
    write(folder / "Lake at dawn.png", encoded(size=(64, 96)), kb=310, days_ago=40)
    write(folder / "mountain.jpg", encoded("JPEG"), kb=1500, days_ago=9)
    write(folder / "with place.jpg", encoded("JPEG", gps=True), kb=88, days_ago=400)
    write(folder / "zebra.webp", encoded("WEBP"), kb=12, days_ago=1)
    write(folder / "cut.png", encoded()[:60], kb=0, days_ago=5)
    write(folder / ".secret.png")
    write(folder / "notes.txt", b"no picture", kb=0)
    for name in ("2026", "Holidays", ".cache"):
        (folder / name).mkdir(exist_ok=True)
    write(folder / "Holidays" / "sea.png")
    return folder
