"""An encryption under way: its stages, and a way out of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from rich.text import Text
from textual import on
from textual.message import Message
from textual.widgets import Button, Static

from shared.errors import GlimpseError
from tui.client.dialogs.base import ClientDialog
from tui.client.stages import PUBLISHING, Line, Stages, StageState
from tui.client.time_left import TimeLeft, about
from tui.common.wording import plain
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.client.dialogs.encrypt import EncryptForm
    from tui.peer import Peer
    from tui.peer.models import MyImage

_PAINT_S: Final = 0.25
_BAR_CELLS: Final = 12
_NAME_CELLS: Final = 26
NOTHING_KEPT: Final = "Nothing of it was kept; the original is untouched."


class SealingDialog(ClientDialog["MyImage"]):
    """Encrypts a picture while it is open. It closes with the image, or with None after a cancel."""

    ACCEPT = "Try again"
    AUTO_FOCUS = ""
    """Nothing at first: a second Enter of a hasty finger must not cancel what the first one began. Escape does."""

    class Moved(Message, bubble=False):
        """From the worker: another stage began."""

    @dataclass
    class Ended(Message, bubble=False):
        """From the worker: the image, or why there is none; neither after a cancel. `warning`: what else went wrong."""

        image: MyImage | None
        error: GlimpseError | None = None
        warning: str = ""

    def __init__(self, peer: Peer, form: EncryptForm) -> None:
        super().__init__()
        self._peer = peer
        self._form = form
        self._stages = Stages()
        self._scope = anyio.CancelScope()
        self._under_way = False
        self._since = 0.0
        self._left = TimeLeft()

    # --- What is to be seen ------------------------------------------------------------------------------------------
    def heading(self) -> str:
        """Return what is encrypted."""
        return f"Encrypting “{plain(self._form.title or self._form.path.stem, 40)}”"

    def body(self) -> Iterable[Widget]:
        """Return the stages and the time."""
        yield Static("", id="sealing-stages")
        yield Static("", id="sealing-elapsed", classes="muted", markup=False)

    def on_mount(self) -> None:
        """Begin."""
        self.set_interval(_PAINT_S, self._paint)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._paint())
        self._start()

    def _start(self) -> None:
        self._stages = Stages(publishes=self._form.preview is not None)
        self._left = TimeLeft()
        self._scope = anyio.CancelScope()
        self._since = self.client.wall()
        self._under_way = True
        self.complain("")
        again, cancel = self.query_one("#accept", Button), self.query_one("#cancel", Button)
        again.display = False
        cancel.label, cancel.disabled = "Cancel", False
        self.set_focus(None)
        # As a watcher, because it lasts as long as the dialog, unless it succeeds.
        work(self, partial(self._run, self._scope), group="watch")
        self._paint()

    def _paint(self) -> None:
        self.query_one("#sealing-stages", Static).update(self._drawn())
        if not self._under_way:
            return
        note = "  Another node took over; sending again." if self._stages.again else ""
        passed = max(0, round(self.client.wall() - self._since))
        left = about(self._left.seconds(time.monotonic()) if self._stages.is_transfer else None)
        elapsed = f"{passed // 60}:{passed % 60:02} elapsed{left and f', {left}'}{note}"
        self.query_one("#sealing-elapsed", Static).update(elapsed)

    def _drawn(self) -> Text:
        text = Text("\n", end="").join(self._line(line) for line in self._stages.lines())
        text.no_wrap = True
        return text

    def _line(self, line: Line) -> Text:
        colours = self.app.theme_variables
        style = {
            StageState.DONE: colours["success"],
            StageState.UNDER_WAY: "bold",
            StageState.WAITING: "dim",
            StageState.FAILED: colours["error"],
        }[line.state]
        text = Text(f"{line.state.value} {line.name}".ljust(_NAME_CELLS), style)
        if line.share is not None:
            done = round(line.share * _BAR_CELLS)
            text.append("━" * done, colours["accent"]).append("─" * (_BAR_CELLS - done), "dim")
            text.append(f" {line.detail}", "not bold")
        elif line.state is StageState.UNDER_WAY:
            text.append("…")
        return text

    # --- The work ----------------------------------------------------------------------------------------------------
    async def _run(self, scope: anyio.CancelScope) -> None:
        image: MyImage | None = None
        with scope:
            try:
                image = await self._peer.encrypt(
                    self._form.path, title=self._form.title, cover=self._form.cover, progress=self._report
                )
            except GlimpseError as error:
                self.post_message(self.Ended(None, error))
                return
            self.post_message(self.Ended(image, warning=await self._publish(image)))
            return
        # Cancelled. What was complete by then is kept, for it is in the cloud and on this machine.
        self.post_message(self.Ended(image))

    async def _publish(self, image: MyImage) -> str:
        """Publish the preview; return what went wrong."""
        if self._form.preview is None:
            return ""
        self._report(PUBLISHING, 0, 1)
        try:
            await self._peer.set_preview(image.image, self._form.preview)
        except GlimpseError as error:
            return str(error)
        return ""

    def _report(self, stage: str, done: int, total: int) -> None:
        # Only numbers are noted here; a timer paints them. Another stage is shown at once.
        if self._stages.report(stage, done, total):
            self._left = TimeLeft()
            self.post_message(self.Moved())
        self._left.note(done, total, time.monotonic())

    @on(Moved)
    def _show_stage(self) -> None:
        """Show the stage."""
        self._paint()

    @on(Ended)
    def _end(self, message: Ended) -> None:
        """Close with the image, or say why there is none and offer to try again."""
        self._under_way = False
        if message.warning:
            self.client.tell(
                f"The image is encrypted, but its preview is not published: {plain(message.warning, 200)}", warning=True
            )
        if message.error is None:
            if message.image is None:
                self.client.tell(f"Cancelled. {NOTHING_KEPT}")
            self.dismiss(message.image)
            return
        self._stages.failed = True
        self._paint()
        self.complain(f"{plain(str(message.error), 280)} {NOTHING_KEPT}")
        self.query_one("#sealing-elapsed", Static).update("")
        again, cancel = self.query_one("#accept", Button), self.query_one("#cancel", Button)
        cancel.label = "Close"
        again.display = True
        again.focus()

    def result(self) -> None:
        """Try again; the dialog stays."""
        self._start()

    def action_cancel(self) -> None:
        """Cancel what is under way, and close when it has ended; close at once where nothing is."""
        if not self._under_way:
            self.dismiss(None)
            return
        self._scope.cancel()
        cancel = self.query_one("#cancel", Button)
        cancel.label, cancel.disabled = "Cancelling…", True
