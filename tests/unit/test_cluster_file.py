"""The cluster file is read back as it was written, and what is wrong with it is said in one sentence."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shared.cluster import Cluster, NodeAddress, load_cluster, save_cluster
from shared.errors import InvalidInput
from shared.net.udp import ANY_HOST
from tests.ports import can_be_bound
from tui.commands import up

CLUSTER = Cluster(
    "ab" * 16,
    "local",
    tuple(NodeAddress(f"n{i}", "127.0.0.1", 4000 + i, 5000 + i, bytes([i]) * 32) for i in (1, 2, 3)),
    (b"o" * 32,),
)


NODE = CLUSTER.nodes[0]


def test_round_trip(tmp_path: Path) -> None:
    save_cluster(tmp_path / "cluster.toml", CLUSTER)
    assert load_cluster(tmp_path / "cluster.toml") == CLUSTER


def test_a_node_has_names_and_addresses_of_both_families(tmp_path: Path) -> None:
    node = replace(NODE, host="n1.example.org", more_hosts=("2001:db8::1", "192.0.2.1"))
    save_cluster(tmp_path / "cluster.toml", replace(CLUSTER, nodes=(node,)))
    [loaded] = load_cluster(tmp_path / "cluster.toml").nodes
    assert loaded == node
    assert loaded.addresses == (("n1.example.org", 4001), ("2001:db8::1", 4001), ("192.0.2.1", 4001))
    assert [port for _, port in loaded.node_addresses] == [5001] * 3


@pytest.mark.parametrize(
    ("hosts", "peers", "node"),
    [
        (["127.0.0.1"], "127.0.0.1", "127.0.0.1"),
        (["localhost"], "127.0.0.1", ANY_HOST),
        (["::1"], "::1", "::1"),
        (["127.0.0.1", "::1"], ANY_HOST, ANY_HOST),
        (["192.0.2.1"], ANY_HOST, "192.0.2.1"),
        (["n1.example.org"], ANY_HOST, ANY_HOST),
    ],
)
def test_where_peers_and_nodes_listen(hosts: list[str], peers: str, node: str) -> None:
    one = replace(NODE, host=hosts[0], more_hosts=tuple(hosts[1:]))
    assert (replace(CLUSTER, nodes=(one,)).bind_host, one.bind_host) == (peers, node)


@pytest.mark.parametrize("host", ["", " ", "a b", "-a", "a-", "[::1]", "http://n1", "n" * 254, "a:1", "ü.example"])
@pytest.mark.parametrize("place", ["host", "more_hosts"])
def test_what_is_no_host_is_told(tmp_path: Path, host: str, place: str) -> None:
    node = replace(NODE, host=host) if place == "host" else replace(NODE, more_hosts=(host,))
    save_cluster(tmp_path / "cluster.toml", replace(CLUSTER, nodes=(node,)))
    with pytest.raises(InvalidInput, match="n1 needs host names or addresses"):
        load_cluster(tmp_path / "cluster.toml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('preset = "local"', 'preset = "moon"'),
        ("port = 4001", "port = 0"),
        ("port = 4001", 'port = "x"'),
        ('name = "n1"', 'name = "../n1"'),
        ('name = "n1"', 'name = "n2"'),
        ("ab" * 16, "zz" * 16),
        ("01" * 32, "01"),
        ("[[nodes]]", "[[knots]]"),
        ('cluster_id = "', "cluster_id = "),
    ],
)
def test_damage_is_told(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "cluster.toml"
    save_cluster(file, CLUSTER)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(InvalidInput):
        load_cluster(file)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="glimpse up"):
        load_cluster(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [("[" * 20_000, "nested too deeply"), ("9" * 20_000, "thousands of digits"), ("", "missing required")],
)
def test_a_file_that_tries_the_reader_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    """A deeply nested list once ended the program with a RecursionError."""
    file = tmp_path / "cluster.toml"
    file.write_text(f"cluster_id = {text}" if text else "")
    with pytest.raises(InvalidInput, match=said):
        load_cluster(file)


def test_anybody_may_read_it(tmp_path: Path) -> None:
    save_cluster(tmp_path / "cluster.toml", CLUSTER)
    assert (tmp_path / "cluster.toml").stat().st_mode & 0o777 == 0o644


def test_an_endless_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text("#" * 100_000)
    with pytest.raises(InvalidInput, match="too long"):
        load_cluster(file)


def test_free_ports_are_none_that_the_system_lends_to_others():
    """A node once found its port taken: between the choice and its start, another process had been lent it."""
    first_lent = up._first_lent_port()
    bound = up._bound_to_free_ports(30, "127.0.0.1")
    try:
        ports = [one.getsockname()[1] for one in bound]
    finally:
        up._close(bound)
    assert len(set(ports)) == 30
    assert ports == sorted(ports)
    assert all(10_240 <= port < first_lent for port in ports)


def test_free_ports_are_held_until_the_nodes_have_them(tmp_path: Path) -> None:
    """Another process took one between the choice and the start of its node, which then ended at once."""
    place = up.set_up(tmp_path / "cluster", base_port=0)
    addresses = [(node.host, port) for node in place.cluster.nodes for port in (node.port, node.node_port)]
    assert len(set(addresses)) == 6
    try:
        assert not any(can_be_bound(address) for address in addresses)
    finally:
        place.close()
    assert all(can_be_bound(address) for address in addresses)


@pytest.mark.parametrize(("host", "said"), [("0.0.0.0", "no address by which"), ("name", "no address by which")])
def test_a_cluster_needs_an_address_that_others_reach(tmp_path: Path, host: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        up.set_up(tmp_path / "cluster", base_port=0, host=host)


def test_an_address_of_another_machine_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is no address of this machine"):
        up.set_up(tmp_path / "cluster", base_port=0, host="192.0.2.1")


def test_what_was_not_handed_over_is_one_sentence(tmp_path: Path) -> None:
    """`--sockets` is for `glimpse up` alone; whoever uses it by hand is told what is wrong."""
    place = up.set_up(tmp_path / "cluster", nodes=1, base_port=0)
    place.close()
    command = [sys.executable, "-m", "tui.cli", "node", "--cluster", str(place.file), "--name", "n1"]
    done = subprocess.run(
        [*command, "--sockets", "0", "0"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("glimpse: Descriptor 0 is no socket that was handed over")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("written", "code", "said"),
    [
        ("a log\nglimpse: The port is taken.\n", 2, "Node n1 did not start: The port is taken."),
        (
            "Traceback\nValueError: nobody thought of this\n",
            1,
            "Node n1 ended with code 1 before there was a leader (ValueError: nobody thought of this)",
        ),
        ("", -9, "Node n1 was killed by signal 9 before there was a leader; see "),
        (None, -9, "Node n1 was killed by signal 9 before there was a leader; see "),
    ],
)
def test_why_a_node_did_not_come_up_is_said(tmp_path: Path, written: str | None, code: int, said: str) -> None:
    """A demo pointed at a file that it had removed when this was read."""
    if written is not None:
        (tmp_path / "node-n1.out").write_text(written)
    assert up._why_it_ended(tmp_path / "node-n1.out", "n1", code).startswith(said)
