"""What the tab `Peer images` knows of held images: which to show, in what order, what state in what words.

The peer says what is held and what is left. What it does not keep, because it only concerns those who sit in front of
the screen now, is a `GallerySession`'s: what is new, what is being received, what was refused, what was asked for.
No widget.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shared.errors import DamagedStego, GlimpseError, Refused
from shared.wire.refusals import RefusalCode
from tui.client import reached
from tui.common.wording import counted, moment, plain, until, views
from tui.peer import events
from tui.peer.models import IN_THE_CLOUD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from tui.peer.models import PeerImage

_NAME_CELLS: Final = 32
_TITLE_CELLS: Final = 60


class TileState(StrEnum):
    """Whether a held image can be looked at, and what stands in the way."""

    OPEN = "open"
    NOT_HERE = "not here yet"
    SPENT = "no views left"
    EXPIRED = "expired"
    REVOKED = "revoked"
    DAMAGED = "damaged"
    ON_HOLD = "on hold"
    """The cloud was restored from a backup, and the owner has not confirmed these rights yet."""

    @property
    def may_try(self) -> bool:
        """Whether a look may be asked for; only the cloud knows when rights are confirmed."""
        return self in (TileState.OPEN, TileState.ON_HOLD)


class GalleryOrder(StrEnum):
    """How the gallery is sorted."""

    NEWEST = "newest first"
    OWNER = "by owner"
    TITLE = "by title"
    EXPIRY = "soonest to expire first"

    @property
    def next(self) -> GalleryOrder:
        """The order that the sort key goes on to."""
        orders = list(GalleryOrder)
        return orders[(orders.index(self) + 1) % len(orders)]


@dataclass(frozen=True, slots=True)
class Tile:
    """One held image as the gallery shows it."""

    image: PeerImage
    state: TileState
    new: bool = False
    opening: bool = False
    received: float | None = None
    """The share of the stego image that is here, while it is coming."""
    path: str = ""
    """How it comes, then."""
    asked: int = 0
    """Views asked for in this session and not answered yet."""

    @property
    def key(self) -> str:
        """The image id."""
        return self.image.image

    @property
    def title(self) -> str:
        """The title, fit for a line."""
        return plain(self.image.title, _TITLE_CELLS) or "untitled"

    @property
    def owner(self) -> str:
        """The owner's name, fit for a line."""
        return plain(self.image.owner_name, _NAME_CELLS) or f"account {self.image.owner}"

    @property
    def may_try(self) -> bool:
        """Whether a look may be asked for."""
        return self.state.may_try


_REFUSED: Final = {
    RefusalCode.NO_VIEWS.value: TileState.SPENT,
    RefusalCode.EXPIRED.value: TileState.EXPIRED,
    RefusalCode.REVOKED.value: TileState.REVOKED,
    RefusalCode.FROZEN.value: TileState.ON_HOLD,
}


@dataclass
class GallerySession:
    """What was heard and done since the client was opened, by image id."""

    new: set[str] = field(default_factory=set)
    opening: str | None = None
    _coming: dict[str, tuple[float, str]] = field(default_factory=dict)
    """By grant: the share that is here, and how it comes."""
    _refused: dict[str, TileState] = field(default_factory=dict)
    _asked: dict[str, int] = field(default_factory=dict)

    def heard(self, event: events.Event) -> bool:
        """Take an event of the peer; True if the list of held images may be another one now."""
        match event:
            case events.CopyProgress(grant=grant, sending=False, done=done, total=total, path=path):
                self._coming[grant] = min(1.0, done / total) if total > 0 else 0.0, path or IN_THE_CLOUD
                return False
            case events.ImageReceived(image=image, grant=grant):
                self._coming.pop(grant, None)
                self._refused.pop(image, None)
                self.new.add(image)
                return True
            case events.RightsUpdated(image=image, left=left):
                if left:
                    self._asked.pop(image, None)
                if self._refused.get(image) is not TileState.DAMAGED:
                    self._refused.pop(image, None)
                return True
            case events.RequestAnswered(image=image):
                self._asked.pop(image, None)
                return True
            case events.Delivered() | events.CloudChanged():
                return True
            case _:
                return False

    def refused(self, image: str, error: GlimpseError) -> None:
        """Remember why an image did not open, as far as it lies with the image."""
        if isinstance(error, DamagedStego):
            self._refused[image] = TileState.DAMAGED
        elif isinstance(error, Refused) and error.code in _REFUSED:
            self._refused[image] = _REFUSED[error.code]

    def opened(self, image: str) -> None:
        """Remember that an image was looked at."""
        self.new.discard(image)
        self._refused.pop(image, None)

    def asked(self, image: str, number: int) -> None:
        """Remember that more views of an image were asked for."""
        self._asked[image] = self._asked.get(image, 0) + number

    def tile(self, image: PeerImage, now: float) -> Tile:
        """Return what to show of an image at a moment, in seconds since 1970."""
        state = self._state(image, now)
        received, path = self._coming.get(image.grant, (None, "")) if image.path is None else (None, "")
        return Tile(
            image,
            state,
            new=image.image in self.new and state is TileState.OPEN,
            opening=image.image == self.opening,
            received=received,
            path=path,
            asked=self._asked.get(image.image, 0),
        )

    def tiles(self, held: Iterable[PeerImage], order: GalleryOrder, now: float) -> list[Tile]:
        """Return what to show of all held images, one an image."""
        return [self.tile(image, now) for image in arranged(latest(held), order)]

    def _state(self, image: PeerImage, now: float) -> TileState:
        if image.revoked:
            return TileState.REVOKED
        if image.expires is not None and image.expires <= now:
            return TileState.EXPIRED
        if image.left <= 0:
            return TileState.SPENT
        if image.frozen:
            return TileState.ON_HOLD
        if (refused := self._refused.get(image.image)) is not None:
            return refused
        return TileState.NOT_HERE if image.path is None else TileState.OPEN


