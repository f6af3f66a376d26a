"""Heartbeats and the lease beside a loop of requests that is held up, hangs, or is stopped with all the rest."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration.cluster import RunningCluster
from tests.patience import PATIENCE_S, wait_until

pytestmark = pytest.mark.xdist_group("lane")


class Held:
    """A cluster's leader that is a process of `tests.integration.held_node`."""

    def __init__(self, cluster: RunningCluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        command = ["node", "--cluster", str(cluster.file), "--name", name]
        self.process = subprocess.Popen([sys.executable, "-m", "tests.integration.held_node", *command])
        wait_until(lambda: self.role() == "follower")
        wait_until(lambda: self.lead() == name)

    def lead(self) -> str | None:
        """Ask it to lead; return who does. The order is refused while another election goes on."""
        self.cluster.glimpse("order", self.name, "lead")
        return self.leader()

    def leader(self) -> str | None:
        """Return whom the other nodes, and this one if it answers, take for the leader."""
        found = self.cluster.status()["leader"]
        return None if found is None else str(found)

    def role(self) -> str:
        """Return what it does; "down" while it does not answer."""
        return next(str(node["role"]) for node in self.cluster.status()["nodes"] if node["name"] == self.name)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def two_of_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningCluster, str]]:
    """A cluster one of whose nodes was killed, and that node's name."""
    cluster = RunningCluster(tmp_path_factory.mktemp("lane") / "cluster")
    name = str(cluster.status()["leader"])
    os.kill(cluster.pid(name), signal.SIGKILL)
    yield cluster, name
    cluster.stop()


@pytest.fixture
def held(two_of_three: tuple[RunningCluster, str]) -> Iterator[Held]:
    cluster, name = two_of_three
    wait_until(lambda: cluster.status()["leader"] not in (None, name))
    held = Held(cluster, name)
    yield held
    held.end()


def test_a_leader_whose_requests_are_held_up_for_three_leases_stays_the_leader(held: Held) -> None:
    """Heartbeats and renewals came from the loop that also served requests, and waited when it was busy."""
    term = held.cluster.status()["term"]
    held.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: held.role() == "down")
    wait_until(lambda: held.role() != "down")
    after = held.cluster.status()
    assert (after["leader"], after["term"]) == (held.name, term)


def test_a_leader_whose_requests_hang_for_good_is_replaced(held: Held) -> None:
    """Heartbeats alone must not keep a dead node in office."""
    held.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: held.leader() not in (None, held.name))
    assert held.process.poll() is None


def test_a_leader_that_is_stopped_is_replaced_and_follows_when_it_goes_on(held: Held) -> None:
    held.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: held.leader() not in (None, held.name))
    held.process.send_signal(signal.SIGCONT)
    wait_until(lambda: held.role() == "follower")


def test_a_leader_that_is_told_to_end_hands_over_and_ends(held: Held) -> None:
    held.process.send_signal(signal.SIGTERM)
    assert held.process.wait(PATIENCE_S) == 0
    wait_until(lambda: held.leader() not in (None, held.name))
