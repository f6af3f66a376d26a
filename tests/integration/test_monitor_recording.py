"""Three real nodes watched and recorded: what was shown live is what the recording shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from shared.cluster import load_cluster
from tests.integration.cluster import Fault, RunningCluster
from tests.patience import PATIENCE_S
from tui.monitor.model import Model
from tui.monitor.model.cluster import ClusterState
from tui.monitor.model.elections import ElectionOutcome
from tui.monitor.model.nodes import Presence
from tui.monitor.player import Player
from tui.monitor.recorder import Recorder
from tui.monitor.recording import read_recording
from tui.monitor.source import LiveSource

pytestmark = [pytest.mark.xdist_group("monitor-recording"), pytest.mark.anyio]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    running = RunningCluster(tmp_path / "cluster")
    yield running
    running.stop()


class Watch:
    """Looks at a source five times a second, as the screens do, and holds the model to its word at every look."""

    def __init__(self, source: LiveSource) -> None:
        self.source = source

    async def until(self, holds: Callable[[Model, float], object]) -> tuple[Model, float]:
        with anyio.fail_after(PATIENCE_S):
            while True:
                model, now = self.source.step()
                for node in model.nodes(now):
                    silent_s = node.silent_s or 0.0
                    if node.presence is Presence.DOWN:
                        assert silent_s > 0.7
                        assert model.cluster(now).leader != node.place
                if holds(model, now):
                    return model, now
                await anyio.sleep(0.2)


@pytest.mark.parametrize("fault", Fault)
async def test_a_leader_that_ends_is_recorded_as_it_was_shown(
    cluster: RunningCluster, tmp_path: Path, fault: Fault
) -> None:
    source = LiveSource(load_cluster(cluster.file), cluster.file)
    recorder = source.recorder = Recorder(tmp_path / "recorded", source.node_index, time.time())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        watch = Watch(source)
        model, now = await watch.until(
            lambda model, now: now > 2 and model.cluster(now).nodes_up == 3 and model.cluster(now).leader is not None
        )
        before = model.cluster(now)
        assert before.leader is not None
        others = {0, 1, 2} - {before.leader}
        state = model.nodes(now)[before.leader].state
        assert state is not None
        await anyio.to_thread.run_sync(cluster.end_node, state.life.pid, fault)
        await watch.until(lambda model, now: model.nodes(now)[before.leader].presence is Presence.DOWN)
        await watch.until(lambda model, now: model.cluster(now).term > before.term)
        model, now = await watch.until(
            lambda model, now: (
                model.elections(now)[0].outcome is ElectionOutcome.WON
                and model.elections(now)[0].agreed_by >= others
                and model.cluster(now).nodes_up == 2
            )
        )
        tasks.cancel_scope.cancel()
    live, election = model.cluster(now), model.elections(now)[0]
    assert (live.state, live.nodes_up) == (ClusterState.LED, 2)
    assert live.leader != before.leader
    assert (election.former, election.leader, election.term) == (before.leader, live.leader, live.term)
    last_word = now - (model.nodes(now)[before.leader].silent_s or 0.0)
    if fault is Fault.STOPPED:
        assert (election.why, dict(election.messages)["RESIGN"]) == ("drain or hand over", 2), "nobody had to notice"
    else:
        assert election.former_last_word == pytest.approx(last_word, abs=0.002)
        assert election.outage_s is not None
        assert election.outage_s > 1.0
    assert recorder.trouble == ""

    player = Player(read_recording(recorder.path))
    while player.index_some():
        pass
    player.seek(player.end_s)
    replayed = player.model
    assert not player.recording.cut_off
    assert replayed.cluster(player.end_s).leader == live.leader
    assert replayed.cluster(player.end_s).term == live.term
    found = replayed.elections(player.end_s)[0]
    assert (found.key, found.leader, found.term, found.messages) == (
        election.key,
        election.leader,
        election.term,
        election.messages,
    )
    assert found.took_s == pytest.approx(election.took_s, abs=0.002)
    player.seek(max(player.start_s, last_word - 0.3))
    assert player.model.cluster(player.position_s).leader == before.leader


async def test_a_recording_tells_nothing_secret(cluster: RunningCluster, tmp_path: Path) -> None:
    """Keys and the directory's URL lie in the same folder as the cluster file; none of them is written."""
    import gzip

    source = LiveSource(load_cluster(cluster.file), cluster.file)
    recorder = source.recorder = Recorder(tmp_path / "recorded", source.node_index, time.time())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run)
        await Watch(source).until(lambda model, now: model.cluster(now).nodes_up == 3)
        tasks.cancel_scope.cancel()
    written = gzip.decompress(recorder.path.read_bytes()).decode()
    for node in load_cluster(cluster.file).nodes:
        assert node.key.hex() not in written
    assert "sqlite:///" not in written
    assert "mysql://" not in written
