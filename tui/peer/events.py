"""What a peer tells whoever listens: frozen values, fanned out to any number of subscribers.

Titles and names are texts of others, made harmless; a title is empty where this machine does not know the image.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

_BUFFERED = 1_000
"""Events that a slow listener may be behind; beyond it the oldest are dropped for that listener."""


@dataclass(frozen=True, slots=True)
class CloudChanged:
    """The cloud became reachable or unreachable, or has another leader."""

    reachable: bool
    leader: str | None
    term: int


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """Somebody asks for views of one's own image.

    With `viewer_words`, the fingerprint, the viewer is named as this device knows the key; without, it does not know
    the key, and the name is what the cloud says.
    """

    request_id: str
    image: str
    viewer_name: str
    views: int
    title: str = ""
    viewer_words: str = ""


@dataclass(frozen=True, slots=True)
class RequestWithdrawn:
    """Somebody took a request back."""

    request_id: str


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """One's own request was accepted or rejected."""

    request_id: str
    image: str
    accepted: bool
    reason: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class ImageReceived:
    """The stego image of a grant arrived."""

    image: str
    grant: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class RightsUpdated:
    """The rights on a received image changed. `expires` in seconds since 1970, `look_s` in seconds for one look.

    The owner is named as this device knows the key that signed the rights, whatever name a message carries: the name is
    empty where it does not know the account, the fingerprint words never lie.
    """

    image: str
    grant: str
    left: int
    revoked: bool
    title: str = ""
    expires: float | None = None
    look_s: float | None = None
    owner_name: str = ""
    owner_words: str = ""


@dataclass(frozen=True, slots=True)
class RightsHeard:
    """A viewer's peer has heard of a change of rights directly, before its mail: what it shows follows the change.

    The viewer is named as this device knows the key of the session that answered.
    """

    image: str
    grant: str
    viewer_name: str
    left: int
    revoked: bool
    viewer_words: str = ""


@dataclass(frozen=True, slots=True)
class LookWaits:
    """A view is counted, and its picture is shown as soon as the cloud has answered once more; that costs nothing."""

    image: str
    grant: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class ViewSpentEvent:
    """Somebody looked at one's own image. The viewer is named as in `RequestArrived`."""

    image: str
    viewer_name: str
    at: float
    left: int
    title: str = ""
    viewer_words: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Something left the outbox."""

    request_id: str
    what: str


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """Something from the outbox cannot be delivered: the cloud refused it for good, or it cannot be carried out."""

    request_id: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class RowSetAside:
    """Something in this profile's store could not be read and is set aside; the rest works."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """A stego image is on its way to a viewer (`sending`) or from an owner, or by the cloud."""

    grant: str
    sending: bool
    done: int
    total: int
    path: str = ""
    """How it goes between the two peers: `direct`, or through which node; empty where the cloud holds it."""


@dataclass(frozen=True, slots=True)
class CopyWaits:
    """The cloud holds the stego image of one's own for a viewer who could not be reached, until then at most.

    The viewer is named as this device knows the key that the copy is sealed for.
    """

    image: str
    grant: str
    viewer_name: str
    until: float
    """Seconds since 1970."""
    viewer_words: str = ""
    trouble: str = ""
    """Why no direct way leads there, in a sentence that says what to do, where that is known."""


@dataclass(frozen=True, slots=True)
class CopyFetched:
    """A viewer's device has the stego image that the cloud held for it.

    The viewer is named as this device knows the key that the rights were signed for; without fingerprint words, as the
    cloud says.
    """

    image: str
    grant: str
    viewer_name: str
    viewer_words: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class KeyChanged:
    """An account shows another key than the one first seen. Nothing is sent to it and nothing taken from it.

    `name` is the one that belongs to the key first seen.
    """

    account: int
    name: str


@dataclass(frozen=True, slots=True)
class DirectoryRestored:
    """The cloud was restored from a backup; `text` says what of one's own was brought back and what waits for whom."""

    text: str


@dataclass(frozen=True, slots=True)
class OtherDevice:
    """Another device of this account is signed in. `newer`: it came after this one, and others reach it instead."""

    newer: bool


@dataclass(frozen=True, slots=True)
class ImageWithdrawn:
    """An image of one's own is no longer offered; requests for it that waited are closed."""

    image: str


@dataclass(frozen=True, slots=True)
class PictureAdopted:
    """A picture of one's own that came from elsewhere opens on this device now."""

    image: str


Event = (
    CloudChanged
    | RequestArrived
    | RequestWithdrawn
    | RequestAnswered
    | ImageReceived
    | RightsUpdated
    | ViewSpentEvent
    | RightsHeard
    | LookWaits
    | Delivered
    | Undeliverable
    | RowSetAside
    | CopyProgress
    | CopyWaits
    | CopyFetched
    | KeyChanged
    | OtherDevice
    | PictureAdopted
    | ImageWithdrawn
    | DirectoryRestored
)


class EventHub:
    """Fans events out to subscribers."""

    def __init__(self) -> None:
        self._streams: list[tuple[MemoryObjectSendStream[Event], MemoryObjectReceiveStream[Event]]] = []

    def emit(self, event: Event) -> None:
        """Hand an event to every subscriber; never waits."""
        for send, receive in self._streams:
            try:
                send.send_nowait(event)
            except anyio.WouldBlock:
                receive.receive_nowait()
                send.send_nowait(event)

    @contextmanager
    def subscription(self) -> Iterator[AsyncIterator[Event]]:
        """Subscribe for the length of a `with` block."""
        send, receive = anyio.create_memory_object_stream[Event](_BUFFERED)
        self._streams.append((send, receive))
        try:
            yield receive
        finally:
            self._streams.remove((send, receive))
            send.close()
            receive.close()
