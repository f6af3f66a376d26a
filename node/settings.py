"""A node's own file: its private key, the directory's URL and the key that encrypts shares at rest. Mode 0600."""

import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from shared.config import REQUEST_LIMITS, RequestLimits
from shared.errors import InvalidInput
from shared.files import create_file, read_toml, replace_file, toml_document
from shared.net.paths import is_numeric


@dataclass(frozen=True, slots=True)
class Bind:
    """Where a node listens, where that differs from what the cluster file tells others: behind a router that forwards
    ports, in a container. An empty host and a port of 0 stand for what the cluster file says."""

    host: str = ""
    port: int = 0
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What only the nodes know. `share_key` is the same on every node of a cluster."""

    private_key: bytes
    share_key: bytes
    directory_url: str
    limits: RequestLimits = REQUEST_LIMITS
    bind: Bind = Bind()
    former_share_keys: tuple[bytes, ...] = ()
    """What was encrypted under them can be read, and is encrypted anew: also what comes back with an old backup."""
    next_share_key: bytes | None = None
    """While the share key is replaced: other nodes may use it already."""

    def __repr__(self) -> str:
        return "NodeSettings(...)"


@dataclass(frozen=True, slots=True)
class _NodeFile:
    """`NodeSettings` as they stand in the file: keys in hexadecimal digits."""

    private_key: str
    share_key: str
    directory: str
    limits: RequestLimits = REQUEST_LIMITS
    bind: Bind = Bind()
    former_share_keys: list[str] = field(default_factory=list)
    next_share_key: str = ""


def node_file(folder: Path, name: str) -> Path:
    """Return where the file of a node lies: beside its cluster file."""
    return folder / f"node-{name}.toml"


def save_node_settings(path: Path, settings: NodeSettings) -> None:
    """Write a node's file, readable for its owner only. Raises `FileExistsError` rather than overwrite keys."""
    document = asdict(_NodeFile(settings.private_key.hex(), settings.share_key.hex(), settings.directory_url))
    del document["limits"], document["bind"]  # an operator adds what is to differ
    _put_share_keys(document, settings.share_key, settings.former_share_keys, settings.next_share_key)
    create_file(path, tomli_w.dumps(document).encode())


def change_node_settings(
    path: Path,
    *,
    private_key: bytes | None = None,
    directory_url: str | None = None,
    share_key: bytes | None = None,
    next_share_key: bytes | None = None,
) -> None:
    """Put other keys or another directory into a node's file, at once or not at all; what else stands there stays.

    A share key that is replaced becomes a former one. Raises `InvalidInput` as `load_node_settings`, and `OSError`.
    """
    known = load_node_settings(path)
    document = toml_document(path.read_bytes(), path, "node file")
    if private_key is not None:
        document["private_key"] = private_key.hex()
    if directory_url is not None:
        document["directory"] = directory_url
    if next_share_key is not None:
        _put_share_keys(document, known.share_key, known.former_share_keys, next_share_key)
    if share_key is not None:
        former = [key for key in (known.share_key, *known.former_share_keys) if key != share_key]
        _put_share_keys(document, share_key, former, None)
    replace_file(path, tomli_w.dumps(document).encode())


def _put_share_keys(document: dict[str, Any], key: bytes, former: Sequence[bytes], following: bytes | None) -> None:
    document["share_key"] = key.hex()
    others = {
        "former_share_keys": [one.hex() for one in former],
        "next_share_key": following.hex() if following else "",
    }
    for name, value in others.items():
        if value:
            document[name] = value
        else:
            document.pop(name, None)


def load_node_settings(path: Path) -> NodeSettings:
    """Read a node's file. Raises `InvalidInput` if it is missing, damaged, or readable for others."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise InvalidInput(f"{path} holds keys and others may read it; run: chmod 600 {path}")
        file = read_toml(path, _NodeFile, what="node file", remedy="restore it from a copy")
        settings = NodeSettings(
            bytes.fromhex(file.private_key),
            bytes.fromhex(file.share_key),
            file.directory,
            file.limits,
            file.bind,
            tuple(map(bytes.fromhex, file.former_share_keys)),
            bytes.fromhex(file.next_share_key) or None,
        )
    except OSError as error:
        raise InvalidInput(f"The node file {path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise InvalidInput(f"The node file {path} is damaged; restore it from a copy.") from None
    if too_small := [name for name, value in asdict(settings.limits).items() if not value > 0]:
        raise InvalidInput(f"In the node file {path}, {too_small[0]!r} under [limits] must be more than 0.")
    if settings.bind.host and not is_numeric(settings.bind.host):
        raise InvalidInput(f"In the node file {path}, 'host' under [bind] must be an address of this machine.")
    if not all(0 <= port <= 65_535 for port in (settings.bind.port, settings.bind.node_port)):
        raise InvalidInput(f"In the node file {path}, a port under [bind] lies between 1 and 65535.")
    keys = [settings.private_key, settings.share_key, *settings.former_share_keys]
    if any(len(key) != 32 for key in (*keys, *([settings.next_share_key] if settings.next_share_key else []))):
        raise InvalidInput(f"The node file {path} is damaged: a key has 64 hexadecimal digits.")
    return settings
