"""Setting, changing and removing the passphrase of a profile.

A new passphrase puts a data key into the profile, then encrypts the store in one transaction, then the key file.
Another passphrase wraps the data key anew: one small file, replaced at once. Without a passphrase the key file and the
store are written in clear, and only then the data key is removed. So whatever is encrypted can be opened by what lies
beside it, and a process that dies at any step leaves a profile that opens: by the passphrase where the data key lies
there, and what is still, or again, in clear is encrypted then.
"""

from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.to_thread

from shared.errors import GlimpseError, ProfileError, StorageError
from shared.passphrase import checked_passphrase
from tui.peer.profile import Profile
from tui.peer.store import Store


async def set_passphrase(profile: Profile, store: Store, new: str, old: str | None = None) -> None:
    """Lock an open profile by a passphrase, or change it, which takes the `old` one.

    Raises `InvalidInput` for a passphrase that is none, `PassphraseNeeded` or `WrongPassphrase` for the old one,
    `StorageError` where it cannot be written: then the profile is as it was.
    """
    checked_passphrase(new)
    _refuse_read_only(store)
    if profile.data_key is not None:
        await _in_thread(lambda: profile.check(old))
        await _in_thread(lambda: profile.change_passphrase(new))
        return
    if old is not None:
        raise ProfileError("This profile has no passphrase yet; give the new one alone.")
    with anyio.CancelScope(shield=True):
        key = await anyio.to_thread.run_sync(profile.lock, new)
        try:
            await store.change_key(key)
            await _in_thread(lambda: profile.rewrite_identity(key))
        except GlimpseError:
            with suppress(GlimpseError):  # what cannot be undone is finished at the next opening, by the new passphrase
                await _write_in_clear(profile, store)
            raise


async def remove_passphrase(profile: Profile, store: Store, old: str) -> None:
    """Write everything in an open, locked profile in clear. Raises as `set_passphrase` does."""
    if profile.data_key is None:
        raise ProfileError("This profile has no passphrase.")
    _refuse_read_only(store)
    key = profile.data_key
    await _in_thread(lambda: profile.check(old))
    with anyio.CancelScope(shield=True):
        try:
            await _write_in_clear(profile, store)
        except GlimpseError:
            with suppress(GlimpseError):  # the next opening tries it again
                await store.change_key(key)
                await _in_thread(lambda: profile.rewrite_identity(key))
            raise


async def _write_in_clear(profile: Profile, store: Store) -> None:
    await _in_thread(lambda: profile.rewrite_identity(None))
    await store.change_key(None)
    await anyio.to_thread.run_sync(profile.unlock)


def _refuse_read_only(store: Store) -> None:
    if store.read_only:
        raise StorageError(store.read_only)


async def _in_thread(call: Callable[[], None]) -> None:
    await anyio.to_thread.run_sync(call)
