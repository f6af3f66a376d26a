"""Looks against three real nodes: what was paid for is shown, once, whatever the network and the disk do."""

import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest
from PIL import Image

from shared.config import MAX_MESSAGE_BYTES
from shared.errors import InvalidInput, StorageError, ViewRefused
from shared.records import RightsRecord, decode_record
from shared.rights import change_rights
from shared.wire import operations as ops
from shared.wire.codec import encode
from tests.integration.cluster import RunningCluster
from tests.integration.relay import Relay, relay
from tests.patience import PATIENCE_S, until
from tests.stego_files import record_shown
from tui.peer import Peer
from tui.peer.events import LookWaits, RightsHeard, RightsUpdated
from tui.peer.models import View
from tui.peer.notices import notice_of
from tui.peer.store import Store

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("cluster")]


@dataclass(frozen=True, slots=True)
class Pair:
    """An owner, and a viewer who reaches the nodes through the relay and holds a picture."""

    owner: Peer
    viewer: Peer
    relay: Relay
    image: str
    original: bytes

    @property
    def account(self) -> int:
        assert self.viewer.me is not None
        return self.viewer.me.account

    async def log(self) -> list[ops.ViewRow]:
        return (await self.owner._cloud.query(ops.ViewsLog(image=self.image), ops.ViewRows)).rows

    async def left(self) -> int:
        return (await self.viewer.peer_images())[0].left


Made = Callable[[int], Any]


@pytest.fixture
async def pair(cluster: RunningCluster, tmp_path: Path) -> AsyncIterator[Made]:
    """Return a function that makes a pair with so many views granted."""
    photo = tmp_path / "photo.png"
    Image.effect_mandelbrot((160, 100), (-2, -1, 1, 1), 60).save(photo)
    async with AsyncExitStack() as stack:
        before = await stack.enter_async_context(relay(cluster.file, tmp_path / "relay.toml"))
        owner = await stack.enter_async_context(Peer(tmp_path / "ada", cluster.file))
        viewer = await stack.enter_async_context(Peer(tmp_path / "ben", before.file))

        async def make(views: int, **rights: Any) -> Pair:
            for peer, name in ((owner, "ada"), (viewer, "ben")):
                await peer.register(name)
                await peer.sign_in()
            image = (await owner.encrypt(photo)).image
            assert viewer.me is not None
            await owner.grant(image, viewer.me.account, views, **rights)
            await until(viewer.peer_images, lambda rows: any(row.path for row in rows))
            await until(owner.outbox, lambda rows: not rows)
            return Pair(owner, viewer, before, image, photo.read_bytes())

        yield make


async def heard(events: AsyncIterator[Any], kind: type, holds: Callable[[Any], bool] = lambda _: True) -> Any:
    with anyio.fail_after(PATIENCE_S):
        async for event in events:
            if isinstance(event, kind) and holds(event):
                return event
    raise AssertionError("the peer closed")


