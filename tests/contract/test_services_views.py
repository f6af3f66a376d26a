"""Views: counted once, never more than granted, answered again only to whom they were given. On both directories."""

import os
from typing import Any

import anyio
import msgspec
import pytest

from node.services import mail
from node.services.receipts import Receipts
from node.services.shares import ShareBox
from shared.config import VIEW_REPEAT_S
from shared.errors import LocalError, Refused, RemoteError, ViewRefused
from shared.records import decode_record, encode_record
from shared.rights import change_rights
from shared.wire import operations as ops
from tests.contract.people import CLUSTER, HOST, SHARE_KEY, Letters, Services, new_id, services_on

pytestmark = pytest.mark.anyio


async def refused(awaitable, kind=Refused) -> str:
    with pytest.raises(Refused) as caught:
        await awaitable
    assert type(caught.value) is kind
    return str(caught.value.code)


async def change(owner, grant, **rights):
    row = (await owner.get(ops.GetGrant(grant=grant))).grant
    record = change_rights(owner.identity, decode_record(row.record), **rights)
    await owner.ask(
        ops.ChangeRights(grant=grant, record=encode_record(record), met_version=row.version, met_consumed=row.consumed)
    )


async def consumed(person, grant) -> int:
    return (await person.get(ops.GetGrant(grant=grant))).grant.consumed


async def test_views_count_down_and_give_the_share(ann, bob):
    given = await ann.give(bob, await ann.image(), 2)
    grant = given.operation.grant
    for left in (1, 0):
        look = bob.look(grant)
        served = await bob.ask(look.operation, look.view)
        spent = served.outcome
        assert (spent.view, spent.grant, spent.left) == (look.view, grant, left)
        assert served.nudges == (ann.account,)
        assert look.share(spent) == given.share
        with pytest.raises(RemoteError):
            bob.look(grant, look.view).share(spent)
    assert await refused(bob.spend(bob.look(grant)), ViewRefused) == "no_views"
    assert await consumed(bob, grant) == 2


async def test_the_owner_sees_every_view(place, ann, bob):
    image = await ann.image()
    looks = []
    for viewer in (bob, await place.person("Cem")):
        grant = (await ann.give(viewer, image, 2)).operation.grant
        looks.append((viewer, viewer.look(grant)))
        await viewer.spend(looks[-1][1])
    await bob.ask(ops.TakenView(view=looks[0][1].view))
    log = await ann.get(ops.ViewsLog(image=image))
    assert log.total == 2
    seen = {row.view: (row.viewer, row.viewer_name, row.left, row.taken) for row in log.rows}
    assert seen == {
        looks[0][1].view: (bob.account, "Bob", 1, True),
        looks[1][1].view: (looks[1][0].account, "Cem", 1, False),
    }
    letters = [letter for letter in await ann.mail() if isinstance(letter, ops.ViewHappened)]
    assert {(letter.image, letter.view.view) for letter in letters} == {(image, look.view) for _, look in looks}
    for stranger in (bob, await place.person("Dora")):
        assert await refused(stranger.get(ops.ViewsLog(image=image))) == "not_found"


async def test_a_repeat_gets_the_same_answer_and_costs_nothing(place, ann, bob):
    given = await ann.give(bob, await ann.image(), 2)
    look = bob.look(given.operation.grant)
    first = await bob.spend(look)
    await place.forget_requests()
    elsewhere = services_on(place.directory, node="south")
    again = (await elsewhere.serve(await elsewhere.caller(bob.key, HOST), look.view, look.operation)).outcome
    assert (again.view, again.left, again.at) == (first.view, first.left, first.at)
    assert look.share(again) == given.share
    await bob.spend(bob.look(given.operation.grant))
    assert (await bob.spend(look)).left == first.left, "also when no view is left"
    assert await consumed(ann, given.operation.grant) == 2
    assert len(await ann.mail()) == 2


