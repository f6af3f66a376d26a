"""An owner's wishes about rights are done once each, whatever answers are lost, on real directories."""

import shutil

import msgspec
import pytest

from shared.errors import Refused, ViewRefused
from shared.records import decode_record
from shared.wire import operations as ops
from tests.chaos import without_more
from tests.contract.devices import Device, do_not_wait
from tests.contract.people import Person, new_id, refused
from tui.peer.copies import CopyTask
from tui.peer.events import Delivered, Undeliverable
from tui.peer.granting import Granting, RightsIntent
from tui.peer.outbox import Taken

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    do_not_wait(monkeypatch)


@pytest.fixture
async def image(ann):
    return await ann.image()


@pytest.fixture
def device(ann, image, tmp_path):
    return _Device(ann, image, tmp_path / "one")


@pytest.fixture
def second(ann, image, tmp_path):
    return _Device(ann, image, tmp_path / "two")


class _Device(Device):
    """Open for the length of a `with` block, with an image of its owner's in it."""

    def __init__(self, person, image, folder):
        super().__init__(person, folder)
        self.image = image

    async def __aenter__(self):
        self.start()
        await self.own(self.image)
        return self

    async def __aexit__(self, *_):
        self.stop()


async def standing(ann: Person, image: str) -> ops.GrantRow | None:
    rows = (await ann.get(ops.ListGrants(image=image))).rows
    return next((row for row in rows if not row.revoked), None)


async def test_three_more_whose_answer_was_lost_are_three_more(ann, bob, image, device):
    """The change was made and its answer lost; then another change was queued. The client looked at the grant's record,
    found the other change there instead of its own, and signed three more a second time."""
    async with device:
        await ann.give(bob, image, 2)
        device.link.fates = ["lost answer"]
        await device.granting.give(image, bob.account, 3, None, None)
        await device.turn()
        device.stop()
        device.start()
        other = RightsIntent(image, bob.account, expires=4e9, set_expires=True)
        await device.granting.change(other)
        await device.deliver_all()
        row = await standing(ann, image)
        assert (row.granted, row.expires, row.version) == (5, 4e9, 3)
        assert len(device.ended(Delivered)) == 2


async def test_a_change_whose_answer_was_lost_is_made_twice_by_the_control_of_the_chaos_runs(
    ann, bob, image, device, monkeypatch
):
    """A control that another defence had made harmless would prove nothing."""
    for name in ("_give", "_change"):
        monkeypatch.setattr(Granting, name, getattr(Granting, name))  # put back at the end
    without_more.more()
    async with device:
        await ann.give(bob, image, 2)
        device.link.fates = ["lost answer"]
        await device.granting.change(RightsIntent(image, bob.account, more=3))
        await _turns(device, 3)
        assert (await standing(ann, image)).granted == 2 + 3 + 3


async def test_what_was_signed_is_sent_again_byte_for_byte(ann, bob, image, device):
    async with device:
        await ann.give(bob, image, 2)
        device.link.fates = ["lost request", "lost answer", "crash after", "crash before"]
        await device.granting.change(RightsIntent(image, bob.account, more=3))
        await _turns(device, 6)
        assert len({operation.record for operation in device.link.sent}) == 1
        assert len({(o.met_version, o.met_consumed) for o in device.link.sent}) == 1
        assert (await standing(ann, image)).granted == 5


async def _turns(device, count):
    for _ in range(count):
        await device.turn()


async def test_an_attempt_goes_by_the_row_as_it_stands(ann, bob, image, device):
    """A look at the outbox may be older than the attempt that ended meanwhile: what that one signed must count."""
    async with device:
        await ann.give(bob, image, 2)
        await device.granting.change(RightsIntent(image, bob.account, more=3))
        (seen,) = await device.context.store.run(lambda s: s.outbox())
        device.link.fates = ["lost answer"]
        await device.turn()
        await device.outbox._try(seen)
        assert (await standing(ann, image)).granted == 5


async def test_a_new_grant_whose_answer_was_lost_is_made_once(ann, bob, image, device, second):
    """The other device changed the grant meanwhile; the first must find its own grant made, not give more."""
    async with device, second:
        device.link.fates = ["lost answer"]
        await device.granting.give(image, bob.account, 3, None, None)
        await device.turn()
        await second.granting.change(RightsIntent(image, bob.account, more=2))
        await second.deliver_all()
        await device.deliver_all()
        assert (await standing(ann, image)).granted == 5


