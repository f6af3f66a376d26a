"""`glimpse doctor` and `glimpse status --watch` before real nodes and peers."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from shared.cluster import load_cluster, save_cluster
from shared.errors import InvalidInput
from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.integration.test_peers import shared_image
from tests.patience import PATIENCE_S
from tests.ports import free_ports
from tui.commands.doctor import diagnose, is_well
from tui.peer import Peer
from tui.peer.doctor import Mapping

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("cluster"), pytest.mark.usefixtures("first_try")]


async def test_a_cloud_that_is_well(cluster: RunningCluster) -> None:
    done = await anyio.to_thread.run_sync(cluster.glimpse, "doctor", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["advice"], told["translator"]) == (0, [], Mapping.NONE.value)
    assert [node["answers"] for node in told["nodes"]] == [True] * 3
    assert all(node["seen"].startswith("127.0.0.1:") for node in told["nodes"])
    assert abs(told["clock_ahead_s"]) < 2
    done = await anyio.to_thread.run_sync(cluster.glimpse, "doctor")
    assert done.stdout.endswith("All is well.\n")


async def test_each_address_has_its_own_trouble(cluster: RunningCluster, tmp_path: Path) -> None:
    """One machine without a node, a name that nobody knows, a port that is silent, and one that answers."""
    known = load_cluster(cluster.file)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        first, second, third = known.nodes
        nodes = (
            replace(first, port=free_ports(1)),
            replace(second, more_hosts=("nobody.invalid",)),
            replace(third, port=silent.getsockname()[1]),
        )
        file = tmp_path / "cluster.toml"
        save_cluster(file, replace(known, nodes=nodes))
        told = await diagnose(file)
    assert not is_well(told)
    assert {node["name"]: node["answers"] for node in told["nodes"]} == {"n1": False, "n2": True, "n3": False}
    troubles = {node["name"]: [one["trouble"] for one in node["addresses"]] for node in told["nodes"]}
    assert "nothing listens" in troubles["n1"][0]
    assert troubles["n2"][0] == ""
    assert "nobody.invalid is not known" in troubles["n2"][1]
    assert "blocked by a firewall" in troubles["n3"][0]
    assert len(told["advice"]) == 3


async def test_the_path_to_a_peer(cluster: RunningCluster, people: Callable[..., Any], photo: Path) -> None:
    ann, ben, hidden = await people("ann"), await people("ben"), await people("hidden", relay_only=True)
    with pytest.raises(InvalidInput, match="share no picture"):
        await ben.find_path(ann.me.account)
    for viewer in (ben, hidden):
        await shared_image(ann, viewer, photo, 1)
    for one, other in ((ann, ben), (ben, ann)):
        found = await one.find_path(other.me.account)
        assert (found.account, found.name, found.path, found.trouble) == (other.me.account, other.me.name, "direct", "")
    assert (await ann.find_path(hidden.me.account)).path.startswith("through n")
    await ben.sign_out()
    found = await ann.find_path(ben.me.account)
    assert (found.path, "away" in found.trouble) == ("", True)


async def test_a_profile_of_this_machine_looks_for_a_peer(
    cluster: RunningCluster, people: Callable[..., Any], photo: Path, tmp_path: Path
) -> None:
    ann = await people("ann")
    async with Peer(tmp_path / "ben", cluster.file) as ben:
        await ben.register("ben")
        await ben.sign_in()
        await shared_image(ann, ben, photo, 1)
    told = await diagnose(cluster.file, folder=tmp_path / "ben", peer=ann.me.account)
    assert (told["peer"]["path"], is_well(told)) == ("direct", True)


def heeds_ctrl_c() -> None:
    """As in a terminal: what a shell starts in the background, as these tests may be, ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("how", ["reader goes", "ctrl+c"])
async def test_a_status_that_is_watched_comes_again_and_ends_without_a_word(cluster: RunningCluster, how: str) -> None:
    def watch() -> None:
        command = [*GLIMPSE, "status", "--watch", "--every", "0.2", "--json"]
        env = {**os.environ, "GLIMPSE_CLUSTER": str(cluster.file)}
        with subprocess.Popen(
            command,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heeds_ctrl_c,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for _ in range(3):
                assert len(json.loads(process.stdout.readline())["nodes"]) == 3
            if how == "ctrl+c":
                process.send_signal(signal.SIGINT)
            else:
                process.stdout.close()
            assert process.wait(PATIENCE_S) == (128 + signal.SIGINT if how == "ctrl+c" else 1)
            assert process.stderr.read().strip() == ""

    await anyio.to_thread.run_sync(watch)
