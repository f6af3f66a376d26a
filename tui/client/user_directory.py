"""The people that the cloud has listed so far, page by page: merged, searched and counted. No widget in here.

The cloud tells people in pages, those online first, and only what it is asked. So the directory holds what was heard,
knows whether that is everybody, and takes from a look at the first pages who has gone away since.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tui.peer.models import User, UserPage

MAX_PEOPLE: Final = 20_000
"""Beyond so many the directory takes no more by itself; whoever searches finds the rest in the cloud."""


@dataclass(frozen=True, slots=True)
class _Entry:
    user: User
    haystack: str
    """What a filter is looked for in: name and fingerprint words, a line each, folded."""


class UserDirectory:
    """All people heard of but oneself (`own`)."""

    def __init__(self, own: int | None = None) -> None:
        self._own = own
        self._entries: dict[int, _Entry] = {}
        self._told = 0
        """How many the cloud said there are, oneself among them."""

    # --- What was heard ----------------------------------------------------------------------------------------------
    def merge(self, page: UserPage) -> None:
        """Take a page of everybody."""
        self._told = page.total
        self._keep(page.rows)

    def found(self, page: UserPage) -> None:
        """Take a page of those who match a text; it says nothing about how many there are."""
        self._keep(page.rows)

    def merge_first(self, pages: Sequence[UserPage]) -> None:
        """Take the first pages of everybody, up to one that ends with somebody away: who is online is in them."""
        for page in pages:
            self.merge(page)
        if not reach_the_away(pages):
            return
        online = {user.account for page in pages for user in page.rows if user.online}
        for account, entry in self._entries.items():
            if entry.user.online and account not in online:
                self._entries[account] = replace(entry, user=replace(entry.user, online=False))

    def _keep(self, users: Iterable[User]) -> None:
        for user in users:
            if user.account == self._own:
                continue
            known = self._entries.get(user.account)
            if known is None or known.user.name != user.name or known.user.words != user.words:
                self._entries[user.account] = _Entry(user, f"{folded(user.name)}\n{folded(user.words)}")
            elif known.user != user:
                self._entries[user.account] = replace(known, user=user)

    # --- What is known -----------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self._entries)

    @property
    def total(self) -> int:
        """How many others there are, as the cloud said last."""
        return max(len(self._entries), self._told - (self._own is not None))

    @property
    def online(self) -> int:
        """How many of those heard of are online."""
        return sum(entry.user.online for entry in self._entries.values())

    @property
    def complete(self) -> bool:
        """Whether everybody was heard of."""
        return len(self._entries) >= self.total

    def matching(self, text: str) -> list[User]:
        """Return those in whose name or fingerprint words, or at the begin of whose id, every word of a text occurs."""
        words = folded(text).split()
        return [entry.user for entry in self._entries.values() if all(_occurs(word, entry) for word in words)]


def folded(text: str) -> str:
    """Return a text without case and without accents, for comparing."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text)
    return "".join(char for char in parts if not unicodedata.combining(char)).casefold()


def order_by_presence(user: User) -> tuple[bool, str, int]:
    """Sort key: those online first, then by name."""
    return (not user.online, *order_by_name(user))


def order_by_name(user: User) -> tuple[str, int]:
    """Sort key: by name, whatever its case and accents."""
    return folded(user.name), user.account


def last_seen(user: User) -> float:
    """Sort key: when somebody was last seen, in seconds since 1970; who never was comes before all others."""
    return float("-inf") if user.last_seen is None else user.last_seen


def pages_to_come(page: UserPage) -> Iterator[int]:
    """Return the numbers of the pages after the first, of which this is one."""
    rows = len(page.rows)
    return iter(range(1, -(-min(page.total, MAX_PEOPLE) // rows)) if rows else ())


def reach_the_away(pages: Sequence[UserPage]) -> bool:
    """Return whether these first pages go on to somebody who is away, or to the end: all who are online are in them."""
    rows = [user for page in pages for user in page.rows]
    return bool(pages) and (not all(user.online for user in rows) or len(rows) >= pages[-1].total)


def _occurs(word: str, entry: _Entry) -> bool:
    if word.startswith("#"):
        return str(entry.user.account).startswith(word[1:])
    return word in entry.haystack or (word.isdecimal() and str(entry.user.account).startswith(word))
