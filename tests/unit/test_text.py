"""Text from elsewhere is harmless on a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from shared.text import clean, is_clean


@given(st.text(max_size=400))
def test_nothing_that_controls_a_terminal_is_left(text: str) -> None:
    shown = clean(text, max_chars=100)
    assert len(shown) <= 100
    assert all(unicodedata.category(char)[0] != "C" for char in shown)
    assert is_clean(shown)


def test_ordinary_text_stays() -> None:
    assert clean("Žofie 🐈 (2)") == "Žofie 🐈 (2)"


def test_escapes_and_bidi_marks_are_replaced() -> None:
    assert clean("a\x1b[2Jb\u202ec") == "a�[2Jb�c"
    assert not is_clean("\x07")


def test_marks_are_not_heaped_over_neighbouring_lines():
    assert clean("Z\u0301alg\u0300\u0301\u0302\u0303\u0304\u0305\u0306o") == "Z\u0301alg\u0300\u0301\u0302\u0303o"
    assert clean("e" + "\u0301" * 5_000) == "e\u0301\u0301\u0301\u0301…"
