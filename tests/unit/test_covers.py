import threading
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from shared.config import MAX_COVER_PIXELS, MAX_SEALED_BYTES, TWO_BITS_ABOVE_BYTES
from shared.errors import InvalidInput, UnusableImage
from shared.stego import covers
from shared.stego.covers import DEFAULT_TIER, TIERS, CoverStore, fits, owner_cover, procedural_cover, tier_for
from shared.stego.png import Size
from tests import photos


def test_tiers_grow_and_the_largest_holds_the_largest_picture():
    assert [tier.pixels for tier in TIERS] == sorted(tier.pixels for tier in TIERS)
    assert TIERS[-1].pixels <= MAX_COVER_PIXELS
    assert tier_for(MAX_SEALED_BYTES) == TIERS[-1]


@pytest.mark.parametrize(
    ("payload_bytes", "tier"),
    [
        (1, Size(240, 150)),
        (10 * 1024 + 100, Size(240, 150)),
        (20_000, Size(400, 300)),
        (100_000, Size(640, 480)),
        (TWO_BITS_ABOVE_BYTES, Size(2016, 1512)),
        (4_200_000, Size(2880, 2160)),
    ],
)
def test_the_smallest_tier_that_holds_it(payload_bytes, tier):
    assert tier_for(payload_bytes) == tier


def test_no_tier_for_more_than_the_largest():
    with pytest.raises(InvalidInput, match="make the picture smaller"):
        tier_for(13_000_000)


@pytest.mark.parametrize("tier", TIERS[:5])
def test_procedural_covers_are_the_same_every_time_and_grainy(tier):
    one, two = procedural_cover(tier), procedural_cover(tier)
    assert one.shape == (tier.height, tier.width, 3)
    assert np.array_equal(one, two)
    assert not one.flags.writeable
    grain = (one[:, 1:, :].astype(int) - one[:, :-1, :]).std()
    assert 2.0 < grain < 4.0, "two neighbours with grain of sigma 2 differ by about 2.8"


def test_store_makes_a_cover_once_and_forgets_the_least_used(monkeypatch):
    made = []
    original = covers.procedural_cover
    monkeypatch.setattr(covers, "procedural_cover", lambda tier: made.append(tier) or original(tier))
    small, middle, large = TIERS[:3]
    store = CoverStore(max_bytes=(small.pixels + large.pixels) * 3)
    for tier in (small, middle, small, large, small, middle):
        assert store.cover(tier).shape[:2] == (tier.height, tier.width)
    assert made == [small, middle, large, middle]


def test_store_serves_threads(monkeypatch):
    made = []
    original = covers.procedural_cover
    monkeypatch.setattr(covers, "procedural_cover", lambda tier: made.append(tier) or original(tier))
    store = CoverStore()
    threads = [threading.Thread(target=store.cover, args=(TIERS[1],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [TIERS[1]]


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
        ((120, 15), 500, (537, 68)),
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
        Image.fromarray(np.full((200, 300), 0x8000, dtype=np.uint16)).save(out, "PNG")
    else:
        Image.new("RGBA", (300, 200), (10, 200, 30, 128)).convert(mode).save(out, "PNG")
    assert owner_cover(out.getvalue(), 100).shape == (200, 300, 3)


def test_a_photograph_stays_itself():
    data = photos.photo("astronaut.png")
    with Image.open(BytesIO(data)) as image:
        assert np.array_equal(owner_cover(data, 10_300), np.asarray(image.convert("RGB")))


def test_what_is_no_picture_is_no_cover():
    with pytest.raises(UnusableImage, match="The cover"):
        owner_cover(b"hello", 100)
