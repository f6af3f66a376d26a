"""Charts and strips without a screen: what goes into which column, where scales end, stats in words."""

from __future__ import annotations

from datetime import UTC

import pytest

from tui.monitor import wording
from tui.monitor.panes.dashboard import columns_for
from tui.monitor.widgets.charts import columns, nice_scale


def test_columns_hold_everything_and_keep_it_from_paint_to_paint():
    held = {}
    for newest in range(200, 230):
        buckets = list(range(newest - 119, newest + 1))
        found = columns(buckets[0], buckets, 36)
        assert len(found) == 36
        assert found[-1][-1] == newest
        for column in found:
            for bucket in column:
                assert held.setdefault(bucket, bucket // 4) == column[0] // 4
    assert sorted(bucket for column in found for bucket in column) == buckets


@pytest.mark.parametrize(("width", "each"), [(10, 12), (30, 4), (36, 4), (60, 2), (119, 2), (120, 1), (200, 1)])
def test_the_last_minute_is_seen_at_every_width_and_fills_it(width, each):
    buckets = list(range(1000, 1240))
    found = columns(1000, buckets, width, at_least=120)
    assert max(len(column) for column in found) == each
    assert all(found)
    assert sum(len(column) for column in found) >= 120 - each


def test_columns_before_the_first_bucket_are_empty():
    assert columns(7, ["a", "b"], 4) == [[], [], ["a"], ["b"]]
    assert columns(0, [], 3) == [[], [], []]
    assert columns(0, ["a"], 0) == []


@pytest.mark.parametrize(
    ("peak", "least", "scale"),
    [(0, 1, 1), (1, 1, 1), (1.01, 1, 2), (2.4, 1, 3), (9.5, 1, 10), (61, 10, 80), (0.03, 0.01, 0.03), (1234, 10, 2000)],
)
def test_scales_end_at_a_digit_and_zeros(peak, least, scale):
    assert nice_scale(peak, least) == pytest.approx(scale)
    assert nice_scale(peak, least) >= peak


@pytest.mark.parametrize(
    ("width", "nodes", "side_by_side"),
    [
        (80, 3, 3),
        (120, 3, 3),
        (74, 3, 1),
        (76, 3, 3),
        (60, 3, 1),
        (20, 3, 1),
        (120, 9, 3),
        (200, 9, 5),
        (80, 9, 2),
        (240, 9, 9),
    ],
)
def test_panels_share_the_width(width, nodes, side_by_side):
    assert columns_for(width, nodes) == side_by_side


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.949, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (243, "4 min 03 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_how_long(seconds, text):
    assert wording.lasting(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0, "0/s"), (0.04, "0/s"), (0.4, "0.4/s"), (9.94, "9.9/s"), (9.96, "10/s"), (1204, "1 204/s")]
)
def test_rates(rate, text):
    assert wording.per_second(rate) == text


@pytest.mark.parametrize(("rate", "text"), [(0, "0 KB/s"), (1_000_000, "977 KB/s"), (2_400_000, "2.3 MB/s")])
def test_data_rates(rate, text):
    assert wording.data_rate(rate) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.44, "0.4 ms"), (9.96, "10 ms"), (1300, "1.3 s")])
def test_milliseconds(value, text):
    assert wording.milliseconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.656, "0.66"), (9.996, "10.0"), (12.54, "12.5"), (1204.4, "1204")])
def test_figures_keep_their_width(value, text):
    assert wording.figure(value) == text


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th")]
)
def test_ordinals(number, text):
    assert wording.ordinal(number) == text


def test_the_time_of_day():
    assert wording.time_of_day(1_800_000_000.06, UTC) == "08:00:00"
    assert wording.time_of_day(1_800_000_000.06, UTC, tenths=True) == "08:00:00.1"
    assert wording.time_of_day(1_799_999_999.97, UTC, tenths=True) == "08:00:00.0"