def deaf_from_taken_on(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the viewer's first TAKEN on, nothing comes back to it from the nodes."""
    cloud, usual = pair.viewer._context.cloud, pair.viewer._context.cloud.ask

    async def ask(operation: ops.Operation, **options: Any) -> Any:
        if isinstance(operation, ops.TakenView):
            pair.relay.hook = lambda direction: direction == "up"
            monkeypatch.setattr(cloud, "ask", usual)
        return await usual(operation, **options)

    monkeypatch.setattr(cloud, "ask", ask)


async def no_mail(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The viewer's peer gets no mail any more: what it hears, it hears directly."""

    async def nothing() -> None:
        return None

    monkeypatch.setattr(pair.viewer._mailbox, "fetch", nothing)


# --- Counted once, shown once ----------------------------------------------------------------------------------------
async def test_a_lost_answer_to_taken_costs_nothing(pair: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one view granted the picture was never shown: the advised second opening was another view."""
    made = await pair(1)
    deaf_from_taken_on(made, monkeypatch)
    views: list[View] = []

    async def look() -> None:
        views.append(await made.viewer.view(made.image))

    with made.viewer.subscribe() as events:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            await until(made.log, lambda rows: [row.taken for row in rows] == [True])
            assert (await heard(events, LookWaits)).image == made.image
            assert views == []
            made.relay.hook = lambda _direction: True
    assert [(view.data == made.original, view.left, view.unwritten) for view in views] == [(True, 0, "")]
    assert views[0].view_id == (await made.log())[0].view
    with pytest.raises(ViewRefused) as refusal:
        await made.viewer.view(made.image)
    assert refusal.value.code == "no_views"


async def test_a_look_that_was_broken_off_is_finished_by_the_next(pair: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closed the client's dialog, or gave a script a time limit, lost the view."""
    made = await pair(1)
    deaf_from_taken_on(made, monkeypatch)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.viewer.view, made.image)
        await until(made.log, lambda rows: [row.taken for row in rows] == [True])
        tasks.cancel_scope.cancel()
    with anyio.move_on_after(0.5):  # still without the cloud
        await made.viewer.view(made.image)
        raise AssertionError("it was shown without the answer")
    made.relay.hook = lambda _direction: True
    with anyio.fail_after(PATIENCE_S):
        view = await made.viewer.view(made.image)
    assert (view.data, view.left) == (made.original, 0)
    assert len(await made.log()) == 1


@pytest.mark.usefixtures("first_try")
async def test_a_revocation_ends_a_look_that_was_broken_off(pair: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken, the answer lost, and the dialog closed. Hours after the revocation the next look finished it: the
    same TAKEN was answered with "done", whatever had become of the right."""
    made = await pair(2)
    deaf_from_taken_on(made, monkeypatch)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.viewer.view, made.image)
        await until(made.log, lambda rows: [row.taken for row in rows] == [True])
        tasks.cancel_scope.cancel()
    assert (await made.owner.revoke(made.image, made.account)).delivered
    made.relay.hook = lambda _direction: True
    for _ in range(2):
        with pytest.raises(ViewRefused) as refusal:
            await made.viewer.view(made.image)
        assert refusal.value.code == "revoked"


@pytest.mark.usefixtures("first_try")
async def test_a_revocation_ends_a_look_that_waits_to_be_taken(pair: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await pair(2)
    cloud = made.viewer._context.cloud
    usual = cloud.ask

    async def ask(operation: ops.Operation, **options: Any) -> Any:
        if isinstance(operation, ops.TakenView):
            assert (await made.owner.revoke(made.image, made.account)).delivered
            monkeypatch.setattr(cloud, "ask", usual)
        return await usual(operation, **options)

    monkeypatch.setattr(cloud, "ask", ask)
    with pytest.raises(ViewRefused) as refusal:
        await made.viewer.view(made.image)
    assert refusal.value.code == "revoked"
    assert [row.taken for row in await made.log()] == [False]


@pytest.mark.parametrize("views", [1, 2])
async def test_two_looks_at_once_are_two_looks(pair: Made, views: int) -> None:
    """They shared a view id: one returned, the other waited fifteen seconds and blamed the cloud."""
    made = await pair(views)
    found: list[object] = []

    async def look() -> None:
        try:
            view = await made.viewer.view(made.image)
            found.append(view.left if view.data == made.original else "other bytes")
        except ViewRefused as refusal:
            found.append(str(refusal.code))

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(look)
    assert found == ([0, "no_views"] if views == 1 else [1, 0])
    assert len(await made.log()) == views


# --- Bookkeeping -----------------------------------------------------------------------------------------------------
async def test_what_cannot_be_written_withholds_no_picture(pair: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk after the view was counted: an error was shown instead of the picture that was paid for."""
    made = await pair(3)
    usual, full = Store.do, False

    def do(store: Store, sql: str, **parameters: Any) -> int:
        if full and made.viewer._context.store is store:
            raise StorageError("The disk is full; free some space and try again.")
        return usual(store, sql, **parameters)

    cloud = made.viewer._context.cloud
    ask = cloud.ask

    async def asked(operation: ops.Operation, **options: Any) -> Any:
        nonlocal full
        answer = await ask(operation, **options)
        full = full or isinstance(operation, ops.TakenView)
        return answer

    monkeypatch.setattr(Store, "do", do)
    monkeypatch.setattr(cloud, "ask", asked)
    view = await made.viewer.view(made.image)
    assert (view.data, view.left) == (made.original, 2)
    assert "could not be written" in view.unwritten
    assert "free some space" in view.unwritten
    assert await made.left() == 2, "what is known is shown, written or not"
    monkeypatch.undo()
    again = await made.viewer.view(made.image)
    assert (again.left, again.unwritten) == (1, "")
    assert len(await made.log()) == 2


async def test_a_strip_that_cannot_be_rewritten_is_mended_at_the_next_look(
    pair: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await pair(3)
    [held] = await made.viewer.peer_images()
    assert held.path is not None

    def read_only(*_: Any) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", read_only)
        view = await made.viewer.view(made.image)
    assert view.data == made.original
    assert "Read-only" in view.unwritten
    await made.viewer._holding.mend()
    shown = record_shown(held.path, made.viewer._context.identity, made.owner._context.identity)
    assert isinstance(shown, RightsRecord)
    assert shown.left == 2


@asynccontextmanager
async def small_disk(folder: Path) -> AsyncIterator[Path]:
    """Mount a file system of 2 MB; skip where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or (await anyio.run_process(mount, check=False, stderr=subprocess.DEVNULL)).returncode:
        pytest.skip("a file system can be mounted by root only")
    try:
        yield folder
    finally:
        await anyio.run_process(["umount", "-l", str(folder)], check=False)


async def test_a_disk_that_fills_up_during_a_look(cluster: RunningCluster, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.effect_mandelbrot((160, 100), (-2, -1, 1, 1), 60).save(photo)
    async with (
        small_disk(tmp_path / "small") as disk,
        Peer(tmp_path / "ada", cluster.file) as owner,
        Peer(disk / "ben", cluster.file) as viewer,
    ):
        for peer, name in ((owner, "ada"), (viewer, "ben")):
            await peer.register(name)
            await peer.sign_in()
        assert viewer.me is not None
        image = (await owner.encrypt(photo)).image
        await owner.grant(image, viewer.me.account, 3)
        await until(viewer.peer_images, lambda rows: any(row.path for row in rows))
        cloud, ask = viewer._context.cloud, viewer._context.cloud.ask

        async def asked(operation: ops.Operation, **options: Any) -> Any:
            answer = await ask(operation, **options)
            if isinstance(operation, ops.TakenView):
                await anyio.to_thread.run_sync(_fill, disk / "full")
            return answer

        cloud.ask = asked  # type: ignore[method-assign]
        view = await viewer.view(image)
        assert view.data == photo.read_bytes()
        assert "free some space" in view.unwritten
        cloud.ask = ask  # type: ignore[method-assign]
        with pytest.raises(StorageError):
            await viewer.view(image)
        assert len(await owner.views_log(image)) == 1, "a look that cannot be noted is not begun"
        (disk / "full").unlink()
        again = await viewer.view(image)
        assert (again.left, again.unwritten) == (1, "")


def _fill(path: Path) -> None:
    try:
        with path.open("wb", buffering=0) as file:
            for block in (65_536, 4_096, 512, 1):
                try:
                    while file.write(bytes(block)) == block:
                        pass
                except OSError:
                    continue
    except OSError:
        return


# --- What a peer knows of a right ------------------------------------------------------------------------------------
async def test_the_count_follows_a_raise_that_was_heard_of_before(pair: Made) -> None:
    """It stuck at 0 after a raise: what was spent was computed from what was left, against a total that had grown."""
    made = await pair(1)
    assert (await made.viewer.view(made.image)).left == 0
    with pytest.raises(ViewRefused):
        await made.viewer.view(made.image)
    assert await made.left() == 0
    await made.owner.set_views(made.image, made.account, 4)
    await until(made.viewer.peer_images, lambda rows: rows[0].left == 4)
    assert (await made.viewer.view(made.image)).left == 3
    assert await made.left() == 3


async def test_a_raise_that_nobody_told_is_found_by_looking(pair: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that refuses by itself must not refuse for ever on what it once knew."""
    made = await pair(1)
    await made.viewer.view(made.image)
    await no_mail(made, monkeypatch)
    monkeypatch.setattr(made.owner._granting, "on_changed", lambda _grant: None)
    await made.owner.set_views(made.image, made.account, 2)
    assert await made.left() == 0
    assert (await made.viewer.view(made.image)).left == 1
    assert await made.left() == 1


@pytest.mark.parametrize("code", ["revoked", "expired", "no_views"])
async def test_a_peer_refuses_by_itself_what_has_ended(pair: Made, code: str) -> None:
    """Also where a directory was set back to before the end: nothing is asked of it."""
    made = await pair(1)
    if code == "revoked":
        await made.owner.revoke(made.image, made.account)
        await until(made.viewer.peer_images, lambda rows: rows[0].revoked)
    elif code == "expired":
        at = made.owner.now() + 2.5
        await made.owner.set_views(made.image, made.account, None, expires=at)
        await until(made.viewer.peer_images, lambda rows: rows[0].expires is not None)

        async def clock() -> float:
            return made.viewer.now()

        await until(clock, lambda now: now > at)
    else:
        await made.viewer.view(made.image)
    made.relay.is_open = False
    with pytest.raises(ViewRefused) as refusal:
        await made.viewer.view(made.image)
    assert refusal.value.code == code


async def test_an_edited_store_makes_the_count_no_lower_than_the_ledger_s(
    cluster: RunningCluster, pair: Made, tmp_path: Path
) -> None:
    made = await pair(3)
    await made.viewer.view(made.image)
    with sqlite3.connect(tmp_path / "ben" / "store.sqlite") as store:
        store.execute("UPDATE held SET consumed = 0")
    store.close()
    await made.viewer.sign_in()
    assert await made.left() == 2


# --- Notices ---------------------------------------------------------------------------------------------------------
async def test_a_change_reaches_the_viewer_directly(pair: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """No notice ever left: the smallest was larger than what a datagram may be, and that was passed over in silence."""
    made = await pair(5)
    await no_mail(made, monkeypatch)
    with made.viewer.subscribe() as told, made.owner.subscribe() as answers:
        await made.owner.set_views(made.image, made.account, 2, expires=4e9, look_s=30)
        update = await heard(told, RightsUpdated)
        assert (update.left, update.expires, update.look_s, update.revoked) == (2, 4e9, 30, False)
        answer = await heard(answers, RightsHeard)
        assert (answer.image, answer.viewer_name, answer.left, answer.revoked) == (made.image, "ben", 2, False)
        [held] = await made.viewer.peer_images()
        assert (held.left, held.expires, held.look_s) == (2, 4e9, 30)
        await made.owner.revoke(made.image, made.account)
        assert (await heard(told, RightsUpdated)).revoked
        assert (await heard(answers, RightsHeard)).revoked
    with pytest.raises(ViewRefused):
        await made.viewer.view(made.image)


async def test_a_modified_client_gets_no_other_name_shown_than_its_key_has(
    pair: Made, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner's notice that calls itself somebody else, and a stranger's notice of another's grant."""
    made = await pair(5)
    mallory = await people("mallory")
    await no_mail(made, monkeypatch)
    [right] = [row for row in await made.viewer.peer_images() if row.image == made.image]
    record = decode_record((await made.owner._granting._grants(made.image))[0].record)
    changed = change_rights(made.owner._context.identity, record, revoked=True)
    data = msgspec.json.decode(encode(notice_of(changed, 0), cap_bytes=MAX_MESSAGE_BYTES))
    forged = msgspec.json.encode(data | {"owner_name": "Your bank", "name": "Your bank", "owner": 99})
    viewer = await made.owner._people.find(made.account)
    assert viewer.host is not None
    assert viewer.port is not None
    dropped = made.viewer._notices.dropped
    with made.viewer.subscribe() as told:
        for sender in (mallory, made.owner):
            session = await sender._context.endpoint.connect((viewer.host, viewer.port), viewer.session_key)
            sender._context.endpoint.post(session, forged)
            if sender is mallory:
                await until(lambda: anyio.lowlevel.checkpoint(), lambda _: dropped["not from the owner"])
                assert not (await made.viewer.peer_images())[0].revoked
        update = await heard(told, RightsUpdated)
    assert update.revoked
    owner = made.owner.me
    assert owner is not None
    assert (update.owner_name, update.owner_words) == (owner.name, owner.words)
    [after] = [row for row in await made.viewer.peer_images() if row.image == made.image]
    assert (after.owner_name, after.words) == (right.owner_name, right.words) == (owner.name, owner.words)


# --- The end of a look -----------------------------------------------------------------------------------------------
async def test_a_right_that_ends_just_before_its_picture_is_shown_shows_none(
    pair: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revocation was told while the look was being written down, when no picture was open that it could close; the
    picture that opened then stayed."""
    made = await pair(2)
    viewing = made.viewer._viewing
    write_down = viewing._write_down

    async def slowly(*what: object) -> str:
        await made.owner.revoke(made.image, made.account)
        await until(made.viewer.peer_images, lambda rows: rows[0].revoked)
        return await write_down(*what)

    monkeypatch.setattr(viewing, "_write_down", slowly)
    with pytest.raises(ViewRefused) as refusal:
        await made.viewer.view(made.image)
    assert refusal.value.code == "revoked"


async def test_how_long_a_look_may_last_and_how_long_it_did(pair: Made) -> None:
    made = await pair(3, look_s=20)
    view = await made.viewer.view(made.image)
    assert (view.look_s, view.expires) == (20, None)
    assert [row.look_s for row in await made.owner.viewers(made.image)] == [20]
    assert [entry.lasted_s for entry in await made.owner.views_log(made.image)] == [None]
    assert view.view_id is not None
    counted = (await made.log())[0].at

    async def since() -> float:
        return made.owner.now() - counted

    await until(since, lambda seconds: seconds > 0.5)  # a look cannot last longer than since it was counted
    await made.viewer.look_ended(view.view_id, 0.25)
    await made.viewer.look_ended(view.view_id, 0.01)
    log = await until(lambda: made.owner.views_log(made.image), lambda rows: rows[0].lasted_s is not None)
    assert [entry.lasted_s for entry in log] == [0.25]
    await made.owner.set_views(made.image, made.account, None, look_s=None)
    await until(made.viewer.peer_images, lambda rows: rows[0].look_s is None)
    assert (await made.viewer.view(made.image)).look_s is None


@pytest.mark.parametrize("look_s", [0, 0.5, 86_401, float("nan"), float("inf"), True, "30"])
async def test_a_length_that_is_none_is_refused_before_anything_is_stored(pair: Made, look_s: Any) -> None:
    made = await pair(1)
    with pytest.raises(InvalidInput, match="86400"):
        await made.owner.set_views(made.image, made.account, None, look_s=look_s)
    with pytest.raises(InvalidInput, match="86400"):
        await made.owner.grant(made.image, made.account, 1, look_s=look_s)
    for seconds in (-1.0, float("nan"), float("inf"), True, "3"):
        with pytest.raises(InvalidInput, match="seconds"):
            await made.viewer.look_ended("0" * 32, seconds)  # type: ignore[arg-type]
    assert await made.owner.outbox() == []
    assert await made.viewer.outbox() == []
