"""Exports of identities as files, and how hard a passphrase is to guess. Synchronous: the files are for threads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal

from shared.errors import InvalidInput, ProfileError, StorageError
from shared.files import create_file

_BEGIN: Final = "-----BEGIN GLIMPSE IDENTITY-----"
_RUNS: Final = re.compile(r"[^\W\d_]+|\d+|[\W_]")
_WEAK_BITS: Final = 36
_STRONG_BITS: Final = 50
Strength = Literal["weak", "fair", "strong"]


def looks_like_export(text: str) -> bool:
    """Return whether a pasted text holds an export, or the beginning of one."""
    return _BEGIN in text


def default_place(name: str) -> str:
    """Return where an export of an account of this name goes unless told otherwise, as people write it."""
    from tui.peer.profiles import folder_name

    return f"~/glimpse-{folder_name(name, ())}.txt"


def write_export(path: Path, data: bytes) -> None:
    """Write an export to a new file of mode 0600 and wait until it is on disk.

    Raises `InvalidInput` if there is such a file already (it is never overwritten), `StorageError` if it cannot be
    written; then nothing of it is left.
    """
    try:
        create_file(path, data)
    except FileExistsError:
        raise InvalidInput(f"{path} exists already and is not overwritten; choose another name.") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}; choose another place.") from None


def read_export(path: Path) -> bytes:
    """Return what may be an export. Raises `ProfileError` for a file that cannot be read."""
    from shared.keyexport import MAX_EXPORT_BYTES

    try:
        if path.is_dir():
            raise ProfileError(f"{path} is a folder; name the file in it that holds the export.")
        if not path.is_file():  # a device or a pipe would be waited for
            raise ProfileError(f"There is no file {path}; check the path.")
        with path.open("rb") as file:
            return file.read(MAX_EXPORT_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}.") from None


def strength(passphrase: str) -> Strength:
    """Return roughly how hard a passphrase is to guess, from below: a run of letters counts as a word from a list.

    The work factor of an export makes a guess cost some tenths of a second, so 50 bits are out of reach.
    """
    bits = 0.0
    seen: set[str] = set()
    for run in _RUNS.findall(passphrase):
        if run in seen:
            continue
        seen.add(run)
        bits += _bits(run)
    return "weak" if bits < _WEAK_BITS else "fair" if bits < _STRONG_BITS else "strong"


def _bits(run: str) -> float:
    if run.isdigit():
        return 3.3 * min(len(run), 2 * len(set(run)))
    if not run.isalpha():
        return 3.0
    if run.islower() or run.isupper() or run.istitle():
        return min(4.7 * len(set(run)), 12.0)
    return 5.5 * min(len(run), 2 * len(set(run)))
