"""The thread of heartbeats and the lease: how it begins, how it ends, and what ends with it."""

import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.directory import Directory, open_directory
from node.lane import Lane
from node.node_folder import Lives
from node.telemetry import Telemetry
from shared.cluster import Cluster, NodeAddress
from shared.config import LOCAL
from shared.errors import Unavailable
from shared.net.endpoint import Endpoint, EndpointStatistics
from tests.patience import until

pytestmark = pytest.mark.anyio
KEY = bytes(range(32))
ALONE = Cluster("c" * 32, "local", (NodeAddress("a", "127.0.0.1", 1, 2, KEY),))


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Directory]:
    async with open_directory(f"sqlite:///{tmp_path}/directory", timing=LOCAL) as opened:
        yield opened


def lane(directory: Directory, folder: Path, kind: type[Endpoint] = Endpoint, port: int = 0) -> Lane:
    """Return the lane of a cluster of one node."""
    return Lane(
        "a",
        ALONE,
        1,
        endpoint=lambda: kind(KEY, bind=("127.0.0.1", port), timing=LOCAL),
        directory=directory,
        lives=Lives(folder, "a"),
        telemetry=Telemetry("a", ["a"], LOCAL.heartbeat_s, time.monotonic),
        clock=time.monotonic,
        set_deaf=lambda _deaf: None,
    )


def lanes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lane"]


async def test_it_wins_the_lease_and_keeps_it_without_a_turn_of_the_other_loop(
    directory: Directory, tmp_path: Path
) -> None:
    running = lane(directory, tmp_path)
    election = running.machine.election
    async with running.running():
        while not election.is_leader(time.monotonic()):
            running.machine.service_seen(time.monotonic())
        first = election._leadership.trusted_until
        while election._leadership.trusted_until == first:
            running.machine.service_seen(time.monotonic())
        assert election.is_leader(time.monotonic())
    assert not lanes()
    lease = await directory.read_lease()
    assert (lease.holder, lease.term) == ("a/1", 1)


async def test_a_port_that_is_taken_is_said_where_it_is_started(directory: Directory, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"{port} cannot be used"):
            async with lane(directory, tmp_path, port=port).running():
                pytest.fail("it runs")
    assert not lanes()


class Broken(Endpoint):
    """An endpoint with a defect that shows after a while."""

    looks = 0

    def statistics(self) -> EndpointStatistics:
        self.looks += 1
        if self.looks > 1:
            raise ZeroDivisionError
        return super().statistics()


async def test_a_defect_that_ends_it_is_raised_where_its_end_is_waited_for(
    directory: Directory, tmp_path: Path
) -> None:
    """A node without heartbeats must not go on as if it had them."""
    running = lane(directory, tmp_path, Broken)
    async with running.running():
        with pytest.raises(ExceptionGroup) as found:
            await running.until_ended()
        assert found.group_contains(ZeroDivisionError)
        running.wake()
    assert not lanes()


async def test_a_lane_that_is_stopped_at_once_ends(directory: Directory, tmp_path: Path) -> None:
    running = lane(directory, tmp_path)
    async with running.running():
        pass

    async def looked() -> list[threading.Thread]:
        return lanes()

    await until(looked, lambda found: not found)
    await running.until_ended()


class Counting(Endpoint):
    """An endpoint that counts how often its traffic is copied."""

    looks = 0

    def statistics(self) -> EndpointStatistics:
        Counting.looks += 1
        return super().statistics()


async def test_traffic_is_copied_once_a_second_however_often_the_lane_wakes(
    directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was copied, with all counters, at each of hundreds of wakes in a second."""
    monkeypatch.setattr(Counting, "looks", 0)
    running = lane(directory, tmp_path, Counting)
    ticks, tick = 0, running.machine.tick

    def counted(now: float) -> None:
        nonlocal ticks
        ticks += 1
        tick(now)

    monkeypatch.setattr(running.machine, "tick", counted)
    began = time.monotonic()
    async with running.running():

        async def woken() -> int:
            running.wake()
            return ticks

        await until(woken, lambda times: times > 30)
    assert 1 <= Counting.looks <= 2 + time.monotonic() - began
