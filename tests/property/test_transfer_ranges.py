"""Ranges behave like the set of integers that they stand for, and decoding never trusts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import LocalError, MalformedMessage
from shared.transfer.ranges import Ranges

interval = st.tuples(st.integers(0, 60), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
step = st.tuples(st.sampled_from(["add", "take"]), interval)


def integers(intervals) -> set[int]:
    return {number for start, end in intervals for number in range(start, end)}


@given(st.lists(step, max_size=30), interval)
def test_like_a_set(steps, probe):
    ranges, model = Ranges(), set()
    for verb, (start, end) in steps:
        span = set(range(start, end))
        if verb == "add":
            assert ranges.add(start, end) == len(span - model)
            model |= span
        else:
            assert integers(ranges.take(start, end)) == span & model
            model -= span
        assert integers(ranges) == model
        assert ranges.total == len(model)
        assert ranges.end == max(model, default=-1) + 1
        pairs = list(ranges)
        assert all(a < b for a, b in pairs)
        assert all(first[1] < second[0] for first, second in pairwise(pairs))
    start, end = probe
    assert integers(ranges.missing(start, end)) == set(range(start, end)) - model
    assert ranges.contains(start, end) == (set(range(start, end)) <= model)
    assert (start in ranges) == (start in model)


@given(st.lists(interval, max_size=30))
def test_encoding_is_lossless_where_it_fits(intervals):
    ranges = Ranges(intervals)
    assert Ranges.decode(ranges.encode(1000), limit=100, cap_bytes=1000) == ranges


@given(st.lists(interval, max_size=30), st.integers(0, 20))
def test_capped_encoding_claims_less_and_never_more(intervals, cap_bytes):
    ranges = Ranges(intervals)
    encoded = ranges.encode(cap_bytes)
    assert len(encoded) <= cap_bytes
    decoded = Ranges.decode(encoded, limit=100, cap_bytes=cap_bytes)
    assert integers(decoded) <= integers(ranges)


def test_capped_encoding_keeps_the_longest():
    ranges = Ranges([(0, 1), (10, 1000), (2000, 2002), (3000, 9000)])
    decoded = Ranges.decode(ranges.encode(8), limit=10_000, cap_bytes=8)
    assert (3000, 9000) in list(decoded)
    assert (0, 1) not in list(decoded)


@given(st.binary(max_size=64))
def test_decoding_gives_ranges_or_malformed(data):
    try:
        ranges = Ranges.decode(data, limit=1000, cap_bytes=64)
    except MalformedMessage:
        return
    assert ranges.end <= 1000
    assert ranges.encode(64) == data


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",  # half an interval
        b"\x00\x00",  # an empty one
        b"\x00\x01\x00\x01",  # two that touch
        b"\x80",  # a number without an end
        b"\x80" * 20 + b"\x01",  # a number without bounds
        b"\x81\x00\x01",  # a number in more bytes than it needs
        b"\x00\x7f\x01\x7f",  # beyond the object
    ],
)
def test_decoding_refuses(data):
    with pytest.raises(MalformedMessage):
        Ranges.decode(data, limit=128, cap_bytes=64)


def test_decoding_refuses_more_than_its_cap():
    with pytest.raises(MalformedMessage):
        Ranges.decode(bytes(65), limit=128, cap_bytes=64)


@pytest.mark.parametrize(("start", "end"), [(3, 3), (4, 3), (-1, 3)])
def test_an_empty_interval_is_a_mistake(start, end):
    with pytest.raises(LocalError):
        Ranges().add(start, end)
