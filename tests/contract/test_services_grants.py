"""Grants and changes of rights, on both directories."""

from dataclasses import replace

import anyio
import msgspec
import pytest

from node.directory import Marks, recover
from node.services import mail
from shared.errors import Refused
from shared.records import decode_record, encode_record
from shared.rights import change_rights, with_left
from shared.wire import operations as ops
from tests.contract.people import HOST, SHARE_KEY, new_id, refused, services_on

pytestmark = pytest.mark.anyio


async def standing(person, grant) -> ops.GrantRow:
    return (await person.get(ops.GetGrant(grant=grant))).grant


async def changing(owner, grant, *, ask=None, met=None, **rights) -> ops.ChangeRights:
    row = await standing(owner, grant)
    version, consumed = met or (row.version, row.consumed)
    record = change_rights(owner.identity, decode_record(row.record), **rights)
    return ops.ChangeRights(
        grant=grant, record=encode_record(record), met_version=version, met_consumed=consumed, ask=ask
    )


def letters_of(kind, letters):
    return [letter for letter in letters if isinstance(letter, kind)]


# --- Giving ----------------------------------------------------------------------------------------------------------


async def test_a_grant_stands_and_is_mailed(ann, bob):
    image, ask = await ann.image(title="Sea"), new_id()
    await bob.ask(ops.AskViews(image=image, views=3), ask)
    given = ann.grant_for(bob, image, 3, expires=4e9, ask=ask)
    served = await ann.ask(given.operation)
    row = served.outcome.grant
    assert served.nudges == (bob.account,)
    assert (row.grant, row.image, row.title) == (given.record.grant_id, image, "Sea")
    assert (row.owner, row.owner_name, row.viewer, row.viewer_name) == (ann.account, "Ann", bob.account, "Bob")
    assert (row.granted, row.consumed, row.expires, row.version) == (3, 0, 4e9, 1)
    assert (row.revoked, row.frozen, row.record) == (False, False, given.operation.record)
    assert await bob.mail() == [ops.GrantArrived(grant=row, ask=ask)]
    asked = (await bob.get(ops.ListAsks(incoming=False))).rows[0]
    assert (asked.state, asked.grant) == ("accepted", row.grant)
    for person in (ann, bob):
        assert await standing(person, row.grant) == row
    assert (await bob.get(ops.ListGrants())).rows == [row]
    assert (await ann.get(ops.ListGrants(image=image))).rows == [row]
    assert (await ann.get(ops.ListGrants())).total == 0, "without an image: what one holds"


async def test_a_grant_is_made_once(place, ann, bob):
    given = ann.grant_for(bob, await ann.image(), 3)
    request = new_id()
    first = await ann.ask(given.operation, request)
    assert await ann.ask(given.operation, request) == first
    await place.forget_requests()
    later = await ann.ask(given.operation, request)
    assert (later.outcome, later.nudges) == (first.outcome, ())
    assert len(await bob.mail()) == 1
    assert await place.number("SELECT COUNT(*) AS n FROM grant_changes") == 1


async def test_a_repeat_of_a_grant_after_a_change_shows_what_stands(place, ann, bob):
    given = await ann.give(bob, await ann.image(), 3)
    await ann.ask(await changing(ann, given.operation.grant, granted=7))
    await place.forget_requests()
    assert (await ann.get(given.operation)).grant.granted == 7


async def test_one_unrevoked_grant_to_a_viewer(ann, bob):
    image = await ann.image()
    first = await ann.give(bob, image, 3)
    assert await refused(ann.give(bob, image, 5)) == "conflict"
    assert await refused(ann.give(bob, image, 5, grant=first.operation.grant)) == "conflict"
    await ann.ask(await changing(ann, first.operation.grant, revoked=True))
    again = await ann.give(bob, image, 5)
    assert {row.revoked for row in (await bob.get(ops.ListGrants())).rows} == {True, False}
    assert (await standing(bob, again.operation.grant)).granted == 5


async def test_a_grant_id_of_another_owner_is_a_conflict(place, ann, bob):
    given = await ann.give(bob, await ann.image(), 3)
    cem = await place.person("Cem")
    stolen = cem.grant_for(bob, await cem.image(), 9, grant=given.operation.grant)
    assert await refused(cem.ask(stolen.operation)) == "conflict"
    assert (await standing(bob, given.operation.grant)).granted == 3


