"""Where a node keeps what it remembers of the directory: a small file in its folder, replaced at once or not at all."""

import hashlib
from pathlib import Path
from typing import Final

import orjson

from node.directory.marks import Marks
from node.memory import NOTHING
from shared.errors import StorageError
from shared.files import replace_file

_MAX_BYTES: Final = 4_096
_MAX_MARK: Final = 2**53
_FIELDS: Final = ("commits", "epoch", "term", "accounts")


class Damaged(Exception):
    """The file is no memory of this cluster; the text says why."""


def memory_path(folder: Path, node: str) -> Path:
    """Return where a node keeps its memory."""
    return folder / f"memory-{node}.json"


def load_memory(path: Path, cluster_id: str) -> Marks:
    """Return what a node remembers, nothing where there is no file yet. Raises `Damaged`."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return NOTHING
    except OSError as error:
        raise Damaged(f"it cannot be read: {error.strerror}") from None
    try:
        document = orjson.loads(data)
        marks = [document[name] for name in _FIELDS]
        cluster, check = document["cluster"], document["check"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise Damaged("it is not what a node writes") from None
    if not all(type(mark) is int and 0 <= mark <= _MAX_MARK for mark in marks):
        raise Damaged("it is not what a node writes")
    if cluster != cluster_id:
        raise Damaged("it is of another cluster")
    found = Marks(*marks)
    if check != _check(found, cluster_id):
        raise Damaged("its check sum is wrong")
    return found


def save_memory(path: Path, cluster_id: str, marks: Marks) -> None:
    """Write what a node remembers; it is on the disk when this returns. Raises `StorageError`."""
    document = {"cluster": cluster_id, **{name: getattr(marks, name) for name in _FIELDS}}
    data = orjson.dumps(document | {"check": _check(marks, cluster_id)}) + b"\n"
    try:
        replace_file(path, data)
    except OSError as error:
        raise StorageError(f"What the node remembers cannot be written to {path}: {error.strerror}.") from None


def _check(marks: Marks, cluster_id: str) -> str:
    text = "\x1f".join(("glimpse memory", cluster_id, *(str(getattr(marks, name)) for name in _FIELDS)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
