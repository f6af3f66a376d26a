"""Three MariaDB servers that replicate one database by Galera, on this machine, for tests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.databases import MariaDb, query, skip_or_fail_without_server
from tests.patience import wait_until
from tests.ports import free_ports

PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera/libgalera_smm.so")
"""Where packages of distributions put Galera."""


def skip_without_galera() -> str:
    """Return the path of Galera; skip the test where it is not installed."""
    skip_or_fail_without_server()
    provider = next((path for path in PROVIDERS if Path(path).exists()), None)
    if provider is None or shutil.which("rsync") is None:
        pytest.skip("Galera or rsync is not installed")
    return provider


class Galera:
    """A running cluster of three servers."""

    def __init__(self, folder: Path) -> None:
        provider = skip_without_galera()
        groups = [free_ports() for _ in range(3)]
        members = ",".join(f"127.0.0.1:{port}" for port in groups)
        self.servers = [
            MariaDb(
                folder / f"db{number}",
                "--binlog-format=ROW",
                "--innodb-autoinc-lock-mode=2",
                "--wsrep-on=ON",
                f"--wsrep-provider={provider}",
                f"--wsrep-cluster-address=gcomm://{members}",
                f"--wsrep-node-address=127.0.0.1:{group}",
                f"--wsrep-node-name=db{number}",
                "--wsrep-sst-method=rsync",
                f"--wsrep-sst-receive-address=127.0.0.1:{free_ports()}",
                # A member that is gone is given up within seconds, one on a busy machine is not.
                f"--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{group};"
                f"ist.recv_addr=127.0.0.1:{free_ports()};gcache.size=32M;"
                "evs.suspect_timeout=PT3S;evs.inactive_timeout=PT9S",
                user="mysql",  # rsync takes nothing in root's name
            )
            for number, group in enumerate(groups)
        ]

    def start(self) -> None:
        """Start the first server as a new cluster, then let the others join: they hold the same, which is nothing.

        That is written where a server looks for it: a whole transfer of the state takes seconds and more programs.
        """
        first, *others = self.servers
        first.start("--wsrep-new-cluster")
        for server in others:
            at = dict(query(first.port, "SHOW STATUS LIKE 'wsrep_%'"))
            state = server.folder / "data" / "grastate.dat"
            state.write_text(
                "# GALERA saved state\nversion: 2.1\nsafe_to_bootstrap: 0\n"
                f"uuid: {at['wsrep_cluster_state_uuid']}\nseqno: {at['wsrep_last_committed']}\n"
            )
            server.give(state)
            server.start()
            wait_until(lambda server=server: _is_ready(server))

    def wait_for_all(self) -> None:
        """Return when each server serves."""
        for server in self.servers:
            wait_until(lambda server=server: _is_ready(server))

    @property
    def ports(self) -> list[int]:
        """Where the servers listen for clients."""
        return [server.port for server in self.servers]

    def stop(self) -> None:
        """End all servers and remove their data."""
        for server in self.servers:
            with suppress(ProcessLookupError):
                server.stop()


def _is_ready(server: MariaDb) -> bool:
    return query(server.port, "SHOW STATUS LIKE 'wsrep_ready'") == [("wsrep_ready", "ON")]


@contextmanager
def galera() -> Iterator[Galera]:
    """Run a cluster for the length of a `with` block, in a folder that its user can reach."""
    with TemporaryDirectory(prefix="glimpse-galera-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")) as folder:
        Path(folder).chmod(0o755)
        yield from _running(Galera(Path(folder)))


def _running(cluster: Galera) -> Iterator[Galera]:
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
