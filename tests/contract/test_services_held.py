"""Copies that the cloud holds for viewers who are away: room, parts, who may have them, and their end; both engines."""

import hashlib
import os
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from node.directory import room_taken
from node.services import held
from shared.config import HELD_PART_BYTES, REQUEST_LIMITS
from shared.records import decode_record, encode_record
from shared.rights import change_rights
from shared.wire import operations as ops
from tests.contract.people import Person, new_id, refused

pytestmark = pytest.mark.anyio
SIZE = 2 * HELD_PART_BYTES + 100


@pytest.fixture
async def cid(place):
    return await place.person("Cid")


def parts(data: bytes) -> list[bytes]:
    return [data[at : at + HELD_PART_BYTES] for at in range(0, len(data), HELD_PART_BYTES)]


class Copy:
    """A stego image that an owner leaves with the cloud."""

    def __init__(self, owner: Person, grant: str, size: int = SIZE) -> None:
        self.owner, self.grant, self.copy = owner, grant, new_id()
        self.data = os.urandom(size)
        self.request = ops.HoldCopy(grant=grant, copy=self.copy, size=size, sha256=hashlib.sha256(self.data).digest())

    def part(self, number: int, **changes) -> ops.HoldPart:
        data = changes.pop("data", None) or parts(self.data)[number]
        return ops.HoldPart(grant=self.grant, copy=self.copy, part=number, data=data, **changes)

    async def leave(self) -> ops.HeldCopy:
        """Leave all of it, as an owner's peer does."""
        for number in (await self.owner.get(self.request)).missing:
            await self.owner.ask(self.part(number))
        return await self.owner.get(self.request)


async def fetched(viewer: Person, grant: str) -> bytes:
    """Fetch what waits, as a viewer's peer does."""
    found = await viewer.get(ops.FindHeld(grant=grant))
    data = [
        (await viewer.get(ops.FetchPart(grant=grant, copy=found.copy, part=number))).data
        for number in range(ops.parts_of(found.size))
    ]
    return b"".join(data)


@asynccontextmanager
async def limited(place, **limits):
    """Give the nodes other limits."""
    services = place.services
    before = services._environment
    services._environment = replace(before, limits=replace(REQUEST_LIMITS, **limits))
    yield
    services._environment = before


async def test_the_room_that_copies_take_is_measured(place, ann, bob):
    async def measured():
        return await place.directory.read(room_taken(place.directory.engine))

    empty = await measured()
    assert empty.directory_bytes > 0
    assert empty.held_bytes == 0
    copy = Copy(ann, (await ann.give(bob, await ann.image(), 3)).operation.grant)
    await copy.leave()
    assert (await measured()).held_bytes == SIZE
    assert (await measured()).directory_bytes >= empty.directory_bytes


