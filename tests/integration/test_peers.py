"""Peers against three real nodes: the whole way of a picture, and everything that must not win a view."""

import base64
import io
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from blockbuster import blockbuster_ctx
from PIL import Image

from shared.cluster import load_cluster
from shared.errors import DamagedStego, GlimpseError, InvalidInput, ProfileError, Refused, UnusableImage, ViewRefused
from shared.records import RightsRecord, encode_record
from shared.rights import create_grant, spend_signature, with_left
from shared.sealed_record import seal_record
from shared.stego.container import read_record
from shared.stego.rights_strip import _stegano_lsb
from shared.stego.sizes import strip_rows
from shared.wire import operations as ops
from tests.integration.cluster import RunningCluster
from tests.patience import PATIENCE_S, until
from tests.stego_files import record_shown, rewrite_record
from tui.peer import Peer
from tui.peer.events import Event
from tui.peer.models import PeerImage, UserPage

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("cluster")]


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """A blocking call in the event loop fails the test: a picture of 12 MP must not freeze a screen."""
    with blockbuster_ctx(["tui", "shared"]):
        yield


async def received(viewer: Peer, image: str) -> PeerImage:
    """Wait for the stego image to be here."""
    held = await until(viewer.peer_images, lambda rows: any(row.image == image and row.path for row in rows))
    return next(row for row in held if row.image == image)


async def shared_image(owner: Peer, viewer: Peer, photo: Path, views: int) -> PeerImage:
    """Encrypt, grant and wait until the viewer holds the image."""
    image = await owner.encrypt(photo)
    assert viewer.me is not None
    await owner.grant(image.image, viewer.me.account, views)
    return await received(viewer, image.image)


@pytest.mark.usefixtures("first_try")
async def test_a_picture_travels_and_opens_byte_identical(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    with owner.subscribe() as events, viewer.subscribe() as told:
        image = await owner.encrypt(photo, title="fractal")
        sent = await viewer.request(image.image, 5, note="please")
        assert sent.delivered
        incoming = (await owner.requests()).incoming
        assert [(row.person_name, row.views, row.note, row.title) for row in incoming] == [
            ("ben", 5, "please", "fractal")
        ]
        await owner.accept(sent.request_id)
        held = await received(viewer, image.image)
        assert (held.left, held.owner_name) == (5, "ada")
        opened = await viewer.view(image.image)
        assert opened.data == photo.read_bytes()
        assert opened.left == 4
        mine = await owner.my_images()
        assert [(row.image, row.viewers, row.views_spent, row.path == image.path, row.counted) for row in mine] == [
            (image.image, 1, 1, True, True)
        ]
        # Asking nobody, the counts are not known, and that is told.
        assert [(row.image, row.counted) for row in await owner.my_images(local=True)] == [(image.image, False)]
        log = await owner.views_log(image.image)
        assert [(entry.viewer_name, entry.left) for entry in log] == [("ben", 4)]
        assert [row.left for row in await owner.viewers(image.image)] == [4]
        assert (await viewer.peer_images())[0].left == 4
        for name, heard in (("RequestArrived", events), ("ViewSpentEvent", events), ("ImageReceived", told)):
            assert (await _event(heard, name)).title == "fractal"  # type: ignore[attr-defined]


async def _event(events: AsyncIterator[Event], name: str) -> Event:
    with anyio.fail_after(PATIENCE_S):
        async for event in events:
            if type(event).__name__ == name:
                return event
    raise AssertionError("the peer closed")


async def test_copies_and_restored_files_win_no_view(people: Any, photo: Path, tmp_path: Path) -> None:
    """The reference kept the count in the image: a copy taken before a look had the views again."""
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 1)
    assert held.path is not None
    store = tmp_path / "ben" / "store.sqlite"
    shutil.copy(held.path, tmp_path / "copy.png")
    shutil.copy(store, tmp_path / "copy.sqlite")
    assert (await viewer.view(held.image)).left == 0
    shutil.copy(tmp_path / "copy.png", held.path)
    with pytest.raises(ViewRefused) as refusal:
        await viewer.view(held.image)
    assert refusal.value.code == "no_views"


