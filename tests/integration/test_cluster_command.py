"""`glimpse cluster`: machines are made, added, replaced and removed while people work, by the commands alone."""

import json
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.settings import load_node_settings, node_file
from shared.cluster import load_cluster
from shared.errors import Unavailable
from shared.invitation import Invitation
from tests.databases import fresh_database, run_sql
from tests.integration.cluster import GLIMPSE
from tests.patience import PATIENCE_S, until, wait_until
from tests.ports import free_ports
from tui.operator import Operator
from tui.peer import Peer, joining
from tui.peer.following import COPY
from tui.peer.joining import join

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.xdist_group("cluster_command")]
GONE = "glimpse: The operator took node n3 out of the cluster; its files are of no use any more.\n"


def place() -> str:
    return f"127.0.0.1:{free_ports(2)}"


class Machines:
    """Nodes of a cluster that `glimpse cluster init` made, each run from its bundle as on a machine of its own."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("n1", "n2", "n3"), *options: str) -> None:
        self.folder = folder
        self.file = folder / "cluster.toml"
        self.processes: dict[str, subprocess.Popen[str]] = {}
        nodes = [part for name in names for part in ("--node", f"{name}={place()}")]
        self.glimpse("cluster", "init", *nodes, "--out", str(folder), *options)

    def glimpse(self, *arguments: str, code: int = 0) -> str:
        """Run a command against this cluster, which ends with that code."""
        environment = {**os.environ, "GLIMPSE_CLUSTER": str(self.file)}
        command = [*GLIMPSE, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *names: str) -> None:
        """Start nodes, and return once the cloud has a leader and these nodes."""
        for name in names:
            command = [*GLIMPSE, "node", "--cluster", str(self.folder / name / "cluster.toml"), "--name", name]
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )

        def there() -> bool:
            status = json.loads(self.status())
            return status["leader"] is not None and set(names) <= {
                node["name"] for node in status["nodes"] if node["role"] != "down"
            }

        wait_until(there)

    def status(self) -> str:
        """Return `glimpse status --json`, with or without a leader."""
        command = [*GLIMPSE, "status", "--json", "--cluster", str(self.file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False).stdout

    def kill(self, name: str) -> None:
        """Lose a machine."""
        process = self.processes.pop(name)
        process.kill()
        process.communicate()

    def ended(self, name: str) -> tuple[int, str]:
        """Wait for a node that ends by itself; return its exit code and what it said."""
        process = self.processes.pop(name)
        _, said = process.communicate(timeout=PATIENCE_S)
        return process.returncode, said

    def stop(self) -> None:
        """End all nodes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    found = Machines(tmp_path_factory.mktemp("operator") / "cluster")
    try:
        found.start("n1", "n2", "n3")
        yield found
    finally:
        found.stop()


def uptime_s(machines: Machines, name: str) -> float:
    """Return for how long a node has been up, 0 while it does not answer."""
    [node] = [node for node in json.loads(machines.status())["nodes"] if node["name"] == name]
    return float(node.get("uptime_s", 0.0))


def test_a_service_that_is_told_to_reload_reads_its_files_and_opens_its_log_again(machines: Machines) -> None:
    """Whatever rotates logs moves them away first. Files that no node can run by are not what ends a node."""
    process, folder = machines.processes["n3"], machines.folder / "n3"
    log, file = folder / "node-n3.log", node_file(folder, "n3")
    log.rename(folder / "rotated.log")
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: log.exists() and '"ready"' in log.read_text())
    assert '"drained"' in (folder / "rotated.log").read_text()
    wait_until(lambda: uptime_s(machines, "n3") > 0)
    good = file.read_text()
    file.write_text(good.replace("private_key", "privat_key"))
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "it goes on as before" in log.read_text())
    file.write_text(good)
    assert uptime_s(machines, "n3") > 0
    assert log.read_text().count('"ready"') == 1
    assert process.poll() is None


def test_a_service_heeds_what_it_is_told_while_it_drains(machines: Machines) -> None:
    """A second reload killed it, an end in order to whoever starts services. A stop has the last word."""
    process, log = machines.processes["n3"], machines.folder / "n3" / "node-n3.log"

    def told(text: str) -> int:
        return log.read_text().count(text)

    def reload() -> None:
        """Return while it drains."""
        before = told("reads its files again")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: told("reads its files again") > before)

    ready = told('"ready"')
    reload()
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: told('"ready"') > ready)
    wait_until(lambda: uptime_s(machines, "n3") > 0)
    assert process.poll() is None
    reload()
    process.send_signal(signal.SIGTERM)
    assert machines.ended("n3") == (0, "")
    machines.start("n3")


