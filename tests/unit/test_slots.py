"""Places for transfers: caps in all and per peer, a fair and bounded queue."""

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from shared.errors import Refused
from shared.net.admission import Admission

pytestmark = pytest.mark.anyio


async def test_caps_hold_in_all_and_per_peer():
    slots = Admission(total=3, per_peer=2, queued=8)
    assert [slots.try_take(peer) for peer in (b"a", b"a", b"a", b"b", b"c")] == [True, True, False, True, False]
    assert slots.in_use == 3
    slots.give_back(b"a")
    assert slots.try_take(b"c")


async def test_the_queue_is_served_in_order_past_those_whom_their_own_cap_holds():
    slots = Admission(total=2, per_peer=1, queued=80)
    served: list[str] = []

    async def take(peer: bytes, name: str) -> None:
        await slots.take(peer)
        served.append(name)

    async with anyio.create_task_group() as group:
        assert slots.try_take(b"a")
        assert slots.try_take(b"b")
        for peer, name in ((b"a", "a2"), (b"c", "c1"), (b"b", "b2")):
            group.start_soon(take, peer, name)
            await wait_all_tasks_blocked()
        assert slots.waiting == 3
        slots.give_back(b"b")
        await wait_all_tasks_blocked()
        assert served == ["c1"]
        slots.give_back(b"a")
        slots.give_back(b"c")
        await wait_all_tasks_blocked()
        assert served == ["c1", "a2", "b2"]
    assert (slots.in_use, slots.waiting) == (2, 0)


async def test_who_gives_up_leaves_the_queue_or_the_place():
    slots = Admission(total=1, per_peer=1, queued=80)
    assert slots.try_take(b"a")
    async with anyio.create_task_group() as group:
        group.start_soon(slots.take, b"b")
        await wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert slots.waiting == 0

    async def use() -> None:
        await slots.take(b"b")
        try:
            await anyio.sleep_forever()
        finally:
            slots.give_back(b"b")

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        await wait_all_tasks_blocked()
        slots.give_back(b"a")  # granted, but cancelled before it could know
        group.cancel_scope.cancel()
    assert slots.in_use == 0


async def test_the_queue_is_bounded_in_all_and_per_peer():
    slots = Admission(total=1, per_peer=1, queued=16)
    assert slots.try_take(b"x")
    async with anyio.create_task_group() as group:
        for index in range(8):
            for _ in range(2):
                group.start_soon(slots.take, b"%d" % index)
        await wait_all_tasks_blocked()
        assert slots.waiting == 16
        with pytest.raises(Refused) as refusal:
            await slots.take(b"new")
        assert refusal.value.code == "busy"
        assert slots.is_queue_full(b"0")
        group.cancel_scope.cancel()
    async with anyio.create_task_group() as group:
        group.start_soon(slots.take, b"0")
        group.start_soon(slots.take, b"0")
        await wait_all_tasks_blocked()
        assert slots.is_queue_full(b"0")
        assert not slots.is_queue_full(b"1")
        group.cancel_scope.cancel()
