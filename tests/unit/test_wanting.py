"""When a copy that does not come is asked for again."""

from collections.abc import AsyncIterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from shared.errors import Refused, Unavailable
from shared.wire import operations as ops
from shared.wire.refusals import RefusalCode
from tui.peer import wanting as module
from tui.peer.wanting import Wanting

pytestmark = pytest.mark.anyio
GRANT = "a" * 32


class Bench:
    """A device that lacks one copy, over a cloud that holds none; its clock is turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.missing = [GRANT]
        self.asked: list[str] = []
        self.fetched: list[tuple[str, bool]] = []
        self.error: Exception | None = None
        self.held_error: Exception | None = None
        self.signed_in = True
        cloud = SimpleNamespace(other_device=False, ask=self._ask)
        context = SimpleNamespace(clock=lambda: self.now, now=lambda: self.now, cloud=cloud, new_id=lambda: "1" * 32)
        self.context = context
        context.store = SimpleNamespace(run=self._run)
        context.signed_in = True
        copies = SimpleNamespace(fetch=self._fetch, is_coming=lambda _grant: False)
        self.wanting = Wanting(cast("Any", context), cast("Any", copies))

    async def _run(self, _read: object) -> list[dict[str, str]]:
        return [{"grant_id": grant} for grant in self.missing]

    async def _fetch(self, grant: str, *, waits: bool = False) -> bool:
        self.fetched.append((grant, waits))
        if waits and self.held_error is not None:
            raise self.held_error
        return False

    async def _ask(self, operation: ops.WantCopy, *, request: str) -> None:
        self.asked.append(operation.grant)
        if self.error is not None:
            raise self.error

    async def turn(self) -> None:
        """Let what is due be done."""
        self.wanting._wanted.set()
        await anyio.wait_all_tasks_blocked()


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(module, "GRACE_S", 0.0)
    made = Bench()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.wanting.run)
        await anyio.wait_all_tasks_blocked()
        yield made
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("error", [None, Refused(RefusalCode.NOT_FOUND, "No such grant."), Unavailable("Nobody.")])
async def test_it_is_asked_for_again_and_again_with_growing_pauses(bench: Bench, error: Exception | None) -> None:
    """A wish that a restored directory forgot, or whose grant it lacked, was told again after ten minutes."""
    bench.error = error
    asked_at = []
    with anyio.fail_after(60):
        for _ in range(80):
            before = len(bench.asked)
            await bench.turn()
            if len(bench.asked) > before:
                asked_at.append(bench.now)
            bench.now += 20.0
    assert [later - earlier for earlier, later in pairwise(asked_at)][:5] == [
        60.0,
        120.0,
        240.0,
        480.0,
        600.0,
    ]


async def test_a_restored_cloud_and_a_new_sign_in_have_everything_asked_for_at_once(bench: Bench) -> None:
    with anyio.fail_after(60):
        await bench.turn()
        await bench.turn()
        assert bench.asked == [GRANT]
        bench.wanting.ask_anew()
        await anyio.wait_all_tasks_blocked()
    assert bench.asked == [GRANT] * 2


async def test_what_has_come_is_asked_for_no_more(bench: Bench) -> None:
    with anyio.fail_after(60):
        await bench.turn()
        bench.missing.clear()
        bench.now += 1_000.0
        await bench.turn()
        assert bench.asked == [GRANT]
        assert bench.wanting._pause_s() == float("inf")


async def test_a_copy_that_the_cloud_holds_is_taken_until_the_cloud_was_there_for_it(bench: Bench) -> None:
    bench.missing.clear()
    bench.held_error = Unavailable("Nobody.")
    with anyio.fail_after(60):
        bench.wanting.waits(GRANT)
        await anyio.wait_all_tasks_blocked()
        assert 0 < bench.wanting._pause_s() <= 60.0, "the clock brings it up again"
        bench.held_error = None
        await bench.turn()
    assert bench.fetched == [(GRANT, True)] * 2
    assert bench.wanting._pause_s() == float("inf")


async def test_whoever_is_not_the_one_that_others_are_sent_to_asks_nobody(bench: Bench) -> None:
    bench.context.signed_in = False
    with anyio.fail_after(60):
        bench.wanting.waits(GRANT)
        await anyio.wait_all_tasks_blocked()
    assert (bench.asked, bench.fetched, bench.wanting._pause_s()) == ([], [], float("inf"))
