"""Node messages fit a datagram at their largest, and say no to what they must not hold."""

import pytest

from shared.config import MAX_MESSAGE_BYTES
from shared.errors import MalformedMessage
from shared.wire.codec import decode, encode
from shared.wire.node_messages import (
    MAX_NODES,
    MAX_ORDER,
    RETIRED_KINDS,
    Assign,
    Done,
    FaultToken,
    Heartbeat,
    KeyBatch,
    NewLeader,
    NodeMessage,
    RequestKey,
    TableRow,
    pack_keys,
    unpack_keys,
)

HUGE = 2**53
WIDEST_ROW = TableRow(14, HUGE, 9_999_999, 9998.99, 4_096, 999_999, False)
FULL_TABLE = (WIDEST_ROW,) * MAX_NODES


@pytest.mark.parametrize(
    "message",
    [
        Heartbeat(term=HUGE, incarnation=HUGE, sequence=HUGE, table=FULL_TABLE, order=MAX_ORDER),
        NewLeader(term=HUGE, incarnation=HUGE, table=FULL_TABLE, order=MAX_ORDER),
        FaultToken(term=HUGE, hop=HUGE, holder="n" * 32, remaining_s=3599.999),
    ],
)
def test_the_largest_message_fits(message: NodeMessage) -> None:
    data = encode(message, cap_bytes=MAX_MESSAGE_BYTES)
    assert decode(data, NodeMessage, cap_bytes=MAX_MESSAGE_BYTES) == message


def test_kinds_are_different_and_in_range() -> None:
    kinds = [kind.__struct_config__.tag for kind in NodeMessage.__args__]
    assert len(set(kinds)) == len(kinds)
    assert all(1 <= kind <= 39 for kind in kinds)
    assert not RETIRED_KINDS & set(kinds)


@pytest.mark.parametrize("kind", sorted(RETIRED_KINDS))
def test_what_an_earlier_version_still_sends_is_malformed(kind: int) -> None:
    with pytest.raises(MalformedMessage):
        decode(b'{"k":%d,"version":1,"setter":0,"policy":"priority"}' % kind, NodeMessage, cap_bytes=MAX_MESSAGE_BYTES)


@pytest.mark.parametrize(("accounts", "requests"), [(1, 1), (1, 500), (3, 500), (500, 500)])
def test_any_number_of_requests_is_packed_into_datagrams(accounts: int, requests: int) -> None:
    keys = [RequestKey((n % accounts).to_bytes(32, "big"), f"{n:032x}") for n in range(requests)]
    back = []
    portions = list(pack_keys(keys))
    for portion in portions:
        data = encode(Assign(term=HUGE, node="n" * 32, keys=portion), cap_bytes=MAX_MESSAGE_BYTES)
        message = decode(data, NodeMessage, cap_bytes=MAX_MESSAGE_BYTES)
        assert isinstance(message, Assign)
        back += unpack_keys(message.keys)
    assert sorted(back) == sorted(keys)
    if accounts <= 3:
        assert len(portions) <= 1 + requests / 35, "dozens of requests share a datagram"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"k":99}',
        b'{"k":22,"keys":[["AAAA","AAAA"]]}',
        b'{"k":4,"term":-1,"incarnation":1}',
        b'{"k":4,"term":1}',
        b'{"k":6,"term":1,"incarnation":1,"leader":"Not A Name"}',
        b'{"k":1,"term":1,"incarnation":1,"sequence":1,"table":[[15,1,0,0.0,1,0,true]]}',
        b'{"k":30,"term":1,"hop":1,"holder":"a","remaining_s":1e9}',
    ],
)
def test_malformed_messages(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(data, NodeMessage, cap_bytes=MAX_MESSAGE_BYTES)


def test_ids_of_broken_length_are_malformed() -> None:
    good = encode(Done(keys=(KeyBatch(bytes(32), bytes(16)),)), cap_bytes=MAX_MESSAGE_BYTES)
    with pytest.raises(MalformedMessage):
        decode(good.replace(b"A" * 22 + b'=="]', b"A" * 23 + b'="]'), NodeMessage, cap_bytes=MAX_MESSAGE_BYTES)