async def test_a_copy_waits_until_its_viewer_has_it(place, ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    await bob.empty_mailbox()
    copy = Copy(ann, grant)
    asked = await ann.get(copy.request)
    assert asked.missing == (0, 1, 2)
    for number in asked.missing[:2]:
        await ann.ask(copy.part(number))
    assert (await ann.get(copy.request)).missing == (2,), "an upload that was cut off goes on"
    assert await refused(bob.ask(ops.FindHeld(grant=grant))) == "not_found", "it is not whole"
    assert await bob.mail() == []
    await ann.ask(copy.part(2))
    served = await ann.ask(copy.request)
    assert (served.outcome.missing, served.nudges) == ((), (bob.account,))
    for again in range(2):
        assert (await ann.ask(copy.request)).nudges == (), again
    assert await bob.mail() == [ops.CopyWaits(grant=grant)]
    for person, listing in ((ann, ops.ListGrants(given=True)), (bob, ops.ListGrants())):
        [row] = (await person.get(listing)).rows
        assert row.held_until == served.outcome.until
    assert await fetched(bob, grant) == copy.data
    assert await fetched(bob, grant) == copy.data, "an answer may be lost"
    await ann.empty_mailbox()
    for nudges in ((ann.account,), ()):
        assert (await bob.ask(ops.DropHeld(grant=grant, copy=copy.copy))).nudges == nudges
    [row] = (await ann.get(ops.ListGrants(given=True))).rows
    told = ops.CopyFetched(grant=grant, image=row.image, viewer=bob.account, viewer_name=row.viewer_name)
    assert await ann.mail() == [told]
    assert await refused(bob.ask(ops.FindHeld(grant=grant))) == "not_found"
    await place.services.sweep()
    assert await place.rows("SELECT part FROM held_parts") == []


async def test_a_copy_that_was_of_no_use_to_its_viewer_was_not_fetched(ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    copy = Copy(ann, grant)
    await copy.leave()
    await ann.empty_mailbox()
    await bob.ask(ops.DropHeld(grant=grant, copy=copy.copy, stored=False))
    assert await refused(bob.ask(ops.FindHeld(grant=grant))) == "not_found"
    assert await ann.mail() == []


async def test_only_the_owner_leaves_and_only_the_viewer_has_it(place, ann, bob, cid):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    copy = Copy(ann, grant)
    for person in (bob, cid):
        assert await refused(person.ask(copy.request)) == "not_found"
    await copy.leave()
    for person in (ann, cid):
        assert await refused(person.ask(ops.FindHeld(grant=grant))) == "not_found"
        assert await refused(person.ask(ops.FetchPart(grant=grant, copy=copy.copy, part=0))) == "not_found"
        assert await refused(person.ask(ops.DropHeld(grant=grant, copy=copy.copy))) == "not_found"
    for person in (bob, cid):
        assert await refused(person.ask(copy.part(0))) == "not_found"
    other = (await cid.give(bob, await cid.image(), 1)).operation.grant
    stolen = Copy(cid, other)
    stolen.copy = copy.copy
    stolen.request = ops.HoldCopy(grant=other, copy=copy.copy, size=SIZE, sha256=stolen.request.sha256)
    await stolen.leave()
    assert (await fetched(bob, grant), await fetched(bob, other)) == (copy.data, stolen.data)


@pytest.mark.parametrize(("number", "size"), [(3, 1), (0, 5), (2, HELD_PART_BYTES), (2, 99), (1, HELD_PART_BYTES - 1)])
async def test_a_part_that_is_none_is_refused(ann, bob, number, size):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    copy = Copy(ann, grant)
    await ann.ask(copy.request)
    assert await refused(ann.ask(copy.part(number, data=bytes(size)))) == "invalid"


async def test_another_copy_takes_the_place_of_the_one_before(place, ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    first, second = Copy(ann, grant), Copy(ann, grant, 50)
    await first.leave()
    await ann.ask(second.request)
    assert await refused(bob.ask(ops.FindHeld(grant=grant))) == "not_found"
    assert await refused(ann.ask(first.part(0))) == "not_found"
    await second.leave()
    await bob.ask(ops.DropHeld(grant=grant, copy=first.copy))
    assert await fetched(bob, grant) == second.data
    await place.services.sweep()
    assert [row["copy_id"] for row in await place.rows("SELECT copy_id FROM held_parts")] == [second.copy]


async def test_room_is_counted_for_each_owner_and_in_all(place, ann, bob, cid):
    """Counted when it is asked for, so that parts which are on their way find their room."""
    image = await ann.image()
    grants = [
        (await ann.give(viewer, picture, 1)).operation.grant
        for viewer, picture in ((bob, image), (cid, image), (bob, await ann.image()))
    ]
    elsewhere = (await cid.give(bob, await cid.image(), 1)).operation.grant
    async with limited(place, held_bytes_per_account=2 * SIZE, held_bytes=3 * SIZE):
        await Copy(ann, grants[0]).leave()
        await ann.ask(Copy(ann, grants[1]).request)
        assert await refused(ann.ask(Copy(ann, grants[2], 1).request)) == "not_ready"
        await ann.ask(Copy(ann, grants[1], SIZE).request)  # in place of the one before
        await cid.ask(Copy(cid, elsewhere).request)
        assert await refused(cid.ask(Copy(cid, elsewhere, SIZE + 1).request)) == "not_ready"
    async with limited(place, held_bytes=0):
        assert await refused(cid.ask(Copy(cid, elsewhere, 1).request)) == "not_ready"


async def test_a_copy_ends_with_its_time_its_grant_and_its_rights(place, ann, bob, monkeypatch):
    image = await ann.image()
    soon = float(int((await place.rows("SELECT MAX(created) AS at FROM images"))[0]["at"]) + 3_600)
    grant = (await ann.give(bob, image, 3, expires=soon)).operation.grant
    copy = Copy(ann, grant)
    assert (await copy.leave()).until == soon
    async with limited(place, held_days=1 / 24 / 3600):
        other = (await ann.give(bob, await ann.image(), 3)).operation.grant
        brief = Copy(ann, other)
        await brief.leave()
    await place.run("UPDATE held_copies SET expires = 1 WHERE grant_id = :grant", grant=other)
    assert await refused(bob.ask(ops.FindHeld(grant=other))) == "not_found"
    await place.services.sweep()
    assert [row["grant_id"] for row in await place.rows("SELECT grant_id FROM held_copies")] == [grant]
    [row] = (await ann.get(ops.ListGrants(image=image))).rows
    record = encode_record(change_rights(ann.identity, decode_record(row.record), revoked=True))
    await ann.ask(ops.ChangeRights(grant=grant, record=record, met_version=1, met_consumed=0))
    assert await refused(bob.ask(ops.FindHeld(grant=grant))) == "not_found"
    assert await refused(ann.ask(copy.request)) == "revoked"
    monkeypatch.setattr(held, "SWEEP_PARTS", 2)
    await place.services.sweep()
    assert await place.rows("SELECT part FROM held_parts") == []


async def test_a_grant_that_ends_sooner_than_it_did_ends_its_copy(place, ann, bob):
    """The copy had its own time from the grant as it was when room was made for it."""
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    await Copy(ann, grant).leave()
    await place.run("UPDATE grants SET expires = 1 WHERE id = :grant", grant=grant)
    await place.services.sweep()
    assert await place.rows("SELECT grant_id FROM held_copies") == []


async def test_room_for_parts_that_do_not_come_is_given_back(place, ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    copy = Copy(ann, grant)
    await ann.ask(copy.request)
    await ann.ask(copy.part(0))
    await place.services.sweep()
    assert (await ann.get(copy.request)).missing == (1, 2)
    await place.run("UPDATE held_copies SET created = 1")
    await place.services.sweep()
    assert await place.rows("SELECT part FROM held_parts") == []
    assert (await ann.get(copy.request)).missing == (0, 1, 2)
