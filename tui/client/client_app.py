"""`ClientApp`: what screens, panes and dialogs may ask of the program that they belong to, without its class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from textual.dom import DOMNode

    from tui.client.guide import Guide
    from tui.client.ports import PeerHost
    from tui.client.settings import ClientSettings
    from tui.client.widgets.graphics import Graphics
    from tui.peer import Peer


class ClientApp(Protocol):
    """The running program; what each attribute means stands at `tui.client.app.GlimpseClient`."""

    host: PeerHost
    settings: ClientSettings
    graphics: Graphics | None
    profile: str | None
    guide: Guide | None
    wall: Callable[[], float]
    zone: tzinfo | None
    leaving: bool

    def enter(self, peer: Peer) -> None:
        """Show the home of an open peer."""

    def tell(self, text: str, *, title: str = "", warning: bool = False) -> None:
        """Show a toast."""

    def copy(self, text: str, what: str) -> None:
        """Copy a text to the clipboard and say so; `what` names it."""


def client_of(node: DOMNode) -> ClientApp:
    """Return the program that a mounted screen or widget belongs to."""
    return cast("ClientApp", node.app)
