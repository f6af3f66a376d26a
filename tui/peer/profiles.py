"""The profiles on this machine, as they can be told without opening one: whose they are, and who has them open."""

import os
import re
import unicodedata
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shared.errors import InvalidInput

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
"""What a profile may be called: a plain folder name that is never hidden."""
DATA_KEY = "data-key"
"""The file that makes a profile a locked one."""
_MAX_FOLDER_CHARS = 40
_NOTHING_LEFT = "profile"


@dataclass(frozen=True, slots=True)
class ProfileSummary:
    """One profile folder. What could not be read is empty, and `trouble` says why and what to do."""

    name: str
    """The folder's name."""
    account: int | None = None
    """None before registration."""
    shown_name: str = ""
    """The name that others see."""
    words: str = ""
    """Fingerprint words of its key."""
    held_by: int | None = None
    """Process that has it open."""
    trouble: str = ""
    key_lost: bool = False
    """The profile was in use and its key file is gone: an export can be put back."""
    locked: bool = False
    """A passphrase is needed to open it."""


def checked_profile(name: str) -> str:
    """Return a profile's name. Raises `InvalidInput` for one that is no plain folder name."""
    if not NAME.fullmatch(name):
        raise InvalidInput("A profile name has letters, digits, dots, dashes and underscores, and begins with no dot.")
    return name


def folder_name(name: str, taken: Collection[str]) -> str:
    """Return a profile name made from what a person typed: `Zoë Müller` gives `zoe-muller`, again `zoe-muller-2`.

    Names differ also where upper and lower case do not count.
    """
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    stem = re.sub(r"[^a-z0-9]+", "-", letters)[:_MAX_FOLDER_CHARS].strip("-") or _NOTHING_LEFT
    used = {other.lower() for other in taken}
    number, found = 1, stem
    while found in used:
        number += 1
        found = f"{stem}-{number}"
    return found


def profile_names(root: Path) -> list[str]:
    """Return the names of the profile folders in `root`, sorted; none if there is no such folder."""
    try:
        with os.scandir(root) as entries:
            return sorted(entry.name for entry in entries if NAME.fullmatch(entry.name) and entry.is_dir())
    except OSError:
        return []


def list_profiles(root: Path) -> list[ProfileSummary]:
    """Return what is known of every profile in `root`, by name. Opens, locks, repairs and makes nothing.

    Reads files: call it in a thread.
    """
    return [_summary(root / name) for name in profile_names(root)]


def _summary(folder: Path) -> ProfileSummary:
    import sqlite3

    account, shown_name, trouble = None, "", ""
    words, key_trouble = _words(folder)
    try:
        account, shown_name = _facts(folder / "store.sqlite")
    except (OSError, sqlite3.Error, ValueError) as error:
        trouble = f"The store of this profile cannot be read ({error}); restore it from a copy, or use another profile."
    missing = not words and _is_missing(folder / "identity")
    key_lost = missing and not _is_missing(folder / "store.sqlite")
    if missing and not key_lost:
        key_trouble = ""  # nobody has opened it yet: its key is made then
    return ProfileSummary(
        folder.name,
        account,
        shown_name,
        words,
        holder(folder / "lock"),
        key_trouble or trouble,
        key_lost,
        not _is_missing(folder / DATA_KEY),
    )


def _words(folder: Path) -> tuple[str, str]:
    """Return the fingerprint words of a profile's key, or nothing and what is wrong with the key."""
    from shared.errors import GlimpseError
    from shared.keyfiles import words_in

    try:
        return words_in(folder / "identity"), ""
    except GlimpseError as error:
        return "", str(error)


def _is_missing(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _facts(store: Path) -> tuple[int | None, str]:
    """Return account and name as the store has them; None and nothing where it has none. Raises `sqlite3.Error`.

    Without a log beside it the file is complete, and is read as one that nobody writes: SQLite would otherwise make a
    log and an index to read it.
    """
    import sqlite3

    if not store.exists():
        return None, ""
    mode = "mode=ro" if store.with_name(store.name + "-wal").exists() else "immutable=1"
    with closing(sqlite3.connect(f"{store.absolute().as_uri()}?{mode}", uri=True, timeout=1.0)) as sql:
        facts = dict(sql.execute("SELECT name, value FROM facts WHERE name IN ('account', 'name')"))
    account = facts.get("account")
    return None if account is None else int(account), str(facts.get("name", ""))


def holder(lock: Path) -> int | None:
    """Return the process that has a profile's lock file open, None if there is none. Takes no lock.

    The number in the file outlives its process, so it counts only if that process has this very file open now.
    """
    try:
        number = int(lock.read_bytes()[:32])
        locked = lock.stat()
        with os.scandir(f"/proc/{number}/fd") as opened:
            for entry in opened:
                if _is_file(entry, locked):
                    return number
    except (OSError, ValueError):
        return None
    return None


def _is_file(entry: os.DirEntry[str], wanted: os.stat_result) -> bool:
    try:
        status = entry.stat()
    except OSError:  # closed meanwhile
        return False
    return (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino)
