"""Pictures for people who are away, or whom no way leads to: the cloud holds them until their peers fetch them."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from shared.errors import Unavailable
from shared.wire import operations as ops
from tests.integration.cluster import RunningCluster
from tests.integration.test_peers import received
from tests.patience import PATIENCE_S, until
from tui.peer import Peer, held_copies
from tui.peer.cloud import CloudLink
from tui.peer.events import CopyFetched, CopyWaits

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("held"), pytest.mark.usefixtures("first_try")]


async def heard(events: Any, kind: type[Any]) -> Any:
    with anyio.fail_after(PATIENCE_S):
        async for event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError("the peer was closed")


async def away(cluster: RunningCluster, folder: Path) -> int:
    """Register somebody who goes away; return the account."""
    async with Peer(folder, cluster.file) as peer:
        me = await peer.register("ben")
        await peer.sign_in()
    return me.account


async def left_by(owner: Peer, photo: Path, viewer: int) -> tuple[str, CopyWaits]:
    """Give a viewer who is away a picture; return it once the cloud holds it."""
    image = await owner.encrypt(photo)
    with owner.subscribe() as events:
        await owner.grant(image.image, viewer, 3)
        return image.image, await heard(events, CopyWaits)


async def test_a_picture_reaches_somebody_who_is_never_online_together_with_its_owner(
    cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    """It waited on its owner's machine until both were online."""
    viewer = await away(cluster, tmp_path / "ben")
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.register("ada")
        await owner.sign_in()
        image, waits = await left_by(owner, photo, viewer)
        assert (waits.image, waits.viewer_name) == (image, "ben")
        [told] = await owner.viewers(image)
        assert told.held_until == waits.until
        assert [user.reached for user in (await owner.users("ben")).rows] == ["in the cloud"]
        assert await owner.outbox() == []
    async with Peer(tmp_path / "ben", cluster.file) as peer:
        await peer.sign_in()
        held = await received(peer, image)
        assert (await peer.view(held.image)).data == photo.read_bytes()
        await until(peer.outbox, lambda rows: not rows)
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        with owner.subscribe() as events:
            await owner.sign_in()
            fetched = await heard(events, CopyFetched)
        assert (fetched.image, fetched.viewer_name, fetched.viewer_words) == (image, "ben", waits.viewer_words)
        [told] = await owner.viewers(image)
        assert (told.held_until, told.left) == (None, 2), "what its viewer has waits no more"


