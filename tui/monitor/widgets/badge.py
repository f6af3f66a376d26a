"""A node's role, or why it has none, as a word on a coloured ground: readable without the colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from rich.style import Style

    from tui.monitor.widgets.palette import Palette


def badge(word: str, palette: Palette) -> Text:
    """Return the badge of a role (`leader`, `follower`, `claim`, ...) or state (`deaf`, `draining`, `down`)."""
    return Text(f" {word.upper()} ", palette.inverse(badge_colour(word, palette)))


def badge_colour(word: str, palette: Palette) -> Style:
    """Return the colour that stands for a role or state wherever it is shown."""
    match word:
        case "leader":
            return palette.good
        case "follower":
            return palette.primary
        case "probe" | "elect" | "wait" | "claim":
            return palette.accent
        case "deaf" | "draining":
            return palette.secondary
        case "down":
            return palette.bad
        case _:
            return palette.plain
