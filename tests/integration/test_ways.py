"""Ways between peers: directly, through a node, and from one to the other while a picture is on its way."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from shared.errors import Unavailable
from shared.net.endpoint import Endpoint
from tests.integration.test_peers import received
from tests.patience import PATIENCE_S
from tui.peer.events import CopyProgress

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("ways"), pytest.mark.usefixtures("first_try")]


async def ways_of_a_copy(events: Any) -> list[str]:
    """Return the ways that a copy went, in order, until all of it was there."""
    ways: list[str] = []
    with anyio.fail_after(PATIENCE_S):
        async for event in events:
            if isinstance(event, CopyProgress):
                if event.way not in ways[-1:]:
                    ways.append(event.way)
                if event.done == event.total:
                    return ways
    raise AssertionError("the peer was closed")


async def given(owner: Any, viewer: Any, photo: Path) -> list[str]:
    """Give a picture that the viewer opens; return the ways that it went."""
    image = await owner.encrypt(photo)
    with owner.subscribe() as events:
        await owner.grant(image.image, viewer.me.account, 1)
        ways = await ways_of_a_copy(events)
    held = await received(viewer, image.image)
    assert (await viewer.view(held.image)).data == photo.read_bytes()
    return ways


async def test_whoever_hides_addresses_is_reached_through_a_node_and_never_directly(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada"), await people("ben", relay_only=True)
    found = await owner._people.find(viewer.me.account)
    assert (found.online, found.host, found.port) == (True, None, None)
    [way] = await given(owner, viewer, photo)
    assert way.startswith("through n")
    hidden = viewer._context.endpoint.local_address[1]
    assert all(session.address[1] != hidden for session in owner._context.endpoint.sessions)


async def test_who_hides_addresses_does_not_show_them_by_sending(people: Any, photo: Path) -> None:
    owner, viewer = await people("ada", relay_only=True), await people("ben")
    [way] = await given(owner, viewer, photo)
    assert way.startswith("through n")


async def test_two_people_in_one_network_go_directly(people: Any, photo: Path) -> None:
    assert await given(await people("ada"), await people("ben"), photo) == ["direct"]


async def test_a_session_through_a_node_goes_over_to_a_direct_way(
    people: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind two routers: no first message gets through, what both sides send at the same moment does."""
    owner, viewer = await people("ada"), await people("ben")

    async def no_way(*_: Any, **__: Any) -> Any:
        raise Unavailable("Nobody answers.")

    monkeypatch.setattr(owner._context.endpoint, "connect", no_way)
    moved = anyio.Event()
    monkeypatch.setattr(owner._context.endpoint, "on_moved", lambda _session: moved.set())
    ways = await given(owner, viewer, photo)
    assert ways[-1] in ("direct", ways[0])
    with anyio.fail_after(PATIENCE_S):
        await moved.wait()
    assert await given(owner, viewer, photo) == ["direct"]
    assert isinstance(owner._context.endpoint, Endpoint)
