import shutil
import subprocess
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from shared.errors import DamagedStego
from shared.stego import png as files
from shared.stego.png import decode, encode, read_size
from shared.stego.rewriting import patch_adler
from shared.stego.sizes import Size
from tests import photos
from tests.stego_files import layout_of, pixels_of, saved


def picture(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


SIZES = [(240, 150), (240, 30), (1920, 240), (240, 1920), (1000, 125), (2743, 343), (2744, 400), (2745, 400)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_reader_sees_the_pixels(width, height):
    pixels = picture(width, height)
    png = encode(pixels)
    assert np.array_equal(decode(png), pixels)
    with Image.open(BytesIO(png)) as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "logo.png", "coins.png", "hubble_deep_field.jpg"])
def test_photographs_take_filters_as_they_need(name):
    pixels = pixels_of(photos.photo(name))
    png = encode(pixels)
    assert np.array_equal(decode(png), pixels)
    assert np.array_equal(pixels_of(png), pixels)
    assert set(layout_of(png).filters) <= {files.NONE, files.SUB, files.UP}


@pytest.mark.skipif(shutil.which("pngcheck") is None, reason="pngcheck is not installed")
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pngcheck_is_content(width, height, tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(encode(picture(width, height)))
    result = subprocess.run(["pngcheck", "-q", str(file)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize(("width", "height"), [(240, 30), (240, 150), (400, 300), (1000, 500)])
def test_chunks_are_as_pillow_cuts_them(width, height):
    """64 KB each and the rest in the last one, nothing but IHDR before and IEND behind."""
    pixels = picture(width, height)
    for png in (encode(pixels), saved(pixels)):
        (first, header), *data, end = layout_of(png).chunks
        assert (first, header, end) == (b"IHDR", 13, (b"IEND", 0))
        assert {length for _, length in data[:-1]} <= {65_536}
        assert 0 < data[-1][1] <= 65_536
        assert layout_of(png).data[:2] == b"\x78\x9c"
    assert read_size(png) == Size(width, height)


def test_adler_after_a_change_in_front():
    random = np.random.default_rng(4)
    for length in (1, 5_551, 5_553, 70_000, 360_000):
        old, new, rest = random.bytes(8_000), random.bytes(8_000), random.bytes(length)
        assert patch_adler(zlib.adler32(old + rest), old, new, length) == zlib.adler32(new + rest)


@pytest.mark.parametrize(
    "options",
    [{}, {"compress_level": 0}, {"compress_level": 9}, {"optimize": True}],
    ids=["default", "stored", "best", "optimized"],
)
def test_other_layouts_of_the_same_pixels_are_read(options):
    pixels = picture(320, 200)
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG", **options)
    assert np.array_equal(decode(out.getvalue()), pixels)


def test_an_opaque_alpha_channel_is_no_harm_and_a_transparent_one_is():
    pixels = picture(320, 200)
    opaque, clear = Image.fromarray(pixels), Image.fromarray(pixels)
    opaque.putalpha(255)
    clear.putalpha(254)
    outs = [BytesIO(), BytesIO()]
    opaque.save(outs[0], "PNG")
    clear.save(outs[1], "PNG")
    assert np.array_equal(decode(outs[0].getvalue()), pixels)
    with pytest.raises(DamagedStego):
        decode(outs[1].getvalue())


@pytest.mark.parametrize(
    ("width", "height"),
    [(239, 300), (1, 1), (240, 12), (240, 1930), (2_500, 300), (4_001, 4_000), (2**31 - 1, 2**31 - 1), (0, 0)],
)
def test_sizes_that_no_stego_image_has_are_refused_before_anything_is_decompressed(width, height, monkeypatch):
    monkeypatch.setattr(files.zlib, "decompressobj", lambda **_: pytest.fail("decompressed"))
    header = files.chunk(b"IHDR", files._IHDR.pack(width, height, 8, 2, 0, 0, 0))
    with pytest.raises(DamagedStego):
        decode(files.SIGNATURE + header + files.chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + files._IEND)


def with_data(png, data):
    return png[: files.HEAD_BYTES] + files.chunk(b"IDAT", data) + files._IEND


def test_a_bomb_is_not_inflated_beyond_the_picture():
    """100 MB of zeros behind the header of a picture of 100 KB: refused after 100 KB."""
    with pytest.raises(DamagedStego):
        decode(with_data(encode(picture(240, 150)), zlib.compress(bytes(100_000_000))))


def test_hostile_chunks_beside_the_picture_are_never_parsed():
    """A compressed text chunk that unpacks to 50 MB, and one that is cut: Pillow would open both."""
    pixels = picture(240, 150)
    png = encode(pixels)
    text = files.chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(50_000_000)))
    split = len(files.SIGNATURE) + 25
    assert np.array_equal(decode(png[:split] + text + files.chunk(b"iCCP", b"x") + png[split:]), pixels)


@pytest.mark.parametrize("at", [30, 60, 9_000, 20_000, -20, -14, -3])
def test_every_checksum_is_looked_at(at):
    png = bytearray(encode(picture(240, 150)))
    png[at] ^= 0x10
    with pytest.raises(DamagedStego):
        decode(bytes(png))


def test_a_wrong_adler_is_noticed():
    png = encode(picture(240, 150))
    data = layout_of(png).data
    assert np.array_equal(decode(with_data(png, data)), picture(240, 150))
    with pytest.raises(DamagedStego):
        decode(with_data(png, data[:-1] + bytes([data[-1] ^ 1])))


def test_anything_behind_the_end_is_refused():
    png = encode(picture(240, 150))
    with pytest.raises(DamagedStego):
        decode(png + b"x")


@pytest.mark.parametrize("missing", [1, 721, 721 * 20])
def test_a_picture_that_ends_early_with_every_checksum_right(missing):
    png = encode(picture(240, 150))
    with pytest.raises(DamagedStego):
        decode(with_data(png, zlib.compress(zlib.decompress(layout_of(png).data)[:-missing])))


@pytest.mark.parametrize("kind", [3, 4, 5, 255])
def test_filters_that_are_not_undone_here_go_to_a_child_or_are_damage(kind):
    png = encode(picture(240, 150))
    rows = bytearray(zlib.decompress(layout_of(png).data))
    rows[721 * 3] = kind
    forged = with_data(png, zlib.compress(rows))
    if kind > 4:
        with pytest.raises(DamagedStego):
            decode(forged)
    else:
        assert np.array_equal(decode(forged), pixels_of(forged))
