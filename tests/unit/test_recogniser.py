"""A scanner without keys: it has many stego images and many ordinary PNGs of the same kind of cover, and looks for what
all of the one have and not all of the other. What it is known to find, text in the top rows as stegano writes it, is in
SECURITY.md. That it is not blind is shown with files of version 1, which have a mark at each of the places."""

from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest
from msgspec.structs import replace

from shared.identity import Identity
from shared.records import encode_record
from shared.rights import create_owner_record
from shared.sealed_record import seal_record
from shared.stego import png as files
from shared.stego.container import hide, read_record, replace_record, reveal
from shared.stego.covers import procedural_cover
from shared.stego.sizes import tier_for
from tests.stego_files import layout_of, pixels_of, saved
from tests.stego_version_1 import hide_1

NUMBER = 40
SIZE = 10_300
HEAD_BYTES = 600
"""Signature, header, and the beginning of the compressed data with all of its first table."""
HEADER_CHANNELS = 400
OWNER = Identity(sha256(b"owner").digest(), sha256(b"session").digest())


def image_id(number):
    return sha256(b"image %d" % number).digest()[:16]


def own_record(number):
    """Return a record that is the same in each run: a seal, and what is signed with it, is not, and one time in some
    dozens all of forty files have a bit of the first table by chance."""
    own = create_owner_record(OWNER, image_id=image_id(number).hex(), content_key=sha256(b"%d" % number).digest())
    random = np.random.default_rng(number)
    return replace(own, sealed_key=random.bytes(len(own.sealed_key)), signature=random.bytes(len(own.signature)))


def record_of(number):
    return seal_record(own_record(number), OWNER.session_private, OWNER.public.session_key)


def sealed_picture(number):
    """Return bytes with what every sealed picture begins with."""
    return b"GP\x01" + SIZE.to_bytes(4, "big") + np.random.default_rng(number).bytes(SIZE)


@pytest.fixture(scope="module")
def stego():
    """Pictures of one owner."""
    return [hide(sealed_picture(n), record_of(n), image_id=image_id(n)) for n in range(NUMBER)]


@pytest.fixture(scope="module")
def old():
    """The same in files of version 1. Each has a cover of its own, so that it is not the cover that tells them."""
    return [old_file(n, procedural_cover(tier_for(SIZE), image_id(n))) for n in range(NUMBER)]


def old_file(number, cover):
    return hide_1(sealed_picture(number), encode_record(own_record(number)), image_id=image_id(number), cover=cover)


@pytest.fixture(scope="module")
def ordinary():
    return [saved(procedural_cover(tier_for(SIZE), image_id(NUMBER + n))) for n in range(NUMBER)]


def constant_bits(rows):
    """Return where all rows of bits agree, and on what; -1 elsewhere."""
    bits = np.unpackbits(np.stack(rows), axis=1)
    return np.where(bits.min(axis=0) == bits.max(axis=0), bits[0].astype(int), -1)


def let_through_by_constant_bits(stego, ordinary):
    """Return the share of ordinary files that have all the bits that are the same in all stego images, at any place
    and under any mask: 1 where a scanner that knows them learns nothing, 0 where it tells all of them apart."""
    wanted = constant_bits(stego)
    bits = np.unpackbits(np.stack(ordinary), axis=1)
    return float(np.mean(np.all((wanted < 0) | (bits == wanted), axis=1)))


def heads(pictures):
    return [np.frombuffer(picture[:HEAD_BYTES], dtype=np.uint8) for picture in pictures]


def tails(pictures):
    return [np.frombuffer(picture[-HEAD_BYTES:], dtype=np.uint8) for picture in pictures]


def low_bits(pictures, planes):
    """Return the low bits of the first channels below the rights strip, where the header of a payload is."""
    rows = files.read_size(pictures[0]).strip_rows
    channels = [pixels_of(picture)[rows:].reshape(-1)[:HEADER_CHANNELS] for picture in pictures]
    return [np.packbits(channel >> planes & 1) for channel in channels]


def test_no_byte_at_the_beginning_or_the_end_is_the_same_under_any_mask(stego, ordinary):
    assert let_through_by_constant_bits(heads(stego), heads(ordinary)) > 0.4
    assert let_through_by_constant_bits(tails(stego), tails(ordinary)) == 1.0


@pytest.mark.parametrize("planes", [0, 1])
def test_no_header_shows_under_any_mask_in_the_pixels(planes, stego, ordinary):
    assert let_through_by_constant_bits(low_bits(stego, planes), low_bits(ordinary, planes)) == 1.0


