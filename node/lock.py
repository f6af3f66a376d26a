"""One process per node: a lock in the node's folder, taken before the node reads or writes anything else."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import StorageError, UserError


@contextmanager
def running_once(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock of node `name` for the length of a `with` block; it ends with its process, however that ends.

    Raises `UserError` that names the process which holds it, `StorageError` where the lock's file cannot be made.
    """
    path = folder / f"node-{name}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"The lock {path} of the node cannot be made: {error.strerror}.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"Node {name} runs already{_holder(descriptor)}: stop that one first, or start a node of another name."
            ) from None
        except OSError as error:
            raise StorageError(f"The file system of {folder} has no locks ({error.strerror}): use another.") from None
        _note_holder(descriptor)
        yield
    finally:
        os.close(descriptor)


def _note_holder(descriptor: int) -> None:
    """Write this process's number into the file. It only helps a person, so a full disk keeps no node from starting."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError:
        return


def _holder(descriptor: int) -> str:
    try:
        return f" as process {int(os.pread(descriptor, 32, 0))}"
    except (OSError, ValueError):
        return ""