async def test_two_devices_that_give_at_once_give_the_sum(ann, bob, image, device, second):
    async with device, second:
        device.link.fates = ["lost request"]
        await device.granting.give(image, bob.account, 3, None, None)
        await device.turn()
        await second.granting.give(image, bob.account, 2, None, None)
        await second.deliver_all()
        await device.deliver_all()
        assert (await standing(ann, image)).granted == 5
        assert len((await ann.get(ops.ListGrants(image=image))).rows) == 1


async def test_two_devices_that_want_the_same_both_get_it(ann, bob, image, device, second):
    """Both signed "1 more" against the same state: the same record, byte for byte. What the first had made was taken
    for what the second wanted, which was acknowledged and never done."""
    async with device, second:
        await ann.give(bob, image, 2)
        for one in (device, second):
            one.link.fates = ["lost request"]
            await one.granting.change(RightsIntent(image, bob.account, more=1))
            await one.turn()
        assert device.link.sent[0].record == second.link.sent[0].record
        await device.deliver_all()
        await second.deliver_all()
        row = await standing(ann, image)
        assert (row.granted, row.version) == (4, 3)


async def test_a_view_between_signing_and_sending_makes_it_signed_anew(ann, bob, image, device):
    async with device:
        given = await ann.give(bob, image, 4)
        device.link.fates = ["lost request"]
        await device.granting.change(RightsIntent(image, bob.account, left=2))
        await device.turn()
        await bob.spend(bob.look(given.operation.grant))
        await device.deliver_all()
        row = await standing(ann, image)
        assert (row.granted, row.consumed) == (3, 1)


async def test_a_record_signed_anew_has_a_version_of_its_own(ann, bob, image, device):
    """A restored directory may have forgotten a record that the viewer holds: another one with its number would be
    taken for it."""
    async with device:
        given = await ann.give(bob, image, 4)
        device.link.fates = ["lost request"]
        await device.granting.change(RightsIntent(image, bob.account, left=2))
        await device.turn()
        await bob.spend(bob.look(given.operation.grant))
        await device.deliver_all()
        versions = [decode_record(operation.record).version for operation in device.link.sent]
        assert versions == [2, 2, 3]


async def test_wishes_about_one_grant_keep_their_order(ann, bob, image, device):
    async with device:
        await ann.give(bob, image, 4)
        device.link.away = True
        for left in (9, 7, 3):
            await device.granting.change(RightsIntent(image, bob.account, left=left))
        await device.deliver_all()
        assert (await standing(ann, image)).granted == 3


async def test_a_revocation_goes_before_what_was_queued_before_it(ann, bob, image, device):
    """What waits for something else than the cloud must not hold up the end of the rights that stand."""
    async with device:
        await ann.give(bob, image, 4)
        device.link.fates = ["lost request"] * 3
        await device.granting.change(RightsIntent(image, bob.account, more=1))
        await device.turn()
        await device.granting.change(RightsIntent(image, bob.account, revoke=True))
        device.link.fates = []
        await device.turn()
        assert await standing(ann, image) is None
        assert await device.waiting() == []
        assert "revoked" in device.ended(Undeliverable)[0].reason


async def test_a_revocation_ends_a_grant_that_may_have_been_made(ann, bob, image, device):
    """The grant's answer is lost and so is its request: in both cases nothing stands afterwards, and nothing comes
    later. The revocation ends only when that is known."""
    async with device:
        for fate in ("lost answer", "lost request"):
            device.link.fates = [fate]
            await device.granting.give(image, bob.account, 3, None, None)
            await device.turn()
            await device.granting.change(RightsIntent(image, bob.account, revoke=True))
            await device.deliver_all()
            assert await standing(ann, image) is None


async def test_a_revocation_before_anything_was_sent_ends_the_grant_unsent(ann, bob, image, device):
    async with device:
        device.link.away = True
        await device.granting.give(image, bob.account, 3, None, None)
        await device.granting.change(RightsIntent(image, bob.account, revoke=True))
        await device.granting.give(image, bob.account, 2, None, None)
        await device.deliver_all()
        row = await standing(ann, image)
        assert row.granted == 2
        assert [event.reason for event in device.ended(Undeliverable)] == [
            "The rights were revoked afterwards, so this was not needed any more."
        ]