class Load:
    """`glimpse load`, over and over in a thread, until `end`."""

    def __init__(self, machines: Machines) -> None:
        self.results: list[str] = []
        self._over = threading.Event()
        self._machines = machines
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                told = self._machines.glimpse("load", "--requests", "200", "--clients", "2", "--json")
                counts = json.loads(told)
                self.results.append(f"{counts['ok']} {counts['failed']} {counts['duplicates']}")
            except AssertionError as error:
                self.results.append(str(error))

    def end(self) -> list[str]:
        """Return what every round counted: ok, failed, doubled."""
        self._over.set()
        self._thread.join()
        return self.results


def test_a_bundle_has_what_its_machine_needs_and_nothing_else(machines: Machines) -> None:
    cluster = load_cluster(machines.file)
    keys = set()
    for node in cluster.nodes:
        own = machines.folder / node.name
        settings = load_node_settings(node_file(own, node.name))
        keys.add(settings.private_key)
        assert not [path for path in own.iterdir() if path.name.startswith("operator")]
        assert [path.name for path in own.glob("node-*.toml")] == [f"node-{node.name}.toml"]
        assert (own / "cluster.toml").read_bytes() == machines.file.read_bytes()
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (own, node_file(own, node.name), own / "cluster.toml")]
        assert modes == [0o700, 0o600, 0o644]
        for other in cluster.nodes:
            secret = load_node_settings(node_file(machines.folder / other.name, other.name)).private_key.hex()
            held = any(secret in path.read_text(errors="replace") for path in own.iterdir() if path.suffix == ".toml")
            assert held == (other is node)
    assert len(keys) == 3


def test_check_finds_what_is_wrong_and_says_what_to_do(machines: Machines) -> None:
    assert "NO " not in machines.glimpse("cluster", "check")
    own = node_file(machines.folder / "n2", "n2")
    own.chmod(0o644)
    told = json.loads(machines.glimpse("cluster", "check", "--json", code=1))
    own.chmod(0o600)
    assert [(each["what"], "chmod 600" in each["text"]) for each in told["findings"] if not each["ok"]] == [
        ("files of n2", True)
    ]


async def test_from_three_nodes_to_five_and_a_dead_machine_replaced_under_load(
    machines: Machines, tmp_path: Path
) -> None:
    """A client that was given the first file follows all of it, and finds its cloud by its own copy afterwards."""
    first = tmp_path / "first.toml"
    first.write_bytes(machines.file.read_bytes())
    async with Peer(tmp_path / "ada", first) as peer:
        await peer.register("Ada")
        load = Load(machines)
        try:
            for name in ("n4", "n5"):
                machines.glimpse("cluster", "add-node", f"{name}={place()}")
                machines.start(name)
            machines.kill("n2")
            machines.glimpse("cluster", "replace-node", f"n2={place()}")
            machines.start("n2")
        finally:
            results = load.end()
        assert set(results) == {"200 0 0"}

        async def followed() -> int:
            return load_cluster(tmp_path / "ada" / COPY).version

        await until(followed, lambda version: version == load_cluster(machines.file).version)
    assert load_cluster(first).version == load_cluster(machines.file).version - 3
    machines.glimpse("cluster", "rotate", "n1")
    machines.glimpse("cluster", "remove-node", "n3")
    assert machines.ended("n3") == (
        1,
        "glimpse: The operator took node n3 out of the cluster; its files are of no use any more.\n",
    )
    async with Peer(tmp_path / "ada", first) as peer:
        await peer.sign_in()
        await until(followed, lambda version: version == load_cluster(machines.file).version)
    assert "NO " not in machines.glimpse("cluster", "check")


async def test_an_operators_old_key_opens_nothing(machines: Machines) -> None:
    """Keys that were replaced are of no use: the operator's gets no answer, and signs nothing that anybody takes."""
    version = load_cluster(machines.file).version
    machines.glimpse("cluster", "rotate", "operator")
    cluster = load_cluster(machines.file)
    old = machines.folder / f"operator-before-{version + 1}.key"
    async with Operator(cluster, machines.file, key_file=old) as thief:
        assert await thief.report(cluster.nodes[0]) is None
    async with Operator(cluster, machines.file) as operator:
        report = await operator.report(cluster.nodes[0])
        assert report is not None
        assert report.status.cluster == cluster.version


