import os
import shutil
import subprocess
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from shared.config import MAX_SEALED_BYTES, RIGHTS_RECORD_BYTES
from shared.errors import DamagedStego, InvalidInput, LocalError, StorageError, UnusableImage
from shared.stego import png as files
from shared.stego import rights_strip
from shared.stego.container import hide, read_record, replace_record, reveal, rewrite_record
from shared.stego.covers import COVERS, tier_for
from tests import photos

IMAGE_ID = bytes(range(16))
RECORD = b'{"views":5}' * 40
LATER = b'{"views":4}' * 40


def ciphertext(size, seed=5):
    return np.random.default_rng(seed).bytes(size)


@pytest.fixture(scope="module")
def png():
    return hide(ciphertext(10_300), RECORD, image_id=IMAGE_ID)


@pytest.fixture(scope="module")
def large_png():
    return hide(ciphertext(7_000_000), RECORD, image_id=IMAGE_ID)


@pytest.fixture
def file(tmp_path, png):
    path = tmp_path / "copy.png"
    path.write_bytes(png)
    return path


def pixels_of(png):
    with Image.open(BytesIO(png)) as image:
        return np.array(image)


def saved(pixels, file_format="PNG", **options):
    out = BytesIO()
    Image.fromarray(pixels).save(out, file_format, **options)
    return out.getvalue()


def assert_pngcheck_is_content(path):
    if shutil.which("pngcheck"):
        result = subprocess.run(["pngcheck", "-q", str(path)], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stdout) == (0, "")


# --- Hiding and revealing --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 100, 6_000, 10_300, 12_404, 12_405, 100_000, 1_100_000])
def test_what_was_hidden_comes_out_byte_by_byte(size):
    payload = ciphertext(size)
    stego = hide(payload, RECORD, image_id=IMAGE_ID)
    assert reveal(stego, image_id=IMAGE_ID) == payload
    assert read_record(stego) == RECORD
    tier = tier_for(size)
    assert files.read_size(stego) == tier


@pytest.mark.parametrize("make", [photos.rotated_jpeg, photos.transparent_png, photos.large_jpeg])
def test_original_files_come_out_unchanged(make):
    original = make().data
    stego = hide(original, RECORD, image_id=IMAGE_ID)
    assert sha256(reveal(stego, image_id=IMAGE_ID)).digest() == sha256(original).digest()


def test_the_largest_sealed_picture():
    payload = ciphertext(MAX_SEALED_BYTES)
    stego = hide(payload, RECORD, image_id=IMAGE_ID)
    assert reveal(stego, image_id=IMAGE_ID) == payload


@pytest.mark.parametrize(("size", "most"), [(10_300, 1), (1_100_000, 3)])
def test_any_viewer_opens_it_and_sees_the_cover(size, most):
    stego = pixels_of(hide(ciphertext(size), RECORD, image_id=IMAGE_ID)).astype(int)
    assert np.abs(stego - COVERS.cover(tier_for(size))).max() <= most


def test_hiding_depends_on_nothing_but_its_arguments(png):
    assert hide(ciphertext(10_300), RECORD, image_id=IMAGE_ID) == png


def test_hiding_leaves_the_shared_cover_alone(png):
    before = COVERS.cover(tier_for(10_300)).copy()
    hide(ciphertext(10_300), RECORD, image_id=IMAGE_ID)
    assert np.array_equal(COVERS.cover(tier_for(10_300)), before)


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "retina.jpg", "logo.png"])
def test_photographs_as_covers(name):
    payload = ciphertext(10_300)
    stego = hide(payload, RECORD, image_id=IMAGE_ID, cover=photos.photo(name))
    assert reveal(stego, image_id=IMAGE_ID) == payload
    assert read_record(stego) == RECORD


def test_ten_kilobytes_in_a_photograph_of_512x512_cost_less_than_60_db():
    cover = photos.photo("astronaut.png")
    stego = pixels_of(hide(ciphertext(10 * 1024), RECORD, image_id=IMAGE_ID, cover=cover)).astype(float)
    assert stego.shape == (512, 512, 3)
    error = np.mean((stego - pixels_of(cover)[:, :, :3]) ** 2)
    assert 10 * np.log10(255**2 / error) >= 60.0