async def test_a_revocation_of_nothing_is_refused(bob, image, device):
    async with device:
        await device.granting.change(RightsIntent(image, bob.account, revoke=True))
        await device.deliver_all()
        assert "no rights" in device.ended(Undeliverable)[0].reason


async def test_more_of_a_grant_that_a_restore_froze_waits_and_its_end_does_not(place, ann, bob, image, device):
    """Signed against counts that the directory has forgotten, three more would give views back as well."""
    async with device:
        await ann.give(bob, image, 4)
        await place.run("UPDATE meta SET value = value + 1 WHERE name = 'epoch'")
        await device.granting.change(RightsIntent(image, bob.account, more=1))
        await device.turn()
        assert await device.waiting() == ["rights"]
        assert (await standing(ann, image)).granted == 4
        await device.granting.change(RightsIntent(image, bob.account, revoke=True))
        await device.deliver_all()
        assert await standing(ann, image) is None


async def test_what_was_tried_is_not_taken_back_half(ann, image, device):
    """Taken out of the outbox while it was under way, a request was gone here and lay with the owner all the same."""
    async with device:
        untried, tried = new_id(), new_id()
        for request in (untried, tried):
            ask = ops.RejectAsk(ask=request)
            await device.outbox.submit_operation("rejection", ask, request)
            if request is untried:
                assert await device.outbox.take_back(untried) is Taken.BACK
                assert await device.outbox.take_back(untried) is Taken.NOT_HERE
        device.link.away = True
        await device.turn()
        assert await device.outbox.take_back(tried) is Taken.UNDER_WAY
        assert await device.waiting() == ["operation"]


async def test_a_row_that_cannot_be_read_is_set_aside_and_the_others_go(ann, bob, image, device):
    """The decoding of one bad row ended the peer, and every later start of it."""
    async with device:
        bodies = {
            "rights": b'{"image": "%s", "viewer": "Ada"}' % image.encode(),
            "grant": b"\xff",
            "operation": b"{}",
            "copy": b"null",
            "something newer": b"{}",
        }
        for kind, body in bodies.items():
            await device.outbox.submit(kind, kind, body, new_id(), lane=f"lane {kind}")
        await device.granting.give(image, bob.account, 3, None, None)
        await device.deliver_all()
        assert (await standing(ann, image)).granted == 3
        assert sorted(event.what for event in device.ended(Undeliverable)) == sorted(bodies)
        asides = await device.context.store.run(lambda s: s.asides())
        assert [aside.table for aside in asides] == ["outbox"] * len(bodies)


async def test_a_fault_of_this_program_is_tried_some_times_and_then_set_aside(device):
    async with device:

        async def fails(_row, _wait_s):
            raise KeyError("nobody thought of this")

        device.outbox.handle("odd", fails)
        await device.outbox.submit("odd", "odd", b"", new_id())
        await _turns(device, 4)
        assert await device.waiting() == ["odd"]
        await device.turn()
        assert await device.waiting() == []
        assert "set aside" in device.ended(Undeliverable)[0].reason


@pytest.mark.parametrize("code", ["failed", "no_directory", "mailbox_full", "busy", "of a later version"])
async def test_a_passing_refusal_keeps_the_row(device, code):
    """A full disk of the cloud made the outbox let go of a revocation."""
    async with device:

        async def refuses(_row, _wait_s):
            raise Refused(code, "Not now.")

        device.outbox.handle("odd", refuses)
        await device.outbox.submit("odd", "odd", b"", new_id())
        await _turns(device, 10)
        assert await device.waiting() == ["odd"]


async def test_an_expiry_that_is_over_is_taken_by_the_directory(ann, bob, image, device):
    """It fails closed there: a lowering that waited in an outbox beyond its own expiry must not be dropped."""
    async with device:
        given = await ann.give(bob, image, 4)
        await device.granting.change(RightsIntent(image, bob.account, expires=5.0, set_expires=True))
        await device.deliver_all()
        assert (await standing(ann, image)).expires == 5.0
        with pytest.raises(ViewRefused, match="over"):
            await bob.spend(bob.look(given.operation.grant))


async def test_numbers_that_cannot_be_are_refused_by_who_delivers(ann, bob, image, device):
    async with device:
        await ann.give(bob, image, 9_000)
        await device.granting.change(RightsIntent(image, bob.account, more=9_999))
        await device.deliver_all()
        assert "number of views" in device.ended(Undeliverable)[0].reason


