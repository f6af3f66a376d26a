"""What hiding does to a picture: noise in decibels, and what two detectors make of it.

First on the covers that nodes draw, at the sizes that they choose; then on photographs.
"""

import functools

import numpy as np

from shared.stego import container
from shared.stego.covers import procedural_cover
from shared.stego.sizes import tier_for
from tests import photos
from tests.bench.rows import Row
from tests.bench.steganalysis import DETECTORS, auc, detect
from tests.stego_files import Picture, pixels_of

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
RECORD = b"r" * 724
"""As long as the longest text of a sealed record."""
FILLS = (0.10, 0.25)
SEALED_BYTES = {"10 KB": 10 * 1024 + 67, "100 KB": 100 * 1024 + 67, "1 MB": 1_000_000}
DRAWN = {"10 KB": 100, "100 KB": 24, "1 MB": 10}
"""By size, how many covers with and without a payload are told apart."""
PSNR_BAR_DB, AUC_BAR = 60.0, 0.65


def rows() -> list[Row]:
    """Measure all of it."""
    return [*noise(), *drawn_covers(), *steganalysis()]


def noise() -> list[Row]:
    """Hide 10 KB and more in what nodes draw, and 10 KB in a photograph of 512x512."""
    found = []
    for name, size in SEALED_BYTES.items():
        cover = procedural_cover(tier_for(size), bytes(16))
        psnr = psnr_db(drawn_with_payload(size, 0), cover)
        what = f"PSNR, {name} in the cover that a node draws"
        file = f"{cover.shape[1]}x{cover.shape[0]}"
        found.append(Row(what, psnr, "dB", "", None, psnr, "at least", PSNR_BAR_DB if name == "10 KB" else None, file))
    cover = pixels_of(photos.photo("astronaut.png"))
    psnr = psnr_db(hidden_in(cover, np.random.default_rng(1).bytes(SEALED_BYTES["10 KB"]), bytes(16)), cover)
    return [*found, Row("PSNR, 10 KB in a photograph of 512x512", psnr, "dB", "", None, psnr, "at least", PSNR_BAR_DB)]


def psnr_db(stego: Picture, cover: Picture) -> float:
    """Return the peak signal-to-noise ratio in decibels."""
    return float(10 * np.log10(255**2 / np.mean((stego.astype(float) - cover) ** 2)))


def drawn_covers() -> list[Row]:
    """Let both detectors tell covers that nodes draw, with and without a payload, none of them twice.

    The third number is no detector's: how strong the grain is, for who knows how covers are drawn.
    """
    found = []
    for name, size in SEALED_BYTES.items():
        count = DRAWN[name]
        clean = [procedural_cover(tier_for(size), image_id(count + number)) for number in range(count)]
        hidden = [drawn_with_payload(size, number) for number in range(count)]
        for detector in DETECTORS:
            area = auc(*([detect(detector, picture) for picture in pictures] for pictures in (clean, hidden)))
            what = f"AUC of {detector}, {name} in what a node draws"
            found.append(Row(what, area, "", "", None, area, "at most", AUC_BAR, f"{count} of each"))
        area = auc(*([grain(picture) for picture in pictures] for pictures in (clean, hidden)))
        what = f"AUC of the strength of grain, {name} in what a node draws"
        found.append(Row(what, area, "", "", None, area, "at most", None, f"{count} of each"))
    return found


def grain(picture: Picture) -> float:
    """Return how much neighbours in a column differ."""
    return float(np.mean(np.abs(np.diff(picture.astype(np.int16), axis=0))))


def drawn_with_payload(size: int, number: int) -> Picture:
    """Hide so many bytes in a cover that a node draws."""
    payload = np.random.default_rng(number).bytes(size)
    return pixels_of(container.hide(payload, RECORD, image_id=image_id(number)))


def image_id(number: int) -> bytes:
    """Return an id for a picture of this measurement."""
    return number.to_bytes(16, "big")


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
    return hidden_in(crop, payload, image_id(seed))


def hidden_in(cover: Picture, payload: bytes, key: bytes) -> Picture:
    """Hide in just these pixels, which stay as they are."""
    return pixels_of(container.hide_in(cover.copy(), payload, RECORD, image_id=key))


def with_replaced_bits(crop: Picture, fill: float, seed: int) -> Picture:
    """Replace the low bits of `fill` of all channels, drawn at random: the plain embedding of the papers."""
    random = np.random.default_rng(seed)
    chosen = random.random(crop.shape) < fill
    return np.where(chosen, crop & 0xFE | random.integers(0, 2, crop.shape, dtype=np.uint8), crop)