@pytest.mark.parametrize("shape", [(1200, 160), (160, 1200)])
def test_covers_as_long_as_allowed(shape):
    cover = photos.resized("coffee.png", shape)
    for size in (10_300, 1_500_000):
        stego = hide(ciphertext(size), RECORD, image_id=IMAGE_ID, cover=cover)
        assert reveal(stego, image_id=IMAGE_ID) == ciphertext(size)
        assert read_record(stego) == RECORD


def test_bad_arguments_say_what_is_wrong():
    with pytest.raises(InvalidInput, match="nothing to hide"):
        hide(b"", RECORD, image_id=IMAGE_ID)
    with pytest.raises(InvalidInput, match="smaller"):
        hide(bytes(13_000_000), RECORD, image_id=IMAGE_ID)
    with pytest.raises(LocalError):
        hide(b"x", b"r" * (RIGHTS_RECORD_BYTES + 1), image_id=IMAGE_ID)
    with pytest.raises(LocalError):
        hide(b"x", RECORD, image_id=b"short")
    with pytest.raises(UnusableImage):
        hide(b"x", RECORD, image_id=IMAGE_ID, cover=b"no picture")


# --- The record ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("record", [b"{}", RECORD, b"f" * RIGHTS_RECORD_BYTES], ids=len)
def test_unmodified_stegano_reads_the_top_rows(record):
    stego = hide(ciphertext(10_300), record, image_id=IMAGE_ID)
    with Image.open(BytesIO(stego)) as image:
        rows = image.crop((0, 0, image.width, rights_strip.strip_rows(image.width)))
    assert rights_strip._stegano_lsb().reveal(rows).encode() == record


@pytest.mark.parametrize("record", [b"{}", LATER, b"f" * RIGHTS_RECORD_BYTES], ids=len)
def test_rewriting_a_file_equals_replacing_in_memory(record, png, file):
    replaced = replace_record(png, record)
    rewrite_record(file, record)
    assert file.read_bytes() == replaced
    assert read_record(replaced) == read_record(file) == record
    assert reveal(replaced, image_id=IMAGE_ID) == ciphertext(10_300)
    assert_pngcheck_is_content(file)


def test_a_record_of_the_same_length_gives_what_hiding_it_at_once_gives(png):
    assert replace_record(png, LATER) == hide(ciphertext(10_300), LATER, image_id=IMAGE_ID)


def test_a_hundred_rewrites_in_a_row(file):
    for views in range(100):
        rewrite_record(file, b'{"views":%d}' % views)
    assert read_record(file) == b'{"views":99}'
    assert reveal(file.read_bytes(), image_id=IMAGE_ID) == ciphertext(10_300)
    assert_pngcheck_is_content(file)


def test_a_large_file_is_touched_in_a_few_kilobytes_only(large_png, tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    path.write_bytes(large_png)
    size = files.read_size(large_png)
    assert size.width * size.height == 12_000_000
    inode, moved = path.stat().st_ino, []
    original_write, original_read = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: moved.append(len(data)) or original_write(fd, data, at))
    monkeypatch.setattr(os, "pread", lambda fd, count, at: moved.append(count) or original_read(fd, count, at))
    rewrite_record(path, LATER)
    assert sum(moved) < 16_000
    monkeypatch.undo()
    assert path.read_bytes() == replace_record(large_png, LATER)
    assert path.stat().st_ino == inode, "the same file, not a new one"
    assert_pngcheck_is_content(path)


