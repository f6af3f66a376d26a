"""The pictures of the README: the way from somebody's list of pictures to a look at one, with real photographs."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image

from shared.stego.covers import procedural_cover
from shared.stego.pictures import make_preview
from shared.stego.png import encode
from shared.stego.sizes import TIERS
from tests.photos import photo
from tests.tui.conftest import NOW
from tests.tui.fake_peer import FakePeer
from tests.tui.quiet import settled
from tui.peer.models import AskState, Me, MyImage, OfferedImage, PeerImage, User, Viewer, ViewRequest

SIZE = (120, 36)
ADA = "penguin forest tennis cocoa robin valley autumn panda"
BEN = "melon giraffe teapot ribbon cobalt pumpkin ginger hickory"
CEM = "blanket citrus pudding bridge volcano lettuce canvas easel"
TITLES = {"coffee.png": "Morning coffee", "rocket.jpg": "The launch", "chelsea.png": "Chelsea the cat"}


@cache
def jpeg(name: str) -> bytes:
    """Return a photograph as a JPEG of a size that opens quickly."""
    with Image.open(BytesIO(photo(name))) as image:
        image.thumbnail((480, 480))
        out = BytesIO()
        image.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def image_id(name: str) -> str:
    return f"{list(TITLES).index(name) + 1:032x}"


def someone() -> FakePeer:
    """Return Zoe's peer: she sees Ada's and Ben's pictures, holds two, and has one of her own that Cem asks for."""
    offers = {
        4: [
            OfferedImage(image_id(name), 4, TITLES[name], "JPEG", 600, 400, 71_000, NOW - 900, has_preview=True)
            for name in ("coffee.png", "rocket.jpg")
        ]
    }
    held = [
        PeerImage(image_id(name), f"{number:032x}", TITLES[name], owner, who, words, 5, left, expires, False, Path("x"))
        for number, (name, owner, who, words, left, expires) in enumerate(
            [("coffee.png", 4, "Ada", ADA, 3, NOW + 2 * 86_400 + 60), ("chelsea.png", 5, "Ben", BEN, 0, None)], start=80
        )
    ]
    own = image_id("rocket.jpg")
    return FakePeer(
        account=Me(7, "Zoe", "picnic forest cobalt garden sheep nectar ocean ginger"),
        people=[
            User(4, "Ada", ADA, True, 2, NOW),
            User(5, "Ben", BEN, True, 2, NOW),
            User(6, "Cem", CEM, False, 1, NOW - 7_500),
        ],
        offers=offers,
        previews={image_id(name): make_preview(jpeg(name)) for name in TITLES},
        held=held,
        covers={
            image_id(name): encode(procedural_cover(TIERS[number], bytes.fromhex(image_id(name))))
            for number, name in enumerate(TITLES)
        },
        pictures={image_id(name): jpeg(name) for name in TITLES},
        mine=[
            MyImage(
                own,
                TITLES["rocket.jpg"],
                "JPEG",
                640,
                427,
                112_000,
                NOW - 3_000,
                Path("x"),
                offered=True,
                has_preview=True,
                viewers=2,
                views_spent=4,
            )
        ],
        rights={
            own: [
                Viewer("a" * 32, 4, "Ada", ADA, 5, 3, 2, None, False),
                Viewer("b" * 32, 5, "Ben", BEN, 3, 1, 2, NOW + 86_400 + 60, False),
            ]
        },
        incoming=[
            ViewRequest(
                "c" * 32,
                own,
                TITLES["rocket.jpg"],
                6,
                "Cem",
                CEM,
                3,
                "I was there, too",
                AskState.PENDING,
                "",
                NOW - 90,
            )
        ],
        outgoing=[
            ViewRequest(
                "d" * 32,
                image_id("coffee.png"),
                TITLES["coffee.png"],
                4,
                "Ada",
                ADA,
                5,
                "",
                AskState.RECEIVED,
                "",
                NOW - 600,
            )
        ],
    )


def test_users(make_client, snap) -> None:
    snap(make_client(someone()), SIZE)


def test_peer_images(make_client, snap) -> None:
    snap(make_client(someone()), SIZE, press=("3",))


def test_my_images(make_client, snap) -> None:
    snap(make_client(someone()), SIZE, press=("4",))


def test_a_look(make_client, snap) -> None:
    async def look(pilot) -> None:
        await pilot.press("3", "enter")
        await settled(pilot)
        await pilot.press("tab", "enter")
        await settled(pilot)

    snap(make_client(someone()), (80, 24), before=look)
