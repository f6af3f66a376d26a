"""Paths between peers: directly, through a node, and from one to the other while a picture is on its way."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from shared.errors import Refused, Unavailable
from shared.secure.relayed import wrap
from shared.wire import operations as ops
from tests import photos
from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.integration.endpoints import until as turning_until
from tests.integration.test_looks import heard
from tests.integration.test_peers import received
from tests.patience import PATIENCE_S, until
from tests.ports import free_ports
from tui.client.host import LocalHost
from tui.client.settings import load_settings
from tui.commands.up import set_up
from tui.peer.events import CopyProgress, RightsHeard, RightsUpdated

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("paths"), pytest.mark.usefixtures("first_try")]


SLOWLY = 600_000
"""Bytes a second that these nodes carry for one account: a copy on its way has a middle in which things can happen."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """Three nodes that carry little."""
    folder = tmp_path_factory.mktemp("cluster")
    place = set_up(folder, base_port=free_ports(6))
    for node in place.cluster.nodes:
        with (folder / f"node-{node.name}.toml").open("a") as file:
            file.write(f"\n[limits]\nrelayed_bytes_per_s = {SLOWLY}\n")
    running = RunningCluster(folder)
    yield running
    running.stop()


async def paths_of_a_copy(events: Any) -> list[str]:
    """Return the paths that a copy took, in order, until all of it was there."""
    paths: list[str] = []
    with anyio.fail_after(PATIENCE_S):
        async for event in events:
            if isinstance(event, CopyProgress):
                if event.path not in paths[-1:]:
                    paths.append(event.path)
                if event.done == event.total:
                    return paths
    raise AssertionError("the peer was closed")


async def given(owner: Any, viewer: Any, photo: Path) -> list[str]:
    """Give a picture that the viewer opens; return the paths that it took."""
    image = await owner.encrypt(photo)
    with owner.subscribe() as events:
        await owner.grant(image.image, viewer.me.account, 1)
        paths = await paths_of_a_copy(events)
    held = await received(viewer, image.image)
    assert (await viewer.view(held.image)).data == photo.read_bytes()
    return paths


async def test_whoever_hides_addresses_is_reached_through_a_node_and_never_directly(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben", relay_only=True)
    found = await owner._people.find(viewer.me.account)
    assert (found.online, found.host, found.port) == (True, None, None)
    [path] = await given(owner, viewer, photo)
    assert path.startswith("through n")
    [user] = (await owner.users("ben")).rows
    assert [user.reached, *(image.reached for image in await viewer.peer_images())] == [path, path]
    hidden = viewer._context.endpoint.local_address[1]
    assert all(session.address[1] != hidden for session in owner._context.endpoint.sessions)


async def test_who_hides_addresses_does_not_show_them_by_sending(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada", relay_only=True), await people("ben")
    [path] = await given(owner, viewer, photo)
    assert path.startswith("through n")


async def test_however_many_look_for_one_person_there_is_one_session(people: Any, photo: Path) -> None:
    """Each opened one of its own, and beyond eight the oldest are closed, with what is on its way in them."""
    owner, viewer = await people("ada"), await people("ben", relay_only=True)
    await given(owner, viewer, photo)
    [grant] = [row.grant for row in (await owner.my_images())[:1] for row in await owner.viewers(row.image)]
    account, endpoint = await owner._people.find(viewer.me.account), owner._context.endpoint
    for session in endpoint.sessions:
        if session.roams:
            endpoint.close_session(session)
    await turning_until(lambda: not any(session.roams for session in endpoint.sessions))
    found = set()

    async def look() -> None:
        found.add(await owner._paths.reach(account, grant))

    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(look)
    assert len(found) == 1
    assert [session for session in endpoint.sessions if session.remote_key == account.session_key] == list(found)


async def test_whoever_comes_back_after_a_crash_is_not_waited_for_in_the_session_before(
    people: Any, photo: Path
) -> None:
    """It knew neither the session nor the path through the node any more, and nothing told its owner's peer."""
    owner, viewer = await people("ada"), await people("ben", relay_only=True)
    await given(owner, viewer, photo)
    [session] = [session for session in owner._context.endpoint.sessions if session.roams]
    crashed = viewer._context.endpoint
    [forgotten] = [session for session in crashed.sessions if session.roams]
    crashed._mux._connections.remove(crashed._mux._connections.get(forgotten.number))
    crashed._relayed_paths.drop(forgotten.address)
    await given(owner, viewer, photo)
    assert not session.alive


