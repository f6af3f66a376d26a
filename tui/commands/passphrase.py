"""`glimpse passphrase`: set, change or remove the passphrase of a profile that no program has open."""

from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

from shared.errors import ProfileError
from tui.peer.locking import remove_passphrase, set_passphrase
from tui.peer.profile import Profile
from tui.peer.store import Store


async def change(
    folder: Path, *, remove: bool, old: Callable[[], str], new: Callable[[], str], say: Callable[[str], None]
) -> None:
    """Set, change or remove the passphrase of a profile that no other program has open, and say what was done.

    `old` and `new` are called for the passphrases that are needed. Raises as `tui.peer.locking` says, and
    `ProfileError` where there is no such profile.
    """
    if not (folder / "identity").exists() and not (folder / "store.sqlite").exists():
        raise ProfileError(f"There is no profile {folder.name} on this machine; see --profile.")
    with Profile(folder) as profile:
        if remove and not profile.is_locked:
            raise ProfileError(f"The profile {folder.name} has no passphrase.")
        before = old() if profile.is_locked else None
        await anyio.to_thread.run_sync(profile.identity, before)
        after = None if remove else new()
        store = await anyio.to_thread.run_sync(lambda: Store(profile.store_path, key=profile.data_key))
        try:
            if after is not None:
                await set_passphrase(profile, store, after, before)
                say(f"The profile {folder.name} opens by the new passphrase only; nobody can find out a forgotten one.")
            elif before is not None:
                await remove_passphrase(profile, store, before)
                say(f"The profile {folder.name} has no passphrase any more: its keys lie on the disk in clear.")
        finally:
            await store.aclose()
