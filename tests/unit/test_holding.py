"""What a peer knows of a right: the higher version and the higher count hold, whoever tells them in whatever order."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from shared.config import LOCAL
from shared.errors import RemoteError, StorageError
from shared.rights import change_rights
from tests.unit.rights_samples import GRANT, IMAGE, OWNER, STRANGER, VIEWER, grant_row, new_record
from tui.peer.context import Context
from tui.peer.events import EventHub, RightsUpdated
from tui.peer.holding import Holding, belongs
from tui.peer.store import Store

pytestmark = pytest.mark.anyio
FIRST = new_record(granted=3)
SECOND = change_rights(OWNER, FIRST, granted=6)
THIRD = change_rights(OWNER, SECOND, granted=2, expires=4e9)


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[Context]:
    store = Store(tmp_path / "store.sqlite")
    (tmp_path / "images").mkdir()
    async with anyio.create_task_group() as tasks:
        yield Context(
            cast("Any", SimpleNamespace(images=tmp_path / "images")),
            VIEWER,
            cast("Any", SimpleNamespace(timing=LOCAL)),
            store,
            cast("Any", None),
            cast("Any", SimpleNamespace(directory_time=lambda: None)),
            tasks,
            EventHub(),
            bytes,
            lambda: 0.0,
            lambda: 1_800_000_000.0,
        )
        tasks.cancel_scope.cancel()
    await store.aclose()


def events_of(stream: Any) -> list[RightsUpdated]:
    found = []
    while True:
        try:
            found.append(stream.receive_nowait())
        except anyio.WouldBlock:
            return found


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
async def test_news_come_in_any_order_to_the_same_end(context: Context, order: tuple[int, ...]) -> None:
    """Consumed was computed from what was left, so that an answer that met a raise already applied went too far, and a
    late one stuck."""
    holding = Holding(context)
    await holding.take(grant_row(FIRST), FIRST)
    lefts = []
    for step in order:
        match step:
            case 0:
                await holding.learn(GRANT, consumed=1)
            case 1:
                await holding.learn(GRANT, consumed=2)
            case 2:
                await holding.take(grant_row(SECOND, 1), SECOND)
            case 3:
                await holding.learn(GRANT, record=THIRD, consumed=1)
            case 4:
                await holding.take(grant_row(FIRST, 2), FIRST)
        right = await holding.right(GRANT)
        assert right is not None
        lefts.append((right.record.version, right.consumed))
    assert right is not None
    assert (right.record, right.consumed, right.left) == (THIRD, 2, 0)
    assert lefts == sorted(lefts)
    assert [count for _, count in lefts] == sorted(count for _, count in lefts)
    stored = await context.store.run(lambda store: store.one("SELECT * FROM held"))
    assert stored is not None
    assert (stored["version"], stored["granted"], stored["consumed"], stored["expires"]) == (3, 2, 2, 4e9)


async def test_what_is_known_is_told_once(context: Context) -> None:
    holding = Holding(context)
    with context.events.subscription() as stream:
        await holding.take(grant_row(FIRST), FIRST)
        await holding.take(grant_row(FIRST), FIRST)
        await holding.learn(GRANT, consumed=1)
        await holding.learn(GRANT, consumed=1)
        assert [event.left for event in events_of(stream)] == [3, 2]


async def test_a_revocation_is_told_once(context: Context) -> None:
    """After a restore of the cloud a viewer was told again of what had been revoked long before: the owner's device
    sent it again, and the count of the grant was freed."""
    holding, gone = Holding(context), change_rights(OWNER, FIRST, revoked=True)
    with context.events.subscription() as stream:
        await holding.take(grant_row(FIRST), FIRST)
        await holding.take(grant_row(gone), gone)
        assert [event.revoked for event in events_of(stream)] == [False, True]
        again = change_rights(OWNER, gone, revoked=True)
        await holding.take(grant_row(again, 2), again)
        await holding.tell(GRANT)
        assert events_of(stream) == []
    right = await holding.right(GRANT)
    assert right is not None
    assert (right.record.version, right.consumed) == (again.version, 2)


async def test_a_full_disk_forgets_nothing(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    holding = Holding(context)
    await holding.take(grant_row(FIRST), FIRST)
    usual, full = Store.do, True

    def do(store: Store, sql: str, **parameters: Any) -> int:
        if full:
            raise StorageError("The disk is full; free some space and try again.")
        return usual(store, sql, **parameters)

    monkeypatch.setattr(Store, "do", do)
    with context.events.subscription() as stream:
        with pytest.raises(StorageError):
            await holding.learn(GRANT, record=SECOND, consumed=1)
        with pytest.raises(StorageError):
            await holding.learn(GRANT, consumed=2)
        with pytest.raises(StorageError):
            await holding.learn(GRANT, consumed=2)
        assert [event.left for event in events_of(stream)] == [5, 4]
    right = await holding.right(GRANT)
    assert right is not None
    assert (right.record, right.consumed, right.left) == (SECOND, 2, 4)
    assert holding.consumed(GRANT, 0) == 2
    await holding.mend()
    full = False
    with context.events.subscription() as stream:
        await holding.mend()
        assert [event.left for event in events_of(stream)] == [4]
    assert await Holding(context).right(GRANT) == right
    assert holding.consumed(GRANT, 0) == 0, "nothing is owed to the store any more"


async def test_a_full_disk_keeps_no_picture_open(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation that the viewer's disk did not take was told to nobody: the picture stayed on the screen."""
    holding = Holding(context)
    await holding.take(grant_row(FIRST), FIRST)

    def do(*_: Any, **__: Any) -> int:
        raise StorageError("The disk is full; free some space and try again.")

    monkeypatch.setattr(Store, "do", do)
    revoked = change_rights(OWNER, FIRST, revoked=True)
    with context.events.subscription() as stream:
        with pytest.raises(StorageError):
            await holding.take(grant_row(revoked), revoked)
        assert [event.revoked for event in events_of(stream)] == [True]


