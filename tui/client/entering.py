"""The way from a name or a profile to an open peer that has an account. Runs in workers; touches no widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.client.ports import PeerHost
    from tui.peer import Peer
    from tui.peer.profiles import ProfileSummary


@dataclass(frozen=True, slots=True)
class OpenedProfile:
    """A profile that an export was put into, and the name to register if its key has no account here."""

    profile: str
    name: str


class Entering:
    """Opens profiles and makes accounts. Whatever fails or is broken off leaves no peer open."""

    def __init__(self, host: PeerHost) -> None:
        self._host = host

    async def open(self, profile: str, passphrase: str | None = None) -> Peer | None:
        """Return the open peer of a profile, None if nobody has registered in it. Raises `GlimpseError` types."""
        return await self._entered(profile, None, passphrase)

    async def create(self, name: str, passphrase: str | None = None) -> Peer:
        """Make a profile and an account for a name that a person typed. Raises `GlimpseError` types.

        A profile of that name in which nobody has registered is taken, so that trying again makes no second one.
        """
        from tui.peer.checks import checked_name

        name = checked_name(name)
        return await self.enter_as(free_profile(name, await self._host.profiles()), name, passphrase)

    async def enter_as(self, profile: str, name: str, passphrase: str | None = None) -> Peer:
        """Open a profile, and register it under a name if its key has no account yet. Raises `GlimpseError` types."""
        from tui.peer.checks import checked_name

        peer = await self._entered(profile, checked_name(name), passphrase)
        assert peer is not None
        return peer

    async def restore(self, export: bytes, passphrase: str, name: str, profile: str | None) -> OpenedProfile:
        """Put an export into `profile`, or into a new one called after `name`. Raises `GlimpseError` types.

        No node is asked: whether the key has an account shows when the profile is entered.
        """
        if profile is None:
            from tui.peer.profiles import folder_name

            profile = folder_name(name, [known.name for known in await self._host.profiles()])
        await self._host.restore(profile, export, passphrase)
        return OpenedProfile(profile, name)

    async def _entered(self, profile: str, name: str | None, passphrase: str | None) -> Peer | None:
        entered: Peer | None = None
        try:
            peer = await self._host.open(profile, passphrase)
            if peer.me is None and name is not None:
                await peer.register(name)
            if peer.me is not None:
                entered = peer
        finally:
            if entered is None:  # also where the person broke it off
                await self._host.close()
        return entered


def free_profile(name: str, known: Sequence[ProfileSummary]) -> str:
    """Return a profile name for a person's name: a new one, or one of that name in which nobody has registered."""
    from tui.peer.profiles import folder_name

    wanted = folder_name(name, ())
    for profile in known:
        if profile.name == wanted and profile.account is None and not (profile.trouble or profile.held_by):
            return wanted
    return folder_name(name, [profile.name for profile in known])
