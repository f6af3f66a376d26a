import shutil
import subprocess
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from shared.errors import DamagedStego
from shared.stego import png as files
from shared.stego.png import Size, combine_adler, decode, encode, patch_adler, read_size


def picture(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(params=["isal", "zlib"])
def deflate(request, monkeypatch):
    if request.param == "zlib":
        monkeypatch.setattr(files, "_fast", zlib)
    elif not files.HAS_ISAL:
        pytest.skip("no isal for this machine")
    return request.param


SIZES = [(240, 150), (240, 30), (1920, 240), (240, 1920), (1000, 125), (2743, 343), (2744, 400), (2745, 400)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_reader_sees_the_pixels(width, height, deflate):
    pixels = picture(width, height)
    png = encode(pixels)
    assert np.array_equal(decode(png), pixels)
    with Image.open(BytesIO(png)) as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels)


def test_what_isal_writes_decodes_without_it_and_the_other_way_round(monkeypatch):
    pixels = picture(300, 200)
    with_isal = encode(pixels)
    monkeypatch.setattr(files, "_fast", zlib)
    assert np.array_equal(decode(with_isal), pixels)
    with_zlib = encode(pixels)
    monkeypatch.undo()
    assert np.array_equal(decode(with_zlib), pixels)


@pytest.mark.skipif(shutil.which("pngcheck") is None, reason="pngcheck is not installed")
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pngcheck_is_content(width, height, deflate, tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(encode(picture(width, height)))
    result = subprocess.run(["pngcheck", "-q", str(file)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_layout_is_three_idats_of_known_places():
    png = encode(picture(400, 300))
    size = read_size(png)
    assert size == Size(400, 300)
    assert png[files.STRIP_CHUNK_AT + 4 :][:4] == b"IDAT"
    assert png[size.rest_chunk_at + 4 :][:4] == b"IDAT"
    assert png[-files.TAIL_BYTES + 4 :][:4] == b"IDAT"
    assert png.count(b"IDAT") == 3
    rows = zlib.decompress(b"".join(files._image_data(png)))
    assert set(rows[:: size.row_bytes]) == {0, 2}
    assert rows[size.strip_bytes] == 0


@pytest.mark.parametrize("split", [0, 1, 100, 65_521, 199_999, 200_000])
def test_adler_of_two_parts(split):
    data = np.random.default_rng(3).bytes(200_000)
    first, second = data[:split], data[split:]
    assert combine_adler(zlib.adler32(first), zlib.adler32(second), len(second)) == zlib.adler32(data)


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
    header = files._chunk(b"IHDR", files._IHDR.pack(width, height, 8, 2, 0, 0, 0))
    with pytest.raises(DamagedStego):
        decode(files.SIGNATURE + header + files._chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + files._IEND)


def test_a_bomb_is_not_inflated_beyond_the_picture():
    """100 MB of zeros behind the header of a picture of 100 KB: refused after 100 KB."""
    pixels = picture(240, 150)
    png, size = encode(pixels), Size(240, 150)
    deflater = zlib.compressobj(wbits=-15)
    bomb = deflater.compress(bytes(100_000_000)) + deflater.flush()
    hostile = png[: size.rest_chunk_at] + files._chunk(b"IDAT", bomb) + png[-files.TAIL_BYTES :]
    with pytest.raises(DamagedStego):
        decode(hostile)
    with pytest.raises(DamagedStego):
        files.inflate_rest(bomb, size)


def test_hostile_chunks_beside_the_picture_are_never_parsed():
    """A compressed text chunk that unpacks to 50 MB, and one that is cut: Pillow would open both."""
    pixels = picture(240, 150)
    png = encode(pixels)
    text = files._chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(50_000_000)))
    split = len(files.SIGNATURE) + 25
    assert np.array_equal(decode(png[:split] + text + files._chunk(b"iCCP", b"x") + png[split:]), pixels)


@pytest.mark.parametrize("at", [30, 60, 9_000, 20_000, -20, -14, -3])
def test_every_checksum_is_looked_at(at):
    png = bytearray(encode(picture(240, 150)))
    png[at] ^= 0x10
    with pytest.raises(DamagedStego):
        decode(bytes(png))


def test_a_wrong_adler_is_noticed():
    png = encode(picture(240, 150))
    with pytest.raises(DamagedStego):
        decode(png[: -files.TAIL_BYTES] + files.adler_chunk(12_345) + png[-12:])


def test_anything_behind_the_end_is_refused():
    png = encode(picture(240, 150))
    with pytest.raises(DamagedStego):
        decode(png + b"x")


def deflated(rows):
    deflater = zlib.compressobj(level=1, wbits=-15)
    return deflater.compress(rows) + deflater.flush()


@pytest.mark.parametrize("missing", [1, 721, 721 * 20])
def test_a_picture_that_ends_early_with_every_checksum_right(missing):
    png, size = encode(picture(240, 150)), Size(240, 150)
    strip = files.read_strip(png, size)
    rest = files.inflate_rest(files.rest_chunk(png, size), size)[:-missing]
    adler = combine_adler(zlib.adler32(strip), zlib.adler32(rest), size.rest_bytes)
    forged = png[: size.rest_chunk_at] + files._chunk(b"IDAT", deflated(rest)) + files.adler_chunk(adler)
    with pytest.raises(DamagedStego):
        decode(forged + png[-12:])
