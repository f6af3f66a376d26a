"""Picture files to pixels for a screen: upright, opaque, small, and nothing but `UnusableImage` for what is hostile."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, JpegImagePlugin

from shared.config import MAX_ORIGINAL_BYTES, PREVIEW_MAX_BYTES
from shared.decoding import child
from shared.decoding.checks import check
from shared.decoding.child import inside
from shared.decoding.opaque import opaque
from shared.decoding.task import Task
from shared.errors import MalformedMessage, UnusableImage
from shared.stego.pictures import make_preview
from tests import photos
from tui.client.widgets.decoding import full, reduced, reduced_preview

ORIENTATION = 0x0112
READERS = [lambda data: reduced(data, (64, 64)), full]


def saved(image, file_format, **options):
    out = BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def marked(size=(96, 64)):
    """Return a picture that looks different in each of eight positions: one red corner, one blue edge."""
    image = Image.new("RGB", size, (240, 240, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, size[0] // 3, size[1] // 3), fill=(220, 20, 20))
    draw.rectangle((0, size[1] - size[1] // 4, size[0], size[1]), fill=(20, 20, 220))
    return image


def difference(image, other):
    return np.abs(np.asarray(image).astype(int) - np.asarray(other).astype(int)).mean()


# --- What comes out ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(96, 64), (64, 96), (200, 30), (33, 37)])
@pytest.mark.parametrize("box", [(40, 40), (100, 10), (7, 300), (1, 1)])
def test_a_picture_fits_the_box_in_its_own_aspect(size, box):
    image = reduced(saved(marked(size), "PNG"), box)
    assert image.mode == "RGB"
    assert image.size == inside(size, box)
    assert image.width <= box[0]
    assert image.height <= box[1]
    scale = min(1, box[0] / size[0], box[1] / size[1])
    for got, stored in zip(image.size, size, strict=True):
        assert abs(got - max(1, stored * scale)) <= 0.5


def test_nothing_is_enlarged():
    assert reduced(saved(marked((30, 20)), "PNG"), (600, 600)).size == (30, 20)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_orientation_is_turned_upright(file_format, orientation):
    upright = marked()
    lying = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = upright if lying is None else upright.transpose(lying)
    data = saved(stored, file_format, exif=exif, quality=95)
    assert difference(full(data), upright) < 4
    small = reduced(data, (48, 400))
    assert small.size == (48, 32)
    assert difference(small, upright.resize((48, 32), Image.Resampling.LANCZOS)) < 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_comes_out_in_colours_of_8_bits(mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((40, 60), 0x80FF, dtype=np.uint16))
    else:
        image = Image.new("L", (60, 40), 128 if mode != "1" else 255).convert(mode)
    expected = 255 if mode == "1" else 128
    for read in READERS:
        pixels = np.asarray(read(saved(image, "PNG")))
        assert pixels.shape == (40, 60, 3)
        assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_a_cmyk_jpeg_has_its_colours():
    data = saved(marked().convert("CMYK"), "JPEG", quality=95)
    assert difference(full(data), marked()) < 12


def test_white_stands_behind_what_is_transparent():
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 64, 32))
    palette = image.quantize(4)
    for data in (saved(image, "PNG"), saved(palette, "PNG"), saved(image, "WEBP", lossless=True)):
        for read in READERS:
            pixels = np.asarray(read(data))
            assert pixels[:30].max() == 0
            assert pixels[34:].min() == 255


def in_this_process(data, **wishes):
    """Return what a child makes of a picture, as its own functions do it."""
    header = check(data)
    answer, bands = child._done(Task(header.format, header.width, header.height, **wishes), BytesIO(data))
    pixels = b"".join(band.tobytes() for band in bands)
    return Image.frombytes("RGB", (answer.width, answer.height), pixels)


@pytest.mark.parametrize("size", [(600, 400), (450, 300), (700, 467), (240, 160), (60, 40)])
def test_bands_leave_no_seams(monkeypatch, size):
    """In a hundred bands it is what Pillow makes of the whole picture."""
    data = photos.photo("coffee.png")
    whole = in_this_process(data, size=size)
    monkeypatch.setattr(child, "_BAND_PIXELS", 601)
    assert difference(in_this_process(data, size=size), whole) < (1e-3 if size[0] > 300 else 1)
    pillows = opaque(Image.open(BytesIO(data))).resize(size, Image.Resampling.LANCZOS)
    assert difference(whole, pillows) < (1e-3 if size[0] > 300 else 2)


def test_a_large_picture_stays_like_itself():
    data = photos.large_jpeg().data
    small = reduced(data, (240, 240))
    assert small.size == (240, 180)
    whole = Image.open(BytesIO(data)).resize((240, 180), Image.Resampling.LANCZOS)
    assert difference(small, whole) < 2
    assert full(data).size == (4000, 3000)


@pytest.mark.parametrize(
    ("box", "decoded"), [((100, 100), (200, 150)), ((101, 101), (400, 300)), ((5000, 5000), (1600, 1200)), (None, None)]
)
def test_a_jpeg_is_decoded_no_larger_than_needed(box, decoded):
    image = JpegImagePlugin.JpegImageFile(BytesIO(saved(Image.new("RGB", (1600, 1200)), "JPEG")))
    child._decode(image, Task("JPEG", 1600, 1200, box=box))
    assert image.size == (decoded or (1600, 1200))


# --- What is hostile -----------------------------------------------------------------------------------------------
def chunk(kind, data):
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb():
    """250 KB that unpack to 30 000 x 30 000 pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(250_000_000 // 8))) + chunk(b"IEND", b"")


def animated(file_format):
    frames = [Image.new("RGB", (40, 30), (shade, 0, 0)) for shade in (0, 90, 200)]
    return saved(frames[0], file_format, save_all=True, append_images=frames[1:])


def hostile():
    photo = photos.photo("rocket.jpg")
    coffee = photos.photo("coffee.png")
    return {
        "empty": b"",
        "text": b"not a picture",
        "an escape": b"\x1b[2J\x1b]0;owned\x07",
        "a GIF": saved(marked(), "GIF"),
        "a TIFF": saved(marked(), "TIFF"),
        "only a start": b"\xff\xd8\xff",
        "half a JPEG": photo[: len(photo) // 2],
        "half a PNG": coffee[: len(coffee) // 2],
        "half a WebP": saved(marked((400, 300)), "WEBP")[:300],
        "a damaged PNG": coffee[:5000] + bytes(500) + coffee[5500:],
        "a bomb": bomb(),
        "an animated PNG": animated("PNG"),
        "an animated WebP": animated("WEBP"),
        "a line": saved(Image.new("RGB", (900, 10)), "PNG"),
        "too many pixels": saved(Image.new("1", (6000, 4000)), "PNG"),
        "too many bytes": photo + bytes(MAX_ORIGINAL_BYTES),
    }


@pytest.mark.parametrize("name", hostile())
@pytest.mark.parametrize("read", READERS, ids=["reduced", "full"])
def test_what_is_no_usable_picture_is_refused(read, name):
    with pytest.raises(UnusableImage, match=r".{20}"):
        read(hostile()[name])


@pytest.mark.parametrize("read", READERS, ids=["reduced", "full"])
@pytest.mark.parametrize(
    "entry",
    [(3, 1, b"\0\0\0\0"), (3, 1, b"\xff\xff\0\0"), (2, 2, b"6\0\0\0"), (3, 2**31, b"\x1a\0\0\0")],
    ids=["nought", "too large", "a word", "beyond the end"],
)
def test_an_orientation_that_is_none_turns_nothing(read, entry):
    kind, count, value = entry
    tags = struct.pack("<HHHI4sI", 1, ORIENTATION, kind, count, value, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + tags
    assert read(saved(marked((60, 40)), "JPEG", exif=exif)).size == (60, 40)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12),
    st.floats(0.1, 1),
)
def test_damage_gives_a_picture_or_a_refusal(file_format, changes, share):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = bytearray(saved(marked((48, 32)), file_format, exif=exif))
    for place, value in changes:
        data[int(place * len(data))] = value
    for read in READERS:
        try:
            image = read(bytes(data[: int(share * len(data)) + 1]))
        except UnusableImage:
            continue
        assert image.mode == "RGB"


# --- Previews of others --------------------------------------------------------------------------------------------
def test_a_preview_is_reduced_like_a_picture():
    preview = make_preview(photos.photo("coffee.png"))
    assert reduced_preview(preview, (60, 60)).size == (60, 40)
    assert reduced_preview(preview, (600, 600)).size == (160, 107)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8\xff", saved(marked(), "PNG"), saved(marked((400, 300)), "JPEG"), bytes(PREVIEW_MAX_BYTES + 1)],
    ids=["empty", "a start", "a PNG", "too large", "too long"],
)
def test_a_preview_that_no_peer_makes_is_refused(data):
    with pytest.raises(MalformedMessage):
        reduced_preview(data, (60, 60))
