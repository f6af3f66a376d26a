"""What a scrape tells: names by convention, a histogram that adds up, a dashboard that asks for what there is."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from node.directory import RoomTaken
from node.metrics import families
from node.node_stats import NodeStats
from shared.wire import feed_messages as feed
from tests.patience import until
from tests.unit.node_snapshots import taken_snapshot

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"


def exposition() -> str:
    registry = CollectorRegistry()
    registry.register(Once())
    return generate_latest(registry).decode()


class Once(Collector):
    def collect(self):
        return families(taken_snapshot())


def samples() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition())
        for sample in family.samples
    }


def test_a_restored_directory_shows() -> None:
    found = {name: value for (name, _), value in samples().items()}
    assert found["glimpse_directory_epoch"] == 2
    assert found["glimpse_directory_recoveries_total"] == 1
    assert found["glimpse_grants_frozen"] == 12


def test_names_and_labels_follow_the_conventions() -> None:
    for family in text_string_to_metric_families(exposition()):
        assert re.fullmatch(r"glimpse_[a-z0-9_]+", family.name)
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert sample.labels["node"] == "n1"
            if family.type == "counter":
                assert sample.name.endswith("_total")
            else:
                assert not sample.name.endswith("_total")
        assert not re.search(r"_(ms|mb|percent|us)(_|$)", family.name), "base units"


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("glimpse_election_role", {"role": "leader"}, 1),
        ("glimpse_election_role", {"role": "follower"}, 0),
        ("glimpse_election_term", {}, 7),
        ("glimpse_requests_total", {"operation": "Encrypt", "outcome": "refused"}, 1),
        ("glimpse_requests_total", {"operation": "unknown", "outcome": "served"}, 1),
        ("glimpse_request_events_total", {"event": "taken_over"}, feed.Happening.TAKEN_OVER),
        ("glimpse_request_latency_seconds_bucket", {"le": "+Inf"}, 4),
        ("glimpse_request_latency_seconds_bucket", {"le": "0.001"}, 1),
        ("glimpse_request_latency_seconds_bucket", {"le": "0.004"}, 3),
        ("glimpse_request_latency_seconds_count", {}, 4),
        ("glimpse_request_latency_seconds_sum", {}, 90.007),
        ("glimpse_heartbeats_total", {"peer": "n2", "event": "unacked"}, 1),
        ("glimpse_heartbeat_rtt_seconds", {"peer": "n2"}, 0.00035),
        ("glimpse_heartbeat_gap_seconds_bucket", {"le": "0.256"}, 2),
        ("glimpse_heartbeat_gap_seconds_sum", {}, 1.401),
        ("glimpse_loop_lateness_seconds_count", {}, 2),
        ("glimpse_network_bytes_total", {"direction": "received"}, 102),
        ("glimpse_dropped_datagrams_total", {"reason": "malformed message"}, 2),
        ("glimpse_relay_pairs", {}, 3),
        ("glimpse_relayed_bytes_total", {}, 1_100_000),
        ("glimpse_relay_refused_datagrams_total", {"reason": "beyond its share"}, 4),
        ("glimpse_directory_latency_seconds", {}, 0.0015),
        ("glimpse_directory_up", {}, 0),
        ("glimpse_directory_writable", {}, 0),
        ("glimpse_directory_ahead_seconds", {}, 3_600),
        ("glimpse_process_cpu_seconds_total", {}, 1.25),
        ("glimpse_directory_bytes", {}, 5_000_000),
        ("glimpse_held_bytes", {}, 70_000),
        ("glimpse_disk_free_bytes", {"folder": "directory"}, 9_000_000_000),
    ],
)
def test_values_are_those_of_the_node(name: str, labels: dict[str, str], value: float) -> None:
    found = samples()[name, tuple(sorted({**labels, "node": "n1"}.items()))]
    assert found == pytest.approx(value)


def test_what_is_not_known_is_left_out() -> None:
    assert ("glimpse_heartbeat_rtt_seconds", (("node", "n1"), ("peer", "n3"))) not in samples()


@pytest.mark.anyio
async def test_a_disk_that_cannot_be_measured_ends_no_node(tmp_path: Path) -> None:
    """A folder on a network that is away: the figure is left out, and the other one told."""

    async def read(_transaction: object) -> RoomTaken:
        return RoomTaken(1, 0)

    stats = NodeStats.__new__(NodeStats)
    stats._free_bytes = {"directory": 7}
    stats._directory = SimpleNamespace(engine="sqlite", folder=tmp_path / "away", read=read)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stats.keep_measuring, tmp_path)

        async def measured() -> set[str]:
            return set(stats._free_bytes)

        await until(measured, lambda found: found == {"node"})
        tasks.cancel_scope.cancel()


def test_the_dashboard_asks_only_for_metrics_that_there_are() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    expressions += [entry["query"]["query"] for entry in board["templating"]["list"] if entry["type"] == "query"]
    known = {name for name, _ in samples()}
    asked = {name for expression in expressions for name in re.findall(r"glimpse_\w+", expression)}
    assert len(asked) > 20
    assert asked <= known
    labels = {label for _, pairs in samples() for label, _ in pairs} | {"le"}
    for expression in expressions:
        grouped = [name.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for name in by.split(",")]
        assert set(grouped) <= labels, expression
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
