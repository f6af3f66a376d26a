"""`GlimpseMonitor`: puts the screens together. What they show comes from the source's model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from tui.common.input_buffer import InputBuffer
from tui.common.themes import begin_in
from tui.monitor.settings import MonitorSettings
from tui.monitor.wording import time_of_day

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo
    from pathlib import PurePath

    from textual.screen import Screen

    from tui.monitor.source import FeedSource

_STYLES = ("client",)
"""What the first screen needs; the home brings the rest along."""


class GlimpseMonitor(InputBuffer[str]):
    """The monitor. `source` brings the news; without one, a `sentence` is shown until `enter` is called with it.

    The source's `run` must run beside the app, see `tui.monitor.run`. `zone` is the clock that people read (None: the
    machine's).
    """

    TITLE = "Glimpse monitor"
    CSS_PATH: ClassVar[list[str | PurePath]] = [f"../styles/{name}.tcss" for name in _STYLES]
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+q", "quit", "Quit", id="app.quit", tooltip="Close the monitor; the nodes go on"),
        Binding("question_mark", "keys", "Keys", id="app.keys", tooltip="Show or hide all keys"),
    ]

    def __init__(
        self,
        source: FeedSource | None = None,
        *,
        sentence: str = "",
        settings: MonitorSettings | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings or MonitorSettings()
        self.zone = zone
        self.painted = asyncio.Event()
        """The first sentence has been painted."""
        self._feed_source = source
        self._sentence = sentence
        begin_in(self, self.settings.theme)
        self.set_keymap(self.settings.keys)

    @property
    def opened(self) -> bool:
        """Whether it is known where the news come from."""
        return self._feed_source is not None

    @property
    def source(self) -> FeedSource:
        """Where the news come from. Only once it is `opened`."""
        assert self._feed_source is not None
        return self._feed_source

    def get_default_screen(self) -> Screen[None]:
        """Return the first screen, which is painted before all else."""
        if self._feed_source is None:
            from tui.monitor.screens.starting import Starting

            return Starting(self._sentence, self.painted.set)
        from tui.monitor.screens.home import MonitorScreen

        home = MonitorScreen(self._feed_source)
        for path in home.css_path:  # which Textual does only for a screen that is pushed
            self.stylesheet.read(path)
        return home

    def enter(self, source: FeedSource) -> None:
        """Show what comes from this source, soon. May be called from any task of the loop."""
        self._feed_source = source
        self.call_later(self._enter, source)

    def _enter(self, source: FeedSource) -> None:
        from tui.monitor.screens.home import MonitorScreen

        self.push_screen(MonitorScreen(source))

    def repaint(self) -> None:
        """Show the present now, not with the next tick."""
        from tui.monitor.screens.home import MonitorScreen

        for screen in self.screen_stack:
            if isinstance(screen, MonitorScreen):
                screen.paint()

    def time_of_day(self, at: float, *, tenths: bool = False) -> str:
        """Return a moment of the monitor's clock as people read it: `14:03:22`."""
        return time_of_day(at + self.source.wall_offset_s, self.zone, tenths=tenths)

    def tell(self, text: str, *, title: str = "", warning: bool = False) -> None:
        """Show a toast. The text may come from anybody."""
        self.notify(text, title=title, severity="warning" if warning else "information", markup=False)

    def action_keys(self) -> None:
        """Show or hide the panel of all keys."""
        if self.screen.query("HelpPanel"):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Put every action of the present screen, and orders to each node, into the command palette."""
        from tui.monitor.screens.commanding import CommandingScreen

        yield from super().get_system_commands(screen)
        if isinstance(screen, CommandingScreen):
            yield from screen.order_commands()
        for active in screen.active_bindings.values():
            binding = active.binding
            if binding.description and active.enabled and binding.id and binding.id != "app.quit":
                yield SystemCommand(
                    binding.description,
                    binding.tooltip or f"Key: {self.get_key_display(binding)}",
                    lambda action=binding.action, node=active.node: self.call_later(self.run_action, action, node),
                )
