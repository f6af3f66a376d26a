"""Sample photographs for the scripted demo and the tests, made from those in scikit-image's wheel.

The wheel's code is never imported: its pictures are found beside it and read as files.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from shared.errors import UserError

_ORIENTATION: Final = 0x0112
_ROTATED_BY_90: Final = 6
_LARGE_SIZE: Final = (4000, 3000)
_SEED: Final = 7
_NOISE_SIGMA: Final = 4.5
_LARGE_QUALITY: Final = 94
_QUALITY: Final = 90


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture file: a name fit for a folder, and its bytes."""

    name: str
    data: bytes


def photo_path(name: str) -> Path:
    """Return the path of one of the wheel's pictures, such as `coffee.png`. Raises `UserError` where it is missing."""
    spec = find_spec("skimage")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "data" / name
        if path.is_file():
            return path
    raise UserError(f"The sample photograph {name} is not installed; install Glimpse with its extra `photos`.")


def photo(name: str) -> bytes:
    """Return one of the wheel's pictures as it is. Raises `UserError` where it is missing."""
    return photo_path(name).read_bytes()


def rotated_jpeg() -> Sample:
    """Return a JPEG that lies on its side and says so in its EXIF data, as telephones write them."""
    with Image.open(photo_path("rocket.jpg")) as image:
        exif = Image.Exif()
        exif[_ORIENTATION] = _ROTATED_BY_90
        out = BytesIO()
        image.transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", quality=90, exif=exif)
    return Sample("rocket.jpg", out.getvalue())


def transparent_png() -> Sample:
    """Return a PNG with an alpha channel."""
    return Sample("logo.png", photo("logo.png"))


def large_jpeg() -> Sample:
    """Return a JPEG of 12 megapixels and about 4 MB, as large as a telephone's; always the same."""
    with Image.open(photo_path("coffee.png")) as image:
        enlarged = np.array(image.convert("RGB").resize(_LARGE_SIZE, Image.Resampling.BICUBIC))
    random = np.random.Generator(np.random.PCG64(_SEED))
    for rows in np.array_split(enlarged, 16):
        noise = random.standard_normal(rows.shape[:2], dtype=np.float32)[:, :, None] * _NOISE_SIGMA
        rows[:] = np.clip(rows + noise, 0, 255).astype(np.uint8)
    out = BytesIO()
    Image.fromarray(enlarged).save(out, "JPEG", quality=_LARGE_QUALITY)
    return Sample("coffee-12mp.jpg", out.getvalue())


def write_jpegs(folder: Path, photographs: dict[str, str]) -> None:
    """Write photographs of the wheel as JPEG files into a folder, by title. Raises `UserError` where one is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for title, name in photographs.items():
        with Image.open(photo_path(name)) as image:
            image.convert("RGB").save(folder / f"{title}.jpg", "JPEG", quality=_QUALITY)


def samples() -> list[Sample]:
    """Return the three sample pictures. Raises `UserError` where the wheel is missing."""
    return [rotated_jpeg(), transparent_png(), large_jpeg()]
