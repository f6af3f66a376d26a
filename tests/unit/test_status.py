"""What `glimpse status` says of the directory: as the node sees it that fares worst, and each node for itself."""

from shared.cluster import Cluster, NodeAddress
from shared.wire.peer_messages import DirectoryStatus, NodeStatus, StatusReport
from tui.commands.status import show
from tui.operator import summary

CLUSTER = Cluster("c" * 32, "local", tuple(NodeAddress(f"n{n}", "127.0.0.1", n, n + 10, bytes(32)) for n in (1, 2, 3)))
WELL = DirectoryStatus(engine="sqlite", ok=True, latency_ms=1.25)
FULL = DirectoryStatus(engine="sqlite", ok=False, latency_ms=0.5, error="The disk is full: make room.", writable=False)
AWAY = DirectoryStatus(engine="mysql", ok=False, latency_ms=None, error="The directory's server cannot be reached.")


def report(name: str, directory: DirectoryStatus) -> StatusReport:
    status = NodeStatus(
        name=name,
        pid=1,
        role="leader" if name == "n1" else "follower",
        term=4,
        leader="n1",
        priority=1.0,
        cost=1.0,
        load1=0.5,
        cpu_percent=1.0,
        rss_mb=50.0,
        in_flight=0,
        heartbeat_age_ms=10.0,
        rtt_ms=0.3,
        requests_done=7,
        worker_ports=0,
        sessions=1,
        deaf=False,
        policy="least-cost",
        uptime_s=9.0,
        dropped={},
        draining=False,
        program="0.1.0",
    )
    return StatusReport(request="0" * 32, status=status, directory=directory)


def told(*directories: DirectoryStatus | None) -> dict:
    names = (node.name for node in CLUSTER.nodes)
    found = zip(names, directories, strict=True)
    return summary(CLUSTER, {name: None if seen is None else report(name, seen) for name, seen in found})


def test_all_well() -> None:
    status = told(WELL, WELL, WELL)
    assert status["directory"]["ok"]
    assert status["nodes"][0]["directory"] == {
        "ok": True,
        "latency_ms": 1.25,
        "error": "",
        "writable": True,
        "ahead_s": 0.0,
    }
    assert show(status, as_json=False).splitlines()[-1] == "directory sqlite: 1.2 ms"


def test_one_node_that_cannot_write_is_enough() -> None:
    """A directory on a full disk was reported as ok, because it could be read."""
    status = told(WELL, FULL, None)
    assert not status["directory"]["ok"]
    assert [node.get("directory", {}).get("ok") for node in status["nodes"]] == [True, False, None]
    assert show(status, as_json=False).splitlines()[-2:] == [
        "directory sqlite: cannot be written",
        "  n2: cannot write. The disk is full: make room.",
    ]


def test_a_directory_that_nobody_reaches() -> None:
    lines = show(told(AWAY, AWAY, AWAY), as_json=False).splitlines()
    assert lines[-4] == "directory mysql: does not answer"
    assert lines[-1] == "  n3: gets no answer. The directory's server cannot be reached."
    assert show(told(None, None, None), as_json=False).splitlines()[-1] == "directory unknown: does not answer"


def test_directory_time_that_stands_before_the_clock_is_told() -> None:
    late = DirectoryStatus(engine="sqlite", ok=True, latency_ms=1.0, ahead_s=86_400.0)
    text = show(told(late, late, late), as_json=False)
    assert text.endswith("directory sqlite: 1.0 ms, its time runs 86400 s ahead of the clock")


def test_each_node_says_its_version_its_age_and_its_own_way_to_the_directory() -> None:
    status = told(WELL, FULL, None)
    assert show(status, as_json=False).splitlines()[1:5] == [
        "node     role      version     up  load1  cost  in flight   done   heard  directory",
        "n1       leader    0.1.0      9 s   0.50  1.00          0      7   10 ms     1.2 ms",
        "n2       follower  0.1.0      9 s   0.50  1.00          0      7   10 ms    trouble",
        "n3       down",
    ]


def test_a_drained_and_a_deaf_node_are_seen_as_such() -> None:
    status = told(WELL, WELL, WELL)
    status["nodes"][1]["draining"] = status["nodes"][2]["deaf"] = True
    assert [line.split()[1] for line in show(status, as_json=False).splitlines()[2:5]] == ["leader", "draining", "deaf"]


def test_versions_that_differ_are_said() -> None:
    status = told(WELL, WELL, WELL)
    assert "different versions" not in show(status, as_json=False)
    status["nodes"][2]["program"] = "0.2.0"
    assert "different versions" in show(status, as_json=False)


def test_what_a_node_says_cannot_drive_the_terminal() -> None:
    status = told(WELL, FULL, WELL)
    status["nodes"][0]["program"] = "\x1b[2J"
    status["nodes"][1]["directory"]["error"] = "\x1b]0;title\x07gone"
    assert "\x1b" not in show(status, as_json=False)
