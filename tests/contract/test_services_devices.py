"""What the cloud does for accounts with several devices, and what it closes when an image is withdrawn, on both
directories."""

import pytest

from node.services import copies, view_requests
from node.services.mail import MailKind
from shared.config import MAILBOX_PER_SENDER
from shared.records import encode_record
from shared.rights import change_rights
from shared.wire import operations as ops
from tests.contract.people import new_id, refused

pytestmark = pytest.mark.anyio


@pytest.fixture
async def cid(place):
    return await place.person("Cid")


async def states(owner) -> dict[str, str]:
    return {row.ask: row.state for row in (await owner.get(ops.ListAsks(incoming=True))).rows}


# --- Withdrawn images ------------------------------------------------------------------------------------------------


async def test_a_withdrawn_image_leaves_no_request_pending(place, ann, bob, cid):
    """Requests for an image that was withdrawn stayed pending for ever: nobody answered them, and those who had asked
    were told nothing."""
    image, other = await ann.image(), await ann.image()
    of_bob, of_cid, elsewhere = new_id(), new_id(), new_id()
    await bob.ask(ops.AskViews(image=image, views=2), of_bob)
    await cid.ask(ops.AskViews(image=image, views=3), of_cid)
    await bob.ask(ops.AskViews(image=other, views=1), elsewhere)
    served = await ann.ask(ops.WithdrawImage(image=image))
    assert set(served.nudges) == {bob.account, cid.account}
    assert await states(ann) == {of_bob: "rejected", of_cid: "rejected", elsewhere: "pending"}
    [told] = await bob.mail()
    assert isinstance(told, ops.AskAnswered)
    assert (told.ask.ask, told.ask.state, told.ask.reason) == (of_bob, "rejected", view_requests.WITHDRAWN_REASON)
    again = await ann.ask(ops.WithdrawImage(image=image))
    assert again.nudges == ()
    assert len(await bob.mail()) == 1


async def test_an_answered_request_stays_as_it_was_answered(place, ann, bob):
    image, ask = await ann.image(), new_id()
    await bob.ask(ops.AskViews(image=image, views=2), ask)
    await ann.give(bob, image, 2, ask=ask)
    await ann.ask(ops.WithdrawImage(image=image))
    assert await states(ann) == {ask: "accepted"}


async def test_what_a_withdrawal_left_over_is_closed_by_the_sweep(place, ann, bob, cid, monkeypatch):
    """An image that very many ask for is withdrawn in a moment; the rest of its requests are closed afterwards, as are
    those that an older version left pending."""
    monkeypatch.setattr(view_requests, "CLOSED_AT_ONCE", 1)
    image = await ann.image()
    first, second, third = new_id(), new_id(), new_id()
    for person, ask in ((bob, first), (cid, second), (bob, third)):
        await person.ask(ops.AskViews(image=image, views=1), ask)
    await ann.ask(ops.WithdrawImage(image=image))
    assert sorted((await states(ann)).values()) == ["pending", "pending", "rejected"]
    await place.services.sweep()
    assert set((await states(ann)).values()) == {"rejected"}
    assert len(await bob.mail()) + len(await cid.mail()) == 3


async def test_a_closed_request_cannot_be_accepted_and_nothing_is_given_by_the_attempt(place, ann, bob):
    """An answer from a list that was old: the request had been rejected meanwhile."""
    image, ask = await ann.image(), new_id()
    await bob.ask(ops.AskViews(image=image, views=2), ask)
    await ann.ask(ops.RejectAsk(ask=ask))
    given = ann.grant_for(bob, image, 2, ask=ask)
    assert await refused(ann.ask(given.operation)) == "not_allowed"
    assert (await ann.get(ops.ListGrants(image=image))).total == 0
    assert [type(letter) for letter in await bob.mail()] == [ops.AskAnswered]
    assert await refused(ann.ask(ops.RejectAsk(ask=new_id()))) == "not_found"


async def test_what_was_accepted_before_its_image_was_withdrawn_is_given_once(place, ann, bob):
    """An owner accepted a request while the cloud was away, and then withdrew the image. The withdrawal arrived first
    and closed the request; the acceptance was refused as late, and what the owner had given was lost."""
    image, ask = await ann.image(), new_id()
    await bob.ask(ops.AskViews(image=image, views=2), ask)
    await ann.ask(ops.WithdrawImage(image=image))
    assert await states(ann) == {ask: "rejected"}
    given = ann.grant_for(bob, image, 2, ask=ask)
    await ann.ask(given.operation)
    assert await states(ann) == {ask: "accepted"}
    [grant] = (await bob.get(ops.ListGrants())).rows
    assert (grant.granted, grant.consumed) == (2, 0)
    [told] = [letter for letter in await bob.mail() if isinstance(letter, ops.GrantArrived)]
    assert told.ask == ask
    record = encode_record(change_rights(ann.identity, given.record, granted=4))
    again = ops.ChangeRights(grant=grant.grant, record=record, met_version=1, met_consumed=0, ask=ask)
    assert await refused(ann.ask(again)) == "not_allowed", "what was asked for is given once"


