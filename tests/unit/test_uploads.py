"""What an encryption is said to make a node hold, and what becomes of one that was said to be smaller."""

import pytest
from msgspec.structs import replace as with_fields

from node.services import uploads
from shared.config import MAX_ORIGINAL_BYTES, MAX_SEALED_BYTES, REQUEST_LIMITS
from shared.errors import Refused
from shared.sealing import sealed_size
from shared.stego.container import hide
from shared.stego.sizes import tier_for
from shared.wire.operations import Encrypt
from shared.wire.refusals import RefusalCode
from shared.wire.upload import Upload, encode_upload
from tests import photos

RECORD = b"r" * 724


def operation(original_size: int, upload_size: int) -> Encrypt:
    return Encrypt(
        image="a" * 32,
        title="t",
        format="JPEG",
        width=10,
        height=10,
        original_size=original_size,
        upload_size=upload_size,
        upload_sha256=bytes(32),
    )


def announced(original_size: int, cover: bytes = b"") -> Encrypt:
    upload = encode_upload(Upload(RECORD, bytes(sealed_size(original_size)), cover))
    return operation(original_size, len(upload))


@pytest.mark.parametrize("original_size", [1_000, 10_000, 60_000, 300_000, 900_000, 1_500_000])
def test_a_node_makes_room_for_the_upload_and_for_the_stego_image(original_size):
    sealed = photos.photo("coffee.png").ljust(sealed_size(original_size), b"\x5a")[: sealed_size(original_size)]
    room = uploads.most_bytes(announced(original_size))
    assert room >= len(sealed) + len(RECORD)
    assert room >= len(hide(sealed, RECORD, image_id=bytes(range(16))))


def test_a_cover_of_the_owners_choice_may_not_compress_at_all():
    sealed = sealed_size(MAX_ORIGINAL_BYTES)
    assert uploads.most_bytes(announced(MAX_ORIGINAL_BYTES, bytes(5_000))) == 3 * tier_for(sealed).pixels
    assert uploads.most_bytes(announced(10_000, bytes(9_000_000))) > 9_000_000
    assert uploads.most_bytes(announced(MAX_ORIGINAL_BYTES)) < 20_000_000


def test_one_picture_of_any_kind_fits_what_a_node_holds():
    largest = announced(MAX_ORIGINAL_BYTES, bytes(MAX_ORIGINAL_BYTES))
    assert uploads.most_bytes(largest) <= REQUEST_LIMITS.upload_bytes


@pytest.mark.parametrize(
    ("original_size", "upload_size"),
    [(10_000, 3 * MAX_SEALED_BYTES), (MAX_SEALED_BYTES, 2 * MAX_SEALED_BYTES)],
)
def test_sizes_that_no_upload_has_are_refused_before_it_is_pulled(original_size, upload_size):
    with pytest.raises(Refused) as refusal:
        uploads.most_bytes(operation(original_size, upload_size))
    assert refusal.value.code == RefusalCode.INVALID


def test_an_upload_with_a_larger_picture_than_was_announced_is_refused():
    honest = announced(10_000)
    upload = encode_upload(Upload(RECORD, bytes(sealed_size(10_000))))
    assert uploads.opened(upload, honest).record == RECORD
    with pytest.raises(Refused, match="larger than was announced"):
        uploads.opened(upload, with_fields(honest, original_size=9_999))
    with pytest.raises(Refused, match="The upload is damaged"):
        uploads.opened(upload[:-1], honest)
