"""Devices that come and go: killed owners, withdrawn images, second devices, transfers that are cut in the middle."""

import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from PIL import Image

from shared.errors import InvalidInput, ProfileError
from shared.stego import container
from shared.wire import operations as ops
from tests.integration.cluster import RunningCluster
from tests.integration.test_peers import _event, received, shared_image
from tests.patience import PATIENCE_S, until
from tui.commands.agent import agent
from tui.peer import Peer, files, wanting
from tui.peer.events import CopyProgress, OtherDevice
from tui.peer.models import AskState

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("devices")]

PASSPHRASE = "correct horse"


ENDS = pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
"""A process that is killed, and its twin that is told to end and closes its peer."""


async def ended(
    number: signal.Signals, deed: str, stage: str, profile: Path, cluster: RunningCluster, *rest: str
) -> None:
    """Run a peer in a process of its own until a signal has ended it."""
    command = [sys.executable, "-m", "tests.integration.peer_process", number.name, deed, stage, profile, cluster.file]

    def run() -> int:
        return subprocess.run([*command, *rest], timeout=120, check=False).returncode

    assert await anyio.to_thread.run_sync(run) == (-number if number == signal.SIGKILL else 0)


def heard(events: Any) -> list[str]:
    """Return the names of the events that have been heard until now."""
    names = []
    with suppress(anyio.WouldBlock):
        while True:
            names.append(type(events.receive_nowait()).__name__)
    return names


async def another_device(of: Peer, folder: Path, cluster: RunningCluster) -> Peer:
    """Return a peer, not yet open, on a new device that the account's identity was brought to."""
    data = of.export_identity(PASSPHRASE)
    await anyio.to_thread.run_sync(Peer.import_identity, folder, data, PASSPHRASE)
    return Peer(folder, cluster.file)


# --- An owner that is killed while it encrypts -----------------------------------------------------------------------


