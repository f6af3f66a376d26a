"""The lists of people and of the images that they offer; what they showed is remembered, so that a request which still
waits can be shown with names."""

from collections import OrderedDict
from dataclasses import dataclass

from shared.identity import words_of
from shared.text import clean
from shared.wire import operations as ops
from tui.peer.asker import Asker
from tui.peer.context import Context
from tui.peer.models import OfferedImage, User, UserPage
from tui.peer.people import People

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
    """Reads the lists, and remembers what they showed."""

    def __init__(self, context: Context, people: People) -> None:
        self._context = context
        self._cloud = Asker(context)
        self._accounts = people
        self._people: OrderedDict[int, tuple[str, str]] = OrderedDict()
        self._images: OrderedDict[str, tuple[str, int]] = OrderedDict()

    async def users(self, text: str, page: int) -> UserPage:
        """Return one page of the accounts whose name or id contains `text`, those online first."""
        outcome = await self._cloud.query(ops.ListUsers(text=text, page=page), ops.Users)
        rows = tuple(
            User(row.account, clean(row.name), words_of(row.signing_key), row.online, row.images, row.last_seen)
            for row in outcome.rows
        )
        self._accounts.listed(user.account for user in rows)
        for user in rows:
            self._people[user.account] = (user.name, user.words)
        _bound(self._people)
        return UserPage(rows, outcome.total)

    async def images_of(self, account: int, page: int) -> list[OfferedImage]:
        """Return one page of the images that an account offers."""
        outcome = await self._cloud.query(ops.OfferedImages(owner=account, page=page), ops.Images)
        for row in outcome.rows:
            self._images[row.image] = (clean(row.title), outcome.owner)
        _bound(self._images)
        return [
            OfferedImage(
                row.image,
                outcome.owner,
                clean(row.title),
                row.format,
                row.width,
                row.height,
                row.size,
                row.created,
                row.has_preview,
            )
            for row in outcome.rows
        ]

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
