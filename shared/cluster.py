"""The cluster file: where the nodes are and by which keys they are known. It is public; it holds no secret.

A peer needs nothing else to reach the cloud, so this file is what an operator hands to people. Node keys pin the nodes:
whoever answers at an address without the key is no node. Secrets (node keys, the directory's URL) lie in each node's
own file, see `node.settings`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from shared.config import PRESETS, Timing
from shared.errors import InvalidInput

_NODE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One node: where it takes requests (`port`), where it talks to other nodes (`node_port`), and its X25519 key."""

    name: str
    host: str
    port: int
    node_port: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as its file describes it. Nodes stand in address order, which breaks ties everywhere."""

    cluster_id: str
    preset: str
    nodes: tuple[NodeAddress, ...]
    operators: tuple[bytes, ...] = ()
    """X25519 keys of sessions that may watch and command the nodes."""

    @property
    def timing(self) -> Timing:
        """The timers of this cluster's preset."""
        return PRESETS[self.preset]

    @property
    def prologue(self) -> bytes:
        """What both sides of every handshake must agree on, so that a session of one cluster is none of another."""
        return b"glimpse " + self.cluster_id.encode()

    def node(self, name: str) -> NodeAddress:
        """Return the node of that name. Raises `InvalidInput` if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise InvalidInput(f"The cluster has no node {name!r}; it has {known}.")


def save_cluster(path: Path, cluster: Cluster) -> None:
    """Write the cluster file. It replaces an older one at once or not at all."""
    document = {
        "cluster_id": cluster.cluster_id,
        "preset": cluster.preset,
        "operators": [key.hex() for key in cluster.operators],
        "nodes": [
            {
                "name": node.name,
                "host": node.host,
                "port": node.port,
                "node_port": node.node_port,
                "key": node.key.hex(),
            }
            for node in cluster.nodes
        ],
    }
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(tomli_w.dumps(document), encoding="utf-8")
    temporary.replace(path)


def load_cluster(path: Path) -> Cluster:
    """Read and check a cluster file.

    Raises `InvalidInput` with the fault and what to do: a file that is missing or too long, no TOML, a bad value.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise InvalidInput(f"{path} is too long for a cluster file; check the path.")
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(f"There is no cluster file at {path}; start a cluster with `glimpse up`.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"The cluster file {path} cannot be read: {error}.") from None
    try:
        return _cluster_from(document)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"The cluster file {path} is damaged ({error}); ask its operator for a new copy.") from None


def _cluster_from(document: Mapping[str, Any]) -> Cluster:
    nodes = tuple(sorted((_node_from(entry) for entry in document["nodes"]), key=lambda n: (n.host, n.port)))
    if not 1 <= len(nodes) <= 15 or len({node.name for node in nodes}) != len(nodes):
        raise ValueError("it must name 1 to 15 different nodes")
    if document["preset"] not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}")
    if not re.fullmatch(r"[0-9a-f]{32}", document["cluster_id"]):
        raise ValueError("cluster_id must be 32 hexadecimal digits")
    return Cluster(
        document["cluster_id"], document["preset"], nodes, tuple(_key(text) for text in document.get("operators", []))
    )


def _node_from(entry: Mapping[str, Any]) -> NodeAddress:
    if not _NODE_NAME.fullmatch(entry["name"]):
        raise ValueError("a node name has lower-case letters, digits, - and _")
    for port in (entry["port"], entry["node_port"]):
        if not isinstance(port, int) or not 1 <= port <= 65_535:
            raise ValueError("a port lies between 1 and 65535")
    return NodeAddress(entry["name"], str(entry["host"]), entry["port"], entry["node_port"], _key(entry["key"]))


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != 32:
        raise ValueError("a key has 64 hexadecimal digits")
    return key
