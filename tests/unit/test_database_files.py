"""Nothing opens, moves or deletes a database file beside SQLite."""

import ast
import os
import sqlite3
import time
from pathlib import Path

import pytest

import node
import shared
import tui
from node.directory.sqlite_file import File, FileUsers
from shared.errors import StorageError, Unavailable
from tui.peer.profiles import list_profiles
from tui.peer.store import Store

ROOTS = [Path(package.__file__).parent for package in (shared, node, tui)]
OPENING = {
    "open",
    "fdopen",
    "read_bytes",
    "write_bytes",
    "read_text",
    "write_text",
    "touch",
    "unlink",
    "remove",
    "rename",
    "replace",
    "copy",
    "copyfile",
    "copy2",
    "copyfileobj",
    "move",
    "rmtree",
    "truncate",
    "link",
    "symlink",
}
ALLOWED = {
    ("node/directory/sqlite_file.py", "_create_private"): "O_EXCL: makes the file, and never opens one that is there",
    ("node/directory/sqlite_file.py", "FileUsers"): "a lock file of ours beside the database",
    ("node/directory/sqlite_file.py", "Gate"): "a lock file of ours beside the database",
    ("node/directory/__init__.py", "open_directory"): "opens it through SQLite",
    ("node/directory/backup.py", "_clear_away"): "removes half-written files that nobody has open",
    ("node/directory/backup.py", "back_up"): "gives a finished copy, closed before, its name",
    ("node/directory/backup.py", "_beside"): "a file of our own that is still being made, and is in nobody's use",
    ("node/directory/backup.py", "_alone"): "a lock file of ours beside the database",
    ("node/directory/backup.py", "_flush"): "a finished copy, and folders",
    ("tui/peer/profile.py", "Profile"): "the lock, the key and the images of a profile",
    ("tui/peer/profiles.py", "holder"): "the lock of a profile",
    ("tui/commands/up.py", "_start"): "the logs of nodes",
    ("tui/commands/up.py", "_last_words"): "the logs of nodes",
    ("tui/commands/up.py", "_locked"): "the lock of a cluster's folder",
    ("tui/commands/up.py", "_first_lent_port"): "a file of the kernel",
    ("tui/commands/cluster_folder.py", "OperatorFolder"): "keys and cluster files; most are copies of values",
    ("tui/commands/cluster_folder.py", "create"): "the nodes' own files of a cluster that did not come to be",
    ("tui/cli_cluster.py", "remove_node"): "nothing: it takes a node out of the cluster file",
}
"""Where a module that knows the path of a database opens files, and what it opens."""


def knows_a_database(tree: ast.Module) -> bool:
    """Tell whether a module names a database's file, takes its path, or connects to it."""
    for part in ast.walk(tree):
        match part:
            case ast.ImportFrom(module=module) if module and "sqlite" in module:
                return True
            case ast.ImportFrom(names=names) if "SqliteUrl" in {alias.name for alias in names}:
                return True
            case ast.Constant(value=str(text)) if text.endswith((".sqlite", "-wal", "-shm")):
                return True
            case ast.Attribute(attr="connect", value=ast.Name(id="sqlite3")):
                return True
    return False


def openings(tree: ast.Module) -> list[tuple[str, int]]:
    """Return where a module calls what opens, moves or deletes files: the function or class, and the line."""
    found = []
    for outer in tree.body:
        for part in ast.walk(outer):
            if isinstance(part, ast.Call):
                called = part.func
                name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                is_texts = name == "replace" and len(part.args) > 1 and getattr(called.value, "id", "") != "os"
                if name in OPENING and not is_texts:
                    found.append((getattr(outer, "name", ""), part.lineno))
    return found


def test_only_sqlite_opens_a_database() -> None:
    """The directory's file was opened and closed once to make it private. Closing any descriptor of a file drops all
    POSIX locks that the process holds on it, so the next process to close the database deleted the living nodes' log,
    and 30 of 50 acknowledged pictures were gone after a loss of power."""
    strangers = []
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            tree = ast.parse(path.read_text())
            if not knows_a_database(tree):
                continue
            name = path.relative_to(root.parent).as_posix()
            strangers += [f"{name}:{line} in {where}" for where, line in openings(tree) if (name, where) not in ALLOWED]
    assert strangers == []


def test_the_one_creation_never_opens_a_file_that_is_there() -> None:
    source = (ROOTS[1] / "directory" / "sqlite_file.py").read_text()
    [creation] = [part for part in ast.parse(source).body if getattr(part, "name", "") == "_create_private"]
    flags = {part.attr for part in ast.walk(creation) if isinstance(part, ast.Attribute)}
    assert "O_EXCL" in flags


def locks_on(path: Path) -> list[str]:
    """Return the POSIX locks of this process on a file, as the kernel has them."""
    status = path.stat()
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    lines = Path("/proc/locks").read_text().splitlines()
    # Without the number of the line, which changes with the locks of other processes.
    return [line.split(":", 1)[1] for line in lines if f" {os.getpid()} {device} " in line and "POSIX" in line]


needs_locks = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="no /proc/locks on this system")


@needs_locks
def test_the_directorys_locks_outlive_another_connection(tmp_path: Path) -> None:
    """A second connection of the same process, as a reader is one, must cost the first none of its locks."""
    path = tmp_path / "directory.sqlite"
    first = File(path)
    first.prepare(time.monotonic() + 30)
    first.begin(time.monotonic() + 30)
    first.roll_back()
    held = locks_on(path)
    assert held
    second = File(path, read_only=True)
    second.prepare(time.monotonic() + 30)
    second.close()
    assert locks_on(path) == held
    first.close()


@needs_locks
def test_listing_profiles_leaves_an_open_store_its_locks(tmp_path: Path) -> None:
    """The client lists all profiles, its own among them, by a connection that takes no locks."""
    folder = tmp_path / "ada"
    folder.mkdir()
    store = Store(folder / "store.sqlite")
    held = locks_on(folder / "store.sqlite")
    assert held
    [listed] = list_profiles(tmp_path)
    assert listed.name == "ada"
    immutable = sqlite3.connect(f"{(folder / 'store.sqlite').as_uri()}?immutable=1", uri=True)
    immutable.execute("SELECT 1 FROM sqlite_master").fetchall()
    immutable.close()
    assert locks_on(folder / "store.sqlite") == held
    store.close()


def test_users_share_and_a_restore_waits_for_none(tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "directory.sqlite"
    one, two = FileUsers(path), FileUsers(path)
    alone = os.open(tmp_path / "directory.sqlite-users", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    one.close()
    two.close()
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(Unavailable, match="being restored"):
        FileUsers(path)
    os.close(alone)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        FileUsers(tmp_path / "absent" / "directory.sqlite")
