"""Tabs whose widgets are made when a tab is first opened: widgets that nobody sees cost as much as others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.widgets import TabPane

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.geometry import Size


class StillTabPane(TabPane):
    """A tab that is not brought to the front by the focus.

    Textual's own comes to the front when it hears that a widget in it has got the focus. That news is old where several
    tabs were gone to in one burst of keys: it would bring a tab back that a person has left.
    """

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Keep Textual's handler from it."""
        event.prevent_default()


class TabContents(Vertical):
    """What is in a tab: an empty container until the tab is first opened, which hears and remembers all the same.

    Sub-classes yield their widgets in `contents` instead of `compose`, and show there what they know in `when_opened`.
    Whoever goes to a tab waits for `open` before he moves the focus into it.
    """

    def __init__(self, *, id: str, opened: bool = False) -> None:  # noqa: A002 - Textual's name for it
        """With `opened`, the tab is seen from the start, and its widgets are made with it."""
        super().__init__(id=id)
        self.opened = opened
        """Whether the widgets are there."""
        self._opening = asyncio.Lock()

    # --- For sub-classes ---------------------------------------------------------------------------------------------
    def contents(self) -> ComposeResult:
        """Compose the widgets."""
        raise NotImplementedError

    def when_opened(self) -> None:
        """Show what is known. Called once, when the widgets are mounted."""

    def fit(self, size: Size) -> None:
        """Choose how to use the room there is; the default does nothing.

        Called when the size changes. Before the widgets are made it is called with the size of the whole terminal, so
        that they need not be styled twice.
        """

    # --- For screens -------------------------------------------------------------------------------------------------
    async def open(self) -> bool:
        """Return when the widgets are there, having made them if nobody did; False where the screen goes meanwhile."""
        async with self._opening:
            if not self.opened and self.is_attached:
                if not self.size:  # it is seen already where it was chosen with the mouse
                    self.fit(self.app.size)
                await self.mount_compose(self.contents())
                self.opened = self.is_attached and bool(self.children)
                if self.opened:
                    self.when_opened()
            return self.opened

    # --- Textual -----------------------------------------------------------------------------------------------------
    def compose(self) -> ComposeResult:
        """Compose the widgets of a tab that is seen from the start."""
        if self.opened:
            self.fit(self.app.size)
            yield from self.contents()

    def on_mount(self) -> None:
        """Show what is known in a tab that is seen from the start."""
        if self.opened:
            self.when_opened()

    def on_resize(self, event: events.Resize) -> None:
        """Use the room there is now."""
        self.fit(event.size)