async def test_a_copy_whose_record_cannot_be_read_is_set_aside(ann, bob, image, device):
    """It can never be sent; waiting on it would be waiting for ever."""
    async with device:
        (device.folder / f"own-{image}.png").write_bytes(b"a picture")
        task = CopyTask(new_id(), image, bob.account, b"no record", 3)
        await device.copies.queue(task)
        await bob.sign_in()
        await device.turn()
        assert [event.what for event in device.ended(Undeliverable)] == ["stego image"]
        assert [aside.table for aside in await device.context.store.run(lambda s: s.asides())] == ["outbox"]


# --- A profile that was put back to an older copy ---------------------------------------------------------------------


def copy_of(device):
    """Stop a device, and return another one over a copy of its profile as it stands."""
    device.stop()
    folder = device.folder.with_name("copy")
    shutil.copytree(device.folder, folder)
    device.start()
    return _Device(device.person, device.image, folder)


async def test_an_older_copy_of_the_profile_gives_three_more_once(ann, bob, image, device):
    """The copy was made while "3 more" waited for the cloud. The profile delivered it, was put back to the copy, and
    the copy signed it once more against the grant as it stood by then: 8 views instead of 5."""
    async with device:
        await ann.give(bob, image, 2)
        await device.granting.change(RightsIntent(image, bob.account, more=3))
        older = copy_of(device)
        await device.deliver_all()
        async with older:
            await older.deliver_all()
            assert (await standing(ann, image)).granted == 5
            assert older.ended(Delivered)
            assert await older.given.sums() == await device.given.sums()


async def test_an_older_copy_of_the_profile_sets_the_views_left_once(ann, bob, image, device):
    async with device:
        given = await ann.give(bob, image, 5)
        await device.granting.change(RightsIntent(image, bob.account, left=2))
        older = copy_of(device)
        await device.deliver_all()
        await bob.spend(bob.look(given.operation.grant))
        async with older:
            await older.deliver_all()
        row = await standing(ann, image)
        assert (row.granted, row.consumed) == (2, 1)


async def test_an_older_copy_of_the_profile_makes_a_grant_once(ann, bob, image, device):
    """The copy met the grant that it was to make, and gave as many views once more."""
    async with device:
        await device.granting.give(image, bob.account, 3, None, None)
        older = copy_of(device)
        await device.deliver_all()
        async with older:
            await older.deliver_all()
            row = await standing(ann, image)
            assert row.granted == 3
            assert older.ended(Delivered)


@pytest.mark.parametrize("given_again", [False, True])
async def test_an_older_copy_of_the_profile_brings_no_revoked_grant_back(ann, bob, image, device, given_again):
    """The copy signed a grant under an id that was revoked meanwhile, was told of a conflict, and tried for ever."""
    async with device:
        await device.granting.give(image, bob.account, 3, None, None)
        older = copy_of(device)
        await device.deliver_all()
        await device.granting.change(RightsIntent(image, bob.account, revoke=True))
        await device.deliver_all()
        if given_again:
            await device.granting.give(image, bob.account, 1, None, None)
            await device.deliver_all()
        async with older:
            await older.deliver_all()
            row = await standing(ann, image)
            assert row.granted == 1 if given_again else row is None
            assert older.ended(Delivered)


async def test_what_a_copy_would_have_made_a_grant_from_is_not_kept(ann, bob, image, device):
    """The copy drew other shares for the same grant. Kept, they could never make the grant anew after a restore."""
    async with device:
        await device.granting.give(image, bob.account, 3, None, None)
        older = copy_of(device)
        await device.deliver_all()
        async with older:
            await older.deliver_all()
            grant = (await standing(ann, image)).grant
            assert await device.given.made_from(grant) is not None
            assert await older.given.made_from(grant) is None


async def test_a_wish_is_its_owners_alone(place, ann, bob, image):
    """Who names the wish of somebody else learns nothing of that person's grants."""
    carol = await place.person("Carol")
    wish = new_id()
    mine = ann.grant_for(bob, image, 2)
    await ann.get(msgspec.structs.replace(mine.operation, wish=wish))
    theirs = carol.grant_for(bob, await carol.image(), 2)
    assert await refused(carol.get(msgspec.structs.replace(theirs.operation, wish=wish))) == "id_reused"
