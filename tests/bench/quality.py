"""What hiding does to a picture: noise in decibels, and what two detectors make of it."""

import functools
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.stego import container
from tests import photos
from tests.bench.rows import Row
from tests.bench.steganalysis import DETECTORS, auc, detect

PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "retina.jpg",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "camera.png",
    "brick.png",
    "grass.png",
    "gravel.png",
    "moon.png",
    "coins.png",
)
EDGE_PX = 256
CROPS_EACH = 6
RECORD = b'{"views_left":5}'.ljust(700)
FILLS = (0.10, 0.25)
PSNR_BAR_DB, AUC_BAR = 60.0, 0.65
Picture = NDArray[np.uint8]


def rows() -> list[Row]:
    """Measure all of it."""
    return [noise(), *steganalysis()]


def noise() -> Row:
    """Hide 10 KB in a photograph of 512x512."""
    cover = photos.photo("astronaut.png")
    payload = np.random.default_rng(1).bytes(10 * 1024)
    stego = pixels_of(container.hide(payload, RECORD, image_id=bytes(16), cover=cover)).astype(float)
    error = float(np.mean((stego - pixels_of(cover)) ** 2))
    psnr = 10 * np.log10(255**2 / error)
    return Row("PSNR, 10 KB in 512x512", psnr, "dB", "", None, psnr, "at least", PSNR_BAR_DB)


def steganalysis() -> list[Row]:
    """Let both detectors tell crops of photographs with a payload from those without.

    As a control they get the same crops with the same number of low bits replaced instead.
    """
    clean = crops()
    before = {name: [detect(name, crop) for crop in clean] for name in DETECTORS}
    found = []
    for fill in FILLS:
        hidden = [with_payload(crop, fill, seed) for seed, crop in enumerate(clean)]
        replaced = [with_replaced_bits(crop, fill, seed) for seed, crop in enumerate(clean)]
        for name in DETECTORS:
            ours, control = (auc(before[name], [detect(name, crop) for crop in stego]) for stego in (hidden, replaced))
            found.append(
                Row(
                    f"AUC of {name}, {fill:.0%} of the channels",
                    ours,
                    "",
                    "low bits replaced",
                    control,
                    ours,
                    "at most",
                    AUC_BAR,
                    f"{len(clean)} crops of {EDGE_PX}x{EDGE_PX}",
                )
            )
    return found


@functools.lru_cache(maxsize=1)
def crops() -> list[Picture]:
    """Return squares of photographs that do not overlap; grey ones have three equal channels."""
    found = []
    for name in PHOTOGRAPHS:
        picture = pixels_of(photos.photo(name))
        corners = [
            (top, left)
            for top in range(0, picture.shape[0] - EDGE_PX + 1, EDGE_PX)
            for left in range(0, picture.shape[1] - EDGE_PX + 1, EDGE_PX)
        ]
        step = max(1, -(-len(corners) // CROPS_EACH))
        found += [picture[top : top + EDGE_PX, left : left + EDGE_PX] for top, left in corners[::step]]
    return found


def with_payload(crop: Picture, fill: float, seed: int) -> Picture:
    """Hide as Glimpse does, record included, so that `fill` of all channels carry a bit."""
    payload = np.random.default_rng(seed).bytes(int(fill * crop.size / 8) - len(RECORD))
    out = BytesIO()
    Image.fromarray(crop).save(out, "PNG")
    image_id = seed.to_bytes(16, "big")
    stego = pixels_of(container.hide(payload, RECORD, image_id=image_id, cover=out.getvalue()))
    assert stego.shape == crop.shape, "the cover was scaled; the comparison would be of two pictures"
    return stego


def with_replaced_bits(crop: Picture, fill: float, seed: int) -> Picture:
    """Replace the low bits of `fill` of all channels, drawn at random: the plain embedding of the papers."""
    random = np.random.default_rng(seed)
    chosen = random.random(crop.shape) < fill
    return np.where(chosen, crop & 0xFE | random.integers(0, 2, crop.shape, dtype=np.uint8), crop)


def pixels_of(file: bytes) -> Picture:
    """Return the red, green and blue of a picture file."""
    with Image.open(BytesIO(file)) as image:
        return np.array(image.convert("RGB"))
