"""Messages of the feed fit a datagram at their largest, and say no to what they must not hold."""

import pytest

from shared.config import MAX_MESSAGE_BYTES
from shared.errors import MalformedMessage
from shared.wire import feed_messages as feed
from shared.wire.codec import decode, encode
from shared.wire.node_messages import MAX_NODES, AuditRecord, TableRow

HUGE = 2**53
TALLY = 9_999_999_999
AT = 999_999_999_999.9
WIDE_TEXT = "\N{GRINNING FACE}"
FRAME = {"seq": HUGE, "at_ms": AT}
STANDING = feed.Standing(
    "follower",
    HUGE,
    14,
    AT,
    False,
    False,
    False,
    9_999_999,
    14,
    9_999_999,
    WIDE_TEXT * 24,
)
RECORD = AuditRecord(
    "n" * 32, HUGE, HUGE, 99_999_999_999.123, "w" * 80, "o" * 16, WIDE_TEXT * 32, False, WIDE_TEXT * 100
)
LARGEST = [
    feed.Watch(request="f" * 32, interval_ms=600_000, incarnation=HUGE, after=HUGE),
    feed.WatchRefused(request="f" * 32, reason=WIDE_TEXT * 160),
    feed.FeedState(
        **FRAME,
        life=feed.Life("n" * 32, 2**31, HUGE, -(10**13), 10**12, 65_535),
        standing=STANDING,
        work=feed.Work(
            9_998.99,
            4_096,
            99_999_999.99,
            9_999.99,
            999_999.99,
            9_999_999.99,
            999_999,
            999_999,
            TALLY,
            TALLY,
            TALLY,
            9_999.99,
        ),
        traffic=feed.Traffic(10**15, 10**15, TALLY, TALLY, TALLY, *[999_999] * 5, 10**15, TALLY),
    ),
    feed.FeedBeats(**FRAME, beats=(feed.Beats(14, *[TALLY] * 7, 9_999_999, 9_999_999),) * feed.BEATS_PER_MESSAGE),
    feed.FeedTable(
        **FRAME,
        term=HUGE,
        age_ms=9_999_999,
        rows=(TableRow(14, HUGE, 9_999_999, 9_998.99, 4_096, 999_999, False),) * MAX_NODES,
    ),
    feed.FeedDirectory(**FRAME, engine=WIDE_TEXT * 24, ok=False, latency_ms=9_999_999_999.9, error=WIDE_TEXT * 160),
    feed.FeedDispatch(**FRAME, counts=(TALLY,) * 32, latency=(TALLY,) * 48, latency_sum_ms=1e15),
    feed.FeedKinds(**FRAME, kinds=(feed.KindCount(999, TALLY, TALLY, 10**12),) * feed.KINDS_PER_MESSAGE),
    feed.FeedRequests(
        **FRAME,
        one_in=2**31,
        left_out=TALLY,
        events=(feed.RequestEvent(AT, feed.Happening.BUSY, 14, 999, HUGE, "f" * 8, "f" * 8, 9_999_999_999.9, "x" * 24),)
        * feed.REQUESTS_PER_MESSAGE,
    ),
    feed.FeedNotices(
        **FRAME,
        incarnation=HUGE,
        oldest=HUGE,
        notices=(feed.Notice(HUGE, AT, feed.ElectionNotice(False, "A" * 24, 14, HUGE)),) * 8,
    ),
    feed.FeedNotices(
        **FRAME,
        incarnation=HUGE,
        oldest=HUGE,
        notices=(feed.Notice(HUGE, AT, feed.LogNotice("critical", WIDE_TEXT * 24, WIDE_TEXT * 160)),),
    ),
    feed.FeedNotices(
        **FRAME, incarnation=HUGE, oldest=HUGE, notices=(feed.Notice(HUGE, AT, feed.AuditNotice(RECORD)),)
    ),
    feed.FeedNotices(
        **FRAME, incarnation=HUGE, oldest=HUGE, notices=(feed.Notice(HUGE, AT, feed.RestoredNotice(HUGE, TALLY)),)
    ),
]


@pytest.mark.parametrize("message", LARGEST, ids=lambda message: type(message).__name__)
def test_the_largest_message_fits(message: feed.FeedMessage) -> None:
    data = encode(message, cap_bytes=MAX_MESSAGE_BYTES)
    found = decode(data, feed.FeedMessage | feed.WatchMessage, cap_bytes=MAX_MESSAGE_BYTES)
    assert found == message


def test_the_bounds_of_latency_rise_and_leave_room_in_a_message() -> None:
    assert list(feed.LATENCY_BOUNDS_MS) == sorted(set(feed.LATENCY_BOUNDS_MS))
    assert len(feed.LATENCY_BOUNDS_MS) + 1 <= 48
    assert max(feed.Happening) < 32


@pytest.mark.parametrize(
    "data",
    [
        b'{"k":84}',
        b'{"k":84,"request":"x"}',
        b'{"k":84,"request":"%s","after":-1}' % (b"f" * 32),
        b'{"k":88,"seq":1,"at_ms":1.0,"beats":[[15,0,0,0,0,0,0,0,null,null]]}',
        b'{"k":94,"seq":1,"at_ms":1.0,"incarnation":1,"oldest":1,"notices":[[1,1.0,[99]]]}',
        b'{"k":94,"seq":1,"at_ms":1.0,"incarnation":1,"oldest":1,"notices":[[1,1.0,[1,"king","leader","X",1]]]}',
        b'{"k":93,"seq":1,"at_ms":1.0,"one_in":0,"left_out":0,"events":[]}',
        b'{"k":93,"seq":1,"at_ms":1.0,"one_in":1,"left_out":0,"events":[[1.0,99,null,0,null,"00000000","00000000"]]}',
    ],
)
def test_malformed_messages(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(data, feed.FeedMessage | feed.WatchMessage, cap_bytes=MAX_MESSAGE_BYTES)