async def test_the_rights_are_in_the_image_for_its_two_parties_and_say_nothing_to_others(
    people: Any, photo: Path
) -> None:
    """Anybody could read off a file who had shared it with whom, how often it may be looked at, and until when."""
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 3)
    mine = (await owner.my_images())[0]
    await viewer.view(held.image)
    assert held.path is not None
    at_owner, at_viewer = owner._context.identity, viewer._context.identity
    for by, other in ((at_viewer, at_owner), (at_owner, at_viewer)):
        record = record_shown(held.path, by, other)
        assert isinstance(record, RightsRecord)
        assert (record.image_id, record.granted, record.left) == (held.image, 3, 2)
    assert record_shown(mine.path, at_owner, at_owner).image_id == mine.image
    texts = []
    for path in (held.path, mine.path):
        with Image.open(path) as image:
            rows = image.crop((0, 0, image.width, strip_rows(image.width)))
        texts.append(_stegano_lsb().reveal(rows))
    for text in texts:
        raw = text.encode() + base64.b64decode(text)
        for who in (at_owner, at_viewer):
            assert who.public.signing_key not in raw
            assert base64.b64encode(who.public.signing_key)[:20] not in raw
        assert held.image.encode() not in raw
        assert bytes.fromhex(held.image) not in raw
    assert sum(a == b for a, b in zip(*texts, strict=False)) < 40, "nothing in one that is in the other"


async def test_a_copy_that_names_its_parties_in_clear_is_sealed_at_the_next_sign_in(people: Any, photo: Path) -> None:
    """Versions before wrote the record as it is, and galleries are full of such copies."""
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 3)
    path, image_id = held.path, bytes.fromhex(held.image)
    assert path is not None
    at_owner, at_viewer = owner._context.identity, viewer._context.identity
    record = record_shown(path, at_viewer, at_owner)
    clear = encode_record(record)
    await anyio.to_thread.run_sync(lambda: rewrite_record(path, clear, image_id=image_id))
    shown = read_record(path)
    assert shown == clear
    for who in (at_owner, at_viewer):
        assert base64.b64encode(who.public.signing_key) in shown
    await viewer.sign_in()
    assert record_shown(path, at_viewer, at_owner) == record
    assert base64.b64encode(at_owner.public.signing_key) not in read_record(path)
    assert (await viewer.view(held.image)).left == 2


async def test_an_edited_strip_and_store_win_no_view(people: Any, photo: Path, tmp_path: Path) -> None:
    """The reference believed an editable file: two bytes in the image and a JSON table beside it."""
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 1)
    assert held.path is not None
    await viewer.view(held.image)
    mine, hers = viewer._context.identity, owner._context.identity
    record = record_shown(held.path, mine, hers)
    assert isinstance(record, RightsRecord)
    assert (record.granted, record.left) == (1, 0)
    edited = seal_record(with_left(record, 9), mine.session_private, hers.public.session_key)
    rewrite_record(held.path, edited, image_id=bytes.fromhex(held.image))
    assert record_shown(held.path, mine, hers) == with_left(record, 9)
    with sqlite3.connect(tmp_path / "ben" / "store.sqlite") as store:
        store.execute("UPDATE held SET consumed = 0, granted = 99")
    store.close()
    with pytest.raises(ViewRefused):
        await viewer.view(held.image)
    assert [row.left for row in await owner.viewers(held.image)] == [0]


async def test_a_damaged_file_is_found_before_a_view_is_spent(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 2)
    assert held.path is not None
    with Image.open(held.path) as picture:
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "JPEG")
    held.path.write_bytes(buffer.getvalue())
    with pytest.raises(DamagedStego, match="ask"):
        await viewer.view(held.image)
    assert [row.left for row in await owner.viewers(held.image)] == [2]


