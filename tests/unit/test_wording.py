"""Numbers, times and people in words."""

from datetime import UTC

import pytest

from tui.common import wording

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (None, "never"),
        (NOW + 5, "now"),
        (NOW - 59, "now"),
        (NOW - 60, "1 min ago"),
        (NOW - 7_199, "119 min ago"),
        (NOW - 7_200, "2 h ago"),
        (NOW - 2 * 86_400, "2 d ago"),
    ],
)
def test_how_long_ago(at, text):
    assert wording.ago(at, NOW) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (None, "no expiry"),
        (NOW, "expired"),
        (NOW - 1, "expired"),
        (NOW + 0.2, "expires in 1 s"),
        (NOW + 3_600, "expires in 60 min"),
        (NOW + 7 * 86_400, "expires in 7 d"),
    ],
)
def test_how_long_still(at, text):
    assert wording.until(at, NOW) == text


def test_moments_by_a_clock():
    assert wording.moment(NOW, UTC) == "2027-01-15 08:00"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1_023, "1023 B"), (1_024, "1 KB"), (1_023_000, "999 KB"), (4_200_000, "4.0 MB")]
)
def test_sizes(size, text):
    assert wording.size(size) == text


def test_numbers_with_their_nouns():
    assert wording.views(1) == "1 view"
    assert wording.views(0) == "0 views"
    assert wording.counted(1, "image") == "1 image"
    assert wording.counted(10_000, "person", "people") == "10 000 people"


@pytest.mark.parametrize(("seconds", "text"), [(None, "–"), (0.0042, "4.2 ms"), (0.0299, "30 ms")])
def test_latency(seconds, text):
    assert wording.latency(seconds) == text


def test_remote_text_becomes_one_harmless_line():
    assert wording.plain("a\nb\tc", 80) == "a\ufffdb\ufffdc"
    assert wording.plain("  two   words ", 80) == "two words"
    assert wording.plain("\x1b[31mred", 80) == "\ufffd[31mred"
    assert wording.plain("x" * 10_000, 10) == "x" * 9 + "…"
    assert wording.plain("漢" * 40, 10) == "漢漢漢漢…"
