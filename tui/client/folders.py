"""What lies in a folder, for people who look for a picture. Synchronous: for threads only."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from platformdirs import user_pictures_path

from tui.client.paths import is_picture_name

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ENTRIES: Final = 200_000
"""Names that are read of one folder; beyond it a list is of no use, and memory is not for the taking."""
PARENT: Final = ".."


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A folder or a picture file. `folded` is the name by which it is looked for; size in bytes, time since 1970."""

    name: str
    folded: str
    is_folder: bool
    size: int = 0
    modified: float = 0.0

    @property
    def hidden(self) -> bool:
        """Whether it is one of those that are shown only on demand."""
        return self.name.startswith(".")


@dataclass(frozen=True, slots=True)
class Listing:
    """Folders, then pictures, each by name. `trouble` says why there is nothing; `complete` is False beyond the cap."""

    folder: Path
    entries: tuple[FolderEntry, ...] = ()
    complete: bool = True
    trouble: str = ""
    visible: tuple[FolderEntry, ...] = field(init=False, repr=False)
    """The entries without the hidden ones; kept, because a folder may have very many."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "visible", tuple(entry for entry in self.entries if not entry.hidden))

    def matching(self, fragment: str, *, hidden: bool) -> Sequence[FolderEntry]:
        """Return the entries that a fragment looks for; hidden ones if asked for, or if the fragment begins so."""
        known = self.entries if hidden or fragment.startswith(".") else self.visible
        folded = fragment.casefold()
        return [entry for entry in known if folded in entry.folded] if folded else known

    def beginning(self, fragment: str) -> list[FolderEntry]:
        """Return the entries whose names begin like a fragment, in whatever case."""
        folded = fragment.casefold()
        return [entry for entry in self.matching(fragment, hidden=False) if entry.folded.startswith(folded)]


def listing(folder: Path) -> Listing:
    """Return the folders and pictures in a folder; links count as what they lead to. Never raises: see `trouble`."""
    folders: list[FolderEntry] = []
    files: list[FolderEntry] = []
    complete = True
    try:
        with os.scandir(folder) as found:
            for number, item in enumerate(found):
                if number >= MAX_ENTRIES:
                    complete = False
                    break
                entry = _entry(item)
                if entry is not None:
                    (folders if entry.is_folder else files).append(entry)
    except FileNotFoundError:
        return Listing(folder, trouble="There is no such folder; check the path.")
    except NotADirectoryError:
        return Listing(folder, trouble="This is no folder; go one up.")
    except PermissionError:
        return Listing(folder, trouble="This folder may not be read; choose another, or change its permissions.")
    except (OSError, ValueError):
        return Listing(folder, trouble="This folder cannot be read; check the path and the disk.")
    by_name = attrgetter("folded")
    return Listing(folder, (*sorted(folders, key=by_name), *sorted(files, key=by_name)), complete)


def _entry(item: os.DirEntry[str]) -> FolderEntry | None:
    """Return a folder or a picture; None for anything else, and for links that lead nowhere."""
    try:
        if item.is_dir():
            return FolderEntry(item.name, item.name.casefold(), is_folder=True)
        if is_picture_name(item.name) and item.is_file():
            status = item.stat()
            return FolderEntry(item.name, item.name.casefold(), False, status.st_size, status.st_mtime)
    except OSError:
        return None
    return None


def counts(entries: Sequence[FolderEntry]) -> tuple[int, int]:
    """Return the number of folders and of pictures, of entries in which folders come first."""
    folders = next((number for number, entry in enumerate(entries) if not entry.is_folder), len(entries))
    return folders, len(entries) - folders


def beginning(start: Path | None) -> tuple[Path, str]:
    """Return the folder to look for pictures in, and the name in it to begin at; `start` is either, if given."""
    if start is not None:
        if start.is_dir():
            return start, ""
        if start.parent.is_dir():
            return start.parent, start.name
    pictures = user_pictures_path()
    return (pictures if pictures.is_dir() else Path.home()), ""


def kind(path: Path) -> tuple[bool, bool]:
    """Return whether a path is a folder, and whether there is anything. Never raises."""
    try:
        return path.is_dir(), path.exists()
    except (OSError, ValueError):
        return False, False
