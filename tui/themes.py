"""The two looks of both screen programs; every theme of Textual can be chosen beside them."""

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
