"""The small files that a node keeps in its folder: the number of its life, and what it remembers of the directory.

Each is replaced as a whole or not at all. The number of its life, its incarnation, grows by what the file, the
directory and the other nodes have of it, never by a clock: a node whose clock was set back would otherwise be taken for
its earlier life, and ignored for good.
"""

import hashlib
from pathlib import Path
from typing import Final

import orjson

from node.directory.marks import Marks
from node.memory import NOTHING
from shared.errors import StorageError, UserError
from shared.files import replace_file
from shared.wire.node_messages import MAX_INCARNATION

_REMOVE_IT: Final = "remove it; the node then takes its number from the directory and the other nodes."
_MAX_BYTES: Final = 4_096
_MAX_MARK: Final = 2**53
_FIELDS: Final = ("commits", "epoch", "term", "accounts")


class Lives:
    """The file that remembers the highest incarnation which a node has used. Blocks; call it in a thread."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"node-{name}.life"

    def begin(self, above: int) -> int:
        """Return an incarnation higher than `above` and than every earlier one; it is on disk when this returns.

        Raises StorageError where it cannot be written, UserError for a file that is no number.
        """
        incarnation = 1 + max(above, self._last())
        if incarnation > MAX_INCARNATION:
            raise UserError(f"The file {self.path} is damaged: {_REMOVE_IT}")
        try:
            replace_file(self.path, str(incarnation).encode())
        except OSError as error:
            raise StorageError(
                f"The node's file {self.path} cannot be written ({error.strerror}): make room, or mend its folder."
            ) from None
        return incarnation

    def _last(self) -> int:
        try:
            return int(self.path.read_bytes()[:32])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):
            raise UserError(f"The file {self.path} cannot be read or is damaged: {_REMOVE_IT}") from None


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
