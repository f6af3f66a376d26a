"""The pure parts of the status feed: beats, latencies, notices, samples of requests, watchers."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.event_log import LOG_LINES_BURST, EventLog
from node.heartbeat_stats import HeartbeatStats
from node.histogram import Histogram, trimmed
from node.request_sampler import EVENTS_PER_S, EXCEPTIONS_PER_S, KEPT_EVENTS, RequestSampler
from node.subscriptions import Subscriptions
from shared.config import MAX_MESSAGE_BYTES
from shared.wire import feed_messages as feed
from shared.wire.codec import encode
from shared.wire.feed_messages import LATENCY_BOUNDS_MS, Happening, LogNotice, RequestEvent, RoleNotice, Watch
from shared.wire.node_messages import RequestKey

HB = 0.25
ROLE = RoleNotice("follower", "claim", "MY_TURN", 1)


# --- Beats -----------------------------------------------------------------------------------------------------------
def test_a_heartbeat_is_unacknowledged_when_the_second_after_it_leaves() -> None:
    beats = HeartbeatStats(["b", "c"], HB)
    for sequence in (1, 2, 3):
        beats.sent("b", sequence)
        beats.sent("c", sequence)
        beats.acked("c", sequence)
    assert (beats.counts["b"].sent, beats.counts["b"].acked, beats.counts["b"].unacked) == (3, 0, 1)
    assert (beats.counts["c"].acked, beats.counts["c"].unacked) == (3, 0)
    beats.acked("b", 1)
    assert beats.counts["b"].acked == 0, "too late to count"


def test_heartbeats_that_do_not_come_are_missed_once_each() -> None:
    beats = HeartbeatStats(["b"], HB)
    beats.follow("b", 0.0)
    for beat in range(1, 5):
        beats.heard("b", beat * HB)
    beats.settle(4 * HB + 0.9 * HB)
    assert (beats.counts["b"].heard, beats.counts["b"].missed) == (4, 0), "not late yet"
    for late in (1.6, 2.0, 2.6, 3.6):
        beats.settle((4 + late) * HB)
    assert beats.counts["b"].missed == 3
    beats.heard("b", 8 * HB)
    beats.settle(8.4 * HB)
    assert (beats.counts["b"].heard, beats.counts["b"].missed) == (5, 3)


def test_nothing_is_missed_of_a_node_that_is_not_followed() -> None:
    beats = HeartbeatStats(["b", "c"], HB)
    beats.follow("b", 0.0)
    beats.follow("c", 10 * HB)
    beats.settle(20 * HB + 0.6 * HB)
    assert (beats.counts["b"].missed, beats.counts["c"].missed) == (9, 10)
    beats.follow(None, 20.6 * HB)
    beats.settle(99.0)
    assert (beats.counts["b"].missed, beats.counts["c"].missed) == (9, 10)


# --- Latencies -------------------------------------------------------------------------------------------------------
@given(st.lists(st.floats(0.01, 40_000), max_size=200))
def test_latencies_are_counted_exactly_to_the_bucket(latencies: list[float]) -> None:
    histogram = Histogram()
    for latency in latencies:
        histogram.add(latency)
    for index, bound in enumerate(LATENCY_BOUNDS_MS):
        assert sum(histogram.counts[: index + 1]) == sum(latency <= bound for latency in latencies)
    assert histogram.sum_ms == pytest.approx(sum(latencies))


def test_what_lies_beyond_the_last_bound_is_in_the_last_bucket() -> None:
    histogram = Histogram()
    histogram.add(1e9)
    assert trimmed(histogram.counts)[-1] == 1
    assert len(trimmed(histogram.counts)) == len(LATENCY_BOUNDS_MS) + 1
    assert trimmed(Histogram().counts) == ()


# --- Notices ---------------------------------------------------------------------------------------------------------
def test_the_oldest_notices_go_and_the_rest_keep_their_numbers() -> None:
    notices = EventLog()
    assert notices.oldest == 1
    assert not list(notices.after(0, 9))
    for moment in range(feed.KEPT_NOTICES + 10):
        notices.add(ROLE, moment)
    assert (notices.oldest, notices.last) == (11, feed.KEPT_NOTICES + 10)
    numbers = [notice.number for portion in notices.after(0, 999) for notice in portion]
    assert numbers == list(range(11, feed.KEPT_NOTICES + 11))
    assert [notice.number for portion in notices.after(notices.last - 2, 9) for notice in portion] == numbers[-2:]
    assert len(list(notices.after(0, 2))) == 2


@given(st.lists(st.text(max_size=400), max_size=30))
def test_notices_are_packed_into_messages_that_fit(texts: list[str]) -> None:
    notices = EventLog()
    for text in texts:
        notices.add_line("warning", text, text, 1e9)
        notices.add(ROLE, 1e9)
    found = []
    for portion in notices.after(0, 999):
        widest = {"seq": 2**53, "at_ms": 999_999_999_999.9, "incarnation": 2**53, "oldest": 2**53}
        encode(feed.FeedNotices(**widest, notices=portion), cap_bytes=MAX_MESSAGE_BYTES)
        found += portion
    assert [notice.number for notice in found] == list(range(1, 2 * len(texts) + 1))


def test_a_flood_of_log_lines_leaves_room_for_elections() -> None:
    notices = EventLog()
    notices.add(ROLE, 0.0)
    for step in range(10_000):
        notices.add_line("error", "desk", "the same again", step / 1_000)
    kept = [notice.body for portion in notices.after(0, 999) for notice in portion]
    assert kept[0] == ROLE
    assert len(kept) <= LOG_LINES_BURST + 50
    assert any(isinstance(body, LogNotice) and "more lines before" in body.text for body in kept)


# --- Samples ---------------------------------------------------------------------------------------------------------
def key(rng: random.Random) -> RequestKey:
    return RequestKey(bytes(32), f"{rng.getrandbits(128):032x}")


def event(what: Happening, of: RequestKey) -> RequestEvent:
    return RequestEvent(0.0, what, None, 0, None, "00000000", of.request_id[:8])


def drive(samples: RequestSampler, per_s: int, seconds: int, rng: random.Random) -> int:
    """Let requests happen at a steady rate; return how many events were followed in the last second."""
    followed = 0
    for second in range(seconds):
        followed = samples.followed
        for step in range(5):
            for _ in range(per_s // 10):
                asked = key(rng)
                for what in (Happening.HELD, Happening.SERVED):
                    samples.happened(what, asked, lambda what=what, asked=asked: event(what, asked))
            samples.adapt(second + (step + 1) / 5)
    return samples.followed - followed


def test_nothing_is_followed_while_nobody_watches_and_all_is_counted() -> None:
    samples = RequestSampler()
    samples.happened(Happening.HELD, key(random.Random(1)), lambda: pytest.fail("nobody watches"))
    assert (samples.counts[Happening.HELD], samples.total, samples.followed) == (1, 1, 0)


def test_all_is_followed_at_leisure_and_a_share_under_load() -> None:
    samples, rng = RequestSampler(watched=True), random.Random(1)
    assert drive(samples, 20, 5, rng) == 20
    assert samples.one_in == 1
    busy = drive_on(samples, 4_000, rng)
    assert samples.one_in >= 32
    assert 0 < busy <= 1.5 * EVENTS_PER_S
    assert len(samples.after(0, 10_000)) <= KEPT_EVENTS
    drive_on(samples, 20, rng)
    assert samples.one_in == 1, "back to all of them"
    assert samples.counts[Happening.HELD] == samples.counts[Happening.SERVED] == samples.total // 2


def drive_on(samples: RequestSampler, per_s: int, rng: random.Random) -> int:
    samples._adapted_at = 0.0
    return drive(samples, per_s, 6, rng)


def test_nodes_of_unequal_load_follow_the_same_requests_from_beginning_to_end() -> None:
    one, two, rng = RequestSampler(watched=True), RequestSampler(watched=True), random.Random(2)
    drive(one, 600, 5, rng)
    drive(two, 4_000, 5, rng)
    asked = [key(rng) for _ in range(4_000)]
    seen: list[set[str]] = []
    for samples in (one, two):
        before = samples.followed
        for of in asked:
            samples.happened(Happening.HELD, of, lambda of=of: event(Happening.HELD, of))
        seen.append({found.request for found in samples.after(before, 10_000)})
    assert seen[1]
    assert two.one_in > one.one_in
    followed_by_one = {of.request_id[:8] for of in asked if int(of.request_id[:8], 16) < 2**32 // one.one_in}
    assert seen[1] <= followed_by_one


def test_what_should_not_happen_is_followed_whatever_its_id_up_to_a_rate() -> None:
    samples, rng = RequestSampler(watched=True), random.Random(3)
    drive(samples, 8_000, 3, rng)
    before = samples.followed
    for _ in range(1_000):
        of = key(rng)
        samples.happened(Happening.FAILED, of, lambda of=of: event(Happening.FAILED, of))
    assert EXCEPTIONS_PER_S <= samples.followed - before <= EXCEPTIONS_PER_S + 1_000 / samples.one_in * 3


# --- Watchers --------------------------------------------------------------------------------------------------------
def watch(**fields: int) -> Watch:
    return Watch(request="0" * 32, **fields)


def test_a_watch_lapses_unless_it_is_renewed() -> None:
    watchers = Subscriptions(7)
    assert watchers.watch("a", watch(), 0.0) is not None
    assert watchers.due(0.0)
    watchers.watch("a", watch(), 4.0)
    assert watchers.due(8.9)
    assert not watchers.due(9.0)
    assert watchers.next_deadline() == math.inf


def test_there_are_only_so_many_watchers() -> None:
    watchers = Subscriptions(7)
    for number in range(feed.MAX_WATCHERS):
        assert watchers.watch(number, watch(), 0.0) is not None
    assert watchers.watch("one more", watch(), 1.0) is None
    assert watchers.watch(0, watch(), 1.0) is not None
    watchers.end(1)
    assert watchers.watch("one more", watch(), 1.0) is not None


@pytest.mark.parametrize(("asked_ms", "frames"), [(0, 5), (200, 5), (1_000, 1), (600_000, 0)])
def test_frames_come_as_asked_but_never_faster_than_five_a_second(asked_ms: int, frames: int) -> None:
    watchers = Subscriptions(7)
    watchers.watch("a", watch(interval_ms=asked_ms), 0.0)
    assert watchers.due(0.0)
    count = sum(len(watchers.due(step / 1_000)) for step in range(1, 1_001))
    assert count == frames


def test_a_late_loop_does_not_send_frames_in_bunches() -> None:
    watchers = Subscriptions(7)
    watchers.watch("a", watch(), 0.0)
    watchers.due(0.0)
    assert len(watchers.due(3.0)) == 1
    assert not watchers.due(3.01)


def test_notices_that_a_renewal_does_not_confirm_are_sent_again() -> None:
    watchers = Subscriptions(7)
    watcher = watchers.watch("a", watch(), 0.0)
    assert watcher is not None
    watcher.notices_after = 20
    watchers.watch("a", watch(incarnation=7, after=15), 1.0)
    assert watcher.notices_after == 20, "they may be on their way still"
    watchers.watch("a", watch(incarnation=7, after=15), 2.0)
    assert watcher.notices_after == 15
    watcher.notices_after = 20
    watchers.watch("a", watch(incarnation=7, after=20), 3.0)
    watchers.watch("a", watch(incarnation=7, after=20), 4.0)
    assert watcher.notices_after == 20


def test_a_monitor_of_an_earlier_life_gets_all_notices() -> None:
    watcher = Subscriptions(7).watch("a", watch(incarnation=6, after=90), 0.0)
    assert watcher is not None
    assert watcher.notices_after == 0
    assert list(itertools.islice(iter(watcher.number, None), 2)) == [1, 2]
