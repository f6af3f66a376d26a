"""What the monitor's model is made of: clocks, series, numbers of messages, counters, strips, percentiles."""

from __future__ import annotations

import random

import pytest

from shared.wire.feed_messages import LATENCY_BOUNDS_MS, Beats
from tui.monitor.model.heartbeats import Beat, BeatBuckets
from tui.monitor.model.reception import Clocks, Sequencer
from tui.monitor.model.series import BUCKETS, LatencyWindow, Series, Tallies, percentile_ms


# --- Clocks ----------------------------------------------------------------------------------------------------------
def test_a_moment_of_a_node_is_told_by_the_monitors_clock():
    clocks = Clocks(1)
    for at_s, delay_s in ((100.0, 0.030), (100.2, 0.002), (100.4, 0.050)):
        clocks.heard(0, 1000 * at_s, at_s - 100 + delay_s)
    assert clocks.of(0).moment(100_400) == pytest.approx(0.402)


def test_nodes_of_one_machine_share_the_best_guess_of_their_clock():
    """What one node sent can never seem to arrive before it left, if both run by the same clock."""
    clocks = Clocks(3)
    for place, delay_s in enumerate((0.004, 0.0005, 0.011)):
        clocks.heard(place, 5_000_000.0, 7.0 + delay_s)
    clocks.heard(2, 5_000_200.0, 7.2 + 0.009)
    assert len({clocks.of(place).offset_s for place in range(3)}) == 1
    assert clocks.of(0).moment(5_000_000.0) == pytest.approx(7.0005)


def test_nodes_of_other_machines_have_clocks_of_their_own():
    clocks = Clocks(2)
    clocks.heard(0, 1_000.0, 7.0)
    clocks.heard(1, 900_000.0, 7.001)
    assert clocks.of(0).moment(1_000.0) == pytest.approx(7.0)
    assert clocks.of(1).moment(900_000.0) == pytest.approx(7.001)


def test_a_clock_that_drifts_is_followed():
    clocks = Clocks(1)
    for second in range(600):  # the node's clock is slow by 1 ms a second
        clocks.heard(0, 1000 * second * 0.999, float(second))
    assert clocks.of(0).moment(1000 * 599 * 0.999) == pytest.approx(599.0, abs=0.13)


def test_moments_of_an_earlier_life_stay_right():
    clocks = Clocks(1)
    clocks.heard(0, 50_000.0, 3.0)
    before = clocks.of(0)
    clocks.begin(0)
    clocks.heard(0, 1_000.0, 9.0)
    assert before.moment(50_000.0) == pytest.approx(3.0)
    assert clocks.of(0).moment(1_000.0) == pytest.approx(9.0)


# --- Series ----------------------------------------------------------------------------------------------------------
def test_a_series_forgets_what_is_older_than_its_span():
    series = Series(span_s=5, bucket_s=1)
    for second in range(8):
        series.put(second, float(second))
    assert series.curve(7.5).values == (3.0, 4.0, 5.0, 6.0, 7.0)
    assert series.curve(7.5).first == 3
    assert series.curve(9.2).values == (5.0, 6.0, 7.0, None, None)
    assert series.curve(100).values == (None,) * 5


def test_a_gap_in_a_series_is_a_gap():
    series = Series(span_s=4, bucket_s=1)
    series.put(0, 1.0)
    series.put(3, 4.0)
    assert series.curve(3).values == (1.0, None, None, 4.0)
    series.put(9, 9.0)
    assert series.curve(9).values == (None, None, None, 9.0)
    series.put(2, 2.0)  # too late to matter
    assert series.curve(9).values == (None, None, None, 9.0)


def test_values_of_one_bucket_are_replaced():
    series = Series(span_s=2, bucket_s=1)
    series.put(0.1, 5.0)
    series.put(0.9, 3.0)
    series.put(1.1, 4.0)
    assert series.curve(1.5).values == (3.0, 4.0)
    assert series.curve(1.5).peak == 4.0
    assert series.curve(1.5).last == 4.0


# --- Numbers of messages ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("numbers", "fresh"),
    [
        ([1, 2, 3], [True] * 3),
        ([1, 2, 2, 1], [True, True, False, False]),
        ([1, 4], [True, True]),
        ([1, 4, 3, 2], [True] * 4),
        ([1, 4, 3, 3], [True, True, True, False]),
        ([7], [True]),
        ([1, 300, 150], [True, True, False]),
    ],
)
def test_each_message_counts_once(numbers, fresh):
    sequence = Sequencer()
    assert [sequence.fresh(number, 1000.0) for number in numbers] == fresh


def test_a_new_watch_counts_from_one_again():
    sequence = Sequencer()
    assert all(sequence.fresh(number, 1000.0 + number) for number in range(1, 50))
    assert all(sequence.fresh(number, 2000.0 + number) for number in range(1, 20))


def test_the_highest_number_that_a_message_can_have_costs_nothing():
    """A node that once sent the highest number made the monitor shift a bit so far that no memory held it."""
    sequence = Sequencer()
    assert sequence.fresh(2**53, 1000.0)
    assert not sequence.fresh(1, 1000.0)
    assert not sequence.fresh(2**53, 1000.0)


