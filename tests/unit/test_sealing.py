"""Seals open with the right key, context, owner and image, and with nothing else."""

from hashlib import sha256

import pytest

from shared import sealing
from shared.config import MAX_ORIGINAL_BYTES, MAX_SEALED_BYTES
from shared.errors import BadSeal, LocalError, UnusableImage
from shared.sealing import open_picture, open_sealed, seal_picture, seal_to, sealed_size
from tests.unit.rights_samples import CONTENT_KEY, IMAGE, OTHER_IMAGE, OWNER, STRANGER, VIEWER

NONCE = bytes(range(12))
ORIGINAL = b"\x89PNG an original file " * 20
OWNER_KEY = OWNER.public.signing_key


def sealed_original() -> bytes:
    return seal_picture(CONTENT_KEY, ORIGINAL, owner_key=OWNER_KEY, image_id=IMAGE, nonce=NONCE)


# --- To a key --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(32), bytes(100_000)])
def test_what_is_sealed_to_a_key_opens_with_it(plaintext: bytes) -> None:
    sealed = seal_to(VIEWER.public.session_key, plaintext, context=b"context")
    assert len(sealed) == len(plaintext) + 32 + 16
    assert open_sealed(VIEWER.session_private, sealed, context=b"context") == plaintext


def test_a_seal_opens_with_no_other_key_and_no_other_context() -> None:
    sealed = seal_to(VIEWER.public.session_key, b"share", context=b"context")
    for private, context in (
        (STRANGER.session_private, b"context"),
        (VIEWER.signing_private, b"context"),
        (VIEWER.session_private, b"contex"),
        (VIEWER.session_private, b""),
        (b"short", b"context"),
    ):
        with pytest.raises(BadSeal):
            open_sealed(private, sealed, context=context)


def test_a_damaged_seal_does_not_open() -> None:
    sealed = seal_to(VIEWER.public.session_key, b"share", context=b"context")
    damaged = [sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :] for place in range(len(sealed))]
    for data in [*damaged, b"", sealed[:-1], sealed[:31], sealed + b"\0", bytes(len(sealed))]:
        with pytest.raises(BadSeal):
            open_sealed(VIEWER.session_private, data, context=b"context")


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(32), (1).to_bytes(32, "little")])
def test_nothing_is_sealed_to_a_key_that_is_none(key: bytes) -> None:
    """A key of low order would give everybody the same secret."""
    with pytest.raises(BadSeal):
        seal_to(key, b"share", context=b"context")


def test_a_seal_of_this_scheme_version_opens_for_ever() -> None:
    """Files that were sealed once must open in every later release: HPKE as of RFC 9180, frozen here."""
    sealed = bytes.fromhex(
        "df2feb3c59b67f92e775382c5f7ae1044682e90e4842758cde9b19504d7a000718791073d2ba0a341e0f2c5312299d9f6906"
        "651ee718a1224b"
    )
    assert open_sealed(VIEWER.session_private, sealed, context=b"frozen") == b"the share"


# --- Pictures --------------------------------------------------------------------------------------------------------
def test_a_picture_comes_back_byte_for_byte() -> None:
    sealed = sealed_original()
    assert len(sealed) == sealed_size(len(ORIGINAL))
    assert open_picture(CONTENT_KEY, sealed, owner_key=OWNER_KEY, image_id=IMAGE) == ORIGINAL
    assert ORIGINAL[:16] not in sealed


def test_the_largest_picture_fits_its_cap() -> None:
    original = bytes(MAX_ORIGINAL_BYTES)
    sealed = seal_picture(CONTENT_KEY, original, owner_key=OWNER_KEY, image_id=IMAGE, nonce=NONCE)
    assert len(sealed) <= MAX_SEALED_BYTES
    assert open_picture(CONTENT_KEY, sealed, owner_key=OWNER_KEY, image_id=IMAGE) == original


