"""The colours of the theme as styles of text, for what is put together from text rather than laid out by CSS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.style import Style
from textual.color import Color

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import App

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