def unlike_ordinary(picture):
    """Return in what the layout of a file differs from that of a file which Pillow writes of its pixels."""
    layout, pillows = layout_of(picture), layout_of(saved(pixels_of(picture)))
    first, *data, last = layout.chunks
    looks = {
        "first and last chunk": (first, last) == ((b"IHDR", 13), (b"IEND", 0)),
        "lengths of chunks": all(chunk == (b"IDAT", 65_536) for chunk in data[:-1]),
        "last of the data": data[-1][0] == b"IDAT" and data[-1][1] > 4,
        "zlib header": layout.data[:2] == pillows.data[:2],
        "filters": layout.filters == pillows.filters,
    }
    return {look for look, is_ordinary in looks.items() if not is_ordinary}


def test_chunks_and_filters_are_those_of_ordinary_files(stego, ordinary):
    for picture in stego:
        assert not unlike_ordinary(picture)
    assert {layout_of(picture).filters for picture in stego} == {layout_of(picture).filters for picture in ordinary}


def most_shared(stego, ordinary):
    """Return how many more of the stego images than of the ordinary files have the same value of some byte."""
    both = np.stack(heads(stego)), np.stack(heads(ordinary))
    counts = [[np.bincount(rows[:, at], minlength=256) for at in range(HEAD_BYTES)] for rows in both]
    return int((np.array(counts[0]) - counts[1]).max())


def test_the_first_bytes_tell_no_more_than_by_chance(stego, ordinary):
    """No byte of the head has a value that most stego images share and few ordinary files have."""
    assert most_shared(stego, ordinary) < 0.9 * NUMBER


def most_alike(pictures):
    """Return the highest correlation of grain between two of some pictures."""
    grain = []
    for picture in pictures[:16]:
        pixels = pixels_of(picture).astype(float)
        fine = (pixels[1:] - pixels[:-1]).reshape(-1)
        grain.append((fine - fine.mean()) / fine.std() / len(fine) ** 0.5)
    return max(abs(float(one @ other)) for one, other in combinations(grain, 2))


def test_no_two_covers_are_alike(stego, ordinary):
    """Neither in grain, which is what a known cover would be subtracted for, nor as a whole."""
    for pictures in (stego, ordinary):
        assert most_alike(pictures) < 0.02
        assert len({picture[files.HEAD_BYTES :] for picture in pictures}) == NUMBER


def letters_that_agree(texts):
    """Return in how many places two texts agree, of the two that agree most."""
    length = min(map(len, texts))
    rows = [np.frombuffer(text[:length], dtype=np.uint8) for text in texts]
    return max(np.count_nonzero(one == other) for one, other in combinations(rows, 2))


def test_texts_of_one_person_have_nothing_in_common():
    texts = [record_of(number) for number in range(NUMBER)]
    assert len({len(text) for text in texts}) > 10
    assert letters_that_agree(texts) < 40, "of 608 letters, 9.5 agree by chance; 40 are ten deviations more"


def test_a_file_whose_rights_were_rewritten_is_as_ordinary_as_before(stego, ordinary):
    rewritten = [
        replace_record(picture, record_of(NUMBER + number).ljust(724)[:724], image_id=image_id(number))
        for number, picture in enumerate(stego)
    ]
    assert let_through_by_constant_bits(heads(rewritten), heads(ordinary)) > 0.4
    assert [layout_of(picture).chunks for picture in rewritten] == [layout_of(picture).chunks for picture in stego]
    for picture in rewritten[:8]:
        assert layout_of(picture).filters == layout_of(saved(pixels_of(picture))).filters


# --- Negative control ------------------------------------------------------------------------------------------------
def test_the_files_of_the_control_are_what_version_1_made(old):
    for number, picture in enumerate(old[:4]):
        assert reveal(picture, image_id=image_id(number)) == sealed_picture(number)
        assert read_record(picture) == encode_record(own_record(number))


def test_each_look_recognises_files_of_version_1(old, ordinary):
    assert let_through_by_constant_bits(heads(old), heads(ordinary)) == 0.0
    assert let_through_by_constant_bits(tails(old), tails(ordinary)) == 0.0
    assert let_through_by_constant_bits(low_bits(old, 0), low_bits(ordinary, 0)) == 0.0
    assert most_shared(old, ordinary) == NUMBER
    for picture in old:
        assert unlike_ordinary(picture) == {"lengths of chunks", "last of the data", "zlib header", "filters"}
    assert letters_that_agree([read_record(picture) for picture in old]) > 100


def test_one_cover_for_all_is_recognised():
    """Nodes of version 1 drew one for each size and kept it."""
    cover = procedural_cover(tier_for(SIZE), bytes(16))
    assert most_alike([old_file(number, cover) for number in range(4)]) > 0.5
