"""The client's host against three real nodes: peers opened and closed in one task, and every way that goes wrong."""

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from shared.cluster import load_cluster, save_cluster
from shared.errors import InvalidInput, ProfileError, Unavailable, WrongPassphrase
from shared.identity import Identity
from shared.net.endpoint import Endpoint
from tests.integration.cluster import RunningCluster
from tests.patience import PATIENCE_S
from tests.unit.test_profiles import HOLD
from tui.client.entering import Entering
from tui.client.host import LocalHost
from tui.peer import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("cluster")]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs and the default cluster in the test's folder, whatever the person who runs the tests has."""
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))
    monkeypatch.delenv("GLIMPSE_CLUSTER", raising=False)


class Failures(list[str]):
    """What the host told of."""

    def __init__(self) -> None:
        super().__init__()
        self.told = anyio.Event()

    def tell(self, text: str) -> None:
        self.append(text)
        self.told.set()


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[int]:
    """Have another process hold a profile; return its number."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other.pid
        other.communicate("")


@asynccontextmanager
async def running_host(root: Path, cluster: Path | None) -> AsyncIterator[tuple[LocalHost, Failures]]:
    """Return a host that runs, and what it told of failures."""
    failures = Failures()
    host = LocalHost(root, cluster, on_failure=failures.tell)
    async with anyio.create_task_group() as group:
        group.start_soon(host.run)
        await anyio.lowlevel.checkpoint()
        try:
            yield host, failures
        finally:
            await host.close()
            group.cancel_scope.cancel()


async def test_a_peer_is_opened_registered_and_signed_out(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, failures):
        assert await host.profiles() == []
        peer = await Entering(host).create("Ada")
        me = await peer.sign_in()
        [summary] = await host.profiles()
        assert (summary.name, summary.account, summary.shown_name) == ("ada", me.account, "Ada")
        assert (summary.words, summary.held_by is None) == (me.words, False)
        async with Peer(tmp_path / "watcher", cluster.file) as watcher:
            await watcher.register("Watcher")
            await watcher.sign_in()
            assert (await watcher.users(str(me.account))).rows[0].online
            await host.close()
            assert not (await watcher.users(str(me.account))).rows[0].online
        [summary] = await host.profiles()
        assert summary.held_by is None
        assert failures == []
    assert (tmp_path / "xdg" / "state" / "glimpse" / "log" / "client-ada.log").exists()


async def test_opening_another_profile_closes_the_first(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, failures):
        for name in ("ada", "ben", "ada"):
            await host.open(name)
            assert [row.name for row in await host.profiles() if row.held_by is not None] == [name]
        assert failures == []


async def test_a_profile_that_another_process_has_open_says_which(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, failures):
        await host.open("ada")
        await host.close()
        with held_elsewhere(tmp_path / "profiles" / "ada") as process:
            assert [row.held_by for row in await host.profiles()] == [process]
            with pytest.raises(ProfileError, match=f"open in process {process}"):
                await host.open("ada")
        await host.open("ada")
        assert failures == []


@pytest.mark.parametrize("file", ["identity", "store.sqlite"])
async def test_a_damaged_profile_says_what_to_do(cluster: RunningCluster, tmp_path: Path, file: str) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, failures):
        await host.open("ada")
        await host.close()
        (tmp_path / "profiles" / "ada" / file).write_bytes(b"not what it should be" * 100)
        with pytest.raises(ProfileError, match="restore it from a copy"):
            await host.open("ada")
        assert (await host.profiles())[0].trouble
        await host.open("ben")
        assert failures == []


async def test_a_profile_of_a_newer_version_says_what_to_do(cluster: RunningCluster, tmp_path: Path) -> None:
    """One sentence on the screen, never a group of exceptions."""
    async with running_host(tmp_path / "profiles", cluster.file) as (host, failures):
        await host.open("ada")
        await host.close()
        with closing(sqlite3.connect(tmp_path / "profiles" / "ada" / "store.sqlite")) as store, store:
            store.execute("PRAGMA user_version = 99")
        with pytest.raises(ProfileError, match="newer Glimpse; update this one"):
            await host.open("ada")
        assert failures == []


async def test_a_profile_of_another_cluster_is_refused(cluster: RunningCluster, tmp_path: Path) -> None:
    known = load_cluster(cluster.file)
    save_cluster(tmp_path / "other.toml", replace(known, cluster_id="0" * 32))
    async with running_host(tmp_path / "profiles", tmp_path / "other.toml") as (host, _):
        await host.open("ada")
    async with running_host(tmp_path / "profiles", cluster.file) as (host, _):
        with pytest.raises(ProfileError, match="another cluster"):
            await host.open("ada")


async def test_a_name_that_is_no_folder_is_refused(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, _):
        with pytest.raises(InvalidInput, match="profile name"):
            await host.open("../outside")
    assert not (tmp_path / "outside").exists()


async def test_an_opening_that_is_broken_off_leaves_nothing_open(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, failures):
        for _ in range(3):
            async with anyio.create_task_group() as group:
                group.start_soon(host.open, "ada")
                await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            await host.close()
            assert [row.held_by for row in await host.profiles() if row.held_by is not None] == []
        await host.open("ada")
        assert failures == []


async def test_two_that_close_at_once_both_wait(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, _):
        await Entering(host).create("Ada")
        held: list[object] = []

        async def close() -> None:
            await host.close()
            held.extend(row.held_by for row in await host.profiles())

        async with anyio.create_task_group() as group:
            group.start_soon(close)
            group.start_soon(close)
        assert held == [None, None]


async def test_a_peer_that_fails_while_it_is_open_is_told_of_once(cluster: RunningCluster, tmp_path: Path) -> None:
    async def fail() -> None:
        raise RuntimeError("something that nobody thought of")

    async with running_host(tmp_path / "profiles", cluster.file) as (host, failures):
        peer = await host.open("ada")
        peer._context.tasks.start_soon(fail)
        with anyio.fail_after(PATIENCE_S):
            await failures.told.wait()
        assert len(failures) == 1
        assert "something that nobody thought of" in failures[0]
        assert "client-ada.log" in failures[0]
        assert [row.held_by for row in await host.profiles()] == [None]
        await host.open("ada")
        await host.close()
        assert len(failures) == 1
    log = (tmp_path / "xdg" / "state" / "glimpse" / "log" / "client-ada.log").read_text()
    assert "RuntimeError" in log


async def test_a_log_that_cannot_be_written_stops_nothing_and_is_told(
    cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    async with running_host(tmp_path / "profiles", cluster.file) as (host, failures):
        await host.open("ada")
        assert "No log was written" in host.log_trouble
        assert failures == []


async def test_an_export_brings_an_account_back(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, _):
        entering = Entering(host)
        first = await entering.create("Ada")
        me = first.me
        export = await anyio.to_thread.run_sync(first.export_identity, "correct horse")
        await host.close()
        with pytest.raises(WrongPassphrase):
            await entering.restore(export, "wrong", "Ada", None)
        assert [row.name for row in await host.profiles()] == ["ada"]
        with pytest.raises(ProfileError, match="already has an identity"):
            await entering.restore(export, "correct horse", "Ada", "ada")
        restored = await entering.restore(export, "correct horse", "Ada", None)
        assert restored.profile == "ada-2"
        assert (await entering.enter_as(restored.profile, "Somebody else")).me == me
        await host.close()
        (tmp_path / "profiles" / "ada" / "identity").unlink()
        assert [row.name for row in await host.profiles() if row.key_lost] == ["ada"]
        await entering.restore(export, "correct horse", "ada", "ada")
        back = await entering.open("ada")
        assert back is not None
        assert back.me == me


async def test_a_profile_that_nobody_registered_in_is_closed_again(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, _):
        assert await Entering(host).open("new") is None
        assert [(row.name, row.held_by, row.account) for row in await host.profiles()] == [("new", None, None)]


# --- How the cluster answers -----------------------------------------------------------------------------------------
async def test_all_nodes_answer(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", cluster.file) as (host, _):
        reach = await host.reach()
        assert (sorted(reach.answering), reach.silent, reach.reason) == (["n1", "n2", "n3"], (), "")
        assert host.cluster == str(cluster.file)
    assert not (tmp_path / "profiles").exists(), "nothing is opened or made"


async def test_a_node_that_is_down_is_named_without_waiting_for_it(cluster: RunningCluster, tmp_path: Path) -> None:
    known = load_cluster(cluster.file)
    down = replace(known.nodes[0], port=1)
    save_cluster(tmp_path / "cluster.toml", replace(known, nodes=(down, *known.nodes[1:])))
    async with running_host(tmp_path / "profiles", tmp_path / "cluster.toml") as (host, _):
        reach = await host.reach()
        assert reach.silent == (down.name,)
        assert len(reach.answering) == 2
        assert reach.reason == ""


async def test_a_cluster_that_is_not_running_is_told(cluster: RunningCluster, tmp_path: Path) -> None:
    known = load_cluster(cluster.file)
    nodes = tuple(replace(node, port=port) for port, node in enumerate(known.nodes, 1))
    save_cluster(tmp_path / "cluster.toml", replace(known, nodes=nodes))
    async with running_host(tmp_path / "profiles", tmp_path / "cluster.toml") as (host, _):
        reach = await host.reach()
        assert (reach.answering, len(reach.silent)) == ((), 3)
        assert "Nothing runs at 127.0.0.1:1; start the cluster" in reach.reason
        peer = await host.open("ada")
        assert not peer.status().cloud_reachable, "a profile opens without the cloud too"


async def test_nodes_that_have_other_keys_are_told_from_none(cluster: RunningCluster, tmp_path: Path) -> None:
    known = load_cluster(cluster.file)
    nodes = tuple(replace(node, key=Identity.generate().public.session_key) for node in known.nodes)
    save_cluster(tmp_path / "cluster.toml", replace(known, nodes=nodes))
    async with running_host(tmp_path / "profiles", tmp_path / "cluster.toml") as (host, _):
        reach = await host.reach()
        assert reach.answering == ()
        assert "other keys" in reach.reason


async def test_an_address_that_leads_nowhere_is_told(cluster: RunningCluster, tmp_path: Path) -> None:
    known = load_cluster(cluster.file)
    nodes = tuple(replace(node, host="no-such-host.invalid") for node in known.nodes)
    save_cluster(tmp_path / "cluster.toml", replace(known, nodes=nodes))
    async with running_host(tmp_path / "profiles", tmp_path / "cluster.toml") as (host, _):
        assert "There is no way to no-such-host.invalid" in (await host.reach()).reason


async def test_without_a_socket_the_reason_is_that(
    cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_socket(_self: Endpoint) -> Endpoint:
        raise Unavailable("Address 127.0.0.1:0 cannot be used: Too many open files.")

    monkeypatch.setattr(Endpoint, "__aenter__", no_socket)
    async with running_host(tmp_path / "profiles", cluster.file) as (host, _):
        assert "Too many open files" in (await host.reach()).reason


async def test_no_cluster_file_is_told_until_there_is_one(cluster: RunningCluster, tmp_path: Path) -> None:
    async with running_host(tmp_path / "profiles", None) as (host, failures):
        reach = await host.reach()
        assert (reach.answering, reach.silent, host.cluster) == ((), (), "")
        assert "glimpse up" in reach.reason
        with pytest.raises(InvalidInput, match="glimpse up"):
            await host.open("ada")
        default = tmp_path / "xdg" / "data" / "glimpse" / "cluster" / "cluster.toml"
        default.parent.mkdir(parents=True)
        save_cluster(default, load_cluster(cluster.file))
        assert (await host.reach()).reachable
        await host.open("ada")
        assert failures == []


async def test_a_damaged_cluster_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "cluster.toml").write_text("nodes = 3")
    async with running_host(tmp_path / "profiles", tmp_path / "cluster.toml") as (host, _):
        reach = await host.reach()
        assert (reach.reachable, reach.silent) == (False, ())
        assert "ask its operator for a new copy" in reach.reason


async def test_a_host_that_does_not_run_opens_nothing(cluster: RunningCluster, tmp_path: Path) -> None:
    host = LocalHost(tmp_path, cluster.file, on_failure=lambda _: None)
    with pytest.raises(Unavailable, match="closing"):
        await host.open("ada")
    await host.close()