# --- Counters --------------------------------------------------------------------------------------------------------
def test_rates_come_from_the_nodes_own_clock():
    tallies = Tallies(2)
    for step in range(11):
        tallies.take(10 + 0.2 * step, (3 * step, 100 * step))
    assert tallies.rate(0) == pytest.approx(15)
    assert tallies.rate(1) == pytest.approx(500)


def test_only_the_last_seconds_count_for_a_rate():
    tallies = Tallies(1)
    for step in range(100):
        tallies.take(0.2 * step, (min(step, 50),))
    assert tallies.rate(0) == 0


def test_a_new_life_begins_at_zero_and_loses_nothing_of_the_total():
    tallies = Tallies(1)
    tallies.take(1.0, (10,))
    tallies.take(2.0, (25,))
    tallies.begin()
    assert tallies.total(0) == 25
    assert tallies.take(0.5, (3,)) == (0,)
    assert tallies.take(1.5, (5,)) == (2,)
    assert tallies.total(0) == 30
    assert tallies.rate(0) == pytest.approx(2)


def test_readings_that_come_late_or_fall_are_nothing():
    tallies = Tallies(3)
    tallies.take(5.0, (5, 5))
    assert tallies.take(4.0, (50, 50, 50)) == (0, 0, 0)
    assert tallies.take(6.0, (3, 6, 1, 99)) == (0, 1, 1)
    assert tallies.latest == (3, 6, 1)


# --- Heartbeats ------------------------------------------------------------------------------------------------------
def beats(**counts: int) -> Beats:
    names = ("sent", "acked", "unacked", "heard", "missed", "pulses_sent", "pulses_heard")
    return Beats(1, *(counts.get(name, 0) for name in names), counts.get("heard_ms"), counts.get("rtt_us"))


@pytest.mark.parametrize(
    ("then", "cell"),
    [
        ({}, Beat.NOTHING),
        ({"sent": 1}, Beat.SENT),
        ({"sent": 1, "acked": 1}, Beat.ACKED),
        ({"heard": 2}, Beat.HEARD),
        ({"pulses_heard": 1}, Beat.PULSE),
        ({"pulses_sent": 1}, Beat.NOTHING),
        ({"heard": 1, "missed": 1}, Beat.MISSED),
        ({"acked": 1, "unacked": 1}, Beat.MISSED),
    ],
)
def test_what_a_stretch_of_time_shows(then, cell):
    buckets = BeatBuckets(0.25)
    buckets.take(beats(), 100.0, 10.0)
    buckets.take(beats(**then), 100.2, 10.2)
    row = buckets.row("n2", 10.2, leads=True, follows=False, rtt_us=None)
    assert row.cells[-1] == cell
    assert set(row.cells[:-1]) == {Beat.NOTHING}
    assert row.missed == then.get("missed", 0) + then.get("unacked", 0)


def test_a_strip_moves_on_while_nothing_is_heard():
    buckets = BeatBuckets(0.25)
    buckets.take(beats(), 100.0, 10.0)
    buckets.take(beats(heard=1, heard_ms=10), 100.2, 10.2)
    row = buckets.row("n2", 12.2, leads=False, follows=True, rtt_us=None)
    assert row.cells[-5:] == bytes([Beat.HEARD, *[Beat.NOTHING] * 4])
    assert buckets.row("n2", 300.0, leads=False, follows=True, rtt_us=None).cells == bytes(240)


def test_what_was_missed_counts_for_a_minute():
    buckets = BeatBuckets(0.25)
    buckets.take(beats(), 100.0, 10.0)
    buckets.take(beats(missed=3), 101.0, 11.0)
    buckets.take(beats(missed=5), 140.0, 50.0)
    rows = [buckets.row("n2", now, leads=False, follows=True, rtt_us=None) for now in (50.0, 71.5, 111.0)]
    assert [row.missed for row in rows] == [5, 2, 0]


# --- Latency ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_percentiles_are_right_to_their_bucket(share):
    generator = random.Random(4)
    latencies = sorted(generator.lognormvariate(2.5, 0.7) for _ in range(4_000))
    counts = [0] * BUCKETS
    for latency in latencies:
        counts[sum(bound < latency for bound in LATENCY_BOUNDS_MS)] += 1
    true = latencies[int(share * len(latencies)) - 1]
    found = percentile_ms(counts, share)
    assert true / 1.42 <= found <= true * 1.42


def test_percentiles_of_nothing_and_of_what_took_too_long():
    assert percentile_ms([0] * BUCKETS, 0.5) is None
    assert percentile_ms([0] * (BUCKETS - 1) + [7], 0.5) == LATENCY_BOUNDS_MS[-1]


def test_a_window_holds_a_minute():
    window = LatencyWindow()
    grown = [0] * BUCKETS
    grown[4] = 10
    for second in range(100):
        window.add(grown, float(second))
    latency = window.read(99.5)
    assert latency.answered == 600
    assert LATENCY_BOUNDS_MS[3] < latency.p50_ms <= LATENCY_BOUNDS_MS[4]
    assert window.read(150.0).answered == 90
    assert window.read(200.0).answered == 0
    assert window.read(200.0).p99_ms is None
