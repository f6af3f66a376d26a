"""A snapshot of a node in which no two figures are the same, for what is told of it."""

from node.coordination import CoordinationTable, NodeState
from node.directory import RoomTaken
from node.histogram import Histogram
from node.node_stats import DirectoryStats, LinkSnapshot, NodeSnapshot
from node.roles import Role
from node.telemetry import KindTotals
from shared.wire.feed_messages import Happening
from shared.wire.operations import Encrypt


def taken_snapshot() -> NodeSnapshot:
    latency = _counted(1.0, 3.0, 3.0, 90_000.0)
    return NodeSnapshot(
        at=100.0,
        wall_offset_s=1_700_000_000.0,
        uptime_s=47.6,
        name="n1",
        nodes=("n1", "n2", "n3"),
        pid=4,
        port=47_600,
        incarnation=5,
        role=Role.LEADER,
        term=7,
        leader="n1",
        leader_since=60.0,
        leader_heard_age_s=0.0,
        leads=True,
        fit=True,
        draining=False,
        is_deaf=False,
        deaf_s=0.0,
        token_holder="n3",
        token_s=12.5,
        policy="least-cost",
        leaderships=3,
        table=CoordinationTable(7, (NodeState("n1"), NodeState("n2", heard_age_s=0.02))),
        table_age_s=0.25,
        links=(
            LinkSnapshot("n2", 9, 8, 1, 0, 0, 0, 0, 0.02, 0.00035),
            LinkSnapshot("n3", 9, 9, 0, 0, 0, 0, 0, None, None),
        ),
        heartbeat_gaps=_counted(250.0, 251.0, 900.0),
        lateness=_counted(0.1, 40.0),
        load1=0.5,
        cores=2,
        cost=1.0625,
        priority=2.0,
        cpu_percent=3.0,
        cpu_s=1.25,
        rss_bytes=64 * 2**20,
        slowdown=1.5,
        in_flight=1,
        open_requests=2,
        requests_done=4,
        limited={},
        refused=1,
        failed=6,
        happenings=tuple(range(len(Happening) + 1)),
        latency=tuple(latency.counts),
        latency_sum_ms=latency.sum_ms,
        kinds={Encrypt.__struct_config__.tag: KindTotals(3, 1, 20.0), 0: KindTotals(1, 0, 2.0)},
        sent_bytes=101,
        received_bytes=102,
        sent_datagrams=103,
        received_datagrams=104,
        dropped={"malformed message": 2, "send queue full": 3},
        worker_ports=16,
        sessions=17,
        clients=18,
        relay_pairs=3,
        relayed_datagrams=1_000,
        relayed_bytes=1_100_000,
        relay_refused={"beyond its share": 4, "no such pair": 1},
        directory=DirectoryStats("sqlite", False, 1.5, "The disk is full.", False, 3_600.0),
        room=RoomTaken(5_000_000, 70_000),
        free_bytes={"node": 8_000_000_000, "directory": 9_000_000_000},
        epoch=2,
        recoveries=1,
        frozen=12,
    )


def _counted(*values_ms: float) -> Histogram:
    histogram = Histogram()
    for value_ms in values_ms:
        histogram.add(value_ms)
    return histogram
