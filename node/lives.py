"""The number of this life of a node, its incarnation, kept in the node's own folder.

It grows by what the file, the directory and the other nodes have of it, never by a clock: a node whose clock was set
back would otherwise be taken for its earlier life, and ignored for good.
"""

from pathlib import Path
from typing import Final

from shared.errors import StorageError, UserError
from shared.files import replace_file
from shared.wire.node_messages import MAX_INCARNATION

_REMOVE_IT: Final = "remove it; the node then takes its number from the directory and the other nodes."


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
