import os
import shutil
import subprocess
from hashlib import sha256, shake_256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.config import MAX_SEALED_BYTES, RIGHTS_RECORD_BYTES
from shared.errors import DamagedStego, InvalidInput, LocalError, StorageError, UnusableImage
from shared.stego import png as files
from shared.stego import rights_strip
from shared.stego.container import hide, make_edits, plan_rewrite, read_record, replace_record, reveal
from shared.stego.covers import procedural_cover
from shared.stego.sizes import strip_rows, tier_for
from tests import photos
from tests.stego_files import layout_of, pixels_of, rewrite_record, saved

IMAGE_ID = bytes(range(16))
RECORD = b'{"views":5}' * 60
LATER = b'{"views":4}' * 60
VERSION_1 = Path(__file__).parent / "stego_version_1"


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
    assert np.abs(stego - procedural_cover(tier_for(size), IMAGE_ID)).max() <= most


def test_hiding_depends_on_nothing_but_its_arguments(png):
    assert hide(ciphertext(10_300), RECORD, image_id=IMAGE_ID) == png


def test_ten_kilobytes_in_the_cover_that_nodes_draw_cost_less_than_60_db():
    stego = pixels_of(hide(ciphertext(10 * 1024), b"r" * 724, image_id=IMAGE_ID)).astype(float)
    error = np.mean((stego - procedural_cover(tier_for(10 * 1024), IMAGE_ID)) ** 2)
    assert 10 * np.log10(255**2 / error) >= 60.0


@pytest.mark.parametrize(
    ("name", "size", "image_id"),
    [("strided", 200, IMAGE_ID), ("one_bit", 1500, IMAGE_ID), ("two_bits", 3500, IMAGE_ID)],
)
def test_files_of_version_1_open_and_keep_their_layout(name, size, image_id, tmp_path):
    """Galleries are full of them: the strip in a stored block, a header under a mask that is the same for all."""
    old, payload = (VERSION_1 / f"{name}.png").read_bytes(), shake_256(b"glimpse").digest(size)
    assert reveal(old, image_id=image_id) == payload
    assert read_record(old) == b'{"views":5}'
    path = tmp_path / "held.png"
    path.write_bytes(old)
    for record in (b'{"views":4}', b"s" * 724, b"t" * RIGHTS_RECORD_BYTES):
        rewrite_record(path, record, image_id=image_id)
        assert read_record(path) == record
        assert reveal(path.read_bytes(), image_id=image_id) == payload
        assert layout_of(path.read_bytes()).chunks == layout_of(old).chunks
        assert_pngcheck_is_content(path)


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
        rows = image.crop((0, 0, image.width, strip_rows(image.width)))
    assert rights_strip._stegano_lsb().reveal(rows).encode() == record


@pytest.mark.parametrize("record", [b"{}", LATER, b"f" * RIGHTS_RECORD_BYTES], ids=len)
def test_rewriting_a_file_equals_replacing_in_memory(record, png, file):
    replaced = replace_record(png, record, image_id=IMAGE_ID)
    rewrite_record(file, record, image_id=IMAGE_ID)
    assert file.read_bytes() == replaced
    assert read_record(replaced) == read_record(file) == record
    assert reveal(replaced, image_id=IMAGE_ID) == ciphertext(10_300)
    assert_pngcheck_is_content(file)


def test_replacing_a_record_changes_the_top_rows_alone(png):
    before, after = pixels_of(png), pixels_of(replace_record(png, LATER, image_id=IMAGE_ID))
    rows = strip_rows(before.shape[1])
    assert np.array_equal(before[rows:], after[rows:])
    assert np.abs(before[:rows].astype(int) - after[:rows]).max() == 1


def test_a_hundred_rewrites_in_a_row(file):
    for views in range(100):
        rewrite_record(file, b'{"views":%d}' % views, image_id=IMAGE_ID)
    assert read_record(file) == b'{"views":99}'
    assert reveal(file.read_bytes(), image_id=IMAGE_ID) == ciphertext(10_300)
    assert_pngcheck_is_content(file)


@pytest.mark.parametrize("cover", [None, "astronaut.png", "rocket.jpg", "logo.png"])
@pytest.mark.parametrize("size", [10_300, 1_100_000])
def test_rewriting_leaves_all_but_a_few_kilobytes_of_a_file_as_it_is(size, cover, tmp_path):
    png = hide(ciphertext(size), RECORD, image_id=IMAGE_ID, cover=cover and photos.photo(cover))
    path = tmp_path / "held.png"
    path.write_bytes(png)
    edits = plan_rewrite(path, LATER, image_id=IMAGE_ID)
    assert edits is not None
    assert sum(len(edit.new) for edit in edits) < 16_000
    make_edits(path, edits)
    assert path.stat().st_size == len(png)
    assert (read_record(path), reveal(path.read_bytes(), image_id=IMAGE_ID)) == (LATER, ciphertext(size))


