"""Records in the rights strip: open to the two who are parties to them, and silent to everybody else."""

import base64

import msgspec
import pytest

from shared.config import RIGHTS_RECORD_BYTES
from shared.errors import BadSeal, MalformedMessage, RemoteError
from shared.records import MAX_VERSION, encode_record, pack_record, unpack_record
from shared.rights import change_rights, create_owner_record, with_left
from shared.sealed_record import open_record, seal_record
from tests.unit.rights_samples import CONTENT_KEY, IMAGE, OWNER, STRANGER, VIEWER, new_record

GRANT = new_record()
OWN = create_owner_record(OWNER, image_id=IMAGE, content_key=CONTENT_KEY)
LARGEST = change_rights(
    OWNER, GRANT, granted=9_999, expires=99_999_999_999.999, look_s=86_399.999, beyond=MAX_VERSION - 1
)
RECORDS = {
    "grant": GRANT,
    "never expires": change_rights(OWNER, GRANT, expires=None),
    "revoked": change_rights(OWNER, GRANT, revoked=True),
    "largest": LARGEST,
}


def sealed(record, by=OWNER, to=VIEWER):
    return seal_record(record, by.session_private, to.public.session_key)


def opened(text, by, other):
    return open_record(text, by.session_private, other.public.session_key)


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_both_parties_open_it_and_get_the_record_in_its_own_spelling(record):
    text = sealed(record)
    for by, other in ((VIEWER, OWNER), (OWNER, VIEWER)):
        assert encode_record(opened(text, by, other)) == encode_record(record)
    assert text == sealed(record, by=VIEWER, to=OWNER), "whichever of the two writes it"


def test_an_owner_opens_the_own_record_alone():
    text = sealed(OWN, to=OWNER)
    assert opened(text, OWNER, OWNER) == OWN
    for by, other in ((VIEWER, OWNER), (STRANGER, OWNER), (STRANGER, STRANGER), (OWNER, VIEWER)):
        with pytest.raises(BadSeal):
            opened(text, by, other)


@pytest.mark.parametrize("other", [OWNER, VIEWER, STRANGER])
def test_a_stranger_opens_nothing(other):
    with pytest.raises(BadSeal):
        opened(sealed(GRANT), STRANGER, other)


@pytest.mark.parametrize("record", [*RECORDS.values(), OWN], ids=[*RECORDS, "own"])
def test_nothing_of_it_can_be_read(record):
    """Neither as it stands nor behind the base64: whose it is, which image, how often, until when."""
    text = sealed(record)
    assert text.isascii()
    assert len(text) <= RIGHTS_RECORD_BYTES
    both = text + base64.b64decode(text)
    secrets = [record.image_id.encode(), bytes.fromhex(record.image_id), record.owner_key, b"grant", b"owner", b"views"]
    secrets += [base64.b64encode(part).rstrip(b"=")[:20] for part in (record.owner_key, record.signature)]
    secrets += [record.viewer_key, record.grant_id.encode()] if record is not OWN else []
    assert not [secret for secret in secrets if secret in both]


def test_the_length_tells_neither_what_kind_it_is_nor_what_changed():
    texts = [sealed(record) for record in RECORDS.values()] + [
        sealed(OWN, to=OWNER),
        sealed(with_left(GRANT, 0)),
    ]
    assert len({len(text) for text in texts}) == 1


def test_every_change_gives_another_text_and_no_change_the_same():
    """The same, because a copy that is sent again must be the same object; another, because no two share a key."""
    one, other = sealed(GRANT), sealed(with_left(GRANT, 1))
    assert one == sealed(GRANT)
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 40


def test_plain_records_of_earlier_versions_are_read():
    for record in (GRANT, OWN):
        assert opened(encode_record(record), STRANGER, OWNER) == record


@pytest.mark.parametrize(
    "text", [b"", b"x", b"====", b"AAAA", b"{}", b"\xff\xfe", "ä".encode(), b"A" * 100, b"A" * 720]
)
def test_what_is_no_record_is_said_to_be_none(text):
    with pytest.raises(RemoteError):
        opened(text, OWNER, VIEWER)


def test_one_letter_changed_is_noticed():
    text = sealed(GRANT)
    for at in range(0, len(text), 7):
        with pytest.raises(RemoteError):
            opened(text[:at] + (b"A" if text[at : at + 1] != b"A" else b"B") + text[at + 1 :], VIEWER, OWNER)


@pytest.mark.parametrize("key", [bytes(32), b"short"], ids=len)
def test_a_key_that_is_none_is_the_other_sides_fault(key):
    with pytest.raises(BadSeal):
        seal_record(GRANT, OWNER.session_private, key)


PACKED = {
    "nothing": b"",
    "no MessagePack": b"\xc1",
    "a map": msgspec.msgpack.encode({"kind": "grant"}),
    "an empty list": msgspec.msgpack.encode([]),
    "a kind alone": msgspec.msgpack.encode(["grant"]),
    "lists in lists": msgspec.msgpack.encode([[["grant"]]]),
    "very deep lists": b"\x91" * 100_000,
    "cut off": pack_record(OWN)[:-1],
    "one byte more": pack_record(OWN) + b"x",
    "another kind": pack_record(OWN).replace(b"owner", b"grant"),
    "half of it": pack_record(GRANT)[:300],
    "a version that is no number": pack_record(LARGEST).replace((MAX_VERSION).to_bytes(8, "big"), b"\xff" * 8),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_records_of_strangers_are_records_or_none(name):
    """The other party may seal anything."""
    with pytest.raises(MalformedMessage):
        unpack_record(PACKED[name])
