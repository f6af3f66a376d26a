from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from shared.config import MAX_COVER_PIXELS, MAX_SEALED_BYTES, TWO_BITS_ABOVE_BYTES
from shared.errors import InvalidInput, UnusableImage
from shared.stego.covers import owner_cover, procedural_cover
from shared.stego.png import encode
from shared.stego.sizes import DEFAULT_TIER, TIERS, Size, fits, tier_for
from tests import photos
from tests.stego_files import layout_of, saved

KEY = bytes(range(16))


def test_tiers_grow_and_the_largest_holds_the_largest_picture():
    assert [tier.pixels for tier in TIERS] == sorted(tier.pixels for tier in TIERS)
    assert TIERS[-1].pixels <= MAX_COVER_PIXELS
    assert tier_for(MAX_SEALED_BYTES) == TIERS[-1]


@pytest.mark.parametrize(
    ("payload_bytes", "tier"),
    [
        (1, Size(368, 276)),
        (10 * 1024 + 100, Size(368, 276)),
        (20_000, Size(640, 480)),
        (100_000, Size(1024, 768)),
        (400_000, Size(1600, 1200)),
        (TWO_BITS_ABOVE_BYTES, Size(2016, 1512)),
        (4_200_000, Size(2880, 2160)),
    ],
)
def test_the_smallest_tier_that_holds_it(payload_bytes, tier):
    assert tier_for(payload_bytes) == tier


def test_no_tier_for_more_than_the_largest():
    with pytest.raises(InvalidInput, match="make the picture smaller"):
        tier_for(13_000_000)


@pytest.mark.parametrize("size", [*TIERS[:4], Size(241, 100)])
def test_a_cover_is_the_same_for_an_image_every_time_and_no_other_image_has_it(size):
    one, other = procedural_cover(size, KEY), procedural_cover(size, bytes(16))
    assert one.shape == (size.height, size.width, 3)
    assert np.array_equal(one, procedural_cover(size, KEY))
    assert np.mean(one == other) < 0.2


def test_nothing_is_the_same_in_all_covers():
    """Neither a pixel, nor a low bit, nor the difference of two covers, nor of two neighbours in them."""
    covers = np.stack([procedural_cover(TIERS[0], bytes([seed] * 16)).astype(int) for seed in range(24)])
    for values in (covers, covers & 1, covers[1:] - covers[:-1], covers[:, 1:] - covers[:, :-1]):
        assert np.ptp(values, axis=0).min() > 0 if values is covers else np.mean(np.ptp(values, axis=0) == 0) < 0.001
    grain = [float(np.abs(cover[1:] - cover[:-1]).mean()) for cover in covers]
    assert max(grain) > 1.5 * min(grain), "there is more grain in some and less in others"


def test_nothing_in_a_cover_is_cut_off():
    for seed in range(24):
        cover = procedural_cover(TIERS[0], bytes([seed] * 16))
        assert cover.min() > 8
        assert cover.max() < 247


@pytest.mark.parametrize("seed", range(12))
def test_filters_are_those_that_pillow_chooses_for_the_same_cover(seed):
    cover = procedural_cover(TIERS[0], bytes([seed] * 16))
    assert layout_of(encode(cover)).filters == layout_of(saved(cover)).filters


def flat(width, height):
    out = BytesIO()
    Image.new("RGB", (width, height), (90, 120, 150)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "payload_bytes", "expected"),
    [
        ((512, 512), 10_300, (512, 512)),
        ((640, 480), 10_300, (640, 480)),
        ((4000, 3000), 10_300, (640, 480)),
        ((100, 80), 10_300, None),
        ((120, 15), 500, (902, 113)),
        ((10, 80), 100, (240, 1920)),
        ((500, 400), 700_000, None),
    ],
)
def test_owners_covers_are_scaled_to_what_they_must_hold(size, payload_bytes, expected):
    cover = owner_cover(flat(*size), payload_bytes)
    height, width = cover.shape[:2]
    assert fits(payload_bytes, width, height)
    assert width >= 240
    assert width / height == pytest.approx(size[0] / size[1], rel=0.02)
    assert width * height <= max(tier_for(payload_bytes).pixels * 1.05, DEFAULT_TIER.pixels * 1.01, 240 * 1920)
    if expected:
        assert (width, height) == expected


def test_the_longest_cover_holds_the_largest_picture():
    for size in ((1600, 200), (200, 1600)):
        cover = owner_cover(flat(*size), MAX_SEALED_BYTES)
        assert cover.shape[0] * cover.shape[1] <= MAX_COVER_PIXELS
        assert fits(MAX_SEALED_BYTES, cover.shape[1], cover.shape[0])


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGBA", "1", "I;16"])
def test_covers_of_every_kind_become_opaque_rgb(mode):
    out = BytesIO()
    if mode == "I;16":
        Image.fromarray(np.full((300, 400), 0x8000, dtype=np.uint16)).save(out, "PNG")
    else:
        Image.new("RGBA", (400, 300), (10, 200, 30, 128)).convert(mode).save(out, "PNG")
    assert owner_cover(out.getvalue(), 100).shape == (300, 400, 3)


def test_a_photograph_stays_itself():
    data = photos.photo("astronaut.png")
    with Image.open(BytesIO(data)) as image:
        assert np.array_equal(owner_cover(data, 10_300), np.asarray(image.convert("RGB")))


def test_what_is_no_picture_is_no_cover():
    with pytest.raises(UnusableImage, match="The cover"):
        owner_cover(b"hello", 100)
