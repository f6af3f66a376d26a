"""What the client needs of the world around it. The program has `tui.client.host`; tests have theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tui.peer import Peer
    from tui.peer.profiles import ProfileSummary


@dataclass(frozen=True, slots=True)
class Reach:
    """How the nodes of the cluster answered just now; `reason` says what to do where none did."""

    answering: tuple[str, ...]
    silent: tuple[str, ...]
    reason: str = ""

    @property
    def reachable(self) -> bool:
        """Whether any node answered."""
        return bool(self.answering)


class PeerHost(Protocol):
    """Opens one peer at a time and keeps it open, whatever screens come and go."""

    @property
    def cluster(self) -> str:
        """Where the cluster file lies, for people; empty where none is known."""

    async def profiles(self) -> list[ProfileSummary]:
        """Return the profiles on this machine, by name. Nothing is opened or changed."""

    async def reach(self) -> Reach:
        """Try every node of the cluster once. Never raises: what went wrong is the reason in what it returns."""

    async def open(self, profile: str, passphrase: str | None = None) -> Peer:
        """Open a profile, made if it is new. Raises `GlimpseError` types; the one that was open is closed before.

        Raises `PassphraseNeeded` for a locked profile without a passphrase, `WrongPassphrase` with another one.
        """

    async def close(self) -> None:
        """Close the open peer, if there is one; it says goodbye to the cloud."""

    async def join(self, code: str) -> None:
        """Find the cluster of an invitation, and use it from now on. Raises `GlimpseError` types."""

    async def restore(self, profile: str, export: bytes, passphrase: str) -> None:
        """Put an exported identity into a new profile. Raises `ProfileError`, `InvalidInput`."""
