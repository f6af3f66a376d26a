"""The cluster file: where the nodes are and by which keys they are known. It is public; it holds no secret.

A peer needs nothing else to reach the cloud, so this file is what an operator hands to people. Node keys pin the nodes:
whoever answers at an address without the key is no node. Secrets (node keys, the directory's URL) lie in each node's
own file, see `node.settings`.

It has a version and is signed by the operator. Whoever has one version takes a later one from anybody, because
`newer_cluster` checks that the operator of the version at hand has signed it, or one to whom that operator handed over.
A file whose signature is missing, or does not hold because somebody edited it, is used as it lies there by whoever was
given it; nobody follows from it or to it.
"""

import fcntl
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson
import tomli_w

from shared.config import PRESETS, Timing
from shared.errors import BadSignature, InvalidInput, LocalError, MalformedMessage
from shared.files import MAX_TOML_BYTES, PUBLIC, replace_file, toml_document, toml_from
from shared.identity import Identity, fingerprint_of, verify_signature
from shared.net.paths import is_loopback, is_numeric
from shared.net.udp import ANY_HOST, Address
from shared.wire.node_messages import MAX_NODES

_REMEDY: Final = "ask its operator for a new copy"
_NODE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_LONGEST_HOST: Final = 253
_MAX_MORE_HOSTS: Final = 7
_MAX_HANDOVERS: Final = 32
"""Operators' keys that were ever replaced: a file with thousands would cost its reader a signature check for each."""
_MAX_VERSION: Final = 2**53
_DOMAIN: Final = "cluster file"
_HANDOVER_DOMAIN: Final = "cluster operator"
MAX_CLUSTER_BYTES: Final = MAX_TOML_BYTES
"""Longest cluster file that is read, from a disk or from a node."""


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
class Handover:
    """An operator's statement that from now on another key signs the cluster file."""

    old: bytes
    new: bytes
    """Ed25519 keys."""
    signature: bytes
    """Of `old` over the cluster's id and `new`."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as its file describes it. Nodes stand in address order, which breaks ties everywhere."""

    cluster_id: str
    preset: str
    nodes: tuple[NodeAddress, ...]
    operators: tuple[bytes, ...] = ()
    """X25519 keys of sessions that may watch and command the nodes."""
    version: int = 0
    """One more with every change."""
    signer: bytes = b""
    """Ed25519 key of the operator who signs this version; empty in a file that was never signed."""
    handovers: tuple[Handover, ...] = ()
    """From all earlier signers to the present one, oldest first."""
    is_signed: bool = field(default=False, compare=False)
    """Whether it was read from a file whose signature holds."""
    is_edited: bool = field(default=False, compare=False)
    """Whether it was read from a file that has a signature which does not hold."""

    @property
    def timing(self) -> Timing:
        """The timers of this cluster's preset."""
        return PRESETS[self.preset]

    @property
    def prologue(self) -> bytes:
        """What both sides of every handshake must agree on, so that a session of one cluster is none of another."""
        return prologue_of(self.cluster_id)

    @property
    def bind_host(self) -> str:
        """Where to listen in order to talk to these nodes: on the loopback interface if all of them are there."""
        return bind_host_for([host for node in self.nodes for host in node.hosts])

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
    version: int = 0
    signer: str = ""
    handovers: list[dict[str, str]] = field(default_factory=list)
    signature: str = ""


def prologue_of(cluster_id: str) -> bytes:
    """Return the prologue of all handshakes in a cluster, see `Cluster.prologue`."""
    return b"glimpse " + cluster_id.encode()


def bind_host_for(hosts: Sequence[str]) -> str:
    """Return where to listen in order to talk to these hosts: on the loopback interface if all of them are there."""
    if not all(map(is_loopback, hosts)):
        return ANY_HOST
    families = {":" in host for host in hosts if host != "localhost"}
    return ANY_HOST if len(families) > 1 else "::1" if True in families else "127.0.0.1"


def save_cluster(path: Path, cluster: Cluster) -> None:
    """Write a cluster file without a signature. It replaces an older one at once or not at all. Raises `OSError`."""
    replace_file(path, tomli_w.dumps(_document_of(cluster)).encode(), mode=PUBLIC)


