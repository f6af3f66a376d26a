"""Metrics and health of real nodes, scraped over HTTP."""

import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.cluster import RunningCluster
from tests.patience import PATIENCE_S, wait_until
from tests.ports import free_ports

pytestmark = pytest.mark.xdist_group("nodes")


@pytest.fixture(scope="module")
def base_port() -> int:
    return free_ports(3)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, base_port: int) -> Iterator[RunningCluster]:
    """One for all: none but the last does anything to it."""
    running = RunningCluster(tmp_path_factory.mktemp("metrics") / "cluster", "--metrics", str(base_port))
    yield running
    running.stop()


def scrape(port: int) -> dict[str, float]:
    """Return the sums over all labels but those of the node, by name and first other label."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def test_nodes_tell_prometheus_what_they_do(cluster: RunningCluster, base_port: int) -> None:
    assert cluster.glimpse("load", "--requests", "60", "--clients", "2", "--json").returncode == 0
    status = cluster.status()
    scraped = [scrape(base_port + number) for number in range(3)]
    assert [found["glimpse_node_leads"] for found in scraped].count(1) == 1
    leading = [found["glimpse_node_leads"] for found in scraped].index(1)
    assert status["nodes"][leading]["name"] == status["leader"]
    for found, node in zip(scraped, status["nodes"], strict=True):
        assert found["glimpse_election_term"] == status["term"]
        assert found["glimpse_requests_total"] == found["glimpse_request_latency_seconds_count"]
        assert found["glimpse_requests_total"] >= node["requests_done"]
        assert found["glimpse_directory_up"] == 1
        assert found["glimpse_network_bytes_total"] > 0
        assert found["glimpse_process_cpu_seconds_total"] > 0
    assert sum(found["glimpse_requests_total"] for found in scraped) >= 60
    wait_until(lambda: {"glimpse_directory_bytes", "glimpse_disk_free_bytes"} <= scrape(base_port).keys())


def look(port: int, path: str) -> tuple[int, str]:
    """Return the status and the text of a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_slow_clients_hold_nothing_up(cluster: RunningCluster, base_port: int) -> None:
    with ExitStack() as stack:
        for _ in range(5):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", base_port), timeout=PATIENCE_S))
            slow.sendall(b"GET /metrics HTT")
        assert scrape(base_port)["glimpse_election_term"] >= 1


def test_metrics_are_served_on_loopback_only_unless_told_otherwise(cluster: RunningCluster, base_port: int) -> None:
    with socket.socket() as other:
        other.settimeout(2)
        with pytest.raises(OSError):  # noqa: PT011 - refused, in whatever words
            other.connect(("127.0.0.2", base_port))


def test_a_port_that_is_taken_is_said_in_one_sentence(tmp_path: Path) -> None:
    base_port = free_ports(3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base_port + 1))
        taken.listen()
        with pytest.raises(AssertionError, match="did not come up"):
            RunningCluster(tmp_path / "cluster", "--metrics", str(base_port))
    said = (tmp_path / "cluster" / "node-n2.out").read_text()
    assert "Metrics cannot be served" in said
    assert "Traceback" not in said


def test_health_and_readiness_are_told_apart(cluster: RunningCluster, base_port: int) -> None:
    """A drained node and one without quorum live, but are not ready; a node that hangs is neither."""
    wait_until(lambda: look(base_port, "/readyz") == (200, "ok\n"))
    assert look(base_port, "/healthz") == (200, "ok\n")
    assert look(base_port, "/")[0] == look(base_port, "/metrics/x")[0] == 404
    assert cluster.glimpse("order", "n1", "drain").returncode == 0
    wait_until(lambda: look(base_port, "/readyz")[0] == 503)
    assert look(base_port, "/readyz")[1] == "An operator's order keeps work from this node.\n"
    assert look(base_port, "/healthz")[0] == 200
    assert cluster.glimpse("order", "n1", "undrain").returncode == 0
    wait_until(lambda: look(base_port, "/readyz")[0] == 200)
    for pid in [cluster.pid(name) for name in ("n2", "n3")]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: look(base_port, "/readyz")[0] == 503)
    assert look(base_port, "/readyz")[1].startswith("No leader is known")
    assert look(base_port, "/healthz")[0] == 200