@pytest.mark.parametrize("size", [0, MAX_ORIGINAL_BYTES + 1])
def test_a_picture_of_no_or_too_many_bytes_is_refused_before_sealing(size: int) -> None:
    with pytest.raises(UnusableImage):
        seal_picture(CONTENT_KEY, bytes(size), owner_key=OWNER_KEY, image_id=IMAGE, nonce=NONCE)


def test_a_picture_is_bound_to_key_owner_and_image() -> None:
    sealed = sealed_original()
    for key, owner, image in (
        (bytes(32), OWNER_KEY, IMAGE),
        (CONTENT_KEY, STRANGER.public.signing_key, IMAGE),
        (CONTENT_KEY, OWNER_KEY, OTHER_IMAGE),
    ):
        with pytest.raises(BadSeal):
            open_picture(key, sealed, owner_key=owner, image_id=image)


def test_every_bit_of_a_sealed_picture_counts() -> None:
    sealed = seal_picture(CONTENT_KEY, b"tiny", owner_key=OWNER_KEY, image_id=IMAGE, nonce=NONCE)
    for bit in range(8 * len(sealed)):
        data = bytearray(sealed)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadSeal):
            open_picture(CONTENT_KEY, bytes(data), owner_key=OWNER_KEY, image_id=IMAGE)


def test_a_picture_that_is_not_what_its_header_says_is_refused() -> None:
    """Whoever has the key can seal anything; the check still holds what the header promised."""
    sealed = sealed_original()
    header, (check, nonce) = sealed[:51], (sealed[7:39], sealed[39:51])
    cipher = sealing._picture_cipher(CONTENT_KEY, check)
    other = ORIGINAL[::-1]
    forged = header + cipher.encrypt(nonce, other, sealing._picture_binding(header, OWNER_KEY, IMAGE))
    with pytest.raises(BadSeal, match="not what it says"):
        open_picture(CONTENT_KEY, forged, owner_key=OWNER_KEY, image_id=IMAGE)


def test_a_sealed_picture_of_another_length_does_not_open() -> None:
    sealed = sealed_original()
    for data in (b"", sealed[:10], sealed[:51], sealed[:-1], sealed + b"\0"):
        with pytest.raises(BadSeal):
            open_picture(CONTENT_KEY, data, owner_key=OWNER_KEY, image_id=IMAGE)


def test_sealing_is_deterministic_so_that_a_repeated_request_hides_the_same_payload() -> None:
    assert sealed_original() == sealed_original()


def test_the_sealed_form_does_not_tell_which_picture_it_is() -> None:
    """A plain hash in the header would let the cloud recognise every picture that it knows already."""
    sealed = sealed_original()
    assert sha256(ORIGINAL).digest() not in sealed
    other = seal_picture(bytes(32), ORIGINAL, owner_key=OWNER_KEY, image_id=IMAGE, nonce=NONCE)
    assert sealed[7:39] != other[7:39]


def test_a_nonce_used_for_two_pictures_gives_nothing_away() -> None:
    """With one key and nonce, the exclusive-or of two ciphertexts would be that of the two pictures."""
    first, second = b"A" * 64, b"B" * 64
    ciphertexts = [
        seal_picture(CONTENT_KEY, data, owner_key=OWNER_KEY, image_id=IMAGE, nonce=NONCE)[51:-16]
        for data in (first, second)
    ]
    mixed = bytes(a ^ b for a, b in zip(*ciphertexts, strict=True))
    assert mixed != bytes(a ^ b for a, b in zip(first, second, strict=True))


def test_misuse_is_told_apart_from_attack() -> None:
    with pytest.raises(LocalError):
        seal_picture(b"short", ORIGINAL, owner_key=OWNER_KEY, image_id=IMAGE, nonce=NONCE)
    with pytest.raises(LocalError):
        seal_picture(CONTENT_KEY, ORIGINAL, owner_key=OWNER_KEY, image_id=IMAGE, nonce=b"short")
    with pytest.raises(LocalError):
        open_picture(b"short", sealed_original(), owner_key=OWNER_KEY, image_id=IMAGE)
