"""What the tabs have in common: they are handed the model when they are seen, and hand its data to their panels."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Protocol, cast

from tui.common.tab_contents import TabContents

if TYPE_CHECKING:
    from datetime import tzinfo

    from textual.app import App

    from tui.monitor.model import Model
    from tui.monitor.settings import MonitorSettings
    from tui.monitor.source import FeedSource


class Monitor(Protocol):
    """What tabs and screens need of the program that they belong to."""

    settings: MonitorSettings
    zone: tzinfo | None
    """The clock that people read; None: the machine's."""

    @property
    def source(self) -> FeedSource:
        """Where the news come from."""
        ...

    def repaint(self) -> None:
        """Show the present now, not with the next tick."""
        ...

    def time_of_day(self, at: float, *, tenths: bool = False) -> str:
        """Return a moment of the monitor's clock as people read it."""
        ...

    def tell(self, text: str, *, title: str = "", warning: bool = False) -> None:
        """Show a toast. The text may come from anybody."""
        ...


def monitor_of(app: App[object]) -> Monitor:
    """Return the program as tabs and screens see it."""
    return cast("Monitor", app)


class Pace:
    """Says when to show something anew: at once if something else is wanted, else every `every_s` seconds."""

    def __init__(self, every_s: float) -> None:
        self.another_model = True
        """Whether what was due last came from another model than the time before."""
        self._every_s = every_s
        self._at = 0.0
        self._wanted: object = None
        self._of: weakref.ref[Model] | None = None

    def due(self, model: Model, now: float, wanted: object) -> bool:
        """Return whether it is time, and take it that it is shown now if so. `wanted` is what a person has chosen."""
        same_model = self._of is not None and self._of() is model
        if same_model and wanted == self._wanted and 0 <= now - self._at < self._every_s:
            return False
        self.another_model = not same_model
        self._of, self._at, self._wanted = weakref.ref(model), now, wanted
        return True

    def forget(self) -> None:
        """Make it due."""
        self._at = float("inf")


class MonitorPane(TabContents):
    """One tab. Sub-classes have their panels as `contents` and say in `paint` which data of the model goes to which.

    They may show what is to be read no more often than every `readable_s` seconds: they ask `_pace`.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - Textual's name for it
        opened: bool = False,
        readable_s: float = 0.0,
    ) -> None:
        super().__init__(id=id, opened=opened)
        self._pace = Pace(readable_s)

    @property
    def monitor(self) -> Monitor:
        """The program that this tab belongs to."""
        return monitor_of(self.app)

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