def latest(held: Iterable[PeerImage]) -> list[PeerImage]:
    """Return the grant of every image that a look would use, which is the newest that stands and is here.

    `held` has the newest first, and an image again for each grant that its owner gave after revoking one.
    """
    best: dict[str, PeerImage] = {}
    for image in held:
        other = best.get(image.image)
        if other is None or _rank(image) < _rank(other):
            best[image.image] = image
    return list(best.values())


def _rank(image: PeerImage) -> tuple[bool, bool]:
    return image.revoked, image.path is None


def arranged(images: Sequence[PeerImage], order: GalleryOrder) -> list[PeerImage]:
    """Return the images in an order; those that are equal in it stay newest first."""
    if order is GalleryOrder.OWNER:
        return sorted(images, key=lambda image: (image.owner_name.casefold(), image.owner))
    if order is GalleryOrder.TITLE:
        return sorted(images, key=lambda image: image.title.casefold())
    if order is GalleryOrder.EXPIRY:
        return sorted(images, key=lambda image: float("inf") if image.expires is None else image.expires)
    return list(images)


# --- Words -----------------------------------------------------------------------------------------------------------
def state_words(tile: Tile) -> str:
    """Return the state in a few words: `3 of 5 left`, `on its way 40 %`, `expired`."""
    if tile.opening:
        return "opening…"
    if tile.state is TileState.OPEN:
        return f"{tile.image.left} of {tile.image.granted} left"
    if tile.state in (TileState.NOT_HERE, TileState.DAMAGED) and tile.received is not None:
        share = f"on its way {tile.received:.0%}".replace("%", " %")
        return f"{share}, {reached.short(tile.path)}" if tile.path else share
    return tile.state.value


def expiry_words(tile: Tile, now: float) -> str:
    """Return `expires in 2 d` where a look would still be possible and there is an end to that, else nothing."""
    if tile.image.expires is None or tile.state in (TileState.EXPIRED, TileState.REVOKED):
        return ""
    return until(tile.image.expires, now)


def short_expiry(tile: Tile, now: float) -> str:
    """Return the same where there is little room: `ends in 2 d`."""
    return expiry_words(tile, now).replace("expires", "ends")


def heading_words(tiles: Sequence[Tile], order: GalleryOrder) -> str:
    """Return what stands over the gallery."""
    if not tiles:
        return ""
    new = sum(tile.new for tile in tiles)
    parts = [counted(len(tiles), "image"), *([f"{new} new"] if new else []), order.value]
    return " · ".join(parts)


def use_words(tile: Tile) -> str:
    """Return what a look costs: `uses 1 of 3 views`."""
    if tile.image.left == 1:
        return "uses your last view"
    return f"uses 1 of {views(tile.image.left)}"


def reason(tile: Tile, zone: tzinfo | None = None) -> str:
    """Return why a tile does not open and what to do about it; what a look costs for one that does."""
    image, owner = tile.image, tile.owner
    match tile.state:
        case TileState.SPENT:
            used = (
                "No views are left."
                if not image.granted
                else ("Your one view is used." if image.granted == 1 else f"All {views(image.granted)} are used.")
            )
            return f"{used} Ask {owner} for more."
        case TileState.EXPIRED:
            end = (
                "The time to look at it is over"
                if image.expires is None
                else (f"It could be looked at until {moment(image.expires, zone)}")
            )
            return f"{end}. Ask {owner} for more."
        case TileState.REVOKED:
            return f"{owner} has taken back the right to look at it. You can ask again."
        case TileState.NOT_HERE:
            return f"It is not on this device yet: {owner}'s device sends it when both of you are online."
        case TileState.DAMAGED:
            return (
                f"The image file was changed since it arrived, or is gone, and does not open. No view was spent. "
                f"{owner}'s device sends it again when both of you are online."
            )
        case TileState.ON_HOLD:
            return f"The cloud was restored from a backup: {owner}'s device confirms these rights when it is online."
        case TileState.OPEN:
            return f"A look {use_words(tile)}."


def asked_words(tile: Tile) -> str:
    """Return that more views were asked for, or nothing."""
    return f"You asked for {views(tile.asked)}." if tile.asked else ""