async def test_a_damaged_file_comes_again_with_the_views_that_are_asked_for(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 2)
    assert held.path is not None
    whole = held.path.read_bytes()
    held.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedStego):
        await viewer.view(held.image)
    [missing] = await viewer.peer_images()
    assert (missing.path, missing.left) == (None, 2)
    asked = await viewer.request_more(held.image, 1, note="it no longer opens")
    await until(owner.requests, lambda found: len(found.incoming) == 1)
    await owner.accept(asked.request_id)
    again = await received(viewer, held.image)
    assert again.path == held.path
    opened = await until_opened(viewer, held.image, left=2)
    assert opened == photo.read_bytes()
    await until(owner.outbox, lambda rows: not rows)


async def until_opened(viewer: Peer, image: str, *, left: int) -> bytes:
    """Wait until as many views are there that a look leaves `left`, then look."""
    await until(viewer.peer_images, lambda rows: rows[0].left == left + 1)
    view = await viewer.view(image)
    assert view.left == left
    return view.data


async def test_more_views_of_an_image_that_is_here_send_it_no_second_time(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 1)
    assert viewer.me is not None
    with viewer.subscribe() as events:
        await owner.grant(held.image, viewer.me.account, 4)
        heard: list[str] = []
        with anyio.fail_after(PATIENCE_S):  # the list shows the new number a moment before it is told
            while "RightsUpdated" not in heard:
                heard.append(type(await anext(events)).__name__)
        assert (await viewer.peer_images())[0].left == 5
        await until(owner.outbox, lambda rows: not rows)  # with the copy that was not needed
        with suppress(anyio.WouldBlock):
            while True:
                heard.append(type(events.receive_nowait()).__name__)
    assert not {"ImageReceived", "CopyProgress"} & set(heard)


async def test_nobody_but_the_grant_s_viewer_spends_or_reads_it(people: Any, photo: Path) -> None:
    owner, viewer, stranger = await people("ada"), await people("ben"), await people("mallory")
    held = await shared_image(owner, viewer, photo, 3)
    with pytest.raises(ViewRefused):
        await stranger.view(held.image)
    with pytest.raises(Refused):
        await stranger._cloud.query(ops.GetGrant(grant=held.grant), ops.GrantState)
    with pytest.raises(Refused):
        await stranger.set_views(held.image, 1, 50)
    with pytest.raises(Refused):
        await stranger.views_log(held.image)
    assert (await stranger.requests()).incoming == ()


async def test_a_number_signs_nobody_in(people: Any, cluster: RunningCluster, tmp_path: Path) -> None:
    """In the reference any existing numeric id signed in; here the keys decide, whatever the profile claims."""
    owner = await people("ada")
    async with Peer(tmp_path / "thief", cluster.file) as thief:
        with pytest.raises(ProfileError):
            await thief.sign_in()
        thief._context.account = owner.me.account
        with pytest.raises(Refused):
            await thief.sign_in()


async def test_rights_changed_while_the_viewer_is_away(
    people: Any, cluster: RunningCluster, photo: Path, tmp_path: Path
) -> None:
    """In the reference pending changes were deleted before they were received and negative ones vanished."""
    owner = await people("ada")
    async with Peer(tmp_path / "ben", cluster.file) as viewer:
        me = await viewer.register("ben")
        await viewer.sign_in()
        held = await shared_image(owner, viewer, photo, 13)
    lowered = await owner.set_views(held.image, me.account, 9)
    raised = await owner.set_views(held.image, me.account, 11)
    last = await owner.set_views(held.image, me.account, 4)
    assert [lowered.left, raised.left, last.left] == [9, 11, 4]
    async with Peer(tmp_path / "ben", cluster.file) as viewer:
        await viewer.sign_in()
        assert [row.left for row in await viewer.peer_images()] == [4]
        assert (await viewer.view(held.image)).left == 3
        await owner.revoke(held.image, me.account)
        with pytest.raises(ViewRefused) as refusal:
            await viewer.view(held.image)
        assert refusal.value.code == "revoked"


