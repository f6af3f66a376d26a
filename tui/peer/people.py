"""Other accounts, and the images that they offer.

An account is looked up in the cloud, kept in the store, and held to the first key seen for it. What lists showed is
remembered, so that a request which still waits can be shown with names.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from shared.errors import IdentityChanged, RemoteError, Unavailable
from shared.identity import PublicIdentity, words_of
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.operations import Account, FindAccount
from tui.peer.asker import Asker
from tui.peer.context import Context
from tui.peer.events import KeyChanged
from tui.peer.models import OfferedImage, User, UserPage
from tui.peer.paths import Paths

_LOOK_UP_WAIT_S = 5.0
_REMEMBERED = 10_000
"""Accounts of lists kept in memory."""
_REMEMBERED_OFFERS = 2_000
"""Images, and names of people, kept in memory; those asked for are kept in the store."""


class People:
    """Finds accounts and remembers their keys (trust on first use)."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cloud = Asker(context)
        self._listed: OrderedDict[int, None] = OrderedDict()

    def listed(self, accounts: Iterable[int]) -> None:
        """Remember, until the peer ends, that the cloud told of these accounts in a list."""
        self._listed.update(dict.fromkeys(accounts))
        while len(self._listed) > _REMEMBERED:
            self._listed.popitem(last=False)

    def was_listed(self, account: int) -> bool:
        """Return whether the cloud told of an account in a list."""
        return account in self._listed

    async def find(self, account: int, *, wait_s: float = _LOOK_UP_WAIT_S) -> Account:
        """Return an account as the cloud knows it now, with its address while it is online.

        Raises `IdentityChanged` if its key is not the one first seen, `Refused` for an unknown account, `Unavailable`.
        """
        context = self._context
        found = await self._cloud.query(FindAccount(account=account), Account, wait_s=wait_s)
        if found.account != account:
            raise RemoteError("the cloud answered with another account")
        public_of(found).verify()
        await self.check(account, found.signing_key)
        await context.store.run(
            lambda store: store.do(
                "INSERT INTO accounts VALUES (:account, :name, :signing, :session, :signature, :at)"
                " ON CONFLICT (account) DO UPDATE SET name = :name, session_key = :session,"
                " session_signature = :signature WHERE signing_key = :signing",
                account=account,
                name=found.name,
                signing=found.signing_key,
                session=found.session_key,
                signature=found.session_signature,
                at=context.wall(),
            )
        )
        return found

    async def find_or_recall(self, account: int) -> Account:
        """Like `find`, but without the cloud return what the store remembers. Raises `Unavailable` if it does not."""
        try:
            return await self.find(account)
        except Unavailable:
            row = await self._context.store.run(
                lambda store: store.one("SELECT * FROM accounts WHERE account = :account", account=account)
            )
            if row is None:
                raise
            return Account(
                account=account,
                name=row["name"],
                signing_key=row["signing_key"],
                session_key=row["session_key"],
                session_signature=row["session_signature"],
            )

    async def known_as(self, signing_key: bytes) -> str:
        """Return the name by which this device knows whoever has a key; empty where it does not know the key."""
        row = await self._context.store.run(
            lambda store: store.one(
                "SELECT name FROM accounts WHERE signing_key = :key ORDER BY first_seen LIMIT 1", key=signing_key
            )
        )
        return "" if row is None else clean(str(row["name"]))

    async def check(self, account: int, signing_key: bytes) -> None:
        """Raise `IdentityChanged` if this account was first seen with another key."""
        row = await self._context.store.run(
            lambda store: store.one("SELECT name, signing_key FROM accounts WHERE account = :account", account=account)
        )
        if row is not None and row["signing_key"] != signing_key:
            name = clean(row["name"])
            self._context.events.emit(KeyChanged(account, name))
            raise IdentityChanged(
                f"Account {account} ({name}) shows another key than before; ask that person in another way"
                " before you go on."
            )


def public_of(account: Account) -> PublicIdentity:
    """Return the public identity that an account row describes, not yet verified."""
    return PublicIdentity(account.signing_key, account.session_key, account.session_signature)


# --- What they offer -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class PendingOffer:
    """An image somebody offers; all empty for one that was never seen in a list."""

    title: str = ""
    owner: int = 0
    owner_name: str = ""
    words: str = ""


class Offers:
    """Reads the lists, and remembers what they showed."""

    def __init__(self, context: Context, people: People, paths: Paths) -> None:
        self._context = context
        self._cloud = Asker(context)
        self._accounts = people
        self._paths = paths
        self._people: OrderedDict[int, tuple[str, str]] = OrderedDict()
        self._images: OrderedDict[str, tuple[str, int]] = OrderedDict()

    async def users(self, text: str, page: int) -> UserPage:
        """Return one page of the accounts whose name or id contains `text`, those online first."""
        outcome = await self._cloud.query(ops.ListUsers(text=text, page=page), ops.Users)
        reached = await self._paths.known()
        rows = tuple(
            User(
                row.account,
                clean(row.name),
                words_of(row.signing_key),
                row.online,
                row.images,
                row.last_seen,
                reached.get(row.account, ""),
            )
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
    while len(remembered) > _REMEMBERED_OFFERS:
        remembered.popitem(last=False)
