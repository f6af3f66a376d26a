"""Thumbnails: loaded once, kept in bounds, never at the price of a view."""

from __future__ import annotations

import io
from pathlib import Path

import anyio
import pytest
from PIL import Image

from shared.errors import DamagedStego, Unavailable
from tests.tui.fake_peer import FakePeer
from tui.client.thumbnails import BOX_PX, Thumbnails
from tui.peer.models import MyImage, PeerImage

pytestmark = pytest.mark.anyio
IMAGE = "a" * 32


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def picture(size: tuple[int, int] = (600, 400), file_format: str = "PNG", color: str = "teal") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, file_format)
    return out.getvalue()


def mine(image: str = IMAGE, path: Path | None = Path("here.png")) -> MyImage:
    return MyImage(image, "Title", "PNG", 600, 400, 1_000, 0.0, path, True, False, 0, 0)


def held(image: str = IMAGE) -> PeerImage:
    return PeerImage(image, "f" * 32, "Theirs", 8, "Ben", "words", 3, 3, None, False, Path("there.png"))


@pytest.fixture
def peer() -> FakePeer:
    return FakePeer(
        mine=[mine()],
        pictures={IMAGE: picture()},
        covers={IMAGE: picture()},
        previews={IMAGE: picture((120, 80), "JPEG")},
    )


@pytest.mark.parametrize("kind", ["own", "cover", "preview"])
async def test_a_picture_is_reduced_kept_and_asked_for_once(peer: FakePeer, kind: str) -> None:
    thumbnails = Thumbnails(peer)
    method = {"own": "view"}.get(kind, kind)
    first = await getattr(thumbnails, kind)(IMAGE)
    assert first.size == ((120, 80) if kind == "preview" else (256, 171))
    assert await getattr(thumbnails, kind)(IMAGE) is first
    assert thumbnails.known(kind, IMAGE) is first
    assert peer.calls(method) == [((IMAGE,), {})]


async def test_what_is_asked_for_at_the_same_time_is_loaded_once(peer: FakePeer) -> None:
    thumbnails, found = Thumbnails(peer), []

    async def ask() -> None:
        found.append(await thumbnails.own(IMAGE))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert len(peer.calls("view")) == 1
    assert len(found) == 5
    assert all(image is found[0] for image in found)


async def test_who_waits_for_a_load_that_is_cancelled_loads_itself(peer: FakePeer) -> None:
    thumbnails, found = Thumbnails(peer), []
    peer.gates["preview"] = anyio.Event()
    scope = anyio.CancelScope()

    async def first() -> None:
        with scope:
            found.append(await thumbnails.preview(IMAGE))

    async def second() -> None:
        found.append(await thumbnails.preview(IMAGE))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        assert len(peer.calls("preview")) == 1
        scope.cancel()
        peer.gates["preview"].set()
    assert len(peer.calls("preview")) == 2
    assert [image.size for image in found] == [(120, 80)]


async def test_an_image_of_somebody_else_is_never_opened_for_a_thumbnail(peer: FakePeer) -> None:
    """A cloud that puts the id of a granted image into a request must not make the client spend a view of it."""
    peer.mine, peer.held = [], [held()]
    assert await Thumbnails(peer).own(IMAGE) is None
    assert peer.calls("view") == []
    assert peer.held[0].left == 3


async def test_an_own_image_that_this_machine_does_not_hold_has_no_thumbnail(peer: FakePeer) -> None:
    peer.mine = [mine(path=None)]
    assert await Thumbnails(peer).own(IMAGE) is None
    assert peer.calls("view") == []


@pytest.mark.parametrize(
    ("kind", "method"), [("own", "view"), ("cover", "cover"), ("preview", "preview")], ids=lambda value: value
)
@pytest.mark.parametrize(("error", "believed_s"), [(DamagedStego("cut"), 60.0), (Unavailable("away"), 5.0)])
async def test_a_failure_is_believed_for_a_while(
    peer: FakePeer, kind: str, method: str, error: Exception, believed_s: float
) -> None:
    clock = Clock()
    thumbnails = Thumbnails(peer, clock=clock)
    peer.fail[method] = error
    assert await getattr(thumbnails, kind)(IMAGE) is None
    peer.fail.clear()
    clock.now = believed_s - 0.1
    assert await getattr(thumbnails, kind)(IMAGE) is None
    assert len(peer.calls(method)) == 1
    clock.now = believed_s
    assert (await getattr(thumbnails, kind)(IMAGE)).width > 0
    assert len(peer.calls(method)) == 2


async def test_a_hostile_preview_is_none(peer: FakePeer) -> None:
    peer.previews = {"1" * 32: b"\xff\xd8\xff garbage", "2" * 32: picture((4000, 10), "JPEG"), "3" * 32: picture()}
    thumbnails = Thumbnails(peer)
    for image in peer.previews:
        assert await thumbnails.preview(image) is None


async def test_the_last_used_are_kept(peer: FakePeer) -> None:
    images = [f"{number:032x}" for number in range(4)]
    peer.previews = dict.fromkeys(images, picture((20, 20), "JPEG"))
    thumbnails = Thumbnails(peer, kept=3)
    for image in images[:3]:
        await thumbnails.preview(image)
    await thumbnails.preview(images[0])
    await thumbnails.preview(images[3])
    assert [thumbnails.known("preview", image) is not None for image in images] == [True, False, True, True]


async def test_an_image_that_changed_is_asked_for_again(peer: FakePeer) -> None:
    thumbnails = Thumbnails(peer)
    await thumbnails.preview(IMAGE)
    thumbnails.forget(IMAGE)
    assert thumbnails.known("preview", IMAGE) is None
    await thumbnails.preview(IMAGE)
    assert len(peer.calls("preview")) == 2


async def test_thumbnails_hold_little_memory(peer: FakePeer) -> None:
    peer.pictures = {IMAGE: picture((2000, 2000))}
    image = await Thumbnails(peer).own(IMAGE)
    assert image.size == BOX_PX
