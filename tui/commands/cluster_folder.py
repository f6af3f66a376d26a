"""An operator's folder: the cluster file, the operator's key, and what each node needs; made and changed here.

Two layouts. `glimpse up` runs all nodes out of one folder, so their files lie beside the cluster file. `glimpse cluster
init` is for several machines: each node has a bundle, a folder of its name with its own file and the cluster file and
nothing else, to be copied to its machine.

What a change needs is written first and the cluster file, which makes it count, after that; a command that was cut
short is given again.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from node.directory.url import SqliteUrl, parse_directory_url
from node.settings import NodeSettings, change_node_settings, load_node_settings, node_file, save_node_settings
from shared.cluster import (
    Cluster,
    NodeAddress,
    handed_over,
    load_cluster,
    parse_cluster,
    read_cluster_file,
    replace_cluster_file,
    signed_cluster,
)
from shared.errors import InvalidInput, StorageError
from shared.files import PUBLIC, replace_file
from shared.identity import Identity, public_key
from shared.keyfiles import load_identity, save_identity
from shared.net.paths import is_loopback
from shared.wire.node_messages import MAX_NODES
from tui.common.user_paths import CLUSTER_FILE, OPERATOR_KEY

_OLD_KEY: Final = "operator-before-{version}.key"


@dataclass(frozen=True, slots=True)
class Placed:
    """A node as it is asked for: its name, and where it is to be reached."""

    name: str
    hosts: tuple[str, ...]
    port: int
    node_port: int

    @classmethod
    def of(cls, text: str) -> "Placed":
        """Return what NAME=HOST[,HOST...]:PORT[/NODE_PORT] says. Raises `InvalidInput`.

        An IPv6 address stands in brackets, as in URLs. The port for other nodes is the next one unless it is given.
        """
        name, _, where = text.partition("=")
        hosts, _, ports = where.rpartition(":")
        port, _, node_port = ports.partition("/")
        try:
            numbers = int(port), int(node_port) if node_port else int(port) + 1
        except ValueError:
            numbers = (0, 0)
        if not (name and hosts and all(0 < number <= 65_535 for number in numbers)):
            raise InvalidInput(f"{text!r} is no node; write it as NAME=HOST:PORT, such as n1=n1.example.org:47600.")
        return cls(name, tuple(host.removeprefix("[").removesuffix("]") for host in hosts.split(",")), *numbers)

    def address(self, key: bytes) -> NodeAddress:
        """Return it as it stands in the cluster file."""
        return NodeAddress(self.name, self.hosts[0], self.port, self.node_port, key, self.hosts[1:])


class OperatorFolder:
    """What an operator has of a cluster. Raises `InvalidInput`, `ProfileError` where a file is missing or damaged."""

    def __init__(self, folder: Path, *, mends: bool = True) -> None:
        """`mends` finishes what a command that was cut short has left; without it nothing is written."""
        self.folder = folder
        self.file = folder / CLUSTER_FILE
        self.cluster = load_cluster(self.file)
        if mends:
            self._finish_rotation()
            self._catch_up()

    @property
    def operator(self) -> Identity:
        """The operator's key. Raises `InvalidInput` where it is not here."""
        path = self.folder / OPERATOR_KEY
        if not path.exists():
            raise InvalidInput(f"There is no operator's key at {path}; only who set the cluster up can do this.")
        return load_identity(path)

    def bundle(self, name: str) -> Path:
        """Return the folder that has, or is to have, the files of a node."""
        own = self.folder / name
        return own if self._has_bundles or own.is_dir() else self.folder

    def settings(self, name: str) -> NodeSettings:
        """Return what a node's own file says. Raises `InvalidInput` where it is not here."""
        return load_node_settings(node_file(self.bundle(name), name))

    def check_unedited(self) -> None:
        """Raise `InvalidInput` for a cluster file that was edited: a command would sign that as well."""
        if self.cluster.is_edited:
            raise InvalidInput(
                f"{self.file} was edited after it was signed: look at it (`glimpse cluster show`), sign it (`glimpse"
                " cluster publish`), and give this command again."
            )

    # --- Changes -----------------------------------------------------------------------------------------------------
    def add(self, placed: Placed) -> Path:
        """Add a node; return the folder with its files."""
        if placed.name in {node.name for node in self.cluster.nodes}:
            raise InvalidInput(f"There is a node {placed.name} already; `replace-node` gives it another machine.")
        others = self._any_settings()
        folder = self.bundle(placed.name)
        path = node_file(folder, placed.name)
        if path.exists():  # of this command, cut short
            key = load_node_settings(path).private_key
        else:
            key = os.urandom(32)
            _make_folder(folder)
            save_node_settings(path, replace(others, private_key=key))
        self._change(replace(self.cluster, nodes=(*self.cluster.nodes, placed.address(public_key(key)))))
        return folder

    def remove(self, name: str) -> None:
        """Take a node out of the cluster, and its files out of the folder."""
        gone = self.cluster.node(name)
        left = tuple(node for node in self.cluster.nodes if node is not gone)
        if not left:
            raise InvalidInput(f"{name} is the only node.")
        self._any_settings(besides=name)
        folder = self.bundle(name)
        self._change(replace(self.cluster, nodes=left))
        node_file(folder, name).unlink(missing_ok=True)
        if folder != self.folder:
            (folder / CLUSTER_FILE).unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()

    def replace(self, name: str, placed: Placed | None, key: bytes) -> Path:
        """Give a node another key, which its file here has afterwards, and another place if one is named.

        Returns the folder with its files.
        """
        before = self.cluster.node(name)
        others = self._any_settings()
        folder = self.bundle(name)
        path = node_file(folder, name)
        if path.exists():
            change_node_settings(path, private_key=key)
        else:
            _make_folder(folder)
            save_node_settings(path, replace(others, private_key=key))
        after = replace(before, key=public_key(key)) if placed is None else placed.address(public_key(key))
        self._change(
            replace(self.cluster, nodes=tuple(after if node is before else node for node in self.cluster.nodes))
        )
        return folder

    def rotate_operator(self) -> Path:
        """Replace the operator's key; return where the old one is kept until the nodes have heard of it."""
        old = self.operator
        if not self._next_key.exists():
            save_identity(self._next_key, Identity.generate())
        new = load_identity(self._next_key)
        self._change(handed_over(self.cluster, old, new), new)
        self._finish_rotation()
        return self._kept_key

    def set_directory(self, url: str) -> list[str]:
        """Write another directory URL into the nodes' files that are here; return the names of these nodes."""
        names = [node.name for node in self.cluster.nodes if self._has_file(node.name)]
        if not names:
            raise InvalidInput(f"No node's file lies in {self.folder}.")
        for name in names:
            change_node_settings(node_file(self.bundle(name), name), directory_url=url)
        return names

    def change_share_key(self, *, next_key: bytes | None = None, key: bytes | None = None) -> None:
        """Write the next share key, or the new one, into all nodes' files that are here."""
        for node in self.cluster.nodes:
            if self._has_file(node.name):
                path = node_file(self.bundle(node.name), node.name)
                change_node_settings(path, next_share_key=next_key, share_key=key)

    def next_share_key(self) -> bytes:
        """Return the key that is to take the share key's place: the one that a command cut short began with, or a new
        one. Raises `InvalidInput` where no node's file is here."""
        self._any_settings()
        known = [self.settings(node.name) for node in self.cluster.nodes if self._has_file(node.name)]
        return next((one.next_share_key for one in known if one.next_share_key), None) or os.urandom(32)

    def sign(self) -> bool:
        """Sign the cluster file as it stands, if it was edited or never signed; return whether that was so."""
        if self.cluster.is_signed:
            return False
        operator = self.operator
        if operator.public.session_key not in self.cluster.operators:
            raise InvalidInput("The operator's key in this folder is not one that the cluster file names.")
        cluster = replace(self.cluster, signer=self.cluster.signer or operator.public.signing_key)
        self._change(cluster)
        return True

    # --- Inside ------------------------------------------------------------------------------------------------------
    @property
    def _has_bundles(self) -> bool:
        return not any(node_file(self.folder, node.name).exists() for node in self.cluster.nodes)

    @property
    def _next_key(self) -> Path:
        return self.folder / (OPERATOR_KEY + ".next")

    @property
    def _kept_key(self) -> Path:
        return self.folder / _OLD_KEY.format(version=self.cluster.version)

    def _finish_rotation(self) -> None:
        """Put the next operator's key in its place if the cluster file names it."""
        if self._next_key.exists() and load_identity(self._next_key).public.signing_key == self.cluster.signer:
            if (self.folder / OPERATOR_KEY).exists():
                (self.folder / OPERATOR_KEY).replace(self._kept_key)
            self._next_key.replace(self.folder / OPERATOR_KEY)

    def _has_file(self, name: str) -> bool:
        return node_file(self.bundle(name), name).exists()

    def _any_settings(self, *, besides: str = "") -> NodeSettings:
        """Return the settings of a node whose file is here: all have the same share key and directory."""
        for node in self.cluster.nodes:
            if node.name != besides and self._has_file(node.name):
                return self.settings(node.name)
        raise InvalidInput(
            f"No node's file lies in {self.folder}, and the key that opens the shares in the directory is in these"
            " files alone: do this where the cluster was made, or copy a node's file there."
        )

    def _change(self, cluster: Cluster, signer: Identity | None = None) -> None:
        if not 1 <= len(cluster.nodes) <= MAX_NODES:
            raise InvalidInput(f"A cluster has 1 to {MAX_NODES} nodes.")
        _check_apart(cluster.nodes)
        cluster = replace(cluster, version=cluster.version + 1)
        operator = signer or self.operator
        if operator.public.signing_key != cluster.signer:
            raise InvalidInput(
                f"The key {self.folder / OPERATOR_KEY} does not sign this cluster file"
                + ("." if cluster.signer else "; `glimpse cluster publish` signs one that never was.")
            )
        data = signed_cluster(cluster, operator)
        self.cluster = parse_cluster(data, self.file)  # what nobody could read is not written
        replace_file(self.file, data, mode=PUBLIC)
        self._catch_up()

    def _catch_up(self) -> None:
        """Bring the cluster files of all bundles up to date."""
        data = read_cluster_file(self.file)
        for node in self.cluster.nodes:
            folder = self.bundle(node.name)
            if folder != self.folder and folder.is_dir() and self.cluster.is_signed:
                replace_cluster_file(folder / CLUSTER_FILE, data, self.cluster.version)


