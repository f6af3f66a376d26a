"""Messages between the parts of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from shared.errors import GlimpseError
    from tui.peer.events import Event
    from tui.peer.models import PeerStatus


class PeerEvent(Message, bubble=False):
    """The peer told of something. Posted to the home screen, and by it to every pane."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event


class StandingChanged(Message, bubble=False):
    """The peer stands otherwise with the cloud than before."""

    def __init__(self, status: PeerStatus) -> None:
        super().__init__()
        self.status = status


class Waiting(Message):
    """A pane has so many things that its person has not seen or answered yet; shown as a badge on its tab."""

    def __init__(self, pane: str, count: int) -> None:
        super().__init__()
        self.pane = pane
        self.count = count


class TroubleArose(Message):
    """Something that was asked for could not be done; shown as a toast."""

    def __init__(self, error: GlimpseError) -> None:
        super().__init__()
        self.error = error


class Happened(Message):
    """The person did something that the guided path waits for (`what` is a step's word)."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what


class Noticed(Message):
    """There is something that stays on the screen until it has been read; empty for nothing."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