async def test_a_request_survives_a_cloud_and_a_client_that_go_away(tmp_path: Path, photo: Path) -> None:
    """What was asked for while the cloud was away is delivered once, by a later run of the client."""
    folder = tmp_path / "cluster"
    first = RunningCluster(folder)
    async with Peer(tmp_path / "ada", first.file) as owner, Peer(tmp_path / "ben", first.file) as viewer:
        for peer, name in ((owner, "ada"), (viewer, "ben")):
            await peer.register(name)
            await peer.sign_in()
        image = await owner.encrypt(photo)
        assert await anyio.to_thread.run_sync(first.stop) == 0
        sent = await viewer.request(image.image, 2)
        assert not sent.delivered
        assert [entry.request_id for entry in await viewer.outbox()] == [sent.request_id]
    second = await anyio.to_thread.run_sync(RunningCluster, folder)
    try:
        async with Peer(tmp_path / "ada", second.file) as owner, Peer(tmp_path / "ben", second.file) as viewer:
            await owner.sign_in()
            await viewer.sign_in()
            found = await until(owner.requests, lambda found: bool(found.incoming))
            assert [(row.request_id, row.views) for row in found.incoming] == [(sent.request_id, 2)]
            await until(viewer.outbox, lambda rows: rows == [])
    finally:
        assert await anyio.to_thread.run_sync(second.stop) == 0


async def test_one_profile_is_open_once(people: Any, cluster: RunningCluster, tmp_path: Path) -> None:
    await people("ada")
    with pytest.raises(ProfileError, match="open in process"):
        async with Peer(tmp_path / "ada", cluster.file):
            pass


@pytest.mark.parametrize("views", [0, -1, 1_000_000])
async def test_numbers_of_views_that_are_none(people: Any, views: int) -> None:
    peer = await people("ada")
    with pytest.raises(InvalidInput, match="number of views"):
        await peer.request("0" * 32, views)


@pytest.mark.parametrize("name", ["", "   ", "x" * 49, "a\x1b[31mred", "a\u202eb"])
async def test_names_that_are_none(cluster: RunningCluster, tmp_path: Path, name: str) -> None:
    async with Peer(tmp_path / "p", cluster.file) as peer:
        with pytest.raises(InvalidInput):
            await peer.register(name)


async def test_files_that_are_no_pictures(people: Any, tmp_path: Path, photo: Path) -> None:
    peer = await people("ada")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.jpg").write_bytes(photo.read_bytes()[:-400])
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    for name in ("missing.png", "text.png", "cut.jpg", "large.png", "."):
        with pytest.raises(UnusableImage):
            await peer.encrypt(tmp_path / name)
    assert await peer.my_images() == []


async def test_an_image_that_nobody_knows(people: Any) -> None:
    peer = await people("ada")
    with pytest.raises(Refused):
        await peer.request("f" * 32, 1)
    with pytest.raises(GlimpseError):
        await peer.view("f" * 32)
    assert await peer.outbox() == []


async def test_a_profile_belongs_to_one_cluster(people: Any, cluster: RunningCluster, tmp_path: Path) -> None:
    known = await anyio.to_thread.run_sync(load_cluster, cluster.file)
    async with Peer(tmp_path / "p", known):
        pass
    other = type(known)("0" * 32, known.preset, known.nodes)
    with pytest.raises(ProfileError, match="another cluster"):
        async with Peer(tmp_path / "p", other):
            pass


