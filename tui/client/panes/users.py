"""The tab `Users`."""

from __future__ import annotations

from typing import Any

from tui.client.pane import Pane


class UsersPane(Pane):
    """The tab `Users`."""

    async def fetch(self) -> Any:
        """Ask the peer."""
        return ()

    def show(self, found: Any) -> None:
        """Show what was found."""