def signed_cluster(cluster: Cluster, operator: Identity) -> bytes:
    """Return the bytes of the cluster file, signed. Raises `LocalError` if `operator` is not its `signer`."""
    if operator.public.signing_key != cluster.signer:
        raise LocalError("a cluster file is signed by the operator that it names")
    document = _document_of(cluster)
    return tomli_w.dumps(document | {"signature": operator.sign(_DOMAIN, _signed_part(document)).hex()}).encode()


def handed_over(cluster: Cluster, old: Identity, new: Identity) -> Cluster:
    """Return the cluster with another operator, whose key replaces the present one everywhere.

    Raises `LocalError` if `old` is not its signer, `InvalidInput` if it was handed over too often.
    """
    if old.public.signing_key != cluster.signer:
        raise LocalError("only the present operator hands over")
    if len(cluster.handovers) >= _MAX_HANDOVERS:
        raise InvalidInput(f"The operator of a cluster can be replaced {_MAX_HANDOVERS} times.")
    signature = old.sign(_HANDOVER_DOMAIN, cluster.cluster_id.encode(), new.public.signing_key)
    handover = Handover(cluster.signer, new.public.signing_key, signature)
    others = [key for key in cluster.operators if key != old.public.session_key]
    return replace(
        cluster,
        operators=(new.public.session_key, *others),
        signer=new.public.signing_key,
        handovers=(*cluster.handovers, handover),
        is_signed=False,
    )


def newer_cluster(known: Cluster, data: bytes) -> Cluster:
    """Return the cluster in the bytes of a file that came from anywhere, if it may take the place of `known`.

    It is of the same cluster, of a higher version, and signed by the operator of `known` or by one to whom that one
    handed over. Raises `MalformedMessage` or `BadSignature` otherwise.
    """
    try:
        found = parse_cluster(data, "from a node")
    except InvalidInput as error:
        raise MalformedMessage(f"a cluster file that is none: {error}") from None
    if found.cluster_id != known.cluster_id or found.version <= known.version:
        raise MalformedMessage("a cluster file of another cluster, or an older one")
    if not found.is_signed or found.signer not in _trusted(known, found):
        raise BadSignature("a cluster file that the operator has not signed")
    return found


def invited_cluster(cluster_id: str, operator: bytes, data: bytes) -> Cluster:
    """Return the cluster in the bytes of a file that came from anywhere, if it is the one of an invitation.

    `operator` is the beginning of the fingerprint of the key that signed the file of whoever invites; one to whom that
    handed over will do. Raises `MalformedMessage` or `BadSignature` otherwise.
    """
    try:
        found = parse_cluster(data, "from a node")
    except InvalidInput as error:
        raise MalformedMessage(f"a cluster file that is none: {error}") from None
    signers = (found.signer, *(one.old for one in found.handovers))
    start = next((key for key in signers if key and fingerprint_of(key).startswith(operator)), b"")
    if not is_operators(replace(found, cluster_id=cluster_id, signer=start), found):
        raise BadSignature("a cluster file that the operator of the invitation has not signed")
    return found


def is_operators(known: Cluster, other: Cluster) -> bool:
    """Return whether `other`, of any version, is signed by the operator of `known` or by a later one of that."""
    return other.cluster_id == known.cluster_id and other.is_signed and other.signer in _trusted(known, other)


def load_cluster(path: Path) -> Cluster:
    """Read and check a cluster file.

    Raises `InvalidInput` with the fault and what to do: a file that is missing or too long, no TOML, a bad value.
    """
    return parse_cluster(read_cluster_file(path), path)


