"""What clocks that are set do to rights and presence, on both directories."""

import pytest

from shared.errors import ViewRefused
from shared.wire import operations as ops
from tests.contract.clocks import DAY_S, set_clock
from tests.contract.people import HOST

pytestmark = pytest.mark.anyio


async def now(place) -> float:
    return (await place.rows("SELECT MAX(latest) AS latest FROM writers"))[0]["latest"]


async def test_a_clock_set_back_opens_no_grant_that_expired(place, ann, bob):
    """The machine's clock was set back by a day, and what had expired in the morning could be looked at again."""
    expires = await now(place) + 3600
    grant = (await ann.give(bob, await ann.image(), 3, expires=expires)).operation.grant
    set_clock(place.directory, 2 * 3600)
    with pytest.raises(ViewRefused, match="over"):
        await bob.spend(bob.look(grant))
    await bob.ask(ops.SignOut(device=bob.device))  # any commit of that hour
    set_clock(place.directory, -DAY_S)
    with pytest.raises(ViewRefused, match="over"):
        await bob.spend(bob.look(grant))


async def test_a_day_forward_expires_what_it_must_and_nothing_else(place, ann, bob):
    image = await ann.image()
    soon = (await ann.give(bob, image, 3, expires=await now(place) + 3600)).operation.grant
    lasting = (await ann.give(bob, await ann.image(), 3)).operation.grant
    set_clock(place.directory, DAY_S)
    with pytest.raises(ViewRefused, match="over"):
        await bob.spend(bob.look(soon))
    assert (await bob.spend(bob.look(lasting))).left == 2


async def test_who_was_there_before_the_clock_went_back_is_not_there_for_a_day(place, ann, bob):
    """A peer that said nothing since stayed online until the clock had caught up."""
    await ann.sign_in()
    set_clock(place.directory, -DAY_S)
    assert (await bob.get(ops.FindAccount(account=ann.account))).port is None
    assert not (await bob.get(ops.ListUsers(text="Ann"))).rows[0].online
    caller = await place.services.caller(ann.key, HOST)
    assert not (await place.services.keep_alive(caller, ann.device)).signed_in
    await ann.sign_in()
    assert (await bob.get(ops.FindAccount(account=ann.account))).port is not None
    assert (await place.services.keep_alive(caller, ann.device)).signed_in
    set_clock(place.directory, -DAY_S + 60)
    assert (await bob.get(ops.FindAccount(account=ann.account))).port is None, "presence lapses by the clock as it is"
