"""The keys that move the cursor of whatever has rows: arrows, vim's letters, pages, both ends."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

_KEYS: Final = (
    ("up,k", "{step}(-1)", "Up"),
    ("down,j", "{step}(1)", "Down"),
    ("home,g", "first", "First"),
    ("end,G", "last", "Last"),
    ("pageup,ctrl+u", "page(-1)", "Page up"),
    ("pagedown,ctrl+d", "page(1)", "Page down"),
)


def row_keys(prefix: str, step: str = "cursor") -> list[Binding]:
    """Return bindings with the ids `prefix.up`, `prefix.page_down` and so on; `step` is the action of a single row."""
    return [
        Binding(keys, action.format(step=step), name, id=f"{prefix}.{name.lower().replace(' ', '_')}", show=False)
        for keys, action, name in _KEYS
    ]