def read_cluster_file(path: Path) -> bytes:
    """Return the bytes of a cluster file, one more than `MAX_CLUSTER_BYTES` of a longer one.

    Raises `InvalidInput` where it is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_CLUSTER_BYTES + 1)
    except FileNotFoundError:
        raise InvalidInput(f"There is no cluster file at {path}; start a cluster with `glimpse up`.") from None
    except OSError as error:
        raise InvalidInput(f"The cluster file {path} cannot be read: {error.strerror}.") from None


def replace_cluster_file(path: Path, data: bytes, version: int) -> None:
    """Put a newer signed file in the place of a cluster file, unless that version or a later one lies there.

    Several processes may do so at a time: the nodes of one machine share a file. Raises `OSError`.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            known = load_cluster(path).version
        except InvalidInput:
            known = -1
        if known < version:
            replace_file(path, data, mode=PUBLIC)
    finally:
        os.close(folder)


def parse_cluster(data: bytes, where: Path | str) -> Cluster:
    """Return the cluster in the bytes of a file; `where` is what messages call it. Raises `InvalidInput`.

    Whether it is signed is told by `is_signed`.
    """
    file = toml_from(data, _ClusterFile, where=where, what="cluster file", remedy=_REMEDY)
    try:
        cluster = _cluster_from(file)
        signature = bytes.fromhex(file.signature)
    except ValueError as error:
        raise InvalidInput(f"The cluster file {where} is damaged ({error}); {_REMEDY}.") from None
    if not signature:
        return cluster
    try:
        verify_signature(cluster.signer, signature, _DOMAIN, _signed_part(toml_document(data, where, "cluster file")))
    except (BadSignature, TypeError):
        return replace(cluster, is_edited=True)
    return replace(cluster, is_signed=True)


def _document_of(cluster: Cluster) -> dict[str, Any]:
    nodes = [
        _NodeEntry(node.name, node.host, node.port, node.node_port, node.key.hex(), list(node.more_hosts))
        for node in cluster.nodes
    ]
    handovers = [
        {"old": one.old.hex(), "new": one.new.hex(), "signature": one.signature.hex()} for one in cluster.handovers
    ]
    operators = [key.hex() for key in cluster.operators]
    file = _ClusterFile(
        cluster.cluster_id, cluster.preset, nodes, operators, cluster.version, cluster.signer.hex(), handovers
    )
    document = asdict(file)
    del document["signature"]
    return {name: value for name, value in document.items() if value not in ("", [])}


def _signed_part(document: Mapping[str, Any]) -> bytes:
    """Return what a signature covers: all that the file says, also what only later programs understand.

    Raises `TypeError` for values that no cluster file has, such as dates.
    """
    part = {name: value for name, value in document.items() if name != "signature"}
    return orjson.dumps(part, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME)


def _trusted(known: Cluster, other: Cluster) -> set[bytes]:
    """Return the keys that may sign after `known`, by the handovers in `other`."""
    trusted = {known.signer} if known.signer else set()
    for one in other.handovers:
        if one.old in trusted:
            verify_signature(one.old, one.signature, _HANDOVER_DOMAIN, known.cluster_id.encode(), one.new)
            trusted.add(one.new)
    return trusted


def _cluster_from(file: _ClusterFile) -> Cluster:
    nodes = tuple(sorted(map(_node_from, file.nodes), key=lambda node: (node.host, node.port)))
    if not 1 <= len(nodes) <= MAX_NODES or len({node.name for node in nodes}) != len(nodes):
        raise ValueError(f"it must name 1 to {MAX_NODES} different nodes")
    if file.preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}")
    if not re.fullmatch(r"[0-9a-f]{32}", file.cluster_id):
        raise ValueError("cluster_id must be 32 hexadecimal digits")
    if not 0 <= file.version <= _MAX_VERSION or len(file.handovers) > _MAX_HANDOVERS:
        raise ValueError(f"its version must be a number, and it has at most {_MAX_HANDOVERS} handovers")
    return Cluster(
        file.cluster_id,
        file.preset,
        nodes,
        tuple(map(_key, file.operators)),
        file.version,
        _key(file.signer) if file.signer else b"",
        tuple(map(_handover, file.handovers)),
    )


def _handover(entry: Mapping[str, str]) -> Handover:
    try:
        return Handover(_key(entry["old"]), _key(entry["new"]), bytes.fromhex(entry["signature"]))
    except KeyError:
        raise ValueError("a handover names old, new and signature") from None


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
