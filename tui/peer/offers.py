"""What is remembered of offered images and their owners, so that a request which still waits can be told by name."""

from collections import OrderedDict
from dataclasses import dataclass

from tui.peer.context import Context

_REMEMBERED = 2_000
"""Images and people kept in memory; those asked for are kept in the store."""


@dataclass(frozen=True, slots=True)
class PendingOffer:
    """An image somebody offers; all empty for one that was never seen in a list."""

    title: str = ""
    owner: int = 0
    owner_name: str = ""
    words: str = ""


class Offers:
    """Remembers what lists have shown."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._people: OrderedDict[int, tuple[str, str]] = OrderedDict()
        self._images: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def know(self, account: int, name: str, words: str) -> None:
        """Remember a person, whose name is clean."""
        self._people[account] = (name, words)
        _bound(self._people)

    def saw(self, image: str, title: str, owner: int) -> None:
        """Remember an image, whose title is clean."""
        self._images[image] = (title, owner)
        _bound(self._images)

    async def keep(self, image: str) -> None:
        """Store what is known of an image that is asked for; it survives a restart."""
        if image not in self._images:
            return
        title, owner = self._images[image]
        name, words = self._people.get(owner, ("", ""))
        await self._context.store.run(
            lambda s: s.put("offers", image=image, title=title, owner=owner, owner_name=name, words=words)
        )

    async def find(self, image: str) -> PendingOffer:
        """Return what is known of an image that was asked for, or is held."""
        row = await self._context.store.run(
            lambda s: s.one(
                "SELECT title, owner, owner_name, words FROM offers WHERE image = :image"
                " UNION ALL SELECT title, owner, owner_name, '' FROM held WHERE image = :image LIMIT 1",
                image=image,
            )
        )
        return PendingOffer() if row is None else PendingOffer(**dict(row))


def _bound(remembered: OrderedDict[int, tuple[str, str]] | OrderedDict[str, tuple[str, int]]) -> None:
    while len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)