def test_a_large_file_is_touched_in_a_few_kilobytes_only(large_png, tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    path.write_bytes(large_png)
    size = files.read_size(large_png)
    assert size.width * size.height == 12_000_000
    inode, written, read = path.stat().st_ino, [], []
    original_write, original_read = os.pwrite, os.pread
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: written.append(len(data)) or original_write(fd, data, at))
    monkeypatch.setattr(os, "pread", lambda fd, count, at: read.append(count) or original_read(fd, count, at))
    rewrite_record(path, LATER, image_id=IMAGE_ID)
    assert sum(written) < 16_000
    assert sum(read) < 200_000, "the first chunk, the last one, and the headers of those between"
    monkeypatch.undo()
    assert path.read_bytes() == replace_record(large_png, LATER, image_id=IMAGE_ID)
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
@pytest.mark.parametrize("part", [0, 1, 500])
def test_edits_that_were_cut_off_anywhere_are_completed_by_making_them_again(writes, part, png, file, monkeypatch):
    """The process dies after `writes` writes and a part of the next one; what had been written stays."""
    edits = plan_rewrite(file, LATER, image_id=IMAGE_ID)
    original, done = os.pwrite, []

    def pwrite(fd, data, at):
        if len(done) == writes:
            original(fd, data[:part], at)
            raise PowerCut
        done.append(at)
        return original(fd, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    if writes < len(edits):
        with pytest.raises(PowerCut):
            make_edits(file, edits)
    else:
        make_edits(file, edits)
    monkeypatch.undo()
    make_edits(file, edits)
    assert file.read_bytes() == replace_record(png, LATER, image_id=IMAGE_ID)
    assert (read_record(file), reveal(file.read_bytes(), image_id=IMAGE_ID)) == (LATER, ciphertext(10_300))
    assert_pngcheck_is_content(file)


def test_edits_are_made_in_no_other_file(file):
    """The copy was replaced after a crash: what the journal says belongs to the one that is gone."""
    edits = plan_rewrite(file, LATER, image_id=IMAGE_ID)
    another = hide(ciphertext(10_300, seed=6), RECORD, image_id=bytes(16))
    file.write_bytes(another)
    with pytest.raises(DamagedStego):
        make_edits(file, edits)
    assert file.read_bytes() == another


def test_edits_are_on_the_disk_when_they_are_made(file, monkeypatch):
    order, edits = [], plan_rewrite(file, LATER, image_id=IMAGE_ID)
    original_write, original_flush = os.pwrite, os.fsync
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: order.append(at) or original_write(fd, data, at))
    monkeypatch.setattr(os, "fsync", lambda fd: order.append("flush") or original_flush(fd))
    make_edits(file, edits)
    assert order == [*(edit.at for edit in edits), "flush"]


def test_a_full_disk_is_told_as_such(file, monkeypatch):
    def pwrite(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(StorageError, match=r"copy\.png"):
        rewrite_record(file, LATER, image_id=IMAGE_ID)


def test_files_that_are_gone(tmp_path):
    for call in (lambda path: rewrite_record(path, LATER, image_id=IMAGE_ID), read_record):
        with pytest.raises(DamagedStego, match="is gone"):
            call(tmp_path / "gone.png")
    with pytest.raises(StorageError):
        read_record(tmp_path)


# --- Other programs --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{}, {"compress_level": 1}, {"optimize": True}])
def test_lossless_recompression_does_no_harm_and_rewriting_makes_a_new_file(options, png, file):
    other = saved(pixels_of(png), **options)
    assert reveal(other, image_id=IMAGE_ID) == ciphertext(10_300)
    assert read_record(other) == RECORD
    file.write_bytes(other)
    assert read_record(file) == RECORD
    assert plan_rewrite(file, LATER, image_id=IMAGE_ID) is None
    rewrite_record(file, LATER, image_id=IMAGE_ID)
    assert file.read_bytes() == replace_record(other, LATER, image_id=IMAGE_ID)
    assert (read_record(file), reveal(file.read_bytes(), image_id=IMAGE_ID)) == (LATER, ciphertext(10_300))
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
        lambda: replace_record(data, LATER, image_id=IMAGE_ID),
        lambda: read_record(file),
        lambda: rewrite_record(file, LATER, image_id=IMAGE_ID),
    ]
    for call in calls:
        with pytest.raises(DamagedStego):
            call()


def test_a_picture_without_anything_in_it(tmp_path):
    cover = photos.photo("astronaut.png")
    for call in (read_record, lambda data: reveal(data, image_id=IMAGE_ID)):
        with pytest.raises(DamagedStego, match="ask the owner"):
            call(cover)
