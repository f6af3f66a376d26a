"""What the tabs have in common: they are handed the model when they are seen, and hand its data to their panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.containers import Vertical

from tui.monitor.pace import Pace

if TYPE_CHECKING:
    from tui.monitor.app import GlimpseMonitor
    from tui.monitor.model import Model


class MonitorPane(Vertical):
    """One tab. Sub-classes compose their panels and say in `paint` which data of the model goes to which.

    They may show what is to be read no more often than every `readable_s` seconds: they ask `_pace`.
    """

    def __init__(self, *, id: str, readable_s: float = 0.0) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._pace = Pace(readable_s)

    @property
    def monitor(self) -> GlimpseMonitor:
        """The program that this tab belongs to."""
        return cast("GlimpseMonitor", self.app)

    def paint(self, model: Model, now: float) -> None:
        """Show the model as it stands. Called five times a second while the tab is seen, and when it comes into view.

        Ask the model here and nowhere else; keep nothing of it. After a jump in a recording it is another model.
        """
        raise NotImplementedError

    @property
    def chosen_place(self) -> int | None:
        """The node that the person has chosen here, for orders to it; None where they cannot choose one."""
        return None

    def on_mount(self) -> None:
        """Paint in the colours of another theme at once."""
        self.app.theme_changed_signal.subscribe(self, lambda _: self.paint_anew())

    def on_text_lines_resized(self) -> None:
        """Let the next paint, which the screen sees to, show all that there is room for now."""
        self._pace.forget()

    def paint_anew(self) -> None:
        """Paint as soon as what was asked for has been laid out, whatever the pace."""
        self.call_after_refresh(self._paint_anew)

    def _paint_anew(self) -> None:
        self._pace.forget()
        self.monitor.repaint()

    def take_focus(self) -> None:
        """Put the focus where a person who comes to this tab wants it; the default leaves it."""
