"""The headless peer: the ten use cases as methods, with a local store and an outbox. No Textual in here."""

from tui.peer.peer import Peer

__all__ = ["Peer"]
