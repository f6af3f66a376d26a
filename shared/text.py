"""Text from elsewhere, made harmless to show: no controls, formats or heaps of marks, bounded in length."""

import unicodedata
from collections.abc import Iterator
from typing import Final

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MAX_MARKS: Final = 4
"""Combining characters kept on one base: enough for every script, too few to paint over neighbouring lines."""


def is_clean(text: str) -> bool:
    """Return whether the text has no character of the Unicode categories C* (controls, escapes, bidi marks, ...)."""
    return all(unicodedata.category(char)[0] != "C" for char in text)


def clean(text: str, *, max_chars: int = 280) -> str:
    """Return the text with every character of the categories C* replaced, cut to `max_chars` with an ellipsis.

    Of combining characters that are heaped on one base, those beyond `MAX_MARKS` are left out.
    """
    if text.isascii() and text.isprintable() and len(text) <= max_chars:
        return text
    shown = "".join(_harmless(text[: max_chars + 1]))
    return shown if len(text) <= max_chars else shown[: max_chars - 1] + "…"


def _harmless(text: str) -> Iterator[str]:
    marks = 0
    for char in text:
        category = unicodedata.category(char)[0]
        marks = marks + 1 if category == "M" else 0
        if marks <= MAX_MARKS:
            yield _REPLACEMENT if category == "C" else char