async def test_only_the_owner_of_an_image_grants_it(place, ann, bob):
    image = await ann.image()
    cem = await place.person("Cem")
    assert await refused(cem.give(bob, image, 3)) == "not_found"
    assert await refused(ann.give(bob, new_id(), 3)) == "not_found"
    assert await refused(bob.ask(ann.grant_for(bob, image, 3).operation)) == "invalid", "signed by another"
    assert await refused(ann.give(ann, image, 3)) == "not_allowed"
    assert await place.number("SELECT COUNT(*) AS n FROM grants") == 0


async def test_a_grant_must_fit_its_record(place, ann, bob):
    image, other = await ann.image(), await ann.image()
    cem = await place.person("Cem")
    given = ann.grant_for(bob, image, 3).operation
    for_another = ann.grant_for(cem, image, 3).operation
    second = encode_record(change_rights(ann.identity, decode_record(given.record), granted=4))
    raised = encode_record(msgspec.structs.replace(decode_record(given.record), granted=9_000))
    forged = {
        "image": other,
        "viewer": cem.account,
        "grant": new_id(),
        "cloud_share": b"x" * 32,
        "share_signature": for_another.share_signature,
        "record": second,
    }
    for name, value in forged.items():
        assert await refused(ann.ask(msgspec.structs.replace(given, **{name: value}))) == "invalid", name
    for record in (raised, b"{}", given.record[:-1], b" " + given.record):
        assert await refused(ann.ask(msgspec.structs.replace(given, record=record))) == "invalid"
    assert await refused(ann.ask(msgspec.structs.replace(given, viewer=99))) == "not_found"
    assert await place.number("SELECT COUNT(*) AS n FROM grants") == 0
    await ann.ask(given)


async def test_a_grant_that_answers_a_wrong_ask_leaves_nothing(place, ann, bob):
    image, other, cem = await ann.image(), await ann.image(), await place.person("Cem")
    about_other, by_cem, taken_back = new_id(), new_id(), new_id()
    await bob.ask(ops.AskViews(image=other, views=1), about_other)
    await cem.ask(ops.AskViews(image=image, views=1), by_cem)
    await bob.ask(ops.AskViews(image=image, views=1), taken_back)
    await bob.ask(ops.WithdrawAsk(ask=taken_back))
    codes = [await refused(ann.give(bob, image, 1, ask=ask)) for ask in (about_other, by_cem, taken_back, new_id())]
    assert codes == ["invalid", "invalid", "not_allowed", "not_found"]
    assert await place.number("SELECT COUNT(*) AS n FROM grants") == 0
    assert await place.number("SELECT COUNT(*) AS n FROM mail WHERE kind = 'grant'") == 0


async def test_new_grants_are_capped_by_the_viewers_mailbox_and_revocations_are_not(ann, bob, monkeypatch):
    monkeypatch.setattr(mail, "MAILBOX_PER_SENDER", 2)
    given = [await ann.give(bob, await ann.image(), 1) for _ in range(2)]
    assert await refused(ann.give(bob, await ann.image(), 1)) == "mailbox_full"
    for grant in given:
        await ann.ask(await changing(ann, grant.operation.grant, revoked=True))
    assert len(letters_of(ops.RightsChanged, await bob.mail())) == 2


async def test_two_grants_at_once_are_one(place, ann, bob):
    image = await ann.image()
    nodes = [services_on(place.directory, node=name) for name in ("north", "south")]
    codes = []

    async def give(services, operation):
        caller = await services.caller(ann.key, HOST)
        try:
            await services.serve(caller, new_id(), operation)
            codes.append("ok")
        except Refused as refusal:
            codes.append(str(refusal.code))

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(give, nodes[number % 2], ann.grant_for(bob, image, 1).operation)
    assert sorted(codes) == ["conflict"] * 7 + ["ok"]


