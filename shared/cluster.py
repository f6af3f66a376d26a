"""The cluster file: where the nodes are and by which keys they are known. It is public; it holds no secret.

A peer needs nothing else to reach the cloud, so this file is what an operator hands to people. Node keys pin the nodes:
whoever answers at an address without the key is no node. Secrets (node keys, the directory's URL) lie in each node's
own file, see `node.settings`.
"""

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import tomli_w

from shared.config import PRESETS, Timing
from shared.errors import InvalidInput
from shared.files import PUBLIC, read_toml, replace_file
from shared.net.paths import is_loopback, is_numeric
from shared.net.udp import ANY_HOST, Address
from shared.wire.node_messages import MAX_NODES

_REMEDY: Final = "ask its operator for a new copy"
_NODE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_LONGEST_HOST: Final = 253
_MAX_MORE_HOSTS: Final = 7


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One node: where it takes requests (`port`), where it talks to other nodes (`node_port`), and its X25519 key.

    Hosts are names or addresses of either family. `more_hosts` lead to the same node; all are tried side by side.
    """

    name: str
    host: str
    port: int
    node_port: int
    key: bytes
    more_hosts: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts, the one that is tried first ahead."""
        return (self.host, *self.more_hosts)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it takes requests."""
        return tuple((host, self.port) for host in self.hosts)

    @property
    def node_addresses(self) -> tuple[Address, ...]:
        """Where it talks to other nodes."""
        return tuple((host, self.node_port) for host in self.hosts)

    @property
    def bind_host(self) -> str:
        """Where the node listens unless its own file says otherwise: at its one address, or at all of its machine's.

        A name may lead to an address that only a router of the node has.
        """
        return self.host if not self.more_hosts and is_numeric(self.host) else ANY_HOST


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

    @property
    def bind_host(self) -> str:
        """Where to listen in order to talk to these nodes: on the loopback interface if all of them are there."""
        hosts = [host for node in self.nodes for host in node.hosts]
        if not all(map(is_loopback, hosts)):
            return ANY_HOST
        families = {":" in host for host in hosts if host != "localhost"}
        return ANY_HOST if len(families) > 1 else "::1" if True in families else "127.0.0.1"

    def node(self, name: str) -> NodeAddress:
        """Return the node of that name. Raises `InvalidInput` if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise InvalidInput(f"The cluster has no node {name!r}; it has {known}.")


@dataclass(frozen=True, slots=True)
class _NodeEntry:
    """`NodeAddress` as it stands in the file: the key in hexadecimal digits."""

    name: str
    host: str
    port: int
    node_port: int
    key: str
    more_hosts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _ClusterFile:
    """`Cluster` as it stands in the file."""

    cluster_id: str
    preset: str
    nodes: list[_NodeEntry]
    operators: list[str] = field(default_factory=list)


def save_cluster(path: Path, cluster: Cluster) -> None:
    """Write the cluster file. It replaces an older one at once or not at all. Raises `OSError`."""
    nodes = [
        _NodeEntry(node.name, node.host, node.port, node.node_port, node.key.hex(), list(node.more_hosts))
        for node in cluster.nodes
    ]
    document = _ClusterFile(cluster.cluster_id, cluster.preset, nodes, [key.hex() for key in cluster.operators])
    replace_file(path, tomli_w.dumps(asdict(document)).encode(), mode=PUBLIC)


def load_cluster(path: Path) -> Cluster:
    """Read and check a cluster file.

    Raises `InvalidInput` with the fault and what to do: a file that is missing or too long, no TOML, a bad value.
    """
    try:
        return _cluster_from(read_toml(path, _ClusterFile, what="cluster file", remedy=_REMEDY))
    except FileNotFoundError:
        raise InvalidInput(f"There is no cluster file at {path}; start a cluster with `glimpse up`.") from None
    except ValueError as error:
        raise InvalidInput(f"The cluster file {path} is damaged ({error}); {_REMEDY}.") from None


def _cluster_from(file: _ClusterFile) -> Cluster:
    nodes = tuple(sorted(map(_node_from, file.nodes), key=lambda node: (node.host, node.port)))
    if not 1 <= len(nodes) <= MAX_NODES or len({node.name for node in nodes}) != len(nodes):
        raise ValueError(f"it must name 1 to {MAX_NODES} different nodes")
    if file.preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}")
    if not re.fullmatch(r"[0-9a-f]{32}", file.cluster_id):
        raise ValueError("cluster_id must be 32 hexadecimal digits")
    return Cluster(file.cluster_id, file.preset, nodes, tuple(map(_key, file.operators)))


def _node_from(entry: _NodeEntry) -> NodeAddress:
    if not _NODE_NAME.fullmatch(entry.name):
        raise ValueError("a node name has lower-case letters, digits, - and _")
    if not all(1 <= port <= 65_535 for port in (entry.port, entry.node_port)):
        raise ValueError("a port lies between 1 and 65535")
    if len(entry.more_hosts) > _MAX_MORE_HOSTS or not all(map(_is_host, (entry.host, *entry.more_hosts))):
        raise ValueError(f"{entry.name} needs host names or addresses, at most {_MAX_MORE_HOSTS} as more_hosts")
    return NodeAddress(
        entry.name, entry.host, entry.port, entry.node_port, _key(entry.key), tuple(dict.fromkeys(entry.more_hosts))
    )


def _is_host(text: str) -> bool:
    return is_numeric(text) or (len(text) <= _LONGEST_HOST and _HOST_NAME.fullmatch(text) is not None)


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != 32:
        raise ValueError("a key has 64 hexadecimal digits")
    return key
