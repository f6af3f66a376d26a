"""Changes the passphrase of a profile again and again, and is killed one step later each time.

    python -m tests.unit.locking_killed set|change|remove PROFILE FOLDER

Every try works on a copy of PROFILE, `FOLDER/0`, `FOLDER/1` and so on; the last one came to its end. A step is whatever
changes files by the interpreter's audit events (opened for writing, renamed, removed), each statement that changes the
store, and its end. Prints how many copies there are.
"""

import os
import shutil
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import anyio

from shared import data_key
from tests.unit.profiles_made import PASSPHRASE, QUICK_LOG2_N
from tui.peer.locking import remove_passphrase, set_passphrase
from tui.peer.profile import Profile
from tui.peer.store import Store

NEW = "another four words"
_STEPS = ("os.rename", "os.remove", "sqlite3.connect")
_CHANGES = ("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT", "VACUUM", "PRAGMA WAL_CHECKPOINT")
_left = -1


def step() -> None:
    """Count down to the end."""
    global _left
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    _left -= 1


def happened(event: str, arguments: tuple[Any, ...]) -> None:
    """Take an audit event of the interpreter."""
    if event in _STEPS or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        step()


class Connection(sqlite3.Connection):
    """Dies before and after statements that change something."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if not arguments[0].upper().startswith(_CHANGES):
            return super().execute(*arguments)
        step()
        try:
            return super().execute(*arguments)
        finally:
            step()


async def change(kind: str, folder: Path) -> None:
    with Profile(folder) as profile:
        profile.identity(None if kind == "set" else PASSPHRASE)
        store = Store(profile.store_path, key=profile.data_key)
        if kind == "remove":
            await remove_passphrase(profile, store, PASSPHRASE)
        else:
            await set_passphrase(profile, store, NEW, None if kind == "set" else PASSPHRASE)
        store.close()


def main() -> None:
    """Fork a child for each step, until one comes to its end."""
    global _left
    kind, profile, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    data_key.SCRYPT_LOG2_N = QUICK_LOG2_N
    connect = sqlite3.connect
    sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Connection, **options)
    data_key.stretched("warm", b"s" * 16, QUICK_LOG2_N)  # imports are no steps
    number = 0
    while True:
        copy = folder / str(number)
        shutil.copytree(profile, copy)
        copy.chmod(0o700)
        child = os.fork()
        if child == 0:
            _left = number
            sys.addaudithook(happened)
            anyio.run(change, kind, copy)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        number += 1
        if not os.WIFSIGNALED(status):
            assert status == 0, status
            print(number)
            return


if __name__ == "__main__":
    main()
