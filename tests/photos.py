"""Photographs for tests, from scikit-image's wheel; see `tui.commands.samples`."""

from io import BytesIO

from PIL import Image

from tui.commands.samples import Sample, large_jpeg, photo, photo_path, rotated_jpeg, samples, transparent_png

__all__ = [
    "Sample",
    "large_jpeg",
    "photo",
    "photo_path",
    "resized",
    "rotated_jpeg",
    "samples",
    "small_jpeg",
    "transparent_png",
]


def resized(name: str, size: tuple[int, int], file_format: str = "PNG") -> bytes:
    """Return a photograph stretched to a size, as a file of the format given."""
    with Image.open(photo_path(name)) as image:
        out = BytesIO()
        image.convert("RGB").resize(size).save(out, file_format)
    return out.getvalue()


def small_jpeg(size_bytes: int = 10 * 1024) -> bytes:
    """Return a JPEG of about 10 KB (at most `size_bytes`), the size of the reference system's load test."""
    with Image.open(photo_path("chelsea.png")) as image:
        small = image.convert("RGB").resize((300, 200))
    for quality in range(95, 5, -5):
        out = BytesIO()
        small.save(out, "JPEG", quality=quality)
        if out.tell() <= size_bytes:
            return out.getvalue()
    raise AssertionError("no quality makes the photograph small enough")
