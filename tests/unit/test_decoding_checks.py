"""What a picture says of itself, read without decoding it: honest ones pass, costly ones are refused with advice."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.config import MAX_JPEG_SCANS, MAX_JPEG_SEGMENTS, MAX_ORIGINAL_BYTES, MAX_PNG_CHUNKS, MAX_WEBP_CHUNKS
from shared.decoding.checks import Header, check
from shared.errors import UnusableImage
from tests import photos
from tests.hostile_pictures import chunk, png_of, repeated_scans, webp_of


def saved(file_format: str, size: tuple[int, int] = (97, 61), mode: str = "RGB", **options: object) -> bytes:
    out = BytesIO()
    pixels = np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(out, file_format, **options)
    return out.getvalue()


SCANS = b"\xff\xda" * 900
"""What looks like the beginnings of scans, in a comment."""
HONEST = {
    "jpeg": saved("JPEG"),
    "progressive": saved("JPEG", progressive=True),
    "progressive with a profile": saved(
        "JPEG", progressive=True, icc_profile=bytes(300_000), comment=b"\xff\xda" * 900
    ),
    "restart markers": saved("JPEG", (640, 480), restart_marker_blocks=1),
    "grey": saved("JPEG", mode="L"),
    "cmyk": saved("JPEG", mode="CMYK"),
    "png": saved("PNG"),
    "grey png": saved("PNG", mode="1"),
    "webp": saved("WEBP"),
    "lossless webp": saved("WEBP", lossless=True),
    "webp with alpha and metadata": saved(
        "WEBP", mode="RGBA", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0", icc_profile=b"x" * 9
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_pictures_are_what_pillow_finds(name: str) -> None:
    header = check(HONEST[name])
    with Image.open(BytesIO(HONEST[name])) as image:
        assert (header.format, header.width, header.height) == (image.format, *image.size)


def test_photographs_pass() -> None:
    for name in ("rocket.jpg", "coffee.png", "astronaut.png"):
        assert check(photos.photo(name)).width > 400


@pytest.mark.parametrize(
    ("options", "bytes_per_pixel"),
    [
        ({}, 4),
        ({"progressive": True}, 4 + 3),
        ({"progressive": True, "subsampling": 0}, 4 + 6),
        ({"progressive": True, "mode": "CMYK", "subsampling": 0}, 4 + 8),
        ({"progressive": True, "mode": "L"}, 4 + 2),
    ],
)
def test_the_memory_that_a_jpeg_takes_is_known_beforehand(options: dict, bytes_per_pixel: int) -> None:
    assert check(saved("JPEG", (64, 48), **options)) == Header("JPEG", 64, 48, bytes_per_pixel * 64 * 48)


def test_a_scan_that_is_repeated_is_refused() -> None:
    """A picture of 334 KB passed every check, cost a node 100 s of computing, and froze the client of its viewer."""
    with pytest.raises(UnusableImage, match=r"This file is made of more than 50 scans.* save it anew"):
        check(repeated_scans(6_000))
    usual = len(repeated_scans(1).split(b"\xff\xda")) - 1
    assert check(repeated_scans(MAX_JPEG_SCANS - usual + 1)).width == 4000
    with pytest.raises(UnusableImage, match="scans"):
        check(repeated_scans(MAX_JPEG_SCANS - usual + 2))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("behind", [b"\xff\xda\0\x08" * 10_000, bytes(1_000_000)])
def test_what_stands_behind_the_end_is_not_read(file_format: str, behind: bytes) -> None:
    """Telephones put a film there."""
    assert check(saved(file_format) + behind).width == 97


TOO_MUCH = {
    "empty segments": (b"\xff\xd8" + b"\xff\xe1\0\x02" * (MAX_JPEG_SEGMENTS + 200) + saved("JPEG")[2:], "segments"),
    "segments without a length": (
        b"\xff\xd8" + b"\xff\x01" * (MAX_JPEG_SEGMENTS + 200) + saved("JPEG")[2:],
        "segments",
    ),
    "empty chunks": (png_of(9, 9, chunk(b"tEXt", b"") * (MAX_PNG_CHUNKS + 1)), "chunks"),
    "empty image data": (png_of(9, 9, chunk(b"IDAT", b"") * (MAX_PNG_CHUNKS + 1)), "chunks"),
    "chunks of a webp": (webp_of(*[(b"EXIF", b"")] * (MAX_WEBP_CHUNKS + 1)), "chunks"),
    "frames of a png": (png_of(9, 9, chunk(b"acTL", bytes((0, 0, 3, 0, 0, 0, 0, 0)))), r"animated \(768 frames\)"),
    "frames of a webp": (webp_of((b"VP8X", bytes(10)), *[(b"ANMF", b"")] * 7), r"animated \(7 frames\)"),
    "pixels of a jpeg": (saved("JPEG").replace((61).to_bytes(2) + (97).to_bytes(2), b"\xff\xff\xff\xff"), "megapixels"),
    "pixels of a webp": (webp_of((b"VP8X", bytes(4) + b"\xff" * 6)), "megapixels"),
    "pixels of a lossless webp": (webp_of((b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(9))), "megapixels"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_would_cost_too_much_is_refused_with_advice(name: str) -> None:
    data, said = TOO_MUCH[name]
    with pytest.raises(UnusableImage, match=said) as caught:
        check(data, "The cover")
    assert str(caught.value).startswith("The cover ")
    assert ";" in str(caught.value), "what to do comes behind"


NO_PICTURE = {
    "a start": b"\xff\xd8\xff",
    "no frame": b"\xff\xd8\xff\xda\0\x08" + bytes(20),
    "a segment of length 0": b"\xff\xd8\xff\xe0\0\0" + saved("JPEG")[2:],
    "a frame of nothing": b"\xff\xd8\xff\xc0\0\x02" + bytes(20),
    "no height": saved("JPEG").replace((61).to_bytes(2) + (97).to_bytes(2), b"\0\0\0\x61"),
    "a PNG that begins otherwise": b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
    "a PNG without width": png_of(0, 9),
    "a WebP of nothing": webp_of(),
    "a WebP of other things": webp_of((b"EXIF", b"")),
    "a WebP frame that is none": webp_of((b"VP8 ", bytes(20))),
    "a WebP without width": webp_of((b"VP8 ", b"\0\0\0\x9d\x01\x2a" + bytes(8))),
}


@pytest.mark.parametrize("name", NO_PICTURE)
def test_what_says_no_size_is_damaged(name: str) -> None:
    with pytest.raises(UnusableImage, match="damaged or cut short"):
        check(NO_PICTURE[name])


def test_a_run_of_fill_bytes_is_passed_over_at_once() -> None:
    """Eleven megabytes of them, which a search that looks back at each would never come to the end of."""
    fill = b"\xff" * (MAX_ORIGINAL_BYTES - 2_000_000)
    assert check(b"\xff\xd8" + fill + saved("JPEG")[2:]).width == 97
    with pytest.raises(UnusableImage, match="damaged"):
        check(b"\xff\xd8" + fill + b"\0")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(HONEST)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    st.floats(0, 1),
)
def test_damage_gives_a_header_or_a_refusal(name: str, changes: list[tuple[float, int]], share: float) -> None:
    data = bytearray(HONEST[name])
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        header = check(bytes(data[: int(share * len(data))]))
    except UnusableImage:
        return
    assert header.width * header.height <= 20_000_000
    assert header.memory_bytes > 0
