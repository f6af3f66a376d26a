"""`LocalHost`: the real world around the client. It keeps one peer open, in a task that outlives every screen."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING

from shared.errors import GlimpseError, InvalidInput, Unavailable
from tui.client.ports import Reach
from tui.common.user_paths import CLUSTER_FILE, find_cluster, joined_cluster, log_folder
from tui.peer.profiles import profile_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tui.peer import Peer
    from tui.peer.profiles import ProfileSummary

log = logging.getLogger(__name__)
_CLOSING = "The client is closing; start it again."


class _OpenPeer:
    """One peer from the request to open it until it is closed."""

    def __init__(self, profile: str, passphrase: str | None) -> None:
        self.profile = profile
        self.passphrase = passphrase
        self.peer: Peer | None = None
        self.error: GlimpseError | None = None
        self.settled = asyncio.Event()
        """It is open, or it cannot be opened."""
        self.leave = asyncio.Event()
        self.over = asyncio.Event()


class LocalHost:
    """Opens peers from the profile folders in `root`. `run` must be running as long as the client is.

    A peer's tasks belong to the task that opened it, so `run` alone opens and closes: the others ask it to. `cluster`
    is what was given as the cluster; without it, the usual places are looked at each time, because a cluster may be
    started while the client waits. `passphrase` is tried for every profile that is opened without one. `on_failure` is
    told in a sentence when a peer that was open has failed. `holds_copies`, `share_local_addresses` and
    `relay_only` are as for `Peer`.
    """

    def __init__(
        self,
        root: Path,
        cluster: Path | None,
        *,
        on_failure: Callable[[str], None],
        passphrase: str | None = None,
        holds_copies: bool = True,
        share_local_addresses: bool = True,
        relay_only: bool = False,
    ) -> None:
        self._root = root
        self._holds_copies = holds_copies
        self._share_local_addresses = share_local_addresses
        self._relay_only = relay_only
        self._given = cluster
        self._passphrase = passphrase
        self._on_failure = on_failure
        self.log_trouble = ""
        """Why there is no log, for people; empty where there is one."""
        self._opened: _OpenPeer | None = None
        self._queue: deque[_OpenPeer] = deque()
        self._wake = asyncio.Event()
        self._running = False

    @property
    def cluster(self) -> str:
        """Where the cluster file lies, for people; empty where none is known."""
        try:
            return str(self._cluster_file())
        except InvalidInput:
            return ""

    def _cluster_file(self) -> Path:
        """Return the cluster file, or else the one that any profile has followed. Raises `InvalidInput`."""
        try:
            return find_cluster(self._given)
        except InvalidInput:
            for name in profile_names(self._root):
                if (self._root / name / CLUSTER_FILE).exists():
                    return self._root / name / CLUSTER_FILE
            raise

    async def run(self) -> None:
        """Open and close what is asked for, until cancelled."""
        self._running = True
        try:
            while True:
                await self._wake.wait()
                self._wake = asyncio.Event()
                while self._queue:
                    await self._serve(self._queue.popleft())
        finally:
            self._running = False

    # --- What the screens ask for ------------------------------------------------------------------------------------
    async def profiles(self) -> list[ProfileSummary]:
        """Return the profiles on this machine, by name."""
        from tui.peer.profiles import list_profiles

        return await asyncio.to_thread(list_profiles, self._root)

    async def reach(self) -> Reach:
        """Try every node of the cluster once; what went wrong is the reason in what this returns."""
        await _load("tui.peer.probe")
        from shared.cluster import load_cluster
        from tui.peer.probe import probe

        try:
            cluster = await asyncio.to_thread(lambda: load_cluster(self._cluster_file()))
        except GlimpseError as error:
            return Reach((), (), str(error))
        found = await probe(cluster)
        return Reach(found.answering, found.silent, found.reason)

    async def open(self, profile: str, passphrase: str | None = None) -> Peer:
        """Open a profile, made if it is new. Raises `GlimpseError` types; the one that was open is closed before.

        Raises `PassphraseNeeded` for a locked profile without a passphrase, `WrongPassphrase` with another one.
        """
        await self.close()
        if not self._running:
            raise Unavailable(_CLOSING)
        await _load("tui.peer.peer")
        await _load("shared.logs")
        self._opened = opened = _OpenPeer(profile, self._passphrase if passphrase is None else passphrase)
        self._queue.append(opened)
        self._wake.set()
        await opened.settled.wait()
        if opened.error is None and opened.leave.is_set():  # closed while it was being opened
            raise Unavailable(_CLOSING)
        if opened.error is not None:
            raise opened.error
        assert opened.peer is not None
        return opened.peer

    async def close(self) -> None:
        """Close the open peer, if there is one; it says goodbye to the cloud."""
        opened = self._opened
        if opened is None:
            return
        opened.leave.set()
        if self._running:
            await opened.over.wait()
        if self._opened is opened:
            self._opened = None

    async def join(self, code: str) -> None:
        """Find the cluster of an invitation, and use it from now on. Raises `InvalidInput`, `Unavailable`."""
        await _load("tui.peer.joining")
        from tui.peer.joining import join

        self._given = await join(code, joined_cluster())

    async def restore(self, profile: str, export: bytes, passphrase: str) -> None:
        """Put an exported identity into a new profile. Raises `ProfileError`, `InvalidInput`."""
        await _load("tui.peer.peer")
        from tui.peer import Peer
        from tui.peer.profile import profile_folder

        folder = profile_folder(self._root, profile)
        await asyncio.to_thread(Peer.import_identity, folder, export, passphrase)

    # --- The task of `run` -------------------------------------------------------------------------------------------
    async def _serve(self, opened: _OpenPeer) -> None:
        """Open, keep and close one peer, all in this task."""
        from shared.logs import end_log
        from tui.peer import Peer
        from tui.peer.profile import profile_folder

        handler = None
        try:
            folder = profile_folder(self._root, opened.profile)
            handler = await self._begin_log(opened.profile)
            cluster = await asyncio.to_thread(find_cluster, self._given, folder)
            async with Peer(
                folder,
                cluster,
                passphrase=opened.passphrase,
                holds_copies=self._holds_copies,
                share_local_addresses=self._share_local_addresses,
                relay_only=self._relay_only,
            ) as peer:
                opened.peer = peer
                opened.settled.set()
                await opened.leave.wait()
        except Exception as error:  # noqa: BLE001 - it is told to the person and to the log
            self._failed(opened, error)
        finally:
            if opened.peer is None and opened.error is None:
                opened.error = Unavailable(_CLOSING)
            opened.settled.set()
            opened.over.set()
            if handler is not None:
                end_log(handler)

    async def _begin_log(self, profile: str) -> logging.Handler | None:
        """Write what happens to a log of this profile, which nobody else writes to while the profile is open."""
        from shared.logs import log_to

        try:
            handler = await asyncio.to_thread(log_to, log_folder() / f"client-{profile}.log")
        except OSError as error:
            self.log_trouble = f"No log was written: {error}."
            return None
        self.log_trouble = ""
        return handler

    def _failed(self, opened: _OpenPeer, error: Exception) -> None:
        """Hand a failure to whoever waits for the peer, or, once it was open, to the program."""
        if opened.peer is None and isinstance(error, GlimpseError):
            opened.error = error
            return
        log.error("the peer failed", exc_info=error)
        details = self.log_trouble or f"Details are in {log_folder() / f'client-{opened.profile}.log'}."
        text = f"The client failed ({describe(error)}); start it again. {details}"
        if opened.peer is None:
            opened.error = Unavailable(text)
        if self._opened is opened:
            self._opened = None
        self._on_failure(text)


async def _load(module: str) -> None:
    """Import a module in a thread: ciphers, sockets and pictures take a moment that a screen should not freeze for."""
    await asyncio.to_thread(import_module, module)


def describe(error: BaseException) -> str:
    """Return an error on one line, out of the groups that it came in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, GlimpseError) else f"{type(error).__name__}: {error}"