async def test_no_word_of_another_and_no_undone_revocation(context: Context) -> None:
    holding = Holding(context)
    await holding.take(grant_row(FIRST), FIRST)
    revoked = change_rights(OWNER, FIRST, revoked=True)
    await holding.take(grant_row(revoked), revoked)
    elsewhere = new_record(granted=3, viewer=STRANGER)
    for record in (SECOND, THIRD, elsewhere):
        if record.version > revoked.version or record is elsewhere:
            with pytest.raises(RemoteError):
                await holding.take(grant_row(record), record)
        else:
            await holding.take(grant_row(record), record)
    right = await holding.right(GRANT)
    assert right is not None
    assert (right.record, right.left) == (revoked, 0)
    with pytest.raises(RemoteError):
        belongs(elsewhere, grant_row(elsewhere), VIEWER.public.signing_key)


async def test_a_stored_record_that_cannot_be_read_is_taken_anew(context: Context) -> None:
    holding = Holding(context)
    await holding.take(grant_row(FIRST, 2), FIRST)
    await context.store.run(lambda store: store.do("UPDATE held SET record = x'00'"))
    assert await holding.right(GRANT) is None
    assert await holding.learn(GRANT, consumed=9) is None
    await holding.take(grant_row(FIRST, 1), FIRST)
    right = await holding.right(GRANT)
    assert right is not None
    assert (right.record, right.consumed) == (FIRST, 2), "the count was not lost with it"


async def test_why_a_look_would_be_refused(context: Context) -> None:
    holding = Holding(context)
    await holding.take(grant_row(FIRST), FIRST)
    assert await holding.right("f" * 32) is None
    right = await holding.right(GRANT)
    assert right is not None
    assert (right.image, right.refusal(0.0)) == (IMAGE, None)
    right = await holding.learn(GRANT, consumed=3)
    assert right is not None
    assert right.refusal(0.0) == "no_views"
    ended = change_rights(OWNER, SECOND, expires=100.0)
    right = await holding.learn(GRANT, record=ended)
    assert right is not None
    assert (right.refusal(99.0), right.refusal(100.0)) == (None, "expired")
    right = await holding.learn(GRANT, record=change_rights(OWNER, ended, revoked=True))
    assert right is not None
    assert right.refusal(0.0) == "revoked"
