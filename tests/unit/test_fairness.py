"""Turns that go round the accounts, and rates per account and host."""

from dataclasses import replace

import anyio
import pytest
from anyio.lowlevel import checkpoint

from node.fairness import FairShare, RequestRates
from shared.config import REQUEST_LIMITS
from shared.net.handles import Session

pytestmark = pytest.mark.anyio
LIMITS = replace(REQUEST_LIMITS, requests_per_s=2.0, requests_burst=3.0, registrations_per_s=0.1, registrations_burst=2)


def session(key: bytes, host: str = "192.0.2.1") -> Session:
    return Session(1, key, (host, 5), initiator=False, opened_at=0.0)


async def turns(share: FairShare[str], wants: list[tuple[str, int]]) -> list[str]:
    """Return in which order those who ask for units in this order get them, each giving back after the others asked."""
    served: list[str] = []
    async with anyio.create_task_group() as group:

        async def work(owner: str, amount: int) -> None:
            async with share.held(owner, amount):
                served.append(owner)
                for _ in range(3):
                    await checkpoint()

        async with share.held("first", 1):
            for owner, amount in wants:
                group.start_soon(work, owner, amount)
            for _ in range(20):
                await checkpoint()
    return served


async def test_an_account_with_many_requests_delays_another_by_one_turn() -> None:
    order = await turns(FairShare(1, per_owner=1), [("many", 1)] * 5 + [("one", 1)])
    assert order == ["many", "one", "many", "many", "many", "many"]


async def test_an_account_has_its_share_and_no_more() -> None:
    share = FairShare[str](4, per_owner=2)
    order = await turns(share, [("many", 1)] * 4 + [("one", 1)])
    assert order[:3] == ["many", "many", "one"]
    assert (share.taken, share.waiting) == (0, 0)


async def test_what_is_larger_than_a_share_is_served_alone() -> None:
    share = FairShare[str](10, per_owner=5)
    assert await turns(share, [("large", 50), ("small", 1)]) == ["small", "large"]
    assert (share.taken, share.waiting) == (0, 0)


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    share = FairShare[str](1, per_owner=1)
    async with share.held("a"):
        with anyio.move_on_after(0) as scope:
            async with share.held("b"):
                pass
        assert scope.cancelled_caught
        assert (share.taken, share.waiting) == (1, 0)
    assert share.taken == 0


async def test_requests_beyond_the_rate_are_counted() -> None:
    rates = RequestRates(LIMITS)
    ann, ben = session(b"a"), session(b"b")
    assert [rates.may_ask(ann, 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert rates.may_ask(ben, 0.0)
    assert rates.may_ask(ann, 0.5)
    assert rates.refused == {"requests": 2}


async def test_a_host_registers_so_many_accounts_whatever_its_keys() -> None:
    rates = RequestRates(LIMITS)
    assert [rates.may_register("192.0.2.1", 0.0) for _ in range(3)] == [True, True, False]
    assert rates.may_register("192.0.2.2", 0.0)
    assert rates.may_register("192.0.2.1", 10.0)
    assert rates.refused == {"registrations": 1}
