"""Who may look for a path to whom: the two parties of a grant that is not over; and what is told of who hides."""

from dataclasses import dataclass, field

import pytest

from node.services.common import Caller
from node.services.copies import TOLD_WITHIN_S
from shared.records import decode_record, encode_record
from shared.rights import change_rights
from shared.wire import operations as ops
from shared.wire.base import Candidates, PathAddress
from tests.contract.people import Person, Sending, new_id, refused

pytestmark = pytest.mark.anyio
HERE = (PathAddress("203.0.113.1", 5_000),)


@dataclass(slots=True)
class Introducing(Sending):
    """A session of a peer at a node that notes whom it was asked to bring together."""

    asked: list[tuple[int, int, str, Candidates]] = field(default_factory=list)

    async def meet(self, caller: Caller, other_account: int, grant: str, candidates: Candidates) -> ops.Met:
        self.asked.append((caller.account, other_account, grant, candidates))
        return ops.Met(node="north")


async def meets(person: Person, grant: str) -> list[tuple[int, int, str, Candidates]]:
    exchange = Introducing()
    await person.ask(ops.Meet(grant=grant, candidates=HERE), exchange=exchange)
    return exchange.asked


async def test_the_two_parties_of_a_grant_may_meet_and_nobody_else(place, ann, bob) -> None:
    cid = await place.person("Cid")
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    assert await meets(ann, grant) == [(ann.account, bob.account, grant, HERE)]
    assert await meets(bob, grant) == [(bob.account, ann.account, grant, HERE)]
    assert await refused(meets(cid, grant)) == "not_found"
    assert await refused(meets(ann, new_id())) == "not_found"
    assert await refused(meets(place.stranger(), grant)) == "unknown_account"


async def test_over_rights_that_are_over_only_their_owner_meets_and_only_to_tell_it(place, ann, bob) -> None:
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    other = (await ann.give(bob, await ann.image(), 3)).operation.grant
    row = (await ann.get(ops.GetGrant(grant=grant))).grant
    record = encode_record(change_rights(ann.identity, decode_record(row.record), revoked=True))
    await ann.ask(ops.ChangeRights(grant=grant, record=record, met_version=1, met_consumed=0))
    await place.run("UPDATE grants SET expires = 1 WHERE id = :grant", grant=other)
    for over, code in ((grant, "revoked"), (other, "expired")):
        assert await meets(ann, over) == [(ann.account, bob.account, over, HERE)]
        assert await refused(meets(bob, over)) == code
        await place.run("UPDATE grants SET updated = updated - :told WHERE id = :grant", grant=over, told=TOLD_WITHIN_S)
        assert await refused(meets(ann, over)) == code


async def test_who_hides_is_online_without_an_address(place, ann, bob) -> None:
    request = new_id()
    hidden = ops.SignIn(**{**_fields(ann.signing_in(request, port=5_001)), "hidden": True})
    await ann.ask(hidden, request, host="2001:db8::1")
    found = await bob.get(ops.FindAccount(account=ann.account))
    assert (found.online, found.host, found.port) == (True, None, None)
    [row] = [row for row in (await bob.get(ops.ListUsers())).rows if row.account == ann.account]
    assert row.online
    await ann.ask(ops.SignOut(device=ann.device))
    found = await bob.get(ops.FindAccount(account=ann.account))
    assert (found.online, found.host) == (False, None)


def _fields(operation: ops.SignIn) -> dict:
    return {name: getattr(operation, name) for name in operation.__struct_fields__}