def test_reading_the_record_of_a_large_file_reads_its_beginning_only(large_png, tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(large_png[:70_000])
    assert read_record(path) == RECORD


# --- Interrupted rewrites --------------------------------------------------------------------------------------------
class PowerCut(Exception):
    """The process ends here."""


@pytest.mark.parametrize("writes", range(5))
@pytest.mark.parametrize("part", [0, 1, 2_000])
@pytest.mark.parametrize("next_record", [LATER, b'{"another":1}'], ids=["the same again", "another one"])
def test_a_rewrite_killed_anywhere_is_repaired_by_the_next(writes, part, next_record, png, file, monkeypatch):
    """The process dies after `writes` writes and a part of the next one; what had been written stays."""
    original, done = os.pwrite, []

    def pwrite(fd, data, at):
        if len(done) == writes:
            original(fd, data[:part], at)
            raise PowerCut
        done.append(at)
        return original(fd, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    if writes < 3:
        with pytest.raises(PowerCut):
            rewrite_record(file, LATER)
    else:
        rewrite_record(file, LATER)
    monkeypatch.undo()
    rewrite_record(file, next_record)
    if next_record == LATER:
        assert file.read_bytes() == replace_record(png, LATER)
    assert read_record(file) == next_record
    assert reveal(file.read_bytes(), image_id=IMAGE_ID) == ciphertext(10_300)
    assert_pngcheck_is_content(file)


def test_power_lost_before_the_first_flush_is_repaired_by_the_same_record(png, file):
    """The disk kept the new strip and lost the mark that made the old checksum void: both look whole."""
    replaced = replace_record(png, LATER)
    mixed = replaced[: -files.TAIL_BYTES] + png[-files.TAIL_BYTES :]
    with pytest.raises(DamagedStego):
        reveal(mixed, image_id=IMAGE_ID)
    file.write_bytes(mixed)
    rewrite_record(file, LATER)
    assert file.read_bytes() == replaced


def test_the_strip_is_on_the_disk_before_its_checksum(file, monkeypatch):
    order = []
    original_write, original_flush = os.pwrite, os.fsync
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: order.append(at) or original_write(fd, data, at))
    monkeypatch.setattr(os, "fsync", lambda fd: order.append("flush") or original_flush(fd))
    rewrite_record(file, LATER)
    checksum_at = file.stat().st_size - files.TAIL_BYTES + 8
    assert order == [checksum_at, files.STRIP_CHUNK_AT, "flush", checksum_at, "flush"]


def test_a_full_disk_is_told_as_such(file, monkeypatch):
    def pwrite(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(StorageError, match=r"copy\.png"):
        rewrite_record(file, LATER)


def test_files_that_are_gone(tmp_path):
    for call in (lambda path: rewrite_record(path, LATER), read_record):
        with pytest.raises(DamagedStego, match="is gone"):
            call(tmp_path / "gone.png")
    with pytest.raises(StorageError):
        read_record(tmp_path)


# --- Other programs --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{}, {"compress_level": 1}, {"optimize": True}])
def test_lossless_recompression_does_no_harm_and_rewriting_restores_the_layout(options, png, file):
    other = saved(pixels_of(png), **options)
    assert reveal(other, image_id=IMAGE_ID) == ciphertext(10_300)
    assert read_record(other) == RECORD
    assert replace_record(other, LATER) == replace_record(png, LATER)
    file.write_bytes(other)
    assert read_record(file) == RECORD
    rewrite_record(file, LATER)
    assert file.read_bytes() == replace_record(png, LATER)
    assert list(file.parent.iterdir()) == [file]


def test_a_jpeg_of_it_does_not_open_and_the_error_says_what_to_do(png):
    with pytest.raises(DamagedStego, match="re-encoded by another program; ask the owner for it again"):
        reveal(saved(pixels_of(png), "JPEG", quality=95), image_id=IMAGE_ID)


def test_a_jpeg_made_a_png_again_does_not_open(png):
    with Image.open(BytesIO(saved(pixels_of(png), "JPEG", quality=100))) as image:
        again = saved(np.array(image))
    for call in (read_record, lambda data: reveal(data, image_id=IMAGE_ID)):
        with pytest.raises(DamagedStego, match="ask the owner for it again"):
            call(again)


def test_edits_of_one_pixel_are_noticed(png):
    pixels = pixels_of(png)
    pixels[100, 100] ^= 1
    with pytest.raises(DamagedStego, match="ask the owner"):
        reveal(saved(pixels), image_id=IMAGE_ID)


@pytest.mark.parametrize("data", [b"", b"x", files.SIGNATURE, b"GIF89a" + bytes(100)])
def test_what_is_no_png_is_damage(data, file):
    file.write_bytes(data)
    calls = [
        lambda: reveal(data, image_id=IMAGE_ID),
        lambda: read_record(data),
        lambda: replace_record(data, LATER),
        lambda: read_record(file),
        lambda: rewrite_record(file, LATER),
    ]
    for call in calls:
        with pytest.raises(DamagedStego):
            call()


def test_a_picture_without_anything_in_it(tmp_path):
    cover = photos.photo("astronaut.png")
    for call in (read_record, lambda data: reveal(data, image_id=IMAGE_ID)):
        with pytest.raises(DamagedStego, match="ask the owner"):
            call(cover)
