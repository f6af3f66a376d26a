"""Clusters that are reached by IPv6, by name, and by one of several addresses; nodes that listen elsewhere."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import psutil
import pytest

from shared.cluster import load_cluster, save_cluster
from tests.integration.cluster import RunningCluster
from tests.integration.test_peers import shared_image
from tests.patience import until
from tests.ports import can_be_bound
from tui.peer.probe import probe

pytestmark = [pytest.mark.xdist_group("addresses"), pytest.mark.anyio]
NOBODY = "192.0.2.1"
"""An address for documentation (RFC 5737), where nobody is."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """Three nodes on IPv6 alone."""
    if not can_be_bound(("::1", 0)):
        pytest.skip("this system has no IPv6")
    running = RunningCluster(tmp_path_factory.mktemp("cluster"), "--host", "::1")
    yield running
    assert running.stop() == 0


@pytest.mark.usefixtures("first_try")
async def test_a_cluster_of_ipv6_alone_serves_everybody(
    cluster: RunningCluster, people: Callable[[str], Any], photo: Path
) -> None:
    """It elected a leader, and no client, load or status could talk to it."""
    await until(
        lambda: anyio.to_thread.run_sync(cluster.status),
        lambda status: status["leader"] is not None and all(node["pid"] for node in status["nodes"]),
    )
    cluster.load(20, 2)
    ann, ben = await people("ann"), await people("ben")
    held = await shared_image(ann, ben, photo, 2)
    assert (await ben.view(held.image)).data == photo.read_bytes()


async def test_nodes_are_reached_by_name_and_by_whichever_of_their_addresses_answers(
    cluster: RunningCluster, tmp_path: Path
) -> None:
    """As a cluster file lists them for people inside and outside of a network, of both families."""
    known = load_cluster(cluster.file)
    hosts = [(NOBODY, ("ip6-name.invalid", "::1")), ("localhost", ("::1",)), ("::1", (NOBODY,))]
    nodes = [replace(node, host=host, more_hosts=more) for node, (host, more) in zip(known.nodes, hosts, strict=True)]
    described = replace(known, nodes=tuple(nodes))
    names = {node.name for node in known.nodes}
    await until(lambda: probe(described), lambda standing: set(standing.answering) == names)
    other = tmp_path / "operator.key"
    other.write_bytes((cluster.folder / "operator.key").read_bytes())
    other.chmod(0o600)
    save_cluster(tmp_path / "cluster.toml", described)
    file = str(tmp_path / "cluster.toml")

    async def status() -> list[dict[str, Any]]:
        told = await anyio.to_thread.run_sync(cluster.glimpse, "status", "--json", "--cluster", file)
        nodes: list[dict[str, Any]] = json.loads(told.stdout)["nodes"]
        return nodes

    await until(status, lambda nodes: all(node["pid"] for node in nodes))


async def test_whoever_speaks_no_ipv6_is_told(cluster: RunningCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    known = load_cluster(cluster.file)
    described = replace(known, nodes=tuple(replace(node, host=NOBODY, more_hosts=("::1",)) for node in known.nodes))
    real = socket.socket

    def without(family: int = socket.AF_INET, *rest: Any, **more: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *rest, **more)

    monkeypatch.setattr(socket, "socket", without)
    standing = await probe(described)
    assert not standing.answering
    assert "::1" in standing.reason


def test_a_node_listens_elsewhere_than_the_cluster_file_tells(tmp_path: Path) -> None:
    """In a container, or behind a router that forwards ports, a node cannot bind to the address that others use."""
    folder = tmp_path / "cluster"
    running = RunningCluster(folder)
    running.stop()
    for file in folder.glob("node-*.toml"):
        host = "::" if can_be_bound(("::1", 0)) else "0.0.0.0"
        file.write_text(f'{file.read_text()}[bind]\nhost = "{host}"\n')
    running = RunningCluster(folder)
    try:
        for node in running.status()["nodes"]:
            bound = {one.laddr.ip for one in psutil.Process(node["pid"]).net_connections("udp")}
            assert "127.0.0.1" not in bound
        running.load(20, 2)
    finally:
        running.stop()
