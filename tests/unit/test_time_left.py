"""How long a transfer will still take, and how that is said."""

import pytest

from tui.client.time_left import TimeLeft, about


def seen(*reports: tuple[float, int], total: int = 1_000) -> TimeLeft:
    left = TimeLeft()
    for now, done in reports:
        left.note(done, total, now)
    return left


def test_nothing_is_said_before_there_is_reason_to() -> None:
    assert TimeLeft().seconds(0.0) is None
    assert seen((0.0, 0), (1.0, 500)).seconds(1.0) is None, "a first burst"
    assert seen((0.0, 0), (5.0, 0)).seconds(5.0) is None, "nothing has moved"
    assert seen((0.0, 0), (5.0, 100)).seconds(30.0) is None, "nothing comes any more"


def test_the_speed_is_that_of_late() -> None:
    assert seen((0.0, 0), (2.0, 200)).seconds(2.0) == 8.0
    slow = seen(*((float(second), 400 + second) for second in range(60)), (60.0, 460))
    assert slow.seconds(60.0) == pytest.approx(540, rel=0.05)


def test_what_stands_still_takes_longer_and_longer() -> None:
    left = seen((0.0, 0), (2.0, 200))
    assert left.seconds(2.0) < left.seconds(4.0) < left.seconds(8.0)


def test_what_was_there_already_is_no_speed() -> None:
    """A transfer that goes on begins with what was there."""
    assert seen((0.0, 900), (4.0, 940)).seconds(4.0) == pytest.approx(6.0)


def test_another_transfer_begins_anew() -> None:
    left = seen((0.0, 0), (4.0, 800))
    left.note(100, 1_000, 5.0)
    assert left.seconds(6.0) is None
    left.note(300, 2_000, 8.0)
    assert left.seconds(9.0) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.0, "a few seconds left"),
        (10.0, "a few seconds left"),
        (10.1, "about 20 s left"),
        (60.0, "about 60 s left"),
        (61.0, "about 2 min left"),
        (7_200.0, "about 120 min left"),
        (7_300.0, "about 3 h left"),
    ],
)
def test_words(seconds: float | None, words: str) -> None:
    assert about(seconds) == words
