"""Parts of a peer that make several devices of one account work, without a cloud."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from shared.config import LOCAL
from shared.errors import Refused, Unavailable
from shared.wire import operations as ops
from shared.wire.refusals import RefusalCode
from tui.peer import files
from tui.peer.copies import SENT_AGAIN_PER_HOUR, Copies
from tui.peer.encrypting import Encrypting
from tui.peer.mailbox import _begin_to_catch_up
from tui.peer.outbox import Outbox
from tui.peer.store import Store
from tui.peer.view_requests import ViewRequests

pytestmark = pytest.mark.anyio

GRANT, IMAGE, ASK = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path / "store.sqlite")
    yield made
    await made.aclose()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def context_of(store: Store, clock: Clock) -> Any:
    return SimpleNamespace(
        store=store, clock=clock, wall=lambda: 1_000.0, cloud=SimpleNamespace(reachable=False), timing=LOCAL
    )


async def test_a_viewer_cannot_make_an_owner_send_for_ever(store: Store) -> None:
    """A viewer's peer that says again and again that it lacks a copy gets it a few times an hour."""
    clock = Clock()
    context = context_of(store, clock)
    copies = Copies(context, None, Outbox(context), None, anyio.Event())  # type: ignore[arg-type]

    async def queued() -> int:
        return await store.run(lambda s: s.do("DELETE FROM outbox"))

    sent = []
    for _ in range(SENT_AGAIN_PER_HOUR + 3):
        clock.now += 60
        await copies.wanted(GRANT, IMAGE, 7)
        sent.append(await queued())
    assert sent == [1] * SENT_AGAIN_PER_HOUR + [0] * 3
    await copies.wanted("d" * 32, IMAGE, 7)
    assert await queued() == 1, "another grant has its own allowance"
    clock.now += 3600
    await copies.wanted(GRANT, IMAGE, 7)
    await copies.wanted(GRANT, IMAGE, 7)
    assert await queued() == 1, "what is queued already is queued once"


@pytest.mark.parametrize("is_given", [True, False])
async def test_a_wish_for_a_copy_waits_while_a_restored_cloud_lacks_the_grant(
    store: Store, tmp_path: Path, is_given: bool
) -> None:
    """The owner's peer took "there is no such grant" for its end, and the viewer went without the picture."""

    async def grant(_grant: str, *, wait_s: float) -> None:
        raise Refused(RefusalCode.NOT_FOUND, "There is no such grant.")

    context = context_of(store, Clock())
    context.profile = SimpleNamespace(images=tmp_path)
    looked = anyio.Event()
    looked.set()
    copies = Copies(context, None, Outbox(context), None, looked)  # type: ignore[arg-type]
    copies._cloud = SimpleNamespace(grant=grant)  # type: ignore[assignment]
    files.own_path(tmp_path, IMAGE).touch()
    if is_given:
        await store.run(
            lambda s: s.put("given", grant_id=GRANT, image=IMAGE, viewer=7, record=b"", version=1, consumed=0)
        )
    await copies.wanted(GRANT, IMAGE, 7)
    [row] = await store.run(lambda s: s.outbox())
    if is_given:
        with pytest.raises(Unavailable, match="does not know these rights just now"):
            await copies._deliver(row, 1.0)
    else:
        await copies._deliver(row, 1.0)


async def test_an_attempt_is_not_withdrawn_before_its_file_was_looked_for(store: Store) -> None:
    """A list of one's own pictures, asked for right after the start, withdrew from the cloud what a killed process had
    finished, while its file in the profile was being adopted."""
    asked = []

    async def answered(operation: ops.Operation, **_: Any) -> tuple[ops.Outcome, None]:
        asked.append(operation)
        return ops.Done(), None

    context = context_of(store, Clock())
    context.cloud.ask = answered
    context.new_id = lambda: ASK
    looked = anyio.Event()
    encrypting = Encrypting(context, looked)
    await encrypting._note(IMAGE)
    listed = ops.ImageRow(
        image=IMAGE, title="t", format="JPEG", width=1, height=1, size=1, created=1.0, has_preview=False
    )
    assert await encrypting.settle([listed]) == {IMAGE}
    assert asked == []
    looked.set()
    assert await encrypting.settle([listed]) == {IMAGE}
    assert asked == [ops.WithdrawImage(image=IMAGE)], "no file was found: without its key nobody can open it"
    await store.run(lambda s: s.do("UPDATE own_images SET ready = 1"))
    assert await encrypting.settle([listed]) == set()
    assert len(asked) == 1


async def test_a_new_device_catches_up_until_it_has_and_an_old_profile_does_not(store: Store) -> None:
    """A first sign-in that was cut short goes on as one: the rest of the history is no news either."""
    assert await store.run(_begin_to_catch_up)
    await store.run(lambda s: s.put("mail_seen", mail="e" * 32, at=1.0))
    assert await store.run(_begin_to_catch_up)
    await store.run(lambda s: s.set_fact("catching_up", "0"))
    assert not await store.run(_begin_to_catch_up)
    await store.run(lambda s: s.do("DELETE FROM facts"))
    assert not await store.run(_begin_to_catch_up), "a profile of before that has had mail hears what is new"


def ask(**changes: Any) -> ops.AskRow:
    values: dict[str, Any] = {
        "ask": ASK,
        "image": IMAGE,
        "title": "t",
        "owner": 1,
        "viewer": 2,
        "viewer_name": "Ben",
        "viewer_key": bytes(32),
        "views": 3,
        "note": "",
        "state": "pending",
        "reason": "",
        "created": 1.0,
    }
    return ops.AskRow(**{**values, **changes})


async def test_an_old_letter_opens_no_request_that_was_closed(store: Store) -> None:
    """Mail comes at least once and may be late; the request that it told of had been answered meanwhile. Only what the
    cloud took as accepted is more than a rejection: the image was withdrawn while the answer waited."""
    asks = ViewRequests(context_of(store, Clock()))
    await asks.arrived(ask())
    assert (await asks.present(ASK)).state == "pending"  # type: ignore[union-attr]
    await asks.close(ASK, "rejected")
    await asks.arrived(ask())
    found = await asks.present(ASK)
    assert found is not None
    assert (found.state, found.answered) == ("rejected", 1_000.0)
    await asks.close(ASK, "accepted")
    assert (await asks.present(ASK)).state == "accepted"  # type: ignore[union-attr]
    await asks.close(ASK, "rejected")
    assert (await asks.present(ASK)).state == "accepted"  # type: ignore[union-attr]


async def test_a_withdrawn_image_closes_its_own_requests_only(store: Store) -> None:
    asks = ViewRequests(context_of(store, Clock()))
    other, mine = "f" * 32, "9" * 32
    await asks.arrived(ask())
    await asks.arrived(ask(ask=other, image="8" * 32))
    await asks.answered(ask(ask=mine))
    await asks.close_with_image(IMAGE)
    assert (await asks.present(ASK)).state == "rejected"  # type: ignore[union-attr]
    assert (await asks.present(other)).state == "pending"  # type: ignore[union-attr]
    assert await asks.present(mine) is None, "a request of one's own is none to be answered"