async def test_what_a_killed_encryption_left_is_offered_to_nobody(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    """An owner killed in the middle left an image in the cloud whose key was gone; others saw it and asked for it until
    the owner happened to look at the list of its images."""
    viewer = await people("ben")
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        me = await owner.register("ada")
    await ended(signal.SIGKILL, "encrypt", "receiving", tmp_path / "ada", cluster, str(photo))
    offers = await until(lambda: viewer.images_of(me.account), lambda offers: len(offers) == 1)
    sent = await viewer.request(offers[0].image, 2)
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.sign_in()
        await until(lambda: viewer.images_of(me.account), lambda offers: not offers)
        [asked] = (await viewer.requests()).outgoing
        assert (asked.request_id, asked.state) == (sent.request_id, AskState.REJECTED)
        assert "no longer offers" in asked.reason
        assert await owner.my_images() == []


@ENDS
async def test_an_encryption_cut_short_before_the_cloud_had_it_all_leaves_nothing(
    cluster: RunningCluster, tmp_path: Path, photo: Path, number: signal.Signals
) -> None:
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.register("ada")
    await ended(number, "encrypt", "sending", tmp_path / "ada", cluster, str(photo))
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.sign_in()
        assert await owner.my_images() == []
        assert list((tmp_path / "ada" / "images").iterdir()) == []
        assert (await owner.encrypt(photo)).path is not None


async def test_an_encryption_killed_at_its_very_end_is_kept(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    """The stego image was in the profile already, and holds the owner's key: the picture is whole and stays."""
    viewer = await people("ben")
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.register("ada")
    await ended(signal.SIGKILL, "encrypt", "written", tmp_path / "ada", cluster, str(photo))
    (tmp_path / "ada" / "images" / "own-cut.part").write_bytes(b"cut")
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.sign_in()
        [mine] = await until(owner.my_images, lambda rows: len(rows) == 1 and rows[0].title == "cut short")
        assert mine.offered
        assert (await owner.view(mine.image)).data == photo.read_bytes()
        await owner.grant(mine.image, viewer.me.account, 1)
        held = await received(viewer, mine.image)
        assert (await viewer.view(held.image)).data == photo.read_bytes()
        assert [path.name for path in (tmp_path / "ada" / "images").iterdir()] == [f"own-{mine.image}.png"]


async def test_an_encryption_that_ends_with_its_client_is_settled_by_the_next_one(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    """The twin of the killed owner: the client is closed in order while a picture is being encrypted."""
    viewer = await people("ben")
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        me = await owner.register("ada")
        await owner.sign_in()
        with anyio.CancelScope() as scope:
            await owner.encrypt(photo, progress=lambda stage, *_: scope.cancel() if stage == "receiving" else None)
        assert scope.cancelled_caught
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.sign_in()
        await until(lambda: viewer.images_of(me.account), lambda offers: not offers)
        await until(
            lambda: owner._context.store.run(lambda s: s.all("SELECT withdrawn FROM own_images")),
            lambda rows: [row["withdrawn"] for row in rows] == [1],
        )
        assert await owner.my_images() == []


async def test_an_encryption_cancelled_after_its_file_was_written_leaves_no_file(
    people: Any, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start took the file for a picture of one's own, which had been given up."""
    owner, viewer = await people("ada"), await people("ben")
    write_whole = files.write_whole
    scope = anyio.CancelScope()

    async def written(path: Path, data: bytes) -> None:
        await write_whole(path, data)
        scope.cancel()
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(files, "write_whole", written)
    with scope:
        await owner.encrypt(photo)
    assert scope.cancelled_caught

    async def left() -> list[Path]:
        return await anyio.to_thread.run_sync(lambda: list((tmp_path / "ada" / "images").iterdir()))

    await until(left, lambda paths: paths == [])
    await until(lambda: viewer.images_of(owner.me.account), lambda offers: not offers)


# --- Requests that are over ------------------------------------------------------------------------------------------


async def test_a_withdrawn_image_is_asked_for_by_nobody_any_more(people: Any, photo: Path) -> None:
    """Requests for a withdrawn image stayed pending, and those who had asked were told nothing."""
    owner, viewer = await people("ada"), await people("ben")
    image = await owner.encrypt(photo, title="fractal")
    sent = await viewer.request(image.image, 2)
    await until(owner.requests, lambda found: len(found.incoming) == 1)
    with viewer.subscribe() as events:
        await owner.withdraw(image.image)
        with anyio.fail_after(PATIENCE_S):
            answer: Any = await _event(events, "RequestAnswered")
        assert (answer.request_id, answer.accepted, answer.title) == (sent.request_id, False, "fractal")
        assert "no longer offers" in answer.reason
    assert [row.state for row in (await owner.requests(local=True)).incoming] == [AskState.REJECTED]
    assert [row.state for row in (await viewer.requests(local=True)).outgoing] == [AskState.REJECTED]
    with pytest.raises(InvalidInput, match="rejected already"):
        await owner.accept(sent.request_id)
    assert await owner.viewers(image.image) == []


async def test_a_request_is_not_answered_twice_from_a_list_that_is_old(people: Any, photo: Path) -> None:
    """The list still showed a rejected request as pending; accepting it was stored as an answer and failed later."""
    owner, viewer = await people("ada"), await people("ben")
    image = await owner.encrypt(photo)
    sent = [await viewer.request(image.image, views) for views in (1, 2, 3)]
    await until(owner.requests, lambda found: len(found.incoming) == 3)
    await owner.reject(sent[0].request_id, "no")
    await owner.accept(sent[1].request_id)
    states = {row.request_id: row.state for row in (await owner.requests(local=True)).incoming}
    assert [states[one.request_id] for one in sent] == ["rejected", "accepted", "pending"]
    await viewer.cancel(sent[2].request_id)
    for one, state in zip(sent, ("rejected", "accepted", "withdrawn"), strict=True):
        with pytest.raises(InvalidInput, match=f"{state} already"):
            await owner.accept(one.request_id)
        with pytest.raises(InvalidInput, match=f"{state} already"):
            await owner.reject(one.request_id)
    assert [row.granted for row in await owner.viewers(image.image)] == [2]


async def test_an_answer_that_another_device_gave_is_seen_before_one_is_given_here(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    owner, viewer = await people("ada"), await people("ben")
    image = await owner.encrypt(photo)
    sent = await viewer.request(image.image, 2)
    await until(owner.requests, lambda found: len(found.incoming) == 1)
    async with await another_device(owner, tmp_path / "other", cluster) as other:
        await other.register("ada")
        await other.sign_in()
        await other.reject(sent.request_id, "not this one")
        with pytest.raises(InvalidInput, match="rejected already"):
            await owner.accept(sent.request_id)
        assert [row.state for row in (await owner.requests(local=True)).incoming] == [AskState.REJECTED]


async def test_an_answer_that_waited_too_long_gives_nothing_and_says_so(tmp_path: Path, photo: Path) -> None:
    """An answer given while the cloud was away meets a request that another device has rejected meanwhile."""
    folder = tmp_path / "cluster"
    first = await anyio.to_thread.run_sync(RunningCluster, folder)
    async with Peer(tmp_path / "ada", first.file) as owner, Peer(tmp_path / "ben", first.file) as viewer:
        for peer, name in ((owner, "ada"), (viewer, "ben")):
            await peer.register(name)
            await peer.sign_in()
        image = await owner.encrypt(photo)
        sent = await viewer.request(image.image, 2)
        await until(owner.requests, lambda found: len(found.incoming) == 1)
        other = await another_device(owner, tmp_path / "other", first)
        assert await anyio.to_thread.run_sync(first.stop) == 0
        assert not (await owner.accept(sent.request_id)).delivered
    second = await anyio.to_thread.run_sync(RunningCluster, folder)
    try:
        async with other:
            await other.register("ada")
            await other.sign_in()
            await other.reject(sent.request_id)
        async with Peer(tmp_path / "ada", second.file) as owner:
            with owner.subscribe() as events:
                await owner.sign_in()
                with anyio.fail_after(PATIENCE_S):
                    refused: Any = await _event(events, "Undeliverable")
            assert "rejected" in refused.reason
            await until(lambda: owner.requests(local=True), lambda found: found.incoming[0].state == AskState.REJECTED)
            assert await owner.viewers(image.image) == []
            assert await owner.outbox() == []
    finally:
        assert await anyio.to_thread.run_sync(second.stop) == 0


# --- A second device -------------------------------------------------------------------------------------------------


async def test_a_second_device_gets_its_copies_by_itself_and_hears_no_history(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    """A second device said "still on its way" for ever, and told years of history as news."""
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 3)
    asked = await viewer.request_more(held.image, 2)
    await until(owner.requests, lambda found: bool(found.incoming))
    await owner.reject(asked.request_id, "enough")
    await until(viewer.requests, lambda found: found.outgoing[0].state == AskState.REJECTED)
    await viewer.view(held.image)
    async with await another_device(viewer, tmp_path / "phone", cluster) as phone:
        with phone.subscribe() as events:
            me = await phone.register("whatever")
            assert me == viewer.me
            await phone.sign_in()
            told = heard(events)
            assert not {"RequestAnswered", "RightsUpdated", "RequestArrived", "ViewSpentEvent"} & set(told)
            [request] = (await phone.requests(local=True)).outgoing
            assert request.state == AskState.REJECTED
            with anyio.fail_after(PATIENCE_S):
                await _event(events, "ImageReceived")
        [copy] = await phone.peer_images()
        assert (copy.grant, copy.left) == (held.grant, 2)
        assert copy.path is not None
        view = await phone.view(held.image)
        assert (view.data, view.left) == (photo.read_bytes(), 1)
        # What happens from now on is news.
        with phone.subscribe() as events:
            await owner.set_views(held.image, me.account, 9)
            with anyio.fail_after(PATIENCE_S):
                await _event(events, "RightsUpdated")


async def test_a_copy_that_was_damaged_or_lost_comes_again_by_itself(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 3)
    assert held.path is not None
    whole = held.path.read_bytes()
    held.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Exception, match=r"damaged|asked"):
        await viewer.view(held.image)
    await received(viewer, held.image)
    assert (await viewer.view(held.image)).left == 2
    await viewer.__aexit__(None, None, None)
    held.path.unlink()
    async with Peer(tmp_path / "ben", cluster.file) as again:
        assert [row.path for row in await again.peer_images()] == [None]
        await again.sign_in()
        await received(again, held.image)
        assert (await again.view(held.image)).left == 1
        viewer._stack = AsyncExitStack()  # it is closed already


async def test_an_owners_device_without_the_stego_image_leaves_a_wish_to_the_one_that_has_it(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 3)
    assert held.path is not None
    await owner.sign_out()
    async with await another_device(owner, tmp_path / "other", cluster) as other:
        await other.register("ada")
        await other.sign_in()
        held.path.write_bytes(b"damaged")
        with pytest.raises(Exception, match=r"damaged|asked|PNG"):
            await viewer.view(held.image)
        await until(
            lambda: other._context.store.run(lambda s: s.all("SELECT 1 FROM mail_seen")), lambda rows: bool(rows)
        )
        await until(other.outbox, lambda rows: not rows)
    await owner.sign_in()
    await received(viewer, held.image)


async def test_ones_own_pictures_open_on_a_second_device(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    """Every stego image of one's own holds the owner's record, which nothing ever read: a second device showed the
    pictures in its list and could not open them."""
    owner, viewer = await people("ada"), await people("ben")
    copied, named, missing = [await owner.encrypt(photo, title=title) for title in ("copied", "named", "missing")]
    phone = await another_device(owner, tmp_path / "phone", cluster)
    images = tmp_path / "phone" / "images"
    images.mkdir(exist_ok=True)
    shutil.copy(copied.path, images / copied.path.name)
    shutil.copy(named.path, tmp_path / "from the other device.png")
    async with phone:
        await phone.register("ada")
        await phone.sign_in()
        rows = await until(phone.my_images, lambda rows: sum(row.path is not None for row in rows) == 1)
        assert {row.title for row in rows} == {"copied", "named", "missing"}
        assert (await phone.view(copied.image)).data == photo.read_bytes()
        with pytest.raises(ProfileError, match="not on this device"):
            await phone.view(named.image)
        adopted = await phone.adopt(tmp_path / "from the other device.png")
        assert (adopted.image, adopted.title) == (named.image, "named")
        assert (tmp_path / "from the other device.png").exists()
        assert (await phone.view(named.image)).data == photo.read_bytes()
        assert await phone.adopt(str(adopted.path)) == adopted, "adopting it again changes nothing"
        with pytest.raises(ProfileError, match="not on this device"):
            await phone.view(missing.image)
        await phone.grant(named.image, viewer.me.account, 2)
        held = await received(viewer, named.image)
        assert (await viewer.view(held.image)).data == photo.read_bytes()


async def test_files_that_cannot_be_adopted(people: Any, tmp_path: Path, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 3)
    [mine] = await owner.my_images()
    assert mine.path is not None
    assert held.path is not None
    whole = mine.path.read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) * 3 // 4])
    damaged = bytearray(whole)
    damaged[-5000:-4000] = bytes(1000)
    (tmp_path / "damaged.png").write_bytes(damaged)
    Image.new("RGB", (400, 300)).save(tmp_path / "plain.png")
    (tmp_path / "large.png").touch()
    with (tmp_path / "large.png").open("r+b") as file:
        file.truncate(200_000_000)
    (tmp_path / "text.png").write_text("no picture")
    for peer, name, sentence in (
        (viewer, mine.path, "no file of a picture of yours"),
        (viewer, held.path, "no file of a picture of yours"),
        (owner, held.path, "a copy that was made for a viewer"),
        (owner, photo, "no picture of Glimpse"),
        (owner, tmp_path / "cut.png", "no picture of Glimpse|cut off"),
        (owner, tmp_path / "damaged.png", "no picture of Glimpse|cut off"),
        (owner, tmp_path / "plain.png", "no picture of Glimpse"),
        (owner, tmp_path / "large.png", "no picture of Glimpse"),
        (owner, tmp_path / "text.png", "no picture of Glimpse"),
        (owner, tmp_path / "missing.png", "no file"),
        (owner, tmp_path, "no file"),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            await peer.adopt(name)
    assert len(await owner.my_images()) == 1
    assert await viewer.my_images() == []
    assert container.read_record(mine.path)


async def test_strange_files_in_the_profile_are_left_alone(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    owner = await people("ada")
    image = await owner.encrypt(photo)
    images = tmp_path / "ben" / "images"
    async with Peer(tmp_path / "ben", cluster.file) as viewer:
        await viewer.register("ben")
    shutil.copy(image.path, images / image.path.name)
    (images / "own-junk.png").write_bytes(b"junk")
    (images / "link.png").symlink_to(image.path)
    async with Peer(tmp_path / "ben", cluster.file) as viewer:
        await viewer.sign_in()
        with anyio.fail_after(PATIENCE_S):
            await viewer._adopting.looked.wait()
        assert await viewer.my_images() == []
    assert {path.name for path in images.iterdir()} == {image.path.name, "own-junk.png", "link.png"}


async def test_two_devices_know_of_each_other_and_do_not_fight(
    people: Any, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    """Nobody was told that another device had signed in with the account."""
    owner, viewer = await people("ada"), await people("ben")
    image = await owner.encrypt(photo)
    phone = await another_device(owner, tmp_path / "phone", cluster)
    with owner.subscribe() as at_owner:
        async with phone:
            with phone.subscribe() as at_phone:
                await phone.register("ada")
                await phone.sign_in()
                assert OtherDevice(newer=False) in [event async for event in _until_other(at_phone)]
            with anyio.fail_after(PATIENCE_S):
                assert await _event(at_owner, "OtherDevice") == OtherDevice(newer=True)
            assert owner.status().other_device
            assert not phone.status().other_device
            # The older one keeps working: mail comes to both, what it asks for is done.
            await viewer.request(image.image, 2)
            for events in (owner, phone):
                await until(lambda peer=events: peer.requests(local=True), lambda found: bool(found.incoming))
            await owner.set_preview(image.image, photo)
            assert not phone.status().other_device, "the older one has not taken its place"
        # The other has left; the older one is found again without doing anything.
        await until(
            lambda: viewer._cloud.query(ops.FindAccount(account=owner.me.account), ops.Account),
            lambda found: found.port == owner._context.endpoint.local_address[1],
        )
        assert not owner.status().other_device


async def test_an_agent_says_that_another_device_signed_in(
    people: Any, cluster: RunningCluster, tmp_path: Path
) -> None:
    owner = await people("ada")
    said: list[str] = []
    async with await another_device(owner, tmp_path / "robot", cluster) as robot:
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as group:

                def say(line: str) -> None:
                    said.append(line)
                    if "another device" in line:
                        group.cancel_scope.cancel()

                group.start_soon(
                    partial(
                        agent, robot, "ada", accept=False, views=None, share=None, after_s=0.0, previews=False, say=say
                    )
                )
    assert said[-1] == "this account is signed in on another device as well"


async def _until_other(events: Any) -> AsyncIterator[Any]:
    with anyio.fail_after(PATIENCE_S):
        async for event in events:
            yield event
            if isinstance(event, OtherDevice):
                return


# --- Transfers that are cut in the middle ----------------------------------------------------------------------------


IN_FLIGHT_BYTES = 600_000
"""What was on its way when the receiver ended, and is sent again: some first flights of 8 datagrams of 60 KB."""


def noise(path: Path, megabytes: int) -> Path:
    """Save a picture of about that size."""
    edge = round(980 * megabytes**0.5)
    Image.effect_noise((edge, edge), 90).save(path, compress_level=1)
    assert 0.9e6 * megabytes < path.stat().st_size < 1.1e6 * megabytes
    return path


async def arrived(viewer: Peer, image: str) -> None:
    """Wait for a large stego image. A transfer whose other side was killed is given up after its time-out only."""
    await until(viewer.peer_images, lambda rows: any(row.image == image and row.path for row in rows), limit_s=100)


async def begun(events: Any, *, sending: bool) -> tuple[int, int]:
    """Return at how many bytes of how many a transfer begins."""
    with anyio.fail_after(100):
        async for event in events:
            if isinstance(event, CopyProgress) and event.sending == sending:
                return event.done, event.total
    raise AssertionError("the peer closed")


@pytest.mark.parametrize(
    ("number", "held", "megabytes"),
    [(signal.SIGKILL, False, 10), (signal.SIGTERM, False, 3), (signal.SIGKILL, True, 3)],
)
async def test_a_transfer_goes_on_where_it_was_when_the_receiver_ends(
    people: Any, cluster: RunningCluster, tmp_path: Path, number: signal.Signals, held: bool, megabytes: int
) -> None:
    """What had arrived was kept in memory only: a client that was closed or killed began every picture anew. Also from
    the cloud, where it waits for a viewer who is away."""
    large = noise(tmp_path / "large.png", megabytes)
    owner = await people("ada", holds_copies=held)
    image = await owner.encrypt(large)
    async with Peer(tmp_path / "ben", cluster.file) as viewer:
        me = await viewer.register("ben")
    await owner.grant(image.image, me.account, 1)
    if held:
        await until(owner.outbox, lambda rows: not rows)
    await ended(number, "receive", "-", tmp_path / "ben", cluster)
    parts = tmp_path / "ben" / "partials"
    assert [path.suffix for path in sorted(parts.iterdir())] == [".data", ".have"]
    async with Peer(tmp_path / "ben", cluster.file) as viewer:
        with viewer.subscribe() as events:
            await viewer.sign_in()
            before = owner._context.endpoint.statistics().sent_bytes
            done, total = await begun(events, sending=False)
            assert done > total / 5, "it goes on where it was"
        await arrived(viewer, image.image)
        sent = owner._context.endpoint.statistics().sent_bytes - before
        assert sent < (total - done) * 1.1 + IN_FLIGHT_BYTES, "what was there is not sent again"
        assert (await viewer.view(image.image)).data == large.read_bytes()
        assert list(parts.iterdir()) == []


@pytest.mark.parametrize(("number", "megabytes"), [(signal.SIGKILL, 10), (signal.SIGTERM, 3)])
async def test_a_transfer_goes_on_where_it_was_when_the_sender_ends(
    people: Any, cluster: RunningCluster, tmp_path: Path, number: signal.Signals, megabytes: int
) -> None:
    large = noise(tmp_path / "large.png", megabytes)
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        await owner.register("ada")
        await owner.sign_in()
        image = await owner.encrypt(large)
        async with Peer(tmp_path / "ben", cluster.file) as viewer:
            me = await viewer.register("ben")
        await owner.grant(image.image, me.account, 1)
    viewer = await people("ben")
    await ended(number, "send", "-", tmp_path / "ada", cluster)
    async with Peer(tmp_path / "ada", cluster.file) as owner:
        with owner.subscribe() as events:
            await owner.sign_in()
            done, total = await begun(events, sending=True)
        await arrived(viewer, image.image)
        sent = owner._context.endpoint.statistics().sent_bytes
        assert sent < total * 0.9, f"what was there is not sent again ({sent} of {total}, {done} at the beginning)"
        assert (await viewer.view(image.image)).data == large.read_bytes()
        await until(owner.outbox, lambda rows: not rows)


async def test_a_part_that_was_damaged_on_disk_is_received_anew(
    people: Any, cluster: RunningCluster, tmp_path: Path
) -> None:
    large = noise(tmp_path / "large.png", 3)
    owner = await people("ada", holds_copies=False)
    image = await owner.encrypt(large)
    async with Peer(tmp_path / "ben", cluster.file) as viewer:
        me = await viewer.register("ben")
    await owner.grant(image.image, me.account, 1)
    await ended(signal.SIGKILL, "receive", "-", tmp_path / "ben", cluster)
    [data] = (tmp_path / "ben" / "partials").glob("*.data")
    with data.open("r+b") as file:
        file.write(b"damage" * 5000)
    async with Peer(tmp_path / "ben", cluster.file) as viewer:
        await viewer.sign_in()
        await arrived(viewer, image.image)
        assert (await viewer.view(image.image)).data == large.read_bytes()


def test_the_grace_for_copies_on_their_way_is_short() -> None:
    """A person waits for a picture: seconds, not minutes."""
    assert wanting.GRACE_S <= 5.0
