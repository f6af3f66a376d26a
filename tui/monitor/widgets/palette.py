"""The colours of the theme as styles of text, for what is put together from text rather than laid out by CSS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text
from textual.color import Color

from tui.monitor.sequence import Tone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.style import Style
    from textual.app import App
    from textual.widget import Widget

_NAMES = ("success", "warning", "error", "primary", "secondary", "accent", "foreground", "background")


@dataclass(frozen=True, slots=True)
class Palette:
    """Styles of the present theme. Every meaning that a colour has, a word or a glyph must have as well."""

    good: Style
    warning: Style
    bad: Style
    primary: Style
    secondary: Style
    accent: Style
    plain: Style
    muted: Style
    bold: Style

    @classmethod
    def of(cls, app: App[object]) -> Palette:
        """Return the styles of an app's present theme."""
        variables: Mapping[str, str] = app.theme_variables
        return _palette(tuple(variables[name] for name in _NAMES))

    def tone(self, tone: Tone) -> Style:
        """Return the style of a tone; a plain one has none of its own."""
        style: Style = Style.null() if tone is Tone.PLAIN else getattr(self, tone.value)
        return style

    def inverse(self, style: Style) -> Style:
        """Return a style for a word on a ground of the style's colour."""
        return _inverse(style, self.plain)


@lru_cache(maxsize=16)
def _palette(colours: tuple[str, ...]) -> Palette:
    good, warning, bad, primary, secondary, accent, foreground, background = (
        Style(color=Color.parse(colour).rich_color) for colour in colours
    )
    plain = Style(color=foreground.color, bgcolor=background.color)
    return Palette(good, warning, bad, primary, secondary, accent, plain, Style(dim=True), Style(bold=True))


@lru_cache(maxsize=64)
def _inverse(style: Style, plain: Style) -> Style:
    return Style(color=plain.bgcolor, bgcolor=style.color, bold=True)


def on_ground_of(widget: Widget, colour: str, share: float = 1.0) -> Style:
    """Return the style of text in a colour of the theme on a widget's ground, which a share under 1 lets through.

    Widgets of which there are many use it instead of component classes: Textual styles each of those anew whenever the
    widget or one around it is styled, as when the focus moves.
    """
    _, ground = widget.background_colors
    blended = ground + Color.parse(widget.app.theme_variables[colour]).multiply_alpha(share)
    return Style(color=blended.rich_color, bgcolor=ground.rich_color)


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
