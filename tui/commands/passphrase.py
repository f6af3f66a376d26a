"""`glimpse passphrase`, and where every command that opens a profile takes its passphrase from."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio.to_thread

from shared.errors import InvalidInput, ProfileError
from shared.passphrase import checked_passphrase
from tui.peer.locking import remove_passphrase, set_passphrase
from tui.peer.profile import Profile
from tui.peer.store import Store

_VARIABLE: Final = "GLIMPSE_PASSPHRASE"
_MAX_FILE_BYTES: Final = 8_192


def given_passphrase(file: Path | None) -> str | None:
    """Return the passphrase in the first line of a file, else that of GLIMPSE_PASSPHRASE, None without either.

    The variable is taken out of the environment, so that no program that this one starts gets it. Raises `InvalidInput`
    for a file that cannot be read, that others may read, or that is empty.
    """
    named = os.environ.pop(_VARIABLE, None)
    if file is None:
        return None if named is None else checked_passphrase(named)
    try:
        with file.open("rb") as opened:
            mode, data = os.fstat(opened.fileno()).st_mode, opened.read(_MAX_FILE_BYTES)
        line = data.decode("utf-8").splitlines()[:1]
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"The passphrase file {file} cannot be read; its first line is the passphrase.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidInput(f"Others may read the passphrase file {file}; run: chmod 600 {file}")
    if not line or not line[0]:
        raise InvalidInput(f"The first line of the passphrase file {file} is empty; write the passphrase there.")
    return checked_passphrase(line[0])


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