async def test_a_stranger_s_key_moves_nothing_in_the_ledger(people: Any, photo: Path) -> None:
    """In the reference a viewer granted itself views with one unsolicited datagram. Here the key of the session and the
    signatures decide, whatever the request claims."""
    owner, viewer, stranger = await people("ada"), await people("ben"), await people("mallory")
    held = await shared_image(owner, viewer, photo, 3)
    me = stranger._context.identity
    before = (await owner.viewers(held.image))[0]
    cluster_id, view = stranger._context.cluster.cluster_id, stranger._context.new_id()
    ephemeral = bytes(range(32))
    forged = create_grant(
        me,
        me.public,
        grant_id="a" * 32,
        image_id=held.image,
        content_key=bytes(32),
        granted=9,
        expires=None,
        entropy=stranger._context.entropy,
    )
    standing = await viewer._cloud.query(ops.GetGrant(grant=held.grant), ops.GrantState)
    attempts = [
        ops.SpendView(
            grant=held.grant,
            ephemeral_key=ephemeral,
            signature=spend_signature(me, cluster_id, held.grant, view, ephemeral),
        ),
        ops.Grant(
            grant="a" * 32,
            image=held.image,
            viewer=stranger._context.account,
            record=encode_record(forged.record),
            cloud_share=forged.cloud_share,
            share_signature=forged.share_signature,
        ),
        ops.ChangeRights(
            grant=held.grant, record=standing.grant.record, met_version=standing.grant.version, met_consumed=0
        ),
        ops.ViewsLog(image=held.image),
        ops.SetPreview(image=held.image, preview=None),
        ops.WithdrawImage(image=held.image),
    ]
    for attempt in attempts:
        with pytest.raises((Refused, ViewRefused)):
            await stranger._context.cloud.ask(attempt, request=view)
    mail = await stranger._cloud.query(ops.FetchMail(device=viewer._context.device), ops.Mails)
    assert mail.rows == []
    assert (await owner.viewers(held.image))[0] == before


async def test_a_viewer_cannot_raise_its_own_rights(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 1)
    standing = (await viewer._cloud.query(ops.GetGrant(grant=held.grant), ops.GrantState)).grant
    edited = standing.record.replace(b'"granted":1', b'"granted":9')
    assert edited != standing.record
    with pytest.raises(Refused):
        await viewer._cloud.query(
            ops.ChangeRights(grant=held.grant, record=edited, met_version=standing.version, met_consumed=0),
            ops.GrantState,
        )
    assert [row.granted for row in await owner.viewers(held.image)] == [1]


async def test_a_request_says_of_whom_and_what_it_is_while_it_waits_and_after(
    tmp_path: Path, photo: Path, first_try: Callable[[float], None]
) -> None:
    """A list of one's own requests that shows numbers instead of names is of no use, least of all while offline."""
    running = await anyio.to_thread.run_sync(RunningCluster, tmp_path / "cluster")
    try:
        async with Peer(tmp_path / "ada", running.file) as owner, Peer(tmp_path / "ben", running.file) as viewer:
            for peer, name in ((owner, "ada"), (viewer, "ben")):
                await peer.register(name)
                await peer.sign_in()
            image = await owner.encrypt(photo, title="fractal")
            assert owner.me is not None
            await viewer.users()
            await viewer.images_of(owner.me.account)
            await viewer.request(image.image, 2)
            row = (await viewer.requests()).outgoing[0]
            assert (row.title, row.person, row.person_name, row.words, row.state) == (
                "fractal",
                owner.me.account,
                "ada",
                owner.me.words,
                "pending",
            )
            assert await anyio.to_thread.run_sync(running.stop) == 0
            first_try(0.0)
            sent = await viewer.request(image.image, 3)
            assert not sent.delivered
            row = (await viewer.requests(local=True)).outgoing[0]
            assert (row.request_id, row.title, row.person, row.person_name, row.words, row.state) == (
                sent.request_id,
                "fractal",
                owner.me.account,
                "ada",
                owner.me.words,
                "queued",
            )
            found = await viewer.requests(local=True)
            assert not found.complete
            assert [row.views for row in found.outgoing] == [3, 2]
            assert [row.title for row in await owner.my_images(local=True)] == ["fractal"]
    finally:
        await anyio.to_thread.run_sync(running.stop)


