"""The two looks of both screen programs; every theme of Textual can be chosen beside them."""

from typing import Any

from textual.app import App
from textual.theme import Theme

DARK = Theme(
    name="glimpse-dark",
    primary="#7aa2f7",
    secondary="#9d7cd8",
    accent="#e0af68",
    foreground="#c8d3f5",
    background="#16161e",
    surface="#1e2030",
    panel="#292e42",
    success="#9ece6a",
    warning="#e0af68",
    error="#f7768e",
    dark=True,
    variables={"footer-key-foreground": "#e0af68", "block-cursor-text-style": "bold"},
)
LIGHT = Theme(
    name="glimpse-light",
    primary="#2e5cb8",
    secondary="#7847bd",
    accent="#8a5a00",
    foreground="#20243a",
    background="#f4f4f8",
    surface="#e9eaf1",
    panel="#dcdee8",
    success="#33691e",
    warning="#8a5a00",
    error="#b3203a",
    dark=False,
    variables={"footer-key-foreground": "#8a5a00", "block-cursor-text-style": "bold"},
)


def begin_in(app: App[Any], name: str) -> None:
    """Give an app its theme before anything is styled; one that is not known is `DARK`. Call it from the constructor.

    Setting it as one does later has all styles read once more.
    """
    for theme in (DARK, LIGHT):
        app.register_theme(theme)
    chosen = name if name in app.available_themes else DARK.name
    if not app.available_themes[chosen].dark:  # the colours of a terminal's own palette go by dark themes at first
        app.theme = chosen
        return
    app.set_reactive(App.theme, chosen)
    app.set_class(True, f"-theme-{chosen}", update=False)
    app.stylesheet.set_variables(app.get_css_variables())
