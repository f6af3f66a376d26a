"""`GlimpseClient`: puts the screens together. What they do is theirs; what they show comes from the peer."""

from __future__ import annotations

import logging
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from tui.client.messages import Happened, TroubleArose
from tui.client.settings import ClientSettings
from tui.client.widgets.cells import Mode
from tui.common.clipboard import Clipboard
from tui.common.input_buffer import InputBuffer
from tui.common.themes import begin_in
from tui.common.user_paths import log_folder
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo
    from pathlib import PurePath

    from textual.screen import Screen

    from tui.client.guide import Guide
    from tui.client.ports import PeerHost
    from tui.client.widgets.graphics import Graphics
    from tui.peer import Peer

log = logging.getLogger(__name__)

_STYLES = ("client", "welcome")
"""What the first screen needs; the home brings the rest along."""


class GlimpseClient(InputBuffer[str]):
    """The client. It returns what is still to be said in the terminal when it has closed.

    `host` opens peers; `graphics` is what the terminal can show beyond cells; `profile` is opened without asking;
    `guide` leads a newcomer through the first picture. `wall` gives seconds since 1970 and `zone` the clock that
    people read (None: the machine's).
    """

    TITLE = "Glimpse"
    CSS_PATH: ClassVar[list[str | PurePath]] = [f"../styles/{name}.tcss" for name in _STYLES]
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave", "Quit", id="app.quit", tooltip="Sign out and close", priority=True),
        Binding("question_mark", "keys", "Keys", id="app.keys", tooltip="Show or hide all keys"),
    ]

    def __init__(
        self,
        host: PeerHost,
        *,
        settings: ClientSettings | None = None,
        graphics: Graphics | None = None,
        profile: str | None = None,
        guide: Guide | None = None,
        wall: Callable[[], float] = time.time,
        zone: tzinfo | None = None,
    ) -> None:
        super().__init__()
        self.host = host
        self.settings = settings or ClientSettings()
        self.picture_mode = Mode.HALF if self.settings.pictures == "half" else Mode.QUADRANT
        self.graphics = graphics
        self.profile = profile
        self.guide = guide
        self.wall = wall
        self.zone = zone
        self.copies = Clipboard()
        self.leaving = False
        """Whether what is open is being closed, and nothing is to be opened any more."""
        begin_in(self, self.settings.theme)
        self.set_keymap(self.settings.keys)

    def get_default_screen(self) -> Screen[None]:
        """Return the first screen, which is painted before all else."""
        from tui.client.screens.welcome import Welcome

        return Welcome()

    def enter(self, peer: Peer) -> None:
        """Show the home of an open peer."""
        # The four tabs bring Pillow and numpy along, which the first screen does without.
        from tui.client.screens.home import HomeScreen

        self.push_screen(HomeScreen(peer))

    @on(Happened)
    def _lead_on(self, message: Happened) -> None:
        if self.guide is not None and self.guide.happened(message.what):
            from tui.client.widgets.guide import GuideStrip

            for screen in self.screen_stack:
                for strip in screen.query(GuideStrip):
                    strip.show_step()

    @on(TroubleArose)
    def _tell(self, message: TroubleArose) -> None:
        self.notify(str(message.error), severity="error", markup=False, timeout=10)

    def tell(self, text: str, *, title: str = "", warning: bool = False) -> None:
        """Show a toast. The text may come from anybody."""
        self.notify(text, title=title, severity="warning" if warning else "information", markup=False)

    def copy(self, text: str, what: str) -> None:
        """Copy something to the clipboard, and into a file for terminals that do not pass it on."""
        self.copy_to_clipboard(text)
        work(self, partial(self._copy, text, what), group="copy", exclusive=True)

    async def _copy(self, text: str, what: str) -> None:
        place = await self.copies.keep(text)
        self.tell(f"{what} copied" + (f"; also in {place}" if place else ""))

    def action_keys(self) -> None:
        """Show or hide the panel of all keys."""
        if self.screen.query("HelpPanel"):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Put every action of the present screen into the command palette."""
        for command in super().get_system_commands(screen):
            # What a view shows is not to be kept, so the program does not offer to keep it.
            if command.title != "Screenshot" or not getattr(screen, "KEEPS_NOTHING", False):
                yield command
        offered = {"app.quit"}
        for active in screen.active_bindings.values():
            binding = active.binding
            # An action with several keys has a binding for each.
            if binding.description and active.enabled and binding.id and binding.id not in offered:
                offered.add(binding.id)
                yield SystemCommand(
                    binding.description,
                    binding.tooltip or f"Key: {self.get_key_display(binding)}",
                    lambda action=binding.action, node=active.node: self.call_later(self.run_action, action, node),
                )

    def _fatal_error(self) -> None:
        # Textual's own prints the values of all local variables, keys and pictures among them, and nothing public
        # tells it not to. It is called while the exception is handled.
        error = sys.exception()
        log.error("a screen failed", exc_info=error)
        reason = "" if error is None else f" ({type(error).__name__})"
        self.panic(Text(f"Glimpse failed{reason}; start it again. Details are in {log_folder()}."))

    # --- Leaving -----------------------------------------------------------------------------------------------------
    async def action_quit(self) -> None:
        """Leave like `action_leave`: the palette's Quit signs out too."""
        self.action_leave()

    def action_leave(self) -> None:
        """Sign out, say what still waits, and close."""
        if not self.leaving:
            self.leaving = True
            work(self, self._leave, group="leave")

    async def _leave(self) -> None:
        from tui.client.dialogs.viewer import ViewerScreen
        from tui.client.screens.home import HomeScreen

        home = next((screen for screen in self.screen_stack if isinstance(screen, HomeScreen)), None)
        waiting = 0
        if home is not None:
            if not await home.may_leave():
                self.leaving = False
                return
            waiting = home.waiting
        for screen in self.screen_stack:
            if isinstance(screen, ViewerScreen):
                await screen.report()
        self.tell("Signing out…")
        await self.host.close()
        wait = "1 item waits in the outbox; it goes" if waiting == 1 else f"{waiting} items wait in the outbox; they go"
        self.exit(f"{wait} out the next time you sign in." if waiting else "")


if TYPE_CHECKING:
    from tui.client.client_app import ClientApp

    _: type[ClientApp] = GlimpseClient  # the type checker compares them here; everywhere else they are cast
