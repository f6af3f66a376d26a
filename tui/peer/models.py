"""What the methods of a peer return: plain frozen values, safe to show after escaping, never live objects."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

IN_THE_CLOUD: Final = "in the cloud"
"""How a picture goes that the cloud holds; see `User.reached`."""


@dataclass(frozen=True, slots=True)
class Me:
    """This profile's account. `words` are the fingerprint that people compare."""

    account: int
    name: str
    words: str


@dataclass(frozen=True, slots=True)
class User:
    """Another account. `last_seen` in seconds since 1970, None if it never signed in."""

    account: int
    name: str
    words: str
    online: bool
    images: int
    last_seen: float | None
    reached: str = ""
    """How pictures go to them, or went last since this peer was opened: `direct`, `through n2` (a node), `in the cloud`
    (which holds them until they are fetched); empty where that is not known."""


@dataclass(frozen=True, slots=True)
class UserPage:
    """One page of users; `total` counts all that match."""

    rows: tuple[User, ...]
    total: int


@dataclass(frozen=True, slots=True)
class OfferedImage:
    """An image that can be asked for. `size` is the original's, in bytes."""

    image: str
    owner: int
    title: str
    format: str
    width: int
    height: int
    size: int
    created: float
    has_preview: bool


@dataclass(frozen=True, slots=True)
class MyImage:
    """An image of one's own; `path` is the stego image on this machine, None if this device does not hold it.

    `counted` is False where the cloud was not asked or does not know it: whether it is offered or has a preview, its
    viewers and views are then what they were when it was made.
    """

    image: str
    title: str
    format: str
    width: int
    height: int
    size: int
    created: float
    path: Path | None
    offered: bool
    has_preview: bool
    viewers: int
    views_spent: int
    counted: bool = True


class AskState(StrEnum):
    """Where a request for views stands."""

    QUEUED = "queued"
    """In this peer's outbox: the cloud has not got it yet."""
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    RECEIVED = "received"
    """Accepted, and the stego image is here."""


@dataclass(frozen=True, slots=True)
class ViewRequest:
    """A request for views, incoming or outgoing; `person` is the other side."""

    request_id: str
    image: str
    title: str
    person: int
    person_name: str
    words: str
    views: int
    note: str
    state: AskState
    reason: str
    created: float
    answered: float | None = None
    grant: str | None = None
    """The grant that an accepted request led to."""
    waits: bool = False
    """For an incoming one: its answer is still in the outbox, or, once it is accepted, the stego image is."""


@dataclass(frozen=True, slots=True)
class Requests:
    """All requests of an account, newest first. `complete` is False where the cloud could not be asked."""

    incoming: tuple[ViewRequest, ...]
    outgoing: tuple[ViewRequest, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """Something that had to reach the cloud: `delivered`, or still in the outbox under `request_id`."""

    request_id: str
    delivered: bool


@dataclass(frozen=True, slots=True)
class RightsResult:
    """A change of rights. While `delivered` is False the numbers are None: the cloud has not ordered it yet.

    `met_consumed` is the number of views that were spent when the change took effect.
    """

    request_id: str
    delivered: bool
    left: int | None = None
    met_consumed: int | None = None


@dataclass(frozen=True, slots=True)
class PeerImage:
    """An image received from somebody, with the rights as last heard; the ledger's word counts."""

    image: str
    grant: str
    title: str
    owner: int
    owner_name: str
    words: str
    granted: int
    left: int
    expires: float | None
    revoked: bool
    path: Path | None
    """The stego image; None while the owner's peer has not delivered it."""
    look_s: float | None = None
    """Seconds that one look may last; None for as long as the right stands."""
    frozen: bool = False
    """The cloud was restored from a backup, and the owner's peer has not confirmed these rights yet: no look is had."""
    reached: str = ""
    """How pictures come from the owner's device, as `User.reached` tells it."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody's rights on an image of one's own."""

    grant: str
    account: int
    name: str
    words: str
    granted: int
    consumed: int
    left: int
    expires: float | None
    revoked: bool
    look_s: float | None = None
    """Seconds that one look may last; None for as long as the right stands."""
    frozen: bool = False
    """The cloud was restored from a backup and these rights are not confirmed yet; setting them anew confirms them."""
    held_until: float | None = None
    """Until when the cloud holds the stego image for this viewer, in seconds since 1970; None where it holds none."""


@dataclass(frozen=True, slots=True)
class View:
    """A picture that was opened. `left` is None for pictures of one's own, and so is all that follows.

    Whoever shows it shows it for `look_s` seconds at most, not beyond `expires`, and not after a revocation is heard
    of (`RightsUpdated`); then it says so with `Peer.look_ended`, or with `Peer.look_failed` if it could not show it.
    """

    image: str
    title: str
    data: bytes
    left: int | None
    view_id: str | None = None
    look_s: float | None = None
    """Seconds that this look may last; None for as long as the right stands."""
    expires: float | None = None
    """Seconds since 1970 by the directory's clock (`Peer.now`); None for never."""
    unwritten: str = ""
    """What this machine could not write down about the look, in a sentence; empty where all was written."""


@dataclass(frozen=True, slots=True)
class ViewLogEntry:
    """One spent view of an image of one's own."""

    viewer: int
    viewer_name: str
    at: float
    left: int
    lasted_s: float | None = None
    """How long the picture was shown, as the viewer's peer says; 0 where it could not be, None if it has not said."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """Something that still waits: what it is, since when, and why it was not delivered yet."""

    request_id: str
    what: str
    since: float
    attempts: int
    trouble: str


@dataclass(frozen=True, slots=True)
class PathFound:
    """How another account's peer is reached from here."""

    account: int
    name: str
    path: str
    """`direct`, or through which node; empty where no path was found."""
    took_s: float
    """Until the first path was found."""
    trouble: str = ""
    """Why none was found."""


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """How this peer stands with the cloud. `latency_s` is the last measured answer time of a node.

    `other_device`: another device of the account is signed in, came later, and is the one that others reach.
    """

    me: Me | None
    signed_in: bool
    cloud_reachable: bool
    leader: str | None
    term: int
    latency_s: float | None
    outbox: int
    trouble: str = ""
    """Why nothing can be stored on this machine just now, in a sentence; empty where it can be."""
    set_aside: int = 0
    """What of the store could not be read and was set aside since it was opened; `Peer.troubles` says why."""
    other_device: bool = False
    cloud_trouble: str = ""
    """Why no node can be reached, in a sentence that says what to do, where that is known."""
    locked: bool = False
    """Whether the profile has a passphrase, under which its keys are encrypted on this machine."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something in the store that could not be read and was set aside at `at`, in seconds since 1970."""

    what: str
    reason: str
    at: float
