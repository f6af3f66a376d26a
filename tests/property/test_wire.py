"""Whatever bytes arrive, a codec gives a valid message or `MalformedMessage`, and valid messages survive the way."""

from typing import Any, get_args

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import MAX_MESSAGE_BYTES, RIGHTS_RECORD_BYTES
from shared.errors import LocalError, MalformedMessage
from shared.wire import feed_messages, node_messages, operations, peer_messages
from shared.wire.codec import decode, encode
from shared.wire.labels import Label
from shared.wire.upload import Upload, decode_upload, encode_upload

PLANES: list[Any] = [
    node_messages.NodeMessage,
    peer_messages.AnyPeerMessage,
    operations.Operation,
    operations.Outcome,
    operations.Letter,
    Label,
    feed_messages.FeedMessage | feed_messages.WatchMessage,
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def kinds() -> list[tuple[int, type]]:
    return [(kind.__struct_config__.tag, kind) for plane in PLANES for kind in get_args(plane)]


@given(st.binary(max_size=1_200), st.sampled_from(PLANES))
def test_bytes_are_a_message_or_malformed(data: bytes, plane: Any) -> None:
    try:
        message = decode(data, plane, cap_bytes=MAX_MESSAGE_BYTES)
    except MalformedMessage:
        return
    assert isinstance(message, msgspec.Struct)


@given(JSON, st.sampled_from(kinds()), st.sampled_from(PLANES))
def test_fields_of_any_type_are_checked(body: Any, kind: tuple[int, type], plane: Any) -> None:
    fields = dict.fromkeys(kind[1].__struct_fields__, body)
    data = orjson.dumps({"k": kind[0], **fields})
    try:
        message = decode(data, plane, cap_bytes=100_000)
    except MalformedMessage:
        return
    assert decode(encode(message, cap_bytes=200_000), plane, cap_bytes=200_000) == message


def test_kinds_are_unique() -> None:
    """A number that two kinds share would let one be mistaken for the other."""
    tags = [tag for tag, _ in kinds()]
    assert len(tags) == len(set(tags))


def test_deep_nesting_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        decode(b"[" * 900, peer_messages.AnyPeerMessage, cap_bytes=MAX_MESSAGE_BYTES)


def test_what_is_too_long_is_never_cut() -> None:
    """The reference cut a list beyond 1024 bytes into an empty one."""
    message = operations.AckMail(device="0" * 32, mails=["1" * 32] * 100)
    with pytest.raises(LocalError, match="cap"):
        encode(message, cap_bytes=MAX_MESSAGE_BYTES)


def test_names_are_data_not_words_to_search_for() -> None:
    """The reference told requests apart by searching their text: encrypting `register.png` registered a user."""
    message = operations.Encrypt(
        image="0" * 32,
        title="register, sign_in, {'k': 100}",
        format="PNG",
        width=1,
        height=1,
        original_size=1,
        upload_size=1,
        upload_sha256=bytes(32),
    )
    found = decode(encode(message, cap_bytes=MAX_MESSAGE_BYTES), operations.Operation, cap_bytes=MAX_MESSAGE_BYTES)
    assert found == message


@given(
    st.binary(min_size=1, max_size=RIGHTS_RECORD_BYTES), st.binary(min_size=1, max_size=3_000), st.binary(max_size=99)
)
def test_uploads_survive_the_way(record: bytes, sealed: bytes, cover: bytes) -> None:
    upload = Upload(record, sealed, cover or None)
    assert decode_upload(encode_upload(upload)) == upload


@given(st.binary(max_size=200))
def test_bytes_are_an_upload_or_malformed(data: bytes) -> None:
    try:
        upload = decode_upload(data)
    except MalformedMessage:
        return
    assert encode_upload(upload) == data