async def test_somebody_online_whom_no_way_leads_to_gets_it_from_the_cloud_at_once(
    people: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No node is in touch with them either, or carries nothing more for this account."""
    owner, viewer = await people("ada"), await people("ben")

    async def no_way(*_: Any, **__: Any) -> Any:
        raise Unavailable("Nobody answers.")

    monkeypatch.setattr(owner._paths, "reach", no_way)
    image = await owner.encrypt(photo)
    await owner.grant(image.image, viewer.me.account, 1)
    held = await received(viewer, image.image)
    assert (await viewer.view(held.image)).data == photo.read_bytes()


async def test_an_owner_may_want_nothing_held(cluster: RunningCluster, tmp_path: Path, photo: Path) -> None:
    viewer = await away(cluster, tmp_path / "ben")
    async with Peer(tmp_path / "ada", cluster.file, holds_copies=False) as owner:
        await owner.register("ada")
        await owner.sign_in()
        image = await owner.encrypt(photo)
        await owner.grant(image.image, viewer, 3)
        await until(owner.outbox, lambda rows: any("cannot be reached" in row.trouble for row in rows))
        assert [row.held_until for row in await owner.viewers(image.image)] == [None]
        async with Peer(tmp_path / "ben", cluster.file) as peer:
            await peer.sign_in()
            await received(peer, image.image)


@pytest.mark.parametrize("side", ["owner", "viewer"])
async def test_an_answer_that_was_lost_costs_one_part_at_most(
    cluster: RunningCluster, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    viewer = await away(cluster, tmp_path / "ben")
    asked: list[ops.Operation] = []
    query = held_copies.Asker.query

    async def counted(self: Any, operation: ops.Operation, *rest: Any, **more: Any) -> Any:
        if isinstance(operation, ops.HoldPart | ops.FetchPart):
            asked.append(operation)
            if len(asked) == 1 and isinstance(operation, ops.HoldPart if side == "owner" else ops.FetchPart):
                await query(self, operation, *rest, **more)
                raise Unavailable("The answer was lost.")
        return await query(self, operation, *rest, **more)

    monkeypatch.setattr(held_copies.Asker, "query", counted)
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.register("ada")
        await owner.sign_in()
        image, _ = await left_by(owner, photo, viewer)
        if side == "owner":
            parts = [operation.part for operation in asked]
            assert sorted(parts) == sorted(set(parts)), "a part that is there is not sent again"
        asked.clear()
    async with Peer(tmp_path / "ben", cluster.file) as peer:
        await peer.sign_in()
        held = await received(peer, image)
        assert (await peer.view(held.image)).data == photo.read_bytes()


async def test_what_its_viewer_has_waits_no_more_though_the_cloud_did_not_hear_so(
    cluster: RunningCluster, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was awaited once, and the copy stayed for two weeks where it did not come."""
    viewer = await away(cluster, tmp_path / "ben")
    ask = CloudLink.ask

    async def deaf(self: Any, operation: ops.Operation, **more: Any) -> Any:
        if isinstance(operation, ops.DropHeld):
            raise Unavailable("The cloud did not answer.")
        return await ask(self, operation, **more)

    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.register("ada")
        await owner.sign_in()
        image, _ = await left_by(owner, photo, viewer)
        with monkeypatch.context() as patched:
            patched.setattr(CloudLink, "ask", deaf)
            async with Peer(tmp_path / "ben", cluster.file) as peer:
                await peer.sign_in()
                await received(peer, image)
                await until(peer.outbox, lambda rows: any(row.trouble for row in rows))
        [told] = await owner.viewers(image)
        assert told.held_until is not None
        async with Peer(tmp_path / "ben", cluster.file) as peer:
            await peer.sign_in()
            await until(peer.outbox, lambda rows: not rows)
        [told] = await owner.viewers(image)
        assert told.held_until is None


async def test_a_copy_that_was_left_for_somebody_who_has_one_already_goes(
    people: Any, photo: Path, tmp_path: Path
) -> None:
    """As when a way to the viewer was lost just after all of it had come."""
    owner, viewer = await people("ada"), await people("ben")
    image = await owner.encrypt(photo)
    await owner.grant(image.image, viewer.me.account, 1)
    await received(viewer, image.image)
    [told] = await owner.viewers(image.image)
    await owner._copies._waiting.leave(told.grant, photo.read_bytes(), lambda _done, _total: None)
    await until(lambda: owner.viewers(image.image), lambda rows: [row.held_until for row in rows] == [None])
    held = await received(viewer, image.image)
    assert (await viewer.view(held.image)).data == photo.read_bytes()


async def test_a_copy_of_which_no_mail_tells_goes_at_the_next_sign_in(
    people: Any, photo: Path, cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restore to a time at which the directory held what has come since: the mail was read long ago."""
    viewer = await away(cluster, tmp_path / "ben")
    owner = await people("ada")
    image, _ = await left_by(owner, photo, viewer)
    async with Peer(tmp_path / "ben", cluster.file) as peer:
        await peer.sign_in()
        await received(peer, image)
        await until(peer.outbox, lambda rows: not rows)
        [told] = await owner.viewers(image)
        monkeypatch.setattr(peer._wanting, "waits", lambda _grant: None)
        peer._copies.on_waiting = peer._wanting.waits
        await owner._copies._waiting.leave(told.grant, photo.read_bytes(), lambda _done, _total: None)
    [told] = await owner.viewers(image)
    assert told.held_until is not None
    async with Peer(tmp_path / "ben", cluster.file) as peer:
        await peer.sign_in()
        await until(lambda: owner.viewers(image), lambda rows: [row.held_until for row in rows] == [None])
