"""What all windows have in common that only show something: a frame, a heading, and any of a few keys closes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui.common.footer import Footer
from tui.monitor.widgets.text_lines import TextLines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.text import Text
    from textual import events
    from textual.app import ComposeResult
    from textual.widget import Widget

    from tui.monitor.app import GlimpseMonitor


class Details(ModalScreen[None]):
    """A window in front of a tab. Sub-classes give a `body`, and fill it when the tab paints them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "close", "Close", id="details.close", tooltip="Back to the tab"),
    ]
    DEFAULT_CSS = """
    Details {
        & > .details {
            width: 96%; height: 94%; background: $background; border: round $primary; padding: 0 1;
            & > .heading { height: 1; text-style: bold; color: $primary; }
        }
        & > Footer { dock: bottom; }
    }
    """

    @property
    def monitor(self) -> GlimpseMonitor:
        """The program that this window belongs to."""
        return cast("GlimpseMonitor", self.app)

    def compose(self) -> ComposeResult:
        """Compose heading and body."""
        with Vertical(classes="details"):
            yield TextLines(classes="heading")
            yield from self.body()
        yield Footer()

    def body(self) -> Iterable[Widget]:
        """Return what stands below the heading."""
        return ()

    def head(self, left: Text, right: Text) -> None:
        """Show a heading."""
        self.query_one(".heading", TextLines).show([(left, right)])

    def on_click(self, event: events.Click) -> None:
        """A click beside the window closes it."""
        if event.widget is self:
            self.dismiss(None)

    def action_close(self) -> None:
        """Close the window."""
        self.dismiss(None)
