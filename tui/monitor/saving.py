"""New files with text in them. Nothing is ever overwritten. Synchronous: for threads."""

from __future__ import annotations

from pathlib import Path

from shared.errors import InvalidInput, StorageError
from shared.files import create_file


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
    try:
        create_file(path, text.encode())
    except FileExistsError:
        raise InvalidInput(f"{path} exists already and is not overwritten; choose another name.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StorageError(f"{path} cannot be written: {reason}; choose another place.") from None
