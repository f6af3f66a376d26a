"""The first screen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from tui.widgets.working import work

if TYPE_CHECKING:
    from tui.client.app import GlimpseClient


class Welcome(Screen[None]):
    """The first screen."""

    def on_mount(self) -> None:
        """Open the profile asked for."""
        client = cast("GlimpseClient", self.app)
        if client.profile:
            work(self, partial(self._open, client.profile))

    async def _open(self, profile: str) -> None:
        client = cast("GlimpseClient", self.app)
        client.enter(await client.host.open(profile))
