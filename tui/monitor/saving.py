"""New files with text in them. Nothing is ever overwritten. Synchronous: for threads."""

from __future__ import annotations

import os
from pathlib import Path

from shared.errors import InvalidInput, StorageError


def typed_path(text: str) -> Path:
    """Return the path that a person typed; `~` is the home folder. Raises `InvalidInput` for none."""
    text = text.strip()
    if not text:
        raise InvalidInput("Name the file that it is to be written to.")
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise InvalidInput(f"There is no such user as in {text}; write the whole path.") from None
    return path if path.is_absolute() else Path.cwd() / path


def save_text(path: Path, text: str) -> None:
    """Write a text to a new file of mode 0600 and wait until it is on disk.

    Raises `InvalidInput` if there is anything of this name already, and `StorageError` if it cannot be written; then
    nothing of it is left.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise InvalidInput(f"{path} exists already and is not overwritten; choose another name.") from None
    except (OSError, ValueError) as error:
        raise _not_written(path, error) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _not_written(path, error) from None


def _not_written(path: Path, error: OSError | ValueError) -> StorageError:
    reason = error.strerror if isinstance(error, OSError) else error
    return StorageError(f"{path} cannot be written: {reason}; choose another place.")
