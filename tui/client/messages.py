"""Messages between the parts of the client, and those by which workers of the first screen tell what they found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from shared.errors import GlimpseError
    from tui.client.ports import Reach
    from tui.peer import Peer
    from tui.peer.events import Event
    from tui.peer.models import PeerStatus
    from tui.peer.profiles import ProfileSummary


@dataclass
class PeerEvent(Message, bubble=False):
    """The peer reported an event. Posted to the home screen, which posts it to every pane."""

    event: Event


@dataclass
class ConnectionChanged(Message, bubble=False):
    """The peer signed in, or the cloud went away or came back."""

    status: PeerStatus


@dataclass
class Waiting(Message):
    """A pane holds `count` things that the user has not seen or answered yet; shown on its tab."""

    pane: str
    count: int


@dataclass
class TroubleArose(Message):
    """A call of the peer failed; shown as a toast."""

    error: GlimpseError


@dataclass
class Happened(Message):
    """The user did something that the guided tour waits for; `what` is the word of one of its steps."""

    what: str


@dataclass
class Noticed(Message):
    """A notice stays above the tabs until it has been read; empty for none."""

    text: str


# --- The first screen ------------------------------------------------------------------------------------------------
@dataclass
class Listed(Message, bubble=False):
    """The profiles on this machine."""

    profiles: Sequence[ProfileSummary]


@dataclass
class Reached(Message, bubble=False):
    """How the nodes answer."""

    reach: Reach


@dataclass
class Locked(Message, bubble=False):
    """A profile needs its passphrase: `go_on` takes it. `trouble` says what is wrong with the one that was given."""

    profile: str
    go_on: Callable[[str | None], Awaitable[Message]]
    trouble: str = ""


@dataclass
class Nameless(Message, bubble=False):
    """An account is to be made: in a profile in which nobody has registered, or, without one, in a new profile."""

    profile: str = ""
    passphrase: str | None = None
    """The profile's, where it is locked."""


@dataclass
class Made(Message, bubble=False):
    """An account was made, or found for a key that was imported; its peer is open."""

    peer: Peer
    restored: bool


@dataclass
class Entered(Message, bubble=False):
    """A peer is open and has an account."""

    peer: Peer


@dataclass
class Stayed(Message, bubble=False):
    """No peer is open; `trouble` says why, empty where the person did not want to."""

    trouble: str = ""
