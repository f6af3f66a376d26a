"""The bench itself: its sections load, its detectors detect, its rows judge. Nothing is measured here."""

import numpy as np
import pytest

from tests.bench.__main__ import SECTIONS, line, section
from tests.bench.quality import EDGE_PX, pixels_of, with_replaced_bits
from tests.bench.rows import Row, not_measured, speed_up
from tests.bench.steganalysis import DETECTORS, auc, detect
from tests.photos import photo


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_is_there(name):
    assert callable(section(name))


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_tell_a_plainly_embedded_picture_from_a_clean_one(name):
    clean = pixels_of(photo("astronaut.png"))[:EDGE_PX, :EDGE_PX]
    assert abs(detect(name, clean)) < 0.1
    for fill in (0.25, 0.5):
        assert detect(name, with_replaced_bits(clean, fill, seed=1)) == pytest.approx(fill, abs=0.1)


def test_the_area_under_the_curve():
    assert auc([1, 2, 3], [4, 5, 6]) == 1.0
    assert auc([4, 5, 6], [1, 2, 3]) == 1.0  # a watcher may turn the score round
    assert auc([1, 2], [1, 2]) == 0.5
    assert auc(np.zeros(3), np.zeros(3)) == 0.5


def test_rows_judge_their_bars():
    assert speed_up("a", 2.0, "b", 90.0, 40.0).ratio == 45.0
    assert speed_up("a", 2.0, "b", 90.0, 40.0).holds is True
    assert speed_up("a", 2.0, "b", 70.0, 40.0).holds is False
    assert Row("a", 3.0, "s", "b", 1.0, 3.0, "at most", 2.0).holds is False
    assert Row("a", 0.0, "", "", None, 0.0, "at most", 0.0).holds is True
    assert speed_up("a", 2.0, "b", 70.0).holds is None
    absent = not_measured("a", "b", 9.0, "not installed")
    assert absent.holds is None
    assert "not measured here: not installed" in line(absent)
    assert line(speed_up("a", 2.0, "b", 70.0, 40.0)).startswith("  NO ")
