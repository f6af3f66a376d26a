"""A profile folder: one identity, its store and its image files, open in one process at a time."""

import errno
import fcntl
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from shared.data_key import DataKey, unwrap, wrap
from shared.errors import PassphraseNeeded, ProfileError, StorageError
from shared.files import TEMPORARY_SUFFIX, flush_to_disk, replace_file
from shared.identity import Identity
from shared.keyfiles import is_locked_file, load_identity, read_private, rewrite_identity, save_identity
from tui.peer.profiles import DATA_KEY, checked_profile

log = logging.getLogger(__name__)


def profile_folder(root: Path, name: str) -> Path:
    """Return the folder of the profile called `name`. Raises `InvalidInput` for a name that is no plain folder name."""
    return root / checked_profile(name)


class Profile:
    """A folder (0700) with `identity` (0600), `store.sqlite` and `images/`. Hold it with `with`.

    A profile is locked by a passphrase for as long as `data-key` lies in it: the data key, encrypted under the
    passphrase. Keys that were put into a locked profile in clear are encrypted when it is opened.

    Raises `ProfileError` if another process holds it (and which), if it belongs to somebody else, or if it is damaged;
    `StorageError` if it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "images"
        self.partials = folder / "partials"
        """What arrived in part of a picture, so that it goes on after a restart."""
        self.store_path = folder / "store.sqlite"
        self.identity_path = folder / "identity"
        self.data_key_path = folder / DATA_KEY
        self.data_key: DataKey | None = None
        """What is secret in here is encrypted under it; None in a profile that is not locked, and before it is open."""
        self._lock: int | None = None

    def __enter__(self) -> "Profile":
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.images.is_dir():
                self.images.mkdir(mode=0o700, exist_ok=True)
            status = self.folder.stat()
            if status.st_uid != os.geteuid():
                raise ProfileError(f"{self.folder} belongs to somebody else; choose another profile folder.")
            if stat.S_IMODE(status.st_mode) & 0o077:
                self.folder.chmod(0o700)
            self._take_lock()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageError(f"There is no space left for the profile {self.folder}; free some.") from error
            raise ProfileError(f"The profile folder {self.folder} cannot be used: {error.strerror}.") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- Keys --------------------------------------------------------------------------------------------------------
    @property
    def is_locked(self) -> bool:
        """Whether a passphrase is needed to open it."""
        return os.path.lexists(self.data_key_path)

    def identity(self, passphrase: str | None = None) -> Identity:
        """Return this profile's identity, made on first use; a new profile is locked if there is a passphrase.

        Takes some tenths of a second in a locked profile. Raises `PassphraseNeeded`, `WrongPassphrase`, and
        `ProfileError` if the key file of a profile that was in use is gone: another key would be nobody's.
        """
        is_new = not self.identity_path.exists() and not self.store_path.exists()
        if self.is_locked:
            self.data_key = self._unlocked(passphrase)
        elif passphrase is not None and is_new:
            self.lock(passphrase)
        if is_new:
            save_identity(self.identity_path, Identity.generate(), self.data_key)
        try:
            identity = load_identity(self.identity_path, self.data_key)
        except PassphraseNeeded:
            raise ProfileError(
                f"This profile is locked and its file {self.data_key_path} is gone, without which nothing of it opens;"
                " restore that file from a copy, or import an export of the account into a new profile."
            ) from None
        if self.data_key is not None:
            self._finish_locking()
        return identity

    def check(self, passphrase: str | None) -> None:
        """Check the passphrase of a locked profile. Raises `PassphraseNeeded`, `WrongPassphrase`, `ProfileError`."""
        self._unwrapped(passphrase)

    def lock(self, passphrase: str) -> DataKey:
        """Put a fresh data key into a profile that has none; whoever opens it from now on needs the passphrase.

        Nothing is encrypted yet. Raises `StorageError` if it cannot be written; then nothing has changed.
        """
        key = DataKey.generate()
        content = wrap(key, passphrase)
        self._write(lambda: replace_file(self.data_key_path, content))
        self.data_key = key
        return key

    def change_passphrase(self, passphrase: str) -> None:
        """Encrypt the data key under another passphrase, at once or not at all. Raises `StorageError`."""
        assert self.data_key is not None
        content = wrap(self.data_key, passphrase)
        self._write(lambda: replace_file(self.data_key_path, content))

    def unlock(self) -> None:
        """Remove the data key, under which nothing may be encrypted any more. Raises `StorageError`."""

        def remove() -> None:
            self.data_key_path.unlink()
            flush_to_disk(self.folder)

        self._write(remove)
        self.data_key = None

    def rewrite_identity(self, key: DataKey | None) -> None:
        """Encrypt the key file, or write it in clear without a key. Raises `StorageError`, `ProfileError`."""
        if is_locked_file(self.identity_path) != (key is not None):
            rewrite_identity(self.identity_path, self.data_key, key)

    def _unlocked(self, passphrase: str | None) -> DataKey:
        key, is_outdated = self._unwrapped(passphrase)
        if is_outdated and passphrase is not None:
            self.data_key = key
            try:
                self.change_passphrase(passphrase)
            except StorageError as error:
                log.warning("a data key is wrapped with less work than today", extra={"reason": str(error)})
        return key

    def _unwrapped(self, passphrase: str | None) -> tuple[DataKey, bool]:
        data = read_private(self.data_key_path, "data key")
        if passphrase is None:
            raise PassphraseNeeded(
                f"The profile {self.folder.name} is locked; give its passphrase with --passphrase-file or in"
                " GLIMPSE_PASSPHRASE."
            )
        return unwrap(data, passphrase, name=str(self.data_key_path))

    def _finish_locking(self) -> None:
        """Encrypt keys that lie here in clear: locking was cut short, or they were just imported."""
        leftover = self.identity_path.with_name(self.identity_path.name + TEMPORARY_SUFFIX)
        try:
            leftover.unlink(missing_ok=True)
            self.rewrite_identity(self.data_key)
        except (OSError, StorageError) as error:
            log.warning("the keys of a locked profile are not encrypted yet", extra={"reason": str(error)})

    def _write(self, change: Callable[[], None]) -> None:
        try:
            change()
        except OSError as error:
            raise StorageError(f"{self.data_key_path} cannot be written: {error.strerror}.") from error

    def _take_lock(self) -> None:
        path, flags = self.folder / "lock", os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            lock = os.open(path, os.O_RDONLY | flags)  # what cannot be written can still be read, by one at a time
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise ProfileError(
                f"The profile {self.folder.name} is open in process {holder}; close that one first."
            ) from None
        self._lock = lock
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        except OSError as error:
            # The lock holds without the number, which only tells others who has it. A full disk can still be read.
            log.warning("the holder of a profile could not be noted", extra={"reason": str(error)})
