"""The tab `Peer images`."""

from __future__ import annotations

from typing import Any

from tui.client.pane import Pane


class PeerImagesPane(Pane):
    """The tab `Peer images`."""

    async def fetch(self) -> Any:
        """Ask the peer."""
        return ()

    def show(self, found: Any) -> None:
        """Show what was found."""