def create(
    folder: Path,
    placed: Sequence[Placed],
    url: str,
    preset: str,
    *,
    bundles: bool,
) -> None:
    """Make a cluster in a folder: keys, nodes' files, and the signed cluster file last.

    Raises `InvalidInput` for nodes that cannot be, and where there is a cluster already; `StorageError`.
    """
    if (folder / CLUSTER_FILE).exists():
        raise InvalidInput(f"There is a cluster in {folder} already; `glimpse cluster` changes it.")
    if not 1 <= len(placed) <= MAX_NODES:
        raise InvalidInput(f"A cluster has 1 to {MAX_NODES} nodes.")
    keys = {node.name: os.urandom(32) for node in placed}
    nodes = tuple(node.address(public_key(keys[node.name])) for node in placed)
    _check_apart(nodes)
    _make_folder(folder)
    operator = load_identity(folder / OPERATOR_KEY) if (folder / OPERATOR_KEY).exists() else Identity.generate()
    public = operator.public
    cluster = Cluster(os.urandom(16).hex(), preset, nodes, (public.session_key,), 1, public.signing_key)
    data = signed_cluster(cluster, operator)
    parse_cluster(data, folder / CLUSTER_FILE)
    share_key = os.urandom(32)
    if not (folder / OPERATOR_KEY).exists():
        save_identity(folder / OPERATOR_KEY, operator)
    for node in nodes:
        own = folder / node.name if bundles else folder
        _make_folder(own)
        # Without a cluster file there is no cluster yet: what lies here is of an attempt that was cut short.
        node_file(own, node.name).unlink(missing_ok=True)
        save_node_settings(node_file(own, node.name), NodeSettings(keys[node.name], share_key, url))
        if bundles:
            replace_file(own / CLUSTER_FILE, data, mode=PUBLIC)
    replace_file(folder / CLUSTER_FILE, data, mode=PUBLIC)


