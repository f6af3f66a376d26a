"""How the tab My images and its dialogs look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from shared.errors import Unavailable
from tests.tui.fake_peer import FakePeer
from tests.tui.my_images_tab import ada, home_of
from tests.tui.quiet import pressed, settled
from tui.client.widgets.path_field import PathField


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return home_of(tmp_path, monkeypatch)


def test_images(snap, make_client, look) -> None:
    snap(make_client(ada()), look, press=("4",), light=True)


def test_no_images(snap, make_client, look) -> None:
    snap(make_client(FakePeer()), look, press=("4",))


def test_the_cloud_is_away(snap, make_client) -> None:
    peer = ada()
    peer.reachable = False
    peer.fail["viewers"] = Unavailable("The cloud did not answer in time; try again when the cloud is back.")
    snap(make_client(peer), (80, 24), press=("4", "j"))


def test_a_picture_of_another_device(snap, make_client) -> None:
    snap(make_client(ada()), (80, 24), press=("4", "G"))


def test_large(snap, make_client) -> None:
    snap(make_client(ada()), (200, 60), press=("4", "tab"))


def named(*keys: str, path: str = "~/Pictures/with place.jpg") -> Callable[..., Any]:
    async def before(pilot: Any) -> None:
        await pilot.press("4", "n")
        await settled(pilot)
        field = pilot.app.screen.query_one("#picture-path", PathField)
        field.value = path
        field.cursor_position = len(path)
        await settled(pilot)
        await pressed(pilot, *keys)

    return before


def test_encrypt(snap, make_client, look) -> None:
    snap(make_client(ada()), look, before=named(path="~/Pictures/harbour.png"), light=True)


def test_encrypt_with_everything_chosen(snap, make_client) -> None:
    keys = ("tab", "tab", "tab", "right", "tab", "tab", "tab", "right", "right")
    snap(make_client(ada()), (80, 24), before=named(*keys))


def test_encrypt_a_damaged_picture(snap, make_client) -> None:
    snap(make_client(ada()), (80, 24), before=named(path="~/Pictures/cut.png"))


def test_sealing(snap, make_client, look) -> None:
    peer = ada()
    peer.gates["encrypt"] = anyio.Event()
    snap(make_client(peer), look, before=named("enter", path="~/Pictures/harbour.png"))


def test_sealing_failed(snap, make_client) -> None:
    peer = ada()
    peer.fail["encrypt"] = Unavailable("No node of the cloud answers; try again when the cloud is back.")
    snap(make_client(peer), (80, 24), before=named("enter", path="~/Pictures/harbour.png"))


def test_change_rights(snap, make_client, look) -> None:
    snap(make_client(ada()), look, press=("4", "tab", "j", "e"))


def test_revoke(snap, make_client) -> None:
    snap(make_client(ada()), (80, 24), press=("4", "tab", "x"))


def test_add_viewer(snap, make_client, look) -> None:
    snap(make_client(ada()), look, press=("4", "a"))


def test_log(snap, make_client, look) -> None:
    snap(make_client(ada()), look, press=("4", "l"))


def test_preview(snap, make_client, look) -> None:
    snap(make_client(ada()), look, press=("4", "p", "right", "right"))


def test_withdraw(snap, make_client) -> None:
    snap(make_client(ada()), (80, 24), press=("4", "w"))
