"""Three real node processes: load, death, deafness, drain, and datagrams that nobody should send."""

import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from shared.cluster import load_cluster
from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.patience import PATIENCE_S, wait_until
from tests.ports import can_be_bound, free_ports
from tests.tui.terminal import Terminal
from tui.commands import up
from tui.commands.status import status_of

pytestmark = [pytest.mark.xdist_group("nodes"), pytest.mark.anyio]

NODE_FIELDS = {
    "name",
    "pid",
    "role",
    "term",
    "priority",
    "cost",
    "load1",
    "in_flight",
    "heartbeat_age_ms",
    "rtt_ms",
    "requests_done",
    "worker_ports",
    "cpu_percent",
    "rss_mb",
}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    running = RunningCluster(tmp_path / "cluster")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster for tests that leave it as they found it."""
    running = RunningCluster(tmp_path_factory.mktemp("lasting") / "cluster")
    yield running
    running.stop()


async def test_nodes_serve_at_the_ports_that_were_held_for_them(tmp_path: Path) -> None:
    """A port that `up` had found free was taken by another process before the node bound it, and `up` failed."""
    place = await anyio.to_thread.run_sync(lambda: up.set_up(tmp_path / "cluster", nodes=1, base_port=0))
    [node] = place.cluster.nodes
    ports = [(node.host, node.port), (node.host, node.node_port)]
    async with up.running(place):  # entered when the node has answered
        assert not place.sockets
        assert not any(can_be_bound(port) for port in ports)
    assert all(can_be_bound(port) for port in ports), "nobody else has kept them"


def loaded(pid: int) -> set[str]:
    """Return which of the libraries for pictures a process has loaded."""
    files = [part for place in psutil.Process(pid).memory_maps() for part in Path(place.path).parts]
    return {"numpy", "PIL"} & set(files)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process tells what it has mapped")
def test_a_node_loads_what_pictures_need_with_the_first_one(tmp_path: Path) -> None:
    running = RunningCluster(tmp_path / "cluster", "--nodes", "1")
    try:
        pid = running.pid("n1")
        assert loaded(pid) == set()
        running.load(1, 1)
        assert loaded(pid) == {"numpy", "PIL"}
    finally:
        running.stop()


@pytest.mark.parametrize("reader", [False, True], ids=["", "after-a-reader"])
def test_a_load_whose_leader_is_killed(cluster: RunningCluster, reader: bool) -> None:
    """The reference lost 2 to 10 of its requests when a server was shut down midway."""
    if reader:
        cluster.read_directory()
    before = json.loads(cluster.glimpse("status", "--json").stdout)
    assert all(set(node) >= NODE_FIELDS for node in before["nodes"])
    assert set(before["directory"]) >= {"engine", "ok", "latency_ms"}
    cluster.load(90, 3, "--kill", "leader@30")
    after = cluster.status()
    assert after["leader"] not in (None, before["leader"])
    assert after["term"] > before["term"]
    assert [node["role"] for node in after["nodes"]].count("down") == 1


def test_a_load_whose_leader_ends_in_order(cluster: RunningCluster) -> None:
    """The twin of the test before: SIGTERM closes what SIGKILL leaves open, the directory's file among it."""
    command = [*GLIMPSE, "load", "--requests", "200", "--clients", "3", "--json", "--cluster", str(cluster.file)]
    status = cluster.status()
    leader = next(node for node in status["nodes"] if node["name"] == status["leader"])
    other = next(node["name"] for node in status["nodes"] if node["name"] != status["leader"])

    def done() -> int:
        nodes = {node["name"]: node for node in cluster.status()["nodes"]}
        return int(nodes[other].get("requests_done", 0))

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        wait_until(lambda: done() > 5)
        os.kill(leader["pid"], signal.SIGTERM)
        said, _ = running.communicate(timeout=100)
    stats = json.loads(said)
    assert (stats["ok"], stats["failed"], stats["duplicates"]) == (200, 0, 0)
    wait_until(lambda: cluster.status()["leader"] not in (None, leader["name"]))
    cluster.load(20, 3)


def test_a_node_whose_parent_was_gone_before_it_began_ends(tmp_path: Path) -> None:
    """It took whoever was its parent by then for the one that had started it, and ran for ever."""
    one = f"n1=127.0.0.1:{free_ports(2)}"
    subprocess.run([*GLIMPSE, "cluster", "init", "--node", one, "--out", tmp_path / "cloud"], check=True)
    node = [*GLIMPSE, "node", "--cluster", tmp_path / "cloud" / "n1" / "cluster.toml", "--name", "n1"]
    assert subprocess.run([*node, "--with-parent", "1"], check=False, timeout=PATIENCE_S).returncode == 0
    assert "the parent process is gone" in (tmp_path / "cloud" / "n1" / "node-n1.log").read_text()


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket at which systemd listens. To be asked for before the cluster, whose nodes it is told to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_a_drained_node_hands_over_and_ends(supervisor: socket.socket, cluster: RunningCluster) -> None:
    assert [supervisor.recv(100) for _ in range(3)] == [b"READY=1"] * 3
    before = cluster.status()
    leader = next(node for node in before["nodes"] if node["name"] == before["leader"])
    os.kill(leader["pid"], signal.SIGTERM)
    assert supervisor.recv(100) == b"STOPPING=1"
    cluster.load(60, 3)
    assert cluster.status()["leader"] not in (None, before["leader"])
    wait_until(lambda: not psutil.pid_exists(leader["pid"]) or psutil.Process(leader["pid"]).status() == "zombie")


