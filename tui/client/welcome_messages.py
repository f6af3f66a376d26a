"""Messages of the first screen: what its workers found, and where the way to an open peer has led so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.client.ports import Reach
    from tui.peer import Peer
    from tui.peer.profiles import ProfileSummary


class Listed(Message, bubble=False):
    """The profiles on this machine."""

    def __init__(self, profiles: Sequence[ProfileSummary]) -> None:
        super().__init__()
        self.profiles = profiles


class Reached(Message, bubble=False):
    """How the nodes answer."""

    def __init__(self, reach: Reach) -> None:
        super().__init__()
        self.reach = reach


class Nameless(Message, bubble=False):
    """An account is to be made: in a profile in which nobody has registered, or, without one, in a new profile."""

    def __init__(self, profile: str = "") -> None:
        super().__init__()
        self.profile = profile


class Made(Message, bubble=False):
    """An account was made, or found for a key that was imported; its peer is open."""

    def __init__(self, peer: Peer, *, restored: bool) -> None:
        super().__init__()
        self.peer = peer
        self.restored = restored


class Entered(Message, bubble=False):
    """A peer is open and has an account."""

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self.peer = peer


class Stayed(Message, bubble=False):
    """No peer is open; `trouble` says why, empty where the person did not want to."""

    def __init__(self, trouble: str = "") -> None:
        super().__init__()
        self.trouble = trouble