async def test_an_agent_and_the_client_hide_where_they_are_if_told_to(
    people: Any, cluster: RunningCluster, tmp_path: Path
) -> None:
    watcher = await people("ada")
    settings = tmp_path / "client.toml"
    settings.write_text("relay_only = true\nshare_local_addresses = false\n")
    chosen = load_settings(settings)
    host = LocalHost(
        tmp_path / "profiles",
        cluster.file,
        on_failure=pytest.fail,
        share_local_addresses=chosen.share_local_addresses,
        relay_only=chosen.relay_only,
    )
    places = {f"XDG_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("DATA", "CONFIG", "STATE")}
    options = ["--profile", "eve", "--accept", "none", "--relay-only", "--cluster", str(cluster.file)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(host.run)
        await checkpoint()
        peer = await host.open("dan")
        me = await peer.register("dan")
        await peer.sign_in()
        agent = await anyio.open_process([*GLIMPSE, "agent", *options], env={**os.environ, **places})
        try:
            for name in ("dan", "eve"):
                page = await until(partial(watcher.users, name), lambda found: any(row.online for row in found.rows))
                [row] = page.rows
                found = await watcher._people.find(row.account)
                assert (found.online, found.host, found.port) == (True, None, None)
        finally:
            agent.terminate()
            await agent.wait()
            await agent.aclose()
        assert me.account != watcher.me.account
        assert peer._paths.candidates() == ()
        await host.close()
        tasks.cancel_scope.cancel()


async def test_a_revocation_reaches_a_peer_behind_a_node_at_once(
    people: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look ends when its viewer's peer hears of it. The two may not have spoken for hours, and no mail comes here."""
    owner, viewer = await people("ada"), await people("ben", relay_only=True)
    await given(owner, viewer, photo)
    [image] = [row.image for row in await viewer.peer_images()]
    for session in owner._context.endpoint.sessions:
        if session.roams:
            owner._context.endpoint.close_session(session)

    async def no_mail() -> None:
        """Nothing comes."""

    monkeypatch.setattr(viewer._mailbox, "fetch", no_mail)
    with owner.subscribe() as told, viewer.subscribe() as changed:
        await owner.revoke(image, viewer.me.account)
        await heard(changed, RightsUpdated, lambda event: event.revoked)
        await heard(told, RightsHeard, lambda event: event.revoked)
    assert all(
        session.address[1] != viewer._context.endpoint.local_address[1] for session in owner._context.endpoint.sessions
    )


async def test_two_people_in_one_network_go_directly(people: Any, photo: Path) -> None:
    assert await given(await people("ada"), await people("ben"), photo) == ["direct"]


async def test_a_session_through_a_node_goes_over_to_a_direct_way(
    people: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind two routers: no first message gets through, what both sides send at the same moment does."""
    owner, viewer = await people("ada"), await people("ben")

    async def no_path(*_: Any, **__: Any) -> Any:
        raise Unavailable("Nobody answers.")

    monkeypatch.setattr(owner._context.endpoint, "connect", no_path)
    moved = anyio.Event()
    monkeypatch.setattr(owner._context.endpoint, "on_moved", lambda _session: moved.set())
    paths = await given(owner, viewer, photo)
    assert paths[-1] in ("direct", paths[0])
    with anyio.fail_after(PATIENCE_S):
        await moved.wait()
    assert await given(owner, viewer, photo) == ["direct"]


async def test_nobody_is_carried_to_who_did_not_agree(people: Any, photo: Path) -> None:
    """A grant is what two people agree by: who has none with somebody gets no path there, nor into another pair's."""
    owner, viewer, mallory = await people("ada"), await people("ben", relay_only=True), await people("mallory")
    await given(owner, viewer, photo)
    [grant] = [row.grant for row in (await owner.my_images())[:1] for row in await owner.viewers(row.image)]
    with pytest.raises(Refused, match="no such grant"):
        await mallory._cloud.query(ops.Meet(grant=grant), ops.Met)
    [path] = [
        owner._context.endpoint._relayed_paths.at(session.address)
        for session in owner._context.endpoint.sessions
        if session.roams
    ]
    assert path is not None
    junk = wrap(path.handle, bytes(100))
    mallory._context.endpoint._send(mallory._context.cloud.session_to(owner._context.cloud.name_of(path.node)), junk)
    await mallory.users()  # asked after that, and answered

    async def junk_there() -> int:
        return viewer._context.endpoint.statistics().dropped.get("malformed", 0)

    assert await junk_there() == 0
    owner._context.endpoint._send(path.node, junk)
    await until(junk_there, lambda count: count == 1)


async def test_an_account_sends_more_than_its_share_in_vain(people: Any, cluster: RunningCluster, photo: Path) -> None:
    """Nothing of it waits at the node, and what other people do there goes on."""
    owner, viewer = await people("ada"), await people("ben", relay_only=True)
    [shown] = await given(owner, viewer, photo)
    endpoint, name = owner._context.endpoint, shown.removeprefix("through ")

    async def carried() -> tuple[int, int]:
        status = await anyio.to_thread.run_sync(cluster.status)
        [node] = [node for node in status["nodes"] if node["name"] == name]
        return int(node["relayed_bytes"]), int(node["relay_refused"].get("beyond its share", 0))

    before, _ = await carried()
    began = anyio.current_time()
    [session] = [session for session in endpoint.sessions if session.roams]
    while (await carried())[1] < 1_000:
        endpoint._carry(session.address, [bytes(1_100)] * 1_000)
        await viewer.users()
    through = (await carried())[0] - before
    assert through <= SLOWLY * (1 + anyio.current_time() - began) + photo.stat().st_size


async def test_the_copy_goes_on_over_another_node_when_the_one_that_carries_it_dies(
    people: Any, cluster: RunningCluster, tmp_path: Path
) -> None:
    """What has arrived is not sent again: the transfer is the same one before and after."""
    owner, viewer = await people("ada"), await people("ben", relay_only=True)
    picture = tmp_path / "large.png"
    picture.write_bytes(photos.resized("chelsea.png", (900, 700)))
    image = await owner.encrypt(picture)
    done: list[int] = []
    paths: list[str] = []
    killed = ""
    with owner.subscribe() as events:
        await owner.grant(image.image, viewer.me.account, 1)
        with anyio.fail_after(PATIENCE_S):
            async for event in events:
                if not isinstance(event, CopyProgress):
                    continue
                done.append(event.done)
                paths.append(event.path)
                if not killed and event.done > event.total / 4:
                    killed = event.path.removeprefix("through ")
                    os.kill(cluster.pid(killed), signal.SIGKILL)
                if event.done == event.total:
                    break
    assert killed
    assert paths[-1] not in ("direct", f"through {killed}")
    assert done == sorted(done), "it began anew"
    held = await received(viewer, image.image)
    assert (await viewer.view(held.image)).data == picture.read_bytes()
    assert await until(owner.outbox, lambda rows: not rows) == []
