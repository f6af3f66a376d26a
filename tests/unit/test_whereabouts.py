"""Where people are is asked once for each of them, and again until they are there."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from shared.config import LOCAL
from shared.errors import Unavailable
from tui.peer.retries import Retries
from tui.peer.whereabouts import Whereabouts

pytestmark = pytest.mark.anyio
BEN = 7


def test_pauses_double_up_to_the_longest_and_each_has_its_own() -> None:
    retries = Retries(1.0, 5.0)
    assert [retries.failed("a", now) - now for now in (10.0, 20.0, 30.0, 40.0)] == [1.0, 2.0, 4.0, 5.0]
    assert retries.failed("b", 40.0) == 41.0
    assert (retries.next(), retries.due(42.0)) == (41.0, ["b"])
    retries.forget("b")
    assert (retries.due_at("b"), retries.next()) == (float("-inf"), 45.0)
    retries.forget_all()
    assert retries.next() == float("inf")


class People:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.host: str | None = None
        self.may_answer = anyio.Event()
        self.error: Unavailable | None = None

    async def find(self, account: int, *, wait_s: float) -> object:
        self.asked += 1
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return SimpleNamespace(account=account, host=self.host, online=self.host is not None)


class Bench:
    def __init__(self) -> None:
        self.people = People()
        self.awaited = True
        self.now = 100.0
        self.there: list[int] = []
        context = SimpleNamespace(timing=LOCAL, clock=lambda: self.now, signed_in=True)
        self.whereabouts = Whereabouts(
            cast("Any", context),
            cast("Any", self.people),
            is_awaited=lambda _account: self.awaited,
            on_there=self.there.append,
        )


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_whoever_asks_meanwhile_gets_the_same_answer(bench: Bench) -> None:
    found: list[object] = []

    async def find() -> None:
        found.append(await bench.whereabouts.find(BEN, wait_s=1.0))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(700):
                tasks.start_soon(find)
            await anyio.wait_all_tasks_blocked()
            bench.people.may_answer.set()
    assert (len(found), bench.people.asked) == (700, 1)
    await bench.whereabouts.find(BEN, wait_s=1.0)
    assert bench.people.asked == 2


async def test_a_question_that_fails_fails_for_all_and_one_that_is_cancelled_is_put_again(bench: Bench) -> None:
    results: list[str] = []

    async def find() -> None:
        try:
            await bench.whereabouts.find(BEN, wait_s=1.0)
        except Unavailable as error:
            results.append(str(error))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as first:
                    first.start_soon(find)
                    await anyio.wait_all_tasks_blocked()
                    tasks.start_soon(find)
                    tasks.start_soon(find)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            await anyio.wait_all_tasks_blocked()
            assert bench.people.asked == 2
            bench.people.error = Unavailable("No node answers.")
            bench.people.may_answer.set()
    assert results == ["No node answers."] * 2


async def test_whoever_is_away_is_looked_for_with_growing_pauses_until_he_is_there(bench: Bench) -> None:
    bench.people.may_answer.set()
    for _ in range(700):
        bench.whereabouts.missed(BEN)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.whereabouts.run)
            asked_at = []
            while bench.now < 190.0:
                before = bench.people.asked
                bench.now += 0.25
                bench.whereabouts._news.set()  # its clock is this test's, so it is woken by hand
                await anyio.wait_all_tasks_blocked()
                if bench.people.asked > before:
                    asked_at.append(bench.now)
            gaps = [later - earlier for earlier, later in pairwise(asked_at)]
            assert gaps == sorted(gaps)
            assert 25.0 < gaps[-1] <= 30.25
            assert not bench.there
            bench.people.host = "192.0.2.1"
            while not bench.there:
                bench.now += 1.0
                bench.whereabouts._news.set()
                await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert bench.there == [BEN]


async def test_whoever_nothing_waits_for_any_more_is_not_looked_for(bench: Bench) -> None:
    bench.whereabouts.missed(BEN)
    bench.awaited = False
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.whereabouts.run)
            bench.now += 100.0
            bench.whereabouts._news.set()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert bench.people.asked == 0
