"""Whatever bytes arrive as a record: a record that is valid, in its one spelling, or a RemoteError."""

import base64

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.config import MAX_VIEWS, RIGHTS_RECORD_BYTES
from shared.errors import MalformedMessage, RemoteError
from shared.records import decode_any_record, decode_record, encode_record
from shared.rights import change_rights, create_owner_record, supersedes, unlock, unlock_own, verify_record, with_left
from tests.unit.rights_samples import CONTENT_KEY, IMAGE, OWNER, VIEWER, new_grant

BUSY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long an example takes says nothing here; the machine may be busy."""
GRANT = new_grant(granted=5, expires=1_800_000_000.5)
ENCODED = encode_record(GRANT.record)
OWN = encode_record(create_owner_record(OWNER, image_id=IMAGE, content_key=CONTENT_KEY))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PLAUSIBLE = (
    JSON
    | st.binary(max_size=90).map(lambda data: base64.b64encode(data).decode())
    | st.sampled_from(["grant", "owner", "0" * 32, 1, 0, -1, True, 2**53, 2**64, 1e11, 1e400, -0.0])
)


def check(data: bytes) -> None:
    """Every decoder gives a record that encodes to the same bytes and can be worked with, or a RemoteError."""
    for decode in (decode_any_record, decode_record):
        try:
            record = decode(data)
        except RemoteError:
            continue
        assert encode_record(record) == data
        try:
            verify_record(record)
        except RemoteError:
            continue
        assert data in (ENCODED, OWN) or with_left(decode_record(data), GRANT.record.left) == GRANT.record


@given(st.binary(max_size=RIGHTS_RECORD_BYTES + 50))
@BUSY_MACHINE
def test_garbage(data: bytes) -> None:
    check(data)


@given(st.sampled_from([ENCODED, OWN]), st.data())
@settings(BUSY_MACHINE, max_examples=300)
def test_records_with_some_bytes_changed(encoded: bytes, data: st.DataObject) -> None:
    damaged = bytearray(encoded)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(damaged)))
        stop = data.draw(st.integers(start, min(start + 8, len(damaged))))
        damaged[start:stop] = data.draw(st.binary(max_size=8))
    check(bytes(damaged))


@given(st.sampled_from([ENCODED, OWN]), st.data())
@settings(BUSY_MACHINE, max_examples=300)
def test_records_with_other_fields(encoded: bytes, data: st.DataObject) -> None:
    document = orjson.loads(encoded)
    for _ in range(data.draw(st.integers(1, 3))):
        field = data.draw(st.sampled_from([*document, "extra"]) if document else st.just("extra"))
        if data.draw(st.booleans()):
            document[field] = data.draw(PLAUSIBLE)
        else:
            document.pop(field, None)
    try:
        crafted = orjson.dumps(document)
    except TypeError:  # an integer beyond 64 bits, which orjson cannot write
        return
    check(crafted)


RESPELLED = [
    ENCODED.replace(b",", b", "),
    ENCODED + b"\n",
    b" " + ENCODED,
    ENCODED.replace(b'"version":1', b'"version":1.0'),
    ENCODED.replace(b'"version":1', b'"version":1e0'),
    ENCODED.replace(b'"version":1,', b'"version":9,"version":1,'),
    ENCODED.replace(b'"revoked":false', b'"revoked":0'),
    ENCODED.replace(b'"grant":"a1', b'"grant":"A1'),
    ENCODED.replace(b'"kind"', b'"\\u006bind"'),
    ENCODED.replace(b"1800000000.5", b"1800000000.50"),
    orjson.dumps(dict(reversed(orjson.loads(ENCODED).items()))),
    orjson.dumps(orjson.loads(ENCODED) | {"note": ""}),
    ENCODED + b" " * RIGHTS_RECORD_BYTES,
    b"[" * 1000,
    b"",
]


@pytest.mark.parametrize("respelled", RESPELLED, ids=range(len(RESPELLED)))
def test_a_record_has_one_spelling(respelled: bytes) -> None:
    assert respelled != ENCODED
    with pytest.raises(MalformedMessage):
        decode_record(respelled)


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(0, MAX_VIEWS),
            st.just(...) | st.none() | st.floats(1, 1e11, allow_subnormal=False),
            st.none() | st.just(True),
            st.integers(0, MAX_VIEWS),
        ),
        max_size=4,
    )
)
@settings(BUSY_MACHINE, max_examples=60)
def test_any_history_of_changes_holds_together(
    changes: list[tuple[int | None, float | None, bool | None, int]],
) -> None:
    record = GRANT.record
    for granted, expires, revoked, left in changes:
        later = with_left(change_rights(OWNER, record, granted=granted, expires=expires, revoked=revoked), left)
        data = encode_record(later)
        assert decode_record(data) == later
        assert supersedes(record, decode_record(data))
        assert not supersedes(later, record)
        assert later.version == record.version + 1
        assert unlock(later, VIEWER, GRANT.cloud_share) == CONTENT_KEY
        record = later


def test_the_samples_are_valid() -> None:
    assert decode_record(ENCODED) == GRANT.record
    assert unlock_own(decode_any_record(OWN), OWNER) == CONTENT_KEY