def check_directory(url: str) -> None:
    """Raise `InvalidInput` for a URL that no node could open, before any process is started."""
    place = parse_directory_url(url)
    if isinstance(place, SqliteUrl) and not place.path.resolve().parent.is_dir():
        raise InvalidInput(f"The folder {place.path.parent} of the directory is not there; make it, or name another.")


def are_here(placed: Iterable[Placed]) -> bool:
    """Return whether all nodes are on this machine, as far as their addresses tell."""
    return all(is_loopback(host) for node in placed for host in node.hosts)


def _check_apart(nodes: Sequence[NodeAddress]) -> None:
    """Raise `InvalidInput` where two nodes would have one name or one port of one host."""
    taken: dict[tuple[str, int], str] = {}
    if len({node.name for node in nodes}) < len(nodes):
        raise InvalidInput("Each node needs a name of its own.")
    for node in nodes:
        for address in {*node.addresses, *node.node_addresses}:
            if address in taken:
                raise InvalidInput(
                    f"{taken[address]} and {node.name} would both take port {address[1]} of {address[0]}; a node needs"
                    " two ports, PORT and the one after it, unless it is given as HOST:PORT/NODE_PORT."
                )
            taken[address] = node.name
        if node.port == node.node_port:
            raise InvalidInput(f"The node {node.name} needs two different ports.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror}.") from error