async def test_a_repeat_is_for_the_same_key_only(ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    look = bob.look(grant)
    await bob.spend(look)
    assert await refused(bob.spend(bob.look(grant, look.view)), ViewRefused) == "repeat_over"
    assert await consumed(ann, grant) == 1


async def test_a_repeat_is_for_a_short_time_only(place, ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    look = bob.look(grant)
    await bob.spend(look)
    await place.run("UPDATE views SET at = at - :age", age=VIEW_REPEAT_S - 60.0)
    await bob.spend(look)
    await place.run("UPDATE views SET at = at - :age", age=61.0)
    assert await refused(bob.spend(look), ViewRefused) == "repeat_over"


async def test_a_taken_view_is_never_answered_again(place, ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    look = bob.look(grant)
    await bob.spend(look)
    for stranger in (ann, await place.person("Cem")):
        assert await refused(stranger.ask(ops.TakenView(view=look.view))) == "not_found"
    await bob.spend(look)
    taken, request = "SELECT taken, taken_by FROM views", new_id()
    await bob.ask(ops.TakenView(view=look.view), request)
    first = (await place.rows(taken))[0]
    assert first["taken_by"] == request
    await place.forget_requests()
    await bob.ask(ops.TakenView(view=look.view), request)
    assert (await place.rows(taken))[0] == first
    assert await refused(bob.spend(look), ViewRefused) == "repeat_over"
    assert await refused(bob.ask(ops.TakenView(view=new_id()))) == "not_found"
    assert await consumed(ann, grant) == 1


async def test_one_taken_wins_and_all_others_hear_that_the_repeat_is_over(place, ann, bob):
    """Copies of a profile that held the answer to one view were all told Done: eight pictures for one counted view."""
    given = await ann.give(bob, await ann.image(), 1)
    look = bob.look(given.operation.grant)
    for _ in range(6):
        assert look.share(await bob.spend(look)) == given.share
    nodes = [services_on(place.directory, node=name) for name in ("north", "south", "west")]
    requests = [new_id() for _ in range(6)]
    answers: dict[str, set[str]] = {request: set() for request in requests}

    async def take(services, request):
        try:
            served = await services.serve(await services.caller(bob.key, HOST), request, ops.TakenView(view=look.view))
            answers[request].add(type(served.outcome).__name__)
        except ViewRefused as refusal:
            answers[request].add(str(refusal.code))

    async with anyio.create_task_group() as tasks:
        for number, request in enumerate(requests):
            tasks.start_soon(take, nodes[number % 3], request)
            tasks.start_soon(take, nodes[(number + 1) % 3], request)
    assert sorted(answer for heard in answers.values() for answer in heard) == ["Done", *["repeat_over"] * 5]
    [winner] = [request for request, heard in answers.items() if heard == {"Done"}]
    await place.forget_requests()
    for request in requests:
        if request == winner:
            await bob.ask(ops.TakenView(view=look.view), request)
        else:
            assert await refused(bob.ask(ops.TakenView(view=look.view), request), ViewRefused) == "repeat_over"


async def test_a_view_that_an_older_node_noted_as_taken_is_taken(place, ann, bob):
    """Before a directory had the column, nobody knows by whom a view was taken."""
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    look = bob.look(grant)
    await bob.spend(look)
    await place.run("UPDATE views SET taken = at, consumed_after = NULL")
    assert await refused(bob.ask(ops.TakenView(view=look.view)), ViewRefused) == "repeat_over"


@pytest.mark.parametrize(("rights", "code"), [({"revoked": True}, "revoked"), ({"expires": 1e9}, "expired")])
async def test_what_ends_a_grant_ends_a_look_that_is_not_taken_yet(ann, bob, rights, code):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    taken, open_look = bob.look(grant), bob.look(grant)
    request = new_id()
    for look in (taken, open_look):
        await bob.spend(look)
    await bob.ask(ops.TakenView(view=taken.view), request)
    await change(ann, grant, **rights)
    assert await refused(bob.ask(ops.TakenView(view=open_look.view)), ViewRefused) == code
    await bob.ask(ops.TakenView(view=taken.view), request)


async def test_the_last_view_can_be_taken(ann, bob):
    grant = (await ann.give(bob, await ann.image(), 1)).operation.grant
    look = bob.look(grant)
    await bob.spend(look)
    assert isinstance(await bob.get(ops.TakenView(view=look.view)), ops.Done)


async def test_an_answer_says_version_and_count_and_so_do_log_and_mail(place, ann, bob):
    image = await ann.image()
    grant = (await ann.give(bob, image, 3)).operation.grant
    first, second = bob.look(grant), bob.look(grant)
    spent = await bob.spend(first)
    assert (spent.version, spent.consumed) == (1, 1)
    await change(ann, grant, granted=5)
    spent = await bob.spend(second)
    assert (spent.version, spent.consumed, spent.left) == (2, 2, 3)
    again = await bob.spend(first)
    assert (again.version, again.consumed, again.left) == (2, 1, 2)
    log = await ann.get(ops.ViewsLog(image=image))
    assert {(row.view, row.grant, row.consumed) for row in log.rows} == {
        (first.view, grant, 1),
        (second.view, grant, 2),
    }
    mails = [letter.view for letter in await ann.mail() if isinstance(letter, ops.ViewHappened)]
    assert {(row.view, row.grant, row.consumed) for row in mails} == {
        (first.view, grant, 1),
        (second.view, grant, 2),
    }


async def test_the_log_says_how_long_a_look_lasted(place, ann, bob):
    image = await ann.image()
    grant = (await ann.give(bob, image, 3)).operation.grant
    look, other = bob.look(grant), bob.look(grant)
    for one in (look, other):
        await bob.spend(one)
    await place.run("UPDATE views SET at = at - 60")
    for stranger in (ann, await place.person("Cem")):
        assert await refused(stranger.ask(ops.LookEnded(view=look.view, lasted_s=3.0))) == "not_found"
    await bob.ask(ops.LookEnded(view=look.view, lasted_s=12.5))
    await bob.ask(ops.LookEnded(view=look.view, lasted_s=44.0))
    lasted = {row.view: row.lasted_s for row in (await ann.get(ops.ViewsLog(image=image))).rows}
    assert lasted == {look.view: 12.5, other.view: None}, "the first word holds"
    await bob.ask(ops.LookEnded(view=other.view, lasted_s=9_999_999.0))
    lasted = {row.view: row.lasted_s for row in (await ann.get(ops.ViewsLog(image=image))).rows}
    assert 60 <= lasted[other.view] < 9_999_999, "no longer than since it was counted"


@pytest.mark.parametrize(("rights", "code"), [({"revoked": True}, "revoked"), ({"expires": 1e9}, "expired")])
async def test_what_ends_a_grant_ends_repeats_too(ann, bob, rights, code):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    look = bob.look(grant)
    await bob.spend(look)
    await change(ann, grant, **rights)
    assert await refused(bob.spend(look), ViewRefused) == code
    assert await refused(bob.spend(bob.look(grant)), ViewRefused) == code
    assert await consumed(bob, grant) == 1


async def test_lowering_below_what_was_spent_leaves_none(ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    look = bob.look(grant)
    await bob.spend(look)
    await bob.spend(bob.look(grant))
    await change(ann, grant, granted=1)
    assert await refused(bob.spend(bob.look(grant)), ViewRefused) == "no_views"
    assert (await bob.spend(look)).left == 2, "what was counted may still be fetched"
    await change(ann, grant, granted=3)
    assert (await bob.spend(bob.look(grant))).left == 0


async def test_nobody_spends_anothers_views(place, ann, bob):
    given = await ann.give(bob, await ann.image(), 3)
    grant = given.operation.grant
    mallory = await place.person("Mallory")
    recorded = bob.look(grant)
    assert await refused(mallory.ask(recorded.operation, recorded.view)) == "not_allowed", "a recorded order"
    assert await refused(mallory.spend(mallory.look(grant))) == "not_found"
    assert await refused(ann.spend(ann.look(grant))) == "not_found", "not even the owner"
    assert await refused(bob.ask(mallory.look(grant).operation, new_id())) == "not_allowed"
    assert await refused(bob.spend(bob.look(new_id()))) == "not_found"
    assert await consumed(bob, grant) == 0


async def test_an_order_is_good_for_its_view_grant_key_and_cluster_only(place, ann, bob):
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    other = (await ann.give(bob, await ann.image(), 3)).operation.grant
    look = bob.look(grant)
    assert await refused(bob.ask(look.operation, new_id())) == "not_allowed"
    moved = msgspec.structs.replace(look.operation, grant=other)
    rekeyed = msgspec.structs.replace(look.operation, ephemeral_key=bob.look(grant).operation.ephemeral_key)
    for operation in (moved, rekeyed):
        assert await refused(bob.ask(operation, look.view)) == "not_allowed"
    abroad = Services(
        place.directory,
        Letters(),
        cluster_id="other",
        share_key=bytes(32),
        entropy=bytes,
        timing=place.services._timing,
        node_name="north",
    )
    assert CLUSTER != "other"
    assert await refused(abroad.serve(await abroad.caller(bob.key, HOST), look.view, look.operation)) == "not_allowed"
    assert await place.number("SELECT COUNT(*) AS n FROM views") == 0


async def test_a_view_id_belongs_to_one_grant_and_viewer(place, ann, bob):
    image = await ann.image()
    cem = await place.person("Cem")
    first, second = (await ann.give(bob, image, 3)).operation.grant, (await ann.give(cem, image, 3)).operation.grant
    third = (await ann.give(bob, await ann.image(), 3)).operation.grant
    look = bob.look(first)
    await bob.spend(look)
    assert await refused(cem.spend(cem.look(second, look.view))) == "id_reused"
    assert await refused(bob.spend(bob.look(third, look.view))) == "id_reused"
    assert (await consumed(cem, second), await consumed(bob, third)) == (0, 0)


async def test_a_key_that_nothing_can_be_sealed_to_costs_no_view(place, ann, bob):
    from shared.rights import spend_signature

    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    view = new_id()
    signature = spend_signature(bob.identity, CLUSTER, grant, view, bytes(32))
    with pytest.raises(RemoteError):
        await bob.ask(ops.SpendView(grant=grant, ephemeral_key=bytes(32), signature=signature), view)
    assert await consumed(bob, grant) == 0


async def test_a_share_that_does_not_open_costs_no_view(place, ann, bob):
    """A node with another key of the shares must not count what it cannot answer."""
    grant = (await ann.give(bob, await ann.image(), 3)).operation.grant
    other = Services(
        place.directory,
        Letters(),
        cluster_id=CLUSTER,
        share_key=b"z" * 32,
        entropy=bytes,
        timing=place.services._timing,
        node_name="north",
    )
    look = bob.look(grant)
    with pytest.raises(LocalError):
        await other.serve(await other.caller(bob.key, HOST), look.view, look.operation)
    assert await consumed(bob, grant) == 0
    assert (await bob.spend(look)).left == 2


async def test_no_share_is_lost_where_their_key_is_replaced_node_by_node(place, ann, bob):
    """Nodes that read under the next key already, and nodes that write under it, serve side by side."""
    next_key = b"n" * 32

    def services(key: bytes, **others: Any) -> Services:
        return Services(
            place.directory,
            Letters(),
            cluster_id=CLUSTER,
            share_key=key,
            entropy=os.urandom,
            timing=place.services._timing,
            node_name="north",
            **others,
        )

    async def spend(at: Services, grant: str) -> int:
        look = bob.look(grant)
        served = await at.serve(await at.caller(bob.key, HOST), look.view, look.operation)
        return served.outcome.left

    grants = [(await ann.give(bob, await ann.image(), 9)).operation.grant for _ in range(3)]
    reads, writes = services(SHARE_KEY, next_share_key=next_key), services(next_key, former_share_keys=(SHARE_KEY,))
    assert [await spend(writes, grant) for grant in grants] == [8] * 3
    await writes.sweep()
    rows = await place.rows("SELECT id, cloud_share FROM grants")
    new = ShareBox(next_key, os.urandom)
    assert len({bytes(new.open(row["id"], bytes(row["cloud_share"]))) for row in rows}) == 3
    assert [await spend(reads, grant) for grant in grants] == [7] * 3
    assert [await spend(services(next_key), grant) for grant in grants] == [6] * 3
    receipt = Receipts(SHARE_KEY, CLUSTER).of(7, b"k" * 32)
    assert Receipts(next_key, CLUSTER, (SHARE_KEY,)).holds(7, b"k" * 32, receipt)
    assert not Receipts(next_key, CLUSTER).holds(7, b"k" * 32, receipt)


async def test_a_share_moved_to_another_grant_does_not_open(place, ann, bob):
    image = await ann.image()
    one = (await ann.give(bob, image, 3)).operation.grant
    cem = await place.person("Cem")
    two = (await ann.give(cem, image, 3)).operation.grant
    stored = (await place.rows("SELECT cloud_share FROM grants WHERE id = :one", one=one))[0]["cloud_share"]
    await place.run("UPDATE grants SET cloud_share = :stored WHERE id = :two", stored=bytes(stored), two=two)
    with pytest.raises(LocalError):
        await cem.spend(cem.look(two))
    assert await consumed(cem, two) == 0


async def test_looks_at_once_get_exactly_what_was_granted(place, ann, bob):
    """Sixteen looks and as many repeats, served by three nodes at the same time, on five views."""
    given = await ann.give(bob, await ann.image(), 5)
    grant = given.operation.grant
    nodes = [services_on(place.directory, node=name) for name in ("north", "south", "west")]
    looks = [bob.look(grant) for _ in range(16)]
    answers: dict[str, set] = {look.view: set() for look in looks}

    async def serve(services, look):
        caller = await services.caller(bob.key, HOST)
        try:
            spent = (await services.serve(caller, look.view, look.operation)).outcome
            assert look.share(spent) == given.share
            answers[look.view].add(spent.left)
        except ViewRefused as refusal:
            answers[look.view].add(str(refusal.code))

    async with anyio.create_task_group() as tasks:
        for number, look in enumerate(looks):
            tasks.start_soon(serve, nodes[number % 3], look)
            tasks.start_soon(serve, nodes[(number + 1) % 3], look)
    assert all(len(answer) == 1 for answer in answers.values()), "a repeat never differs"
    outcomes = [next(iter(answer)) for answer in answers.values()]
    assert sorted(outcome for outcome in outcomes if outcome != "no_views") == [0, 1, 2, 3, 4]
    assert outcomes.count("no_views") == 11
    assert await consumed(ann, grant) == 5
    assert await place.number("SELECT COUNT(*) AS n FROM views") == 5


async def test_changes_and_looks_at_once_agree_on_the_count(place, ann, bob):
    """Whoever wins, the change that went through met exactly the views that were counted before it."""
    grant = (await ann.give(bob, await ann.image(), 4)).operation.grant
    row = (await ann.get(ops.GetGrant(grant=grant))).grant
    record = change_rights(ann.identity, decode_record(row.record), revoked=True)
    met: list[int] = []
    codes: set[str] = set()

    async def look():
        try:
            await bob.spend(bob.look(grant))
        except ViewRefused as refusal:
            codes.add(str(refusal.code))

    async def revoke():
        for count in range(5):
            operation = ops.ChangeRights(grant=grant, record=encode_record(record), met_version=1, met_consumed=count)
            try:
                met.append((await ann.get(operation)).grant.consumed)
            except Refused as refusal:
                codes.add(str(refusal.code))
            else:
                return

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(look)
        tasks.start_soon(revoke)
    if not met:
        await revoke()
    assert met == [await consumed(ann, grant)]
    assert codes <= {"revoked", "conflict"}
    assert await refused(bob.spend(bob.look(grant)), ViewRefused) == "revoked"


async def test_a_full_mailbox_costs_the_notice_and_never_the_view(ann, bob, monkeypatch):
    monkeypatch.setattr(mail, "MAILBOX_PER_SENDER", 2)
    image = await ann.image()
    grant = (await ann.give(bob, image, 5)).operation.grant
    for _ in range(4):
        await bob.spend(bob.look(grant))
    assert len(await ann.mail()) == 2
    assert (await ann.get(ops.ViewsLog(image=image))).total == 4
