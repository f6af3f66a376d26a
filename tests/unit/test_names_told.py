"""Whose name stands in a notice: the one that this device knows for the key, or one that is said to be the cloud's."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.identity import Identity, words_of
from shared.rights import change_rights
from shared.wire import operations as ops
from tests.unit.rights_samples import GRANT, IMAGE, OWNER, STRANGER, VIEWER, grant_row, new_record
from tests.unit.test_notices import meet
from tui.client.announcing import announcement
from tui.peer.events import Event
from tui.peer.given import GivenGrants
from tui.peer.mailbox import Mailbox
from tui.peer.people import People
from tui.peer.store import Store
from tui.peer.view_requests import ViewRequests

pytestmark = pytest.mark.anyio
LIE = "Your bank"
WORDS = words_of(VIEWER.public.signing_key)


class Device:
    """An owner's peer that gets letters, without a cloud."""

    def __init__(self, store: Store) -> None:
        self.told: list[Event] = []
        context = cast("Any", SimpleNamespace(store=store, identity=OWNER, news=self.told.append, wall=lambda: 1.0))
        self.given = GivenGrants(context)
        self._context = context
        nobody = cast("Any", None)
        self._mailbox = Mailbox(context, People(context), nobody, nobody, ViewRequests(context), self.given)

    async def knows(self, account: int, name: str, who: Identity) -> None:
        """Note somebody as met before."""
        await self._context.store.run(lambda s: meet(s, account, name, who))

    async def gets(self, letter: ops.Letter) -> Any:
        """Take a letter; return what is told of it."""
        await self._mailbox._apply(letter)
        return self.told[-1]


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[Device]:
    store = Store(tmp_path / "store.sqlite")
    yield Device(store)
    await store.aclose()


def asked(key: bytes, viewer: int = 2) -> ops.AskArrived:
    row = ops.AskRow(
        ask="c" * 32,
        image=IMAGE,
        title="Lake",
        owner=1,
        viewer=viewer,
        viewer_name=LIE,
        viewer_key=key,
        views=3,
        note="",
        state="pending",
        reason="",
        created=1.0,
    )
    return ops.AskArrived(ask=row)


def looked(grant: str | None = GRANT, *, viewer: int = 2, image: str = IMAGE) -> ops.ViewHappened:
    view = ops.ViewRow(
        view="d" * 32, viewer=viewer, viewer_name=LIE, at=50.0, left=2, taken=True, grant=grant, consumed=3
    )
    return ops.ViewHappened(image=image, view=view)


async def test_who_asks_is_named_as_this_device_knows_the_key(device: Device) -> None:
    """A node that calls a viewer "Your bank" had that name shown."""
    await device.knows(2, "Ben", VIEWER)
    told = await device.gets(asked(VIEWER.public.signing_key, viewer=99))
    assert (told.viewer_name, told.viewer_words) == ("Ben", WORDS)
    said = announcement(told)
    assert said is not None
    assert said.text == f"Ben ({WORDS}) asks for 3 views of “Lake”"


async def test_who_asks_under_another_key_gets_no_known_name(device: Device) -> None:
    await device.knows(2, "Ben", VIEWER)
    told = await device.gets(asked(STRANGER.public.signing_key))
    assert (told.viewer_name, told.viewer_words) == (LIE, "")
    said = announcement(told)
    assert said is not None
    assert said.text == f"{LIE} (so the cloud says) asks for 3 views of “Lake”"


@pytest.mark.parametrize("viewer", [2, 99])
async def test_who_looked_is_whom_the_rights_were_signed_for(device: Device, viewer: int) -> None:
    await device.knows(2, "Ben", VIEWER)
    await device.knows(99, "Cem", STRANGER)
    await device.given.remember(grant_row(change_rights(OWNER, new_record(), granted=9), 2))
    told = await device.gets(looked(viewer=viewer))
    assert (told.viewer_name, told.viewer_words) == ("Ben", WORDS)
    said = announcement(told)
    assert said is not None
    assert said.text == f"Ben ({WORDS}) looked at a picture of yours; 2 views left"


@pytest.mark.parametrize("grant", [None, "e" * 32])
async def test_of_rights_that_another_device_gave_the_account_is_named_if_it_was_met(
    device: Device, grant: str | None
) -> None:
    await device.knows(2, "Ben", VIEWER)
    told = await device.gets(looked(grant))
    assert (told.viewer_name, told.viewer_words) == ("Ben", WORDS)
    told = await device.gets(looked(grant, viewer=7))
    assert (told.viewer_name, told.viewer_words) == (LIE, "")
    said = announcement(told)
    assert said is not None
    assert said.text.startswith(f"{LIE} (so the cloud says) looked at")


async def test_rights_on_another_picture_name_nobody(device: Device) -> None:
    await device.knows(2, "Ben", VIEWER)
    await device.given.remember(grant_row(new_record(), 2))
    told = await device.gets(looked(viewer=7, image="b2" * 16))
    assert (told.viewer_name, told.viewer_words) == (LIE, "")