async def test_an_invitation_leads_a_newcomer_to_the_cluster_and_to_no_other(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = machines.glimpse("invite").strip()
    found = await join(code, tmp_path / "joined" / "cluster.toml")
    assert found.read_bytes() == machines.file.read_bytes()
    async with Peer(tmp_path / "newcomer", found) as peer:
        await peer.register("Newcomer")
    monkeypatch.setattr(joining, "_WAIT_S", 3.0)
    wrong = replace(Invitation.of(code), operator=bytes(16))
    with pytest.raises(Unavailable, match="has not signed"):
        await join(wrong.code, tmp_path / "wrong.toml")
    assert not (tmp_path / "wrong.toml").exists()
    told = machines.glimpse("client", "--join", code[:-1], code=2)
    assert told.startswith("glimpse: This is no invitation")


def test_the_share_key_is_replaced_on_every_node_or_on_none(machines: Machines) -> None:
    names = [node.name for node in load_cluster(machines.file).nodes]
    before = {load_node_settings(node_file(machines.folder / name, name)).share_key for name in names}
    told = machines.glimpse("cluster", "rotate", "share-key").splitlines()
    assert told == [f"{name} {does} under the new key" for does in ("reads", "writes") for name in names]
    after = [load_node_settings(node_file(machines.folder / name, name)) for name in names]
    assert len({each.share_key for each in after} - before) == 1
    assert {each.former_share_keys for each in after} == {tuple(before)}
    wait_until(lambda: "all shares are closed" in (machines.folder / names[0] / f"node-{names[0]}.log").read_text())


def test_what_was_edited_is_signed_and_spreads(machines: Machines) -> None:
    """A hand that slips is told of; the operator's signature makes it count."""
    version = load_cluster(machines.file).version
    name = load_cluster(machines.file).nodes[0].name
    text = machines.file.read_text()
    machines.file.write_text(text.replace("more_hosts = []", 'more_hosts = ["localhost"]', 1))
    assert "edited since it was signed" in machines.glimpse("cluster", "show")
    assert "glimpse cluster publish" in machines.glimpse("cluster", "add-node", "n9=127.0.0.1:9", code=2)
    told = machines.glimpse("cluster", "publish")
    assert f"{name} runs by version {version + 1}" in told
    assert load_cluster(machines.folder / name / "cluster.toml").version == version + 1


@pytest.mark.mysql
def test_a_rotated_password_is_one_command(mysql_url: str, mysql_port: int, tmp_path: Path) -> None:
    """One with a slip in it changes nothing, nor does the directory of somebody else."""
    database = mysql_url.rpartition("/")[2]
    users = [f"{name}_{database[-8:]}" for name in ("before", "after")]
    file, other = tmp_path / "url.txt", tmp_path / "other.txt"

    def name_directory(user: str, password: str, where: str = database) -> None:
        file.write_text(f"mysql://{user}:{password}@127.0.0.1:{mysql_port}/{where}\n")
        file.chmod(0o600)

    for user in users:
        run_sql(
            mysql_port,
            f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'right'",
            f"GRANT ALL ON {database}.* TO '{user}'@'127.0.0.1'",
        )
    name_directory(users[0], "right")
    machines = Machines(tmp_path / "cluster", ("n1", "n2"), "--directory-file", str(file))
    try:
        machines.start("n1", "n2")
        bundles = [node_file(machines.folder / name, name) for name in ("n1", "n2")]
        before = [path.read_text() for path in bundles]
        name_directory(users[1], "wrong")
        assert "does not accept the user and password" in machines.glimpse(
            "cluster", "set-directory", "--directory-file", str(file), code=2
        )
        with fresh_database(mysql_port) as url:
            other.write_text(url)
            other.chmod(0o600)
            told = machines.glimpse("cluster", "set-directory", "--directory-file", str(other), code=2)
            assert "not the directory of this cluster" in told
        assert [path.read_text() for path in bundles] == before
        name_directory(users[1], "right")
        assert machines.glimpse("cluster", "set-directory", "--directory-file", str(file)) == "n1 uses it\nn2 uses it\n"
        run_sql(mysql_port, f"DROP USER '{users[0]}'@'127.0.0.1'")
        machines.glimpse("load", "--requests", "10", "--clients", "1")
        assert all(users[1] in load_node_settings(path).directory_url for path in bundles)
        assert "NO " not in machines.glimpse("cluster", "check")
        assert "right" not in "".join(path.read_text() for path in machines.folder.glob("n*/audit-*.log"))
    finally:
        machines.stop()
        run_sql(mysql_port, *(f"DROP USER IF EXISTS '{user}'@'127.0.0.1'" for user in users))