async def test_shares_lie_encrypted_in_the_directory(place, ann, bob):
    given = await ann.give(bob, await ann.image(), 1)
    await bob.spend(bob.look(given.operation.grant))
    stored = bytes((await place.rows("SELECT cloud_share FROM grants"))[0]["cloud_share"])
    assert given.share not in stored
    assert SHARE_KEY not in stored
    everything = [
        bytes(value)
        for table, column in (("requests", "answer"), ("mail", "body"), ("grants", "record"))
        for row in await place.rows(f"SELECT {column} FROM {table}")
        for value in row.values()
    ]
    encoded = msgspec.json.encode(given.share).strip(b'"')
    assert not [value for value in everything if given.share in value or encoded in value]


# --- Changing --------------------------------------------------------------------------------------------------------


async def test_rights_go_up_and_down_and_every_change_is_mailed(place, ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    await bob.spend(bob.look(grant))
    await bob.empty_mailbox()
    for version, (granted, expires, revoked) in enumerate(
        [(9, None, False), (2, 4e9, False), (0, 4e9, False), (5, None, False), (5, None, True)], start=2
    ):
        served = await ann.ask(await changing(ann, grant, granted=granted, expires=expires, revoked=revoked))
        row = served.outcome.grant
        assert (row.granted, row.expires, row.revoked, row.version) == (granted, expires, revoked, version)
        assert row.consumed == 1, "the count that the change met"
        assert served.nudges == (bob.account,)
        assert await bob.mail() == [ops.RightsChanged(grant=row)]
        await bob.empty_mailbox()
    changes = await place.rows("SELECT version, met_consumed FROM grant_changes ORDER BY version")
    assert [(row["version"], row["met_consumed"]) for row in changes] == [(1, 0)] + [(v, 1) for v in range(2, 7)]


async def test_an_unread_change_is_replaced_by_the_next_but_not_one_that_answers_an_ask(ann, bob):
    image = await ann.image()
    grant = (await ann.give(bob, image, 3)).operation.grant
    ask = new_id()
    await bob.ask(ops.AskViews(image=image, views=2), ask)
    await bob.empty_mailbox()
    await ann.ask(await changing(ann, grant, granted=5, ask=ask))
    for granted in (6, 7, 8):
        await ann.ask(await changing(ann, grant, granted=granted))
    letters = await bob.mail()
    assert [(letter.grant.granted, letter.ask) for letter in letters] == [(5, ask), (8, None)]


async def test_a_change_is_made_once(place, ann, bob):
    image, ask = await ann.image(), new_id()
    grant = (await ann.give(bob, image, 3)).operation.grant
    await bob.ask(ops.AskViews(image=image, views=2), ask)
    operation, request = await changing(ann, grant, granted=5, ask=ask), new_id()
    first = await ann.ask(operation, request)
    await place.forget_requests()
    later = await ann.ask(operation, request)
    assert (later.outcome, later.nudges) == (first.outcome, ())
    assert len(letters_of(ops.RightsChanged, await bob.mail())) == 1
    asked = (await bob.get(ops.ListAsks(incoming=False))).rows[0]
    assert (asked.state, asked.grant) == ("accepted", grant)


async def test_an_ask_adds_its_views_once(ann, bob):
    image, ask = await ann.image(), new_id()
    grant = (await ann.give(bob, image, 3)).operation.grant
    await bob.ask(ops.AskViews(image=image, views=2), ask)
    await ann.ask(await changing(ann, grant, granted=5, ask=ask))
    assert await refused(ann.ask(await changing(ann, grant, granted=7, ask=ask))) == "not_allowed"
    assert (await standing(ann, grant)).granted == 5


async def test_a_change_that_met_another_state_is_a_conflict(ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    stale = await changing(ann, grant, granted=1)
    await bob.spend(bob.look(grant))
    assert await refused(ann.ask(stale)) == "conflict", "a view came between"
    current = await changing(ann, grant, granted=2)
    other = await changing(ann, grant, granted=4)
    await ann.ask(current)
    assert await refused(ann.ask(other)) == "conflict", "the same version with other rights"
    assert await refused(ann.ask(await changing(ann, grant, granted=9, met=(1, 1)))) == "conflict"
    assert await refused(ann.ask(await changing(ann, grant, granted=9, met=(2, 0)))) == "conflict"
    assert (await standing(ann, grant)).granted == 2


async def test_a_change_must_be_the_owners_word_on_the_same_grant(place, ann, bob):
    image = await ann.image()
    given = await ann.give(bob, image, 3)
    grant = given.operation.grant
    good = await changing(ann, grant, granted=4)
    record = decode_record(good.record)
    elsewhere = ann.grant_for(bob, image, 3, grant=grant).record
    forged = [
        encode_record(msgspec.structs.replace(record, granted=9_000)),
        encode_record(change_rights(ann.identity, elsewhere, granted=9)),  # other shares
        b"{}",
    ]
    codes = [await refused(ann.ask(msgspec.structs.replace(good, record=data))) for data in forged]
    assert codes == ["invalid"] * 3
    first = msgspec.structs.replace(good, record=given.operation.record)
    assert (await ann.get(first)).grant.granted == 3, "the version that stands is a repeat and changes nothing"
    for person in (bob, await place.person("Cem")):
        assert await refused(person.ask(good)) == "invalid"
    other = await ann.give(await place.person("Dora"), image, 1)
    assert await refused(ann.ask(msgspec.structs.replace(good, grant=other.operation.grant))) == "invalid"
    assert await refused(ann.ask(await _unknown_change(ann, bob, image))) == "not_found"
    assert (await standing(ann, grant)).granted == 3
    shown = msgspec.structs.replace(good, record=encode_record(with_left(record, 1)))
    await ann.ask(shown)


async def _unknown_change(owner, viewer, image) -> ops.ChangeRights:
    never_given = owner.grant_for(viewer, image, 3)
    record = change_rights(owner.identity, never_given.record, granted=4)
    return ops.ChangeRights(
        grant=never_given.operation.grant, record=encode_record(record), met_version=1, met_consumed=0
    )


async def test_a_revocation_is_final(ann, bob):
    given = await ann.give(bob, await ann.image(), 3)
    grant = given.operation.grant
    revived = change_rights(ann.identity, given.record, granted=5)
    revived = change_rights(ann.identity, revived, granted=6)  # version 3, not revoked
    await ann.ask(await changing(ann, grant, revoked=True))
    operation = ops.ChangeRights(grant=grant, record=encode_record(revived), met_version=2, met_consumed=0)
    assert await refused(ann.ask(operation)) == "revoked"
    assert (await standing(bob, grant)).revoked


async def test_grants_are_for_their_two_parties(place, ann, bob):
    image = await ann.image()
    grant = (await ann.give(bob, image, 3)).operation.grant
    cem = await place.person("Cem")
    assert await refused(cem.get(ops.GetGrant(grant=grant))) == "not_found"
    assert await refused(ann.get(ops.GetGrant(grant=new_id()))) == "not_found"
    for person in (bob, cem):
        listed = await person.get(ops.ListGrants(image=image))
        assert (listed.rows, listed.total) == ([], 0)


async def test_a_restored_directory_freezes_grants_until_their_owner_confirms(place, ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    await place.directory.write(recover(Marks(0, 0, 0, 0), certain=True))
    assert (await standing(bob, grant)).frozen
    assert await refused(bob.spend(bob.look(grant))) == "frozen"
    changed = await ann.get(await changing(ann, grant))
    assert not changed.grant.frozen
    assert (await bob.spend(bob.look(grant))).left == 2
    later = await ann.give(bob, await ann.image(), 1)
    assert not (await standing(bob, later.operation.grant)).frozen


# --- A lost answer ---------------------------------------------------------------------------------------------------


async def test_who_asks_again_hours_later_hears_what_came_of_it_and_nothing_happens_twice(place, ann, bob):
    """While its answer is stored a request is answered from there; after the sweep its grant itself says that it was
    made. So a peer need not ask for an outcome before it repeats a request, however long the answer was lost."""
    request, given = new_id(), ann.grant_for(bob, await ann.image(), 3)
    first = await ann.ask(given.operation, request)
    elsewhere = replace(ann, services=services_on(place.directory, node="south"))
    for hours, stored in ((1, 1), (2, 0)):
        await place.run("UPDATE requests SET created = created - :aged", aged=3_600 * hours)
        await place.directory.sweep()
        rows = await place.rows("SELECT answer FROM requests WHERE request_id = :request", request=request)
        assert len(rows) == stored
        again = await elsewhere.ask(given.operation, request)
        assert again.outcome == first.outcome
    for table in ("grants", "grant_changes", "mail"):
        assert await place.number(f"SELECT COUNT(*) AS n FROM {table}") == 1
