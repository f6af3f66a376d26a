"""A profile folder: one identity, its store and its image files, open in one process at a time."""

import errno
import fcntl
import logging
import os
import stat
from pathlib import Path
from types import TracebackType

from shared.errors import ProfileError, StorageError
from shared.identity import Identity
from shared.keyfiles import load_identity, save_identity
from tui.peer.profiles import checked_profile

log = logging.getLogger(__name__)


def profile_folder(root: Path, name: str) -> Path:
    """Return the folder of the profile called `name`. Raises `InvalidInput` for a name that is no plain folder name."""
    return root / checked_profile(name)


class Profile:
    """A folder (0700) with `identity` (0600), `store.sqlite` and `images/`. Hold it with `with`.

    Raises `ProfileError` if another process holds it (and which), if it belongs to somebody else, or if it is damaged;
    `StorageError` if it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "images"
        self.partials = folder / "partials"
        """What arrived in part of a picture, so that it goes on after a restart."""
        self.store_path = folder / "store.sqlite"
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

    def identity(self) -> Identity:
        """Return this profile's identity, made on first use.

        Raises `ProfileError` if the key file of a profile that was in use is gone: another key would be nobody's.
        """
        path = self.folder / "identity"
        if not path.exists() and not self.store_path.exists():
            save_identity(path, Identity.generate())
        return load_identity(path)

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