async def test_an_answer_is_seen_to_wait_and_is_given_once(
    tmp_path: Path, photo: Path, first_try: Callable[[float], None]
) -> None:
    """While the cloud is away a request looks unanswered to the cloud; its owner must see that it is not."""
    running = await anyio.to_thread.run_sync(RunningCluster, tmp_path / "cluster")
    try:
        async with (
            Peer(tmp_path / "ada", running.file, holds_copies=False) as owner,
            Peer(tmp_path / "ben", running.file) as viewer,
        ):
            for peer, name in ((owner, "ada"), (viewer, "ben")):
                await peer.register(name)
                await peer.sign_in()
            image = await owner.encrypt(photo)
            asked = [(await viewer.request(image.image, views)).request_id for views in (1, 2, 3)]
            await until(owner.requests, lambda found: len(found.incoming) == 3)
            await viewer.sign_out()
            await owner.accept(asked[0])
            rows = {row.request_id: row for row in (await owner.requests()).incoming}
            assert [(rows[ask].state, rows[ask].waits) for ask in asked] == [
                ("accepted", True),
                ("pending", False),
                ("pending", False),
            ]
            assert rows[asked[0]].grant is not None
            assert rows[asked[0]].answered is not None
            assert await anyio.to_thread.run_sync(running.stop) == 0
            first_try(0.0)
            assert not (await owner.reject(asked[1], "no")).delivered
            assert not (await owner.accept(asked[2])).delivered
            rows = {row.request_id: row for row in (await owner.requests(local=True)).incoming}
            assert [rows[ask].waits for ask in asked] == [True, True, True]
            for ask in asked[1:]:
                with pytest.raises(InvalidInput, match="waits"):
                    await owner.accept(ask)
                with pytest.raises(InvalidInput, match="waits"):
                    await owner.reject(ask)
    finally:
        await anyio.to_thread.run_sync(running.stop)


async def test_the_cover_of_an_image_is_at_hand_without_spending_a_view(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 1)
    assert owner.me is not None
    assert viewer.me is not None
    for peer in (owner, viewer):
        data = await peer.cover(held.image)
        assert data is not None
        with Image.open(io.BytesIO(data)) as cover:
            assert cover.format == "PNG"
            assert cover.size != (320, 200)
    assert await viewer.cover("f" * 32) is None
    rows = await owner.viewers(held.image)
    assert [(row.left, row.name, row.words) for row in rows] == [(1, "ben", viewer.me.words)]
    assert held.path is not None
    held.path.unlink()
    assert await viewer.cover(held.image) is None


@pytest.mark.parametrize("stage", ["sealing", "sending", "receiving"])
async def test_a_cancelled_encryption_leaves_nothing(people: Any, tmp_path: Path, stage: str) -> None:
    """A node that had finished already left an image in the lists that nobody, not even its owner, could open."""
    owner, viewer = await people("ada"), await people("ben")
    large = tmp_path / "large.png"
    Image.effect_noise((900, 700), 80).save(large)
    done: list[int] = []
    scope = anyio.CancelScope()

    def report(now: str, bytes_done: int, _total: int) -> None:
        if now == stage:
            done.append(bytes_done)
            scope.cancel()

    with scope:
        await owner.encrypt(large, progress=report)
    assert scope.cancelled_caught
    assert await owner.my_images() == []
    assert list((tmp_path / "ada" / "images").glob("*")) == []
    # Whatever a node still did with what it had got, one look at one's own images ends it.
    again = await owner.encrypt(large, title="kept")
    assert [image.title for image in await owner.my_images()] == ["kept"]
    offers = await viewer.images_of(owner.me.account)
    assert [image.image for image in offers] == [again.image]


async def test_a_revocation_is_told_once_and_not_at_every_sign_in(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 5)
    with viewer.subscribe() as events:
        await owner.revoke(held.image, viewer.me.account)
        with anyio.fail_after(PATIENCE_S):
            assert (await _event(events, "RightsUpdated")).revoked  # type: ignore[attr-defined]
        await viewer.sign_out()
        await viewer.sign_in()
        (row,) = await viewer.peer_images()
        assert row.revoked
        heard = []
        with suppress(anyio.WouldBlock):
            while True:
                heard.append(type(events.receive_nowait()).__name__)
    assert "RightsUpdated" not in heard


