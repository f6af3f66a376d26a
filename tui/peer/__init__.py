"""The headless peer: the ten use cases as methods, with a local store and an outbox. No Textual in here.

`Peer` is imported when it is asked for: it brings sockets, ciphers and pictures along, and a screen that only needs
the plain values in `tui.peer.models` should paint before that.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui.peer.peer import Peer

__all__ = ["Peer"]


def __getattr__(name: str) -> Any:
    if name != "Peer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tui.peer.peer import Peer

    return Peer