async def test_one_request_is_listed_alone_for_its_parties_only(ann, bob, cid):
    image, ask = await ann.image(), new_id()
    await bob.ask(ops.AskViews(image=image, views=2), new_id())
    await bob.ask(ops.AskViews(image=image, views=3), ask)
    for person, incoming in ((ann, True), (bob, False)):
        found = await person.get(ops.ListAsks(incoming=incoming, ask=ask))
        assert ([row.ask for row in found.rows], found.total) == ([ask], 1)
    for person, incoming in ((ann, False), (bob, True), (cid, True), (cid, False)):
        assert (await person.get(ops.ListAsks(incoming=incoming, ask=ask))).total == 0


# --- Copies that a device lacks --------------------------------------------------------------------------------------


async def test_a_device_without_a_copy_has_its_owner_told(place, ann, bob):
    """The stego image of a grant came once, to the device that was there; any other waited for it for ever."""
    image = await ann.image()
    grant = (await ann.give(bob, image, 2)).operation.grant
    request = new_id()
    served = await bob.ask(ops.WantCopy(grant=grant), request)
    assert served.nudges == (ann.account,)
    await place.forget_requests()
    await bob.ask(ops.WantCopy(grant=grant), request)
    assert await ann.mail() == [ops.CopyWanted(grant=grant, image=image, viewer=bob.account)]


async def test_wishes_for_copies_do_not_pile_up(place, ann, bob, monkeypatch):
    """A viewer's peer that starts again and again must not fill its owner's mailbox."""
    image = await ann.image()
    grant = (await ann.give(bob, image, 2)).operation.grant
    for _ in range(copies.WANTED_PER_GRANT + 4):
        await bob.ask(ops.WantCopy(grant=grant))
    assert len(await ann.mail()) == copies.WANTED_PER_GRANT
    await ann.empty_mailbox()
    await bob.ask(ops.WantCopy(grant=grant))
    assert len(await ann.mail()) == 1


async def test_wishes_for_copies_are_capped_per_sender(place, ann, bob):
    image = await ann.image()
    grant = (await ann.give(bob, image, 2)).operation.grant
    for _ in range(MAILBOX_PER_SENDER):
        await place.run(
            "INSERT INTO mail (id, account_id, sender_id, kind, body, created) VALUES (:id, :to, :by, :kind, :body, 1)",
            id=new_id(),
            to=ann.account,
            by=bob.account,
            kind=str(MailKind.COPY_WANTED),
            body=b"x",
        )
    assert await refused(bob.ask(ops.WantCopy(grant=grant))) == "mailbox_full"


async def test_copies_are_wanted_only_by_who_may_still_look(place, ann, bob, cid):
    image = await ann.image()
    given = await ann.give(bob, image, 2)
    grant = given.operation.grant
    assert await refused(cid.ask(ops.WantCopy(grant=grant))) == "not_found"
    assert await refused(ann.ask(ops.WantCopy(grant=grant))) == "not_found"
    await place.run("UPDATE grants SET expires = 1.0 WHERE id = :grant", grant=grant)
    assert await refused(bob.ask(ops.WantCopy(grant=grant))) == "expired"
    await place.run("UPDATE grants SET expires = NULL, revoked = 1 WHERE id = :grant", grant=grant)
    assert await refused(bob.ask(ops.WantCopy(grant=grant))) == "revoked"
    assert await ann.mail() == []


# --- Two devices of one account --------------------------------------------------------------------------------------


async def test_both_devices_are_told_of_each_other(place, ann):
    """Whoever signed in with a copied identity was seen by nobody."""
    caller = await place.services.caller(ann.key, "192.0.2.7")
    other = "e" * 32
    assert not (await ann.sign_in()).other_device
    assert not (await ann.sign_in()).other_device, "signing in again is no other device"
    assert not (await place.services.keep_alive(caller, ann.device)).other_device
    assert (await ann.sign_in(device=other)).other_device
    older = await place.services.keep_alive(caller, ann.device)
    assert (older.signed_in, older.other_device) == (True, True)
    assert not (await place.services.keep_alive(caller, other)).other_device
    await ann.ask(ops.SignOut(device=other))
    left = await place.services.keep_alive(caller, ann.device)
    assert (left.signed_in, left.other_device) == (False, False), "the older one may take its place again"


async def test_a_device_whose_presence_lapsed_is_no_other_device(place, ann):
    await ann.sign_in(device="e" * 32)
    await place.run("UPDATE presence SET expires = 1.0")
    assert not (await ann.sign_in()).other_device