async def test_what_a_node_finishes_after_a_cancel_is_withdrawn_without_a_look(people: Any, tmp_path: Path) -> None:
    """Others saw it in the lists and asked for it, and its owner could say yes to it in vain."""
    owner, viewer = await people("ada"), await people("ben")
    picture = tmp_path / "picture.png"
    Image.effect_noise((300, 200), 80).save(picture)
    scope = anyio.CancelScope()
    # The upload is complete and the node has made the image when the stego image begins to come back.
    with scope:
        await owner.encrypt(
            picture, progress=lambda stage, _done, _total: scope.cancel() if stage == "receiving" else 0
        )
    assert scope.cancelled_caught
    made = await until(lambda: owner._cloud.query(ops.MyImages(), ops.Images), lambda found: found.rows)
    assert made.total == 1
    assert await until(lambda: viewer.images_of(owner.me.account), lambda offers: not offers) == []


async def test_a_preview_is_made_from_a_file_or_its_bytes_and_taken_back(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    image = await owner.encrypt(photo)
    await owner.set_preview(image.image, str(photo))
    from_file = await viewer.preview(image.image)
    await owner.set_preview(image.image, None)
    assert await viewer.preview(image.image) is None
    await owner.set_preview(image.image, (await owner.view(image.image)).data)
    assert from_file is not None
    assert await viewer.preview(image.image) == from_file


async def test_expiry_and_number_of_views_change_apart_from_each_other(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben")
    held = await shared_image(owner, viewer, photo, 5)
    account = viewer.me.account

    async def rights() -> tuple[int, float | None]:
        (row,) = await owner.viewers(held.image)
        return row.left, row.expires

    await owner.set_views(held.image, account, 3, expires=4e9)
    assert await rights() == (3, 4e9)
    await viewer.view(held.image)
    # Only the expiry is meant: the view that was spent meanwhile stays spent.
    result = await owner.set_views(held.image, account, None, no_expiry=True)
    assert (result.left, result.met_consumed) == (2, 1)
    assert await rights() == (2, None)
    await owner.set_views(held.image, account, None, expires=5e9)
    await owner.set_views(held.image, account, 7)
    assert await rights() == (7, 5e9)
    with pytest.raises(InvalidInput, match="one of both"):
        await owner.set_views(held.image, account, 1, expires=5e9, no_expiry=True)


async def test_what_an_owner_decides_while_the_cloud_is_away_is_carried_out_when_it_is_back(
    tmp_path: Path, photo: Path
) -> None:
    """A change of rights made then was refused as if there were no such rights, and lost; a grant was not stored until
    the cloud had been asked for somebody's keys, and lost with a client that was closed meanwhile."""
    folder, expires = tmp_path / "cluster", 4e9
    first = await anyio.to_thread.run_sync(RunningCluster, folder)
    async with Peer(tmp_path / "ada", first.file) as owner, Peer(tmp_path / "ben", first.file) as viewer:
        for peer, name in ((owner, "ada"), (viewer, "ben")):
            await peer.register(name)
            await peer.sign_in()
        assert viewer.me is not None
        ben = viewer.me.account
        held = await shared_image(owner, viewer, photo, 3)
        other = await owner.encrypt(photo, title="other")
        assert await anyio.to_thread.run_sync(first.stop) == 0
        with anyio.fail_after(PATIENCE_S):
            assert not (await owner.set_views(held.image, ben, 1)).delivered
            assert not (await owner.grant(other.image, ben, 2, expires=expires)).delivered
        assert [entry.what for entry in await owner.outbox()] == ["rights", "grant"]
        # Long enough for the first attempts to have failed: what fails for want of the cloud stays.
        await until(owner.outbox, lambda rows: all(row.attempts for row in rows))
    second = await anyio.to_thread.run_sync(RunningCluster, folder)
    try:
        async with Peer(tmp_path / "ada", second.file) as owner, Peer(tmp_path / "ben", second.file) as viewer:
            await owner.sign_in()
            await viewer.sign_in()
            await until(lambda: owner.viewers(held.image), lambda rows: rows[0].left == 1)
            await until(
                lambda: owner.viewers(other.image),
                lambda rows: [(row.account, row.left, row.expires) for row in rows] == [(ben, 2, expires)],
            )
            await received(viewer, other.image)
            await until(owner.outbox, lambda rows: rows == [])
    finally:
        assert await anyio.to_thread.run_sync(second.stop) == 0


async def test_a_request_taken_back_while_it_is_under_way_is_delivered_and_withdrawn(
    people: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken out of the outbox alone, it was gone here and lay with the owner all the same."""
    owner, viewer = await people("ada"), await people("ben")
    image = await owner.encrypt(photo)
    asked = viewer._context.cloud.ask
    answers = anyio.Event()

    async def held_up(operation: ops.Operation, **options: Any) -> Any:
        outcome = await asked(operation, **options)
        if isinstance(operation, ops.AskViews):
            await answers.wait()  # the cloud has it, and its answer is not here yet
        return outcome

    monkeypatch.setattr(viewer._context.cloud, "ask", held_up)
    async with anyio.create_task_group() as group:
        group.start_soon(viewer.request, image.image, 2)
        found = await until(owner.requests, lambda found: bool(found.incoming))
        request = found.incoming[0].request_id
        group.start_soon(viewer.cancel, request)
        await until(viewer.outbox, lambda rows: [row.what for row in rows] == ["request", "withdrawal"])
        assert (await viewer.requests(local=True)).outgoing == ()
        answers.set()
    await until(viewer.outbox, lambda rows: rows == [])
    await until(owner.requests, lambda found: all(row.state == "withdrawn" for row in found.incoming))


async def test_a_peer_that_ends_while_it_signs_in_is_not_shown_online(
    people: Any, cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cloud has done the sign-in, and its answer is not here yet: the peer must say goodbye all the same."""
    watcher = await people("ada")

    def is_online(page: UserPage) -> bool:
        return [row.online for row in page.rows] == [True]

    async with Peer(tmp_path / "leaving", cluster.file) as leaving:
        await leaving.register("leaving")
        asked = leaving._context.cloud.ask

        async def held_up(operation: ops.Operation, **options: Any) -> Any:
            outcome = await asked(operation, **options)
            if isinstance(operation, ops.SignIn):
                await anyio.sleep_forever()
            return outcome

        monkeypatch.setattr(leaving._context.cloud, "ask", held_up)
        async with anyio.create_task_group() as group:
            group.start_soon(leaving.sign_in)
            await until(lambda: watcher.users("leaving"), is_online)
            group.cancel_scope.cancel()
    assert not is_online(await watcher.users("leaving"))


async def test_a_revocation_made_offline_ends_what_was_given_offline_before_it(tmp_path: Path, photo: Path) -> None:
    """Whatever was queued before it: when the cloud is back, nobody can look, and nothing waits."""
    folder = tmp_path / "cluster"
    first = await anyio.to_thread.run_sync(RunningCluster, folder)
    async with Peer(tmp_path / "ada", first.file) as owner, Peer(tmp_path / "ben", first.file) as viewer:
        for peer, name in ((owner, "ada"), (viewer, "ben")):
            await peer.register(name)
            await peer.sign_in()
        assert viewer.me is not None
        ben = viewer.me.account
        held = await shared_image(owner, viewer, photo, 3)
        assert await anyio.to_thread.run_sync(first.stop) == 0
        assert not (await owner.grant(held.image, ben, 5)).delivered
        assert not (await owner.revoke(held.image, ben)).delivered
        assert [entry.what for entry in await owner.outbox()] == ["grant", "revocation"]
    second = await anyio.to_thread.run_sync(RunningCluster, folder)
    try:
        async with Peer(tmp_path / "ada", second.file) as owner, Peer(tmp_path / "ben", second.file) as viewer:
            await owner.sign_in()
            await until(owner.outbox, lambda rows: rows == [])
            assert [(row.revoked, row.granted) for row in await owner.viewers(held.image)] == [(True, 3)]
            await viewer.sign_in()
            with pytest.raises(ViewRefused) as refusal:
                await viewer.view(held.image)
            assert refusal.value.code == "revoked"
    finally:
        assert await anyio.to_thread.run_sync(second.stop) == 0
