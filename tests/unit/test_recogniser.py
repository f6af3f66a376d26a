"""A scanner without keys: it has many stego images and many ordinary PNGs of the same kind of cover, and looks for what
all of the one have and not all of the other. What it is known to find, text in the top rows as stegano writes it, is in
SECURITY.md."""

from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest

from shared.identity import Identity
from shared.rights import create_owner_record
from shared.sealed_record import seal_record
from shared.stego import png as files
from shared.stego.container import hide, replace_record
from shared.stego.covers import procedural_cover, tier_for
from tests.stego_files import layout_of, pixels_of, saved

NUMBER = 40
SIZE = 10_300
HEAD_BYTES = 600
"""Signature, header, and the beginning of the compressed data with all of its first table."""
HEADER_CHANNELS = 400
OWNER = Identity(sha256(b"owner").digest(), sha256(b"session").digest())


def image_id(number):
    return sha256(b"image %d" % number).digest()[:16]


def record_of(number):
    own = create_owner_record(OWNER, image_id=image_id(number).hex(), content_key=sha256(b"%d" % number).digest())
    return seal_record(own, OWNER.session_private, OWNER.public.session_key)


@pytest.fixture(scope="module")
def stego():
    """Pictures of one owner, each with what every sealed picture begins with."""
    sealed = [b"GP\x01" + SIZE.to_bytes(4, "big") + np.random.default_rng(n).bytes(SIZE) for n in range(NUMBER)]
    return [hide(sealed[n], record_of(n), image_id=image_id(n)) for n in range(NUMBER)]


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


def test_chunks_and_filters_are_those_of_ordinary_files(stego, ordinary):
    for picture in stego:
        layout = layout_of(picture)
        assert layout.chunks[0] == (b"IHDR", 13)
        assert layout.chunks[-1] == (b"IEND", 0)
        assert all(chunk == (b"IDAT", 65_536) for chunk in layout.chunks[1:-2])
        assert layout.chunks[-2][0] == b"IDAT"
        assert layout.chunks[-2][1] > 4
        assert layout.data[:2] == layout_of(ordinary[0]).data[:2]
        assert layout.filters == layout_of(saved(pixels_of(picture))).filters
    assert {layout_of(picture).filters for picture in stego} == {layout_of(picture).filters for picture in ordinary}


def test_the_first_bytes_tell_no_more_than_by_chance(stego, ordinary):
    """No byte of the head has a value that most stego images share and few ordinary files have."""
    both = np.stack(heads(stego)), np.stack(heads(ordinary))
    for at in range(HEAD_BYTES):
        counts = [np.bincount(rows[:, at], minlength=256) for rows in both]
        assert (counts[0] - counts[1]).max() < 0.9 * NUMBER, at


def test_no_two_covers_are_alike(stego, ordinary):
    """Neither in grain, which is what a known cover would be subtracted for, nor as a whole."""
    for pictures in (stego, ordinary):
        grain = []
        for picture in pictures[:16]:
            pixels = pixels_of(picture).astype(float)
            fine = (pixels[1:] - pixels[:-1]).reshape(-1)
            grain.append((fine - fine.mean()) / fine.std() / len(fine) ** 0.5)
        assert max(abs(float(one @ other)) for one, other in combinations(grain, 2)) < 0.02
        assert len({picture[files.HEAD_BYTES :] for picture in pictures}) == NUMBER


def test_texts_of_one_person_have_nothing_in_common():
    texts = [record_of(number) for number in range(NUMBER)]
    lengths = {len(text) for text in texts}
    assert len(lengths) > 10
    rows = [np.frombuffer(text[: min(lengths)], dtype=np.uint8) for text in texts]
    agree = [np.count_nonzero(one == other) for one, other in combinations(rows, 2)]
    assert max(agree) < 40, "of 608 letters, 9.5 agree by chance; 40 are ten deviations more"


def test_a_file_whose_rights_were_rewritten_is_as_ordinary_as_before(stego, ordinary):
    rewritten = [
        replace_record(picture, record_of(NUMBER + number).ljust(724)[:724], image_id=image_id(number))
        for number, picture in enumerate(stego)
    ]
    assert let_through_by_constant_bits(heads(rewritten), heads(ordinary)) > 0.4
    assert [layout_of(picture).chunks for picture in rewritten] == [layout_of(picture).chunks for picture in stego]
    for picture in rewritten[:8]:
        assert layout_of(picture).filters == layout_of(saved(pixels_of(picture))).filters
