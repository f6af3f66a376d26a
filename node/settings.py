"""A node's own file: its private key, the directory's URL and the key that encrypts shares at rest. Mode 0600."""

import os
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from shared.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What only the nodes know. `share_key` is the same on every node of a cluster."""

    private_key: bytes
    share_key: bytes
    directory_url: str

    def __repr__(self) -> str:
        return "NodeSettings(...)"


def save_node_settings(path: Path, settings: NodeSettings) -> None:
    """Write a node's file, readable for its owner only. Raises `FileExistsError` rather than overwrite keys."""
    document = {
        "private_key": settings.private_key.hex(),
        "share_key": settings.share_key.hex(),
        "directory": settings.directory_url,
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(tomli_w.dumps(document).encode())
        file.flush()
        os.fsync(file.fileno())


def load_node_settings(path: Path) -> NodeSettings:
    """Read a node's file. Raises `InvalidInput` if it is missing, damaged, or readable for others."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise InvalidInput(f"{path} holds keys and others may read it; run: chmod 600 {path}")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = NodeSettings(
            bytes.fromhex(document["private_key"]), bytes.fromhex(document["share_key"]), str(document["directory"])
        )
    except OSError as error:
        raise InvalidInput(f"The node file {path} cannot be read: {error.strerror}.") from None
    except (KeyError, TypeError, ValueError):
        raise InvalidInput(f"The node file {path} is damaged; restore it from a copy.") from None
    if len(settings.private_key) != 32 or len(settings.share_key) != 32:
        raise InvalidInput(f"The node file {path} is damaged: a key has 64 hexadecimal digits.")
    return settings