def test_datagrams_that_nobody_should_send(lasting: RunningCluster) -> None:
    """In the reference one malformed datagram ended the main loop and another ended heartbeat listening."""
    before = lasting.status()
    rng = random.Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for node in load_cluster(lasting.file).nodes:
            for port in (node.port, node.node_port):
                for _ in range(300):
                    kind = rng.choice([0, 1, 2, 3, 4, 5, 0x10, 255])
                    body = rng.randbytes(rng.choice([0, 1, 9, 40, 1198, 8_000]))
                    sender.sendto(bytes([1, kind]) + body, (node.host, port))
    lasting.load(20, 3)
    after = lasting.status()
    assert (after["leader"], after["term"]) == (before["leader"], before["term"])
    assert all(sum(node["dropped"].values()) > 0 for node in after["nodes"])


def test_logs_and_key_files_tell_nothing_to_others(lasting: RunningCluster) -> None:
    lasting.load(20, 3)
    secrets = [
        line.partition('"')[2].rstrip('"')
        for file in lasting.folder.glob("node-*.toml")
        for line in file.read_text().splitlines()
        if line.startswith(("private_key", "share_key"))
    ]
    assert len(secrets) == 6
    for file in lasting.folder.iterdir():
        private = stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
        assert private or file.name == "cluster.toml" or file.suffix == ".out", file
    for file in lasting.folder.glob("*.log"):
        text = file.read_text()
        assert all(json.loads(line)["level"] for line in text.splitlines())
        assert not any(secret in text for secret in secrets)


def test_a_deaf_leader_is_replaced_and_comes_back(lasting: RunningCluster) -> None:
    leader = lasting.status()["leader"]
    assert lasting.glimpse("order", leader, "deaf", "4").returncode == 0
    lasting.load(60, 3)
    wait_until(lambda: lasting.status()["leader"] not in (None, leader))
    wait_until(lambda: {node["name"]: node["role"] for node in lasting.status()["nodes"]}[leader] == "follower")


def test_no_node_outlives_the_command_that_started_it(tmp_path: Path) -> None:
    """Whether it was told to stop, which it says with its exit code, or was killed."""
    running = RunningCluster(tmp_path / "cluster")
    pids = [node["pid"] for node in running.status()["nodes"]]
    assert running.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    running = RunningCluster(tmp_path / "cluster")
    pids = [node["pid"] for node in running.status()["nodes"]]
    second = running.glimpse("up", "--data", str(running.folder))
    assert second.returncode == 2
    assert "running already" in second.stderr
    running.kill()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_up_ends_in_order_when_its_terminal_goes_away(tmp_path: Path) -> None:
    """A window that is closed: the nodes share its terminal, and are told of it too."""
    folder = tmp_path / "cluster"
    with Terminal(
        [*GLIMPSE, "up", "--data", str(folder), "--base-port", str(free_ports(6))], env=dict(os.environ)
    ) as up:
        up.wait_for("ready leader=")
        up.hang_up()
        assert up.process.wait(PATIENCE_S) == 0
    for name in ("n1", "n2", "n3"):
        assert '"drained"' in (folder / f"node-{name}.log").read_text()


def test_up_tells_of_a_dead_node_at_once_and_ends_when_none_is_left(tmp_path: Path) -> None:
    """It went on with nothing to run, and said nothing to whoever started it with other options than before."""
    folder = tmp_path / "cluster"
    assert RunningCluster(folder, "--nodes", "1").stop() == 0
    again = [*GLIMPSE, "up", "--data", str(folder), "--nodes", "3", "--preset", "wan", "--host", "127.0.0.1"]
    with subprocess.Popen(again, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("ready ")
        [node] = anyio.run(status_of, folder)["nodes"]
        os.kill(node["pid"], signal.SIGKILL)
        assert process.stdout.read() == "node n1 ended with code -9\nno node is left\n"
        assert process.wait(PATIENCE_S) == 1
        warnings = process.stderr.read().splitlines()
    assert [line.split()[:3] for line in warnings] == [["Warning:", "--nodes", "3"], ["Warning:", "--preset", "wan"]]


def test_a_slip_in_the_first_directory_url_is_not_kept(tmp_path: Path) -> None:
    """The next start, with the right password, was told that the cluster uses another directory."""
    folder, file = tmp_path / "cluster", tmp_path / "url.txt"
    file.write_text("mysql://glimpse:wrong@127.0.0.1:1/glimpse")
    file.chmod(0o600)
    command = [*GLIMPSE, "up", "--data", str(folder), "--directory-file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert not folder.exists()
