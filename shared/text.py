"""Text from elsewhere, made harmless to show: no control, format or private characters, bounded in length."""

import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def is_clean(text: str) -> bool:
    """Return whether the text has no character of the Unicode categories C* (controls, escapes, bidi marks, ...)."""
    return all(unicodedata.category(char)[0] != "C" for char in text)


def clean(text: str, *, max_chars: int = 280) -> str:
    """Return the text with every character of the categories C* replaced, cut to `max_chars` with an ellipsis."""
    shown = "".join(_REPLACEMENT if unicodedata.category(char)[0] == "C" else char for char in text[: max_chars + 1])
    return shown if len(shown) <= max_chars else shown[: max_chars - 1] + "…"
