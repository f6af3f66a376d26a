"""What the tones of lines look like in the present theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style

from tui.monitor.sequence import Tone

if TYPE_CHECKING:
    from tui.monitor.widgets.palette import Palette


def tone_style(tone: Tone, palette: Palette) -> Style:
    """Return the style of a tone in the present theme."""
    match tone:
        case Tone.GOOD:
            return palette.good
        case Tone.WARNING:
            return palette.warning
        case Tone.BAD:
            return palette.bad
        case Tone.PRIMARY:
            return palette.primary
        case Tone.ACCENT:
            return palette.accent
        case Tone.SECONDARY:
            return palette.secondary
        case Tone.MUTED:
            return palette.muted
        case _:
            return Style.null()
