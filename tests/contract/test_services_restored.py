"""What services do over a directory that was restored from a backup, on both engines.

The backup is played by taking rows back to what they were; `recover` is what the nodes then do.
"""

import hashlib
from dataclasses import replace

import msgspec
import pytest

from node.directory import Marks, recover
from node.services.receipts import Receipts
from shared.errors import Unavailable
from shared.records import encode_record
from shared.rights import change_rights, with_left
from shared.wire import operations as ops
from tests.contract.people import (
    CLUSTER,
    SHARE_KEY,
    Given,
    Person,
    Sending,
    Town,
    encrypt,
    new_id,
    refused,
    services_on,
)

pytestmark = pytest.mark.anyio


async def restored(place: Town, remembered: Marks | None = None) -> int:
    """Do as the nodes do when they find the directory behind; return the new epoch."""
    done = await place.directory.write(recover(remembered or Marks(0, 0, 0, 0), certain=True))
    assert done is not None
    place.services.forget_accounts()
    return done.epoch


def confirming(given: Given, record=None, *, consumed: int = 0, with_share: bool = True) -> ops.ConfirmGrant:
    operation = given.operation
    return ops.ConfirmGrant(
        grant=operation.grant,
        image=operation.image,
        viewer=operation.viewer,
        record=encode_record(record or given.record),
        consumed=consumed,
        cloud_share=operation.cloud_share if with_share else None,
        share_signature=operation.share_signature if with_share else None,
    )


async def standing(person: Person, grant: str) -> ops.GrantRow:
    return (await person.get(ops.GetGrant(grant=grant))).grant


async def forget_grant(place: Town, grant: str) -> None:
    await place.run("DELETE FROM views WHERE grant_id = :grant", grant=grant)
    await place.run("DELETE FROM grant_changes WHERE grant_id = :grant", grant=grant)
    await place.run("DELETE FROM grants WHERE id = :grant", grant=grant)
    await place.run("DELETE FROM mail")
    await place.forget_requests()


# --- Confirming ------------------------------------------------------------------------------------------------------
class TestConfirming:
    async def test_a_restore_gives_no_look_before_the_owner_has_compared(self, place, ann, bob):
        """Five looks were given back by a backup; the viewer's peer had them at once."""
        given = await ann.give(bob, await ann.image(), 5)
        grant = given.operation.grant
        for _ in range(5):
            await bob.spend(bob.look(grant))
        await place.run("UPDATE grants SET consumed = 0")
        await restored(place)
        assert await refused(bob.spend(bob.look(grant))) == "frozen"
        confirmed = (await ann.get(confirming(given, consumed=5))).grant
        assert (confirmed.frozen, confirmed.consumed) == (False, 5)
        assert await refused(bob.spend(bob.look(grant))) == "no_views"

    async def test_a_revocation_that_the_backup_forgot_holds_again(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        revoked = change_rights(ann.identity, given.record, revoked=True)
        await bob.empty_mailbox()
        await restored(place)
        served = await ann.ask(confirming(given, revoked))
        assert served.nudges == (bob.account,)
        assert served.outcome.grant.revoked
        assert await refused(bob.spend(bob.look(given.operation.grant))) == "revoked"
        [letter] = await bob.mail()
        assert isinstance(letter, ops.RightsChanged)
        assert (letter.grant.revoked, letter.grant.version) == (True, 2)

    async def test_the_higher_version_and_the_higher_count_hold(self, place, ann, bob):
        """Confirming from two devices, in any order and twice, comes to the same."""
        given = await ann.give(bob, await ann.image(), 5)
        second = change_rights(ann.identity, given.record, granted=7)
        third = change_rights(ann.identity, second, granted=6)
        await restored(place)
        for record, consumed in ((second, 3), (third, 1), (given.record, 2), (third, 0)):
            await ann.ask(confirming(given, record, consumed=consumed))
        row = await standing(ann, given.operation.grant)
        assert (row.version, row.granted, row.consumed, row.frozen) == (3, 6, 3, False)
        assert row.record == encode_record(third)
        repeated = new_id()
        once = await ann.ask(confirming(given, third, consumed=4), repeated)
        again = await ann.ask(confirming(given, third, consumed=4), repeated)
        assert once == again

    async def test_a_confirmed_grant_takes_the_next_change(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        second = change_rights(ann.identity, given.record, granted=7)
        await restored(place)
        await ann.ask(confirming(given, second, consumed=2))
        third = change_rights(ann.identity, second, granted=3)
        changed = await ann.get(
            ops.ChangeRights(grant=given.operation.grant, record=encode_record(third), met_version=2, met_consumed=2)
        )
        assert (changed.grant.version, changed.grant.granted) == (3, 3)
        assert (await bob.spend(bob.look(given.operation.grant))).left == 0

    async def test_a_revocation_in_the_directory_is_not_undone(self, place, ann, bob):
        """Another device of the owner revoked after the restore; this one only knows of two changes before it."""
        given = await ann.give(bob, await ann.image(), 5)
        revoked = change_rights(ann.identity, given.record, revoked=True)
        await ann.ask(confirming(given, revoked))
        later = change_rights(ann.identity, change_rights(ann.identity, given.record, granted=6), granted=7)
        row = (await ann.get(confirming(given, later))).grant
        assert (row.revoked, row.version) == (True, 2)

    async def test_wishes_of_a_record_are_noted_where_that_record_stands(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        second = change_rights(ann.identity, given.record, granted=7)
        third = change_rights(ann.identity, second, granted=9)
        await restored(place)
        contained, later, overtaken = (ops.WishDone(new_id(), version) for version in (2, 3, 2))
        claim = msgspec.structs.replace(confirming(given, second), wishes=(contained, later))
        assert (await ann.get(claim)).grant.wishes == (contained,), "no record contains what became of a later one"
        await ann.ask(confirming(given, third))
        stale = msgspec.structs.replace(confirming(given, second), wishes=(overtaken,))
        assert (await ann.get(stale)).grant.wishes == (contained,), "the record that it came with does not stand"
        assert (await standing(ann, given.operation.grant)).wishes == (contained,)
        assert (await standing(bob, given.operation.grant)).wishes == ()
        repeated = ops.ChangeRights(
            grant=given.operation.grant,
            record=encode_record(second),
            met_version=1,
            met_consumed=0,
            wish=contained.wish,
        )
        assert (await ann.get(repeated)).grant.granted == 9, "it is done, and done once"
        overtakes = msgspec.structs.replace(repeated, wish=overtaken.wish)
        assert await refused(ann.get(overtakes)) == "conflict"

    async def test_the_owner_is_told_the_newest_wishes(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        record, wishes = given.record, []
        for _ in range(ops.MAX_TOLD_WISHES + 2):
            met, record = record, change_rights(ann.identity, record, granted=record.granted + 1)
            wishes.append(ops.WishDone(new_id(), record.version))
            changed = await ann.get(
                ops.ChangeRights(
                    grant=record.grant_id,
                    record=encode_record(record),
                    met_version=met.version,
                    met_consumed=0,
                    wish=wishes[-1].wish,
                )
            )
        assert changed.grant.wishes == tuple(reversed(wishes[2:]))
        [listed] = (await ann.get(ops.ListGrants(given=True))).rows
        assert listed == changed.grant
        assert all(not letter.grant.wishes for letter in await bob.mail())

    async def test_only_the_owner_confirms(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        await restored(place)
        cem = await place.person("Cem")
        for person in (bob, cem):
            assert await refused(person.get(confirming(given))) == "invalid"
        assert (await standing(bob, given.operation.grant)).frozen
        foreign = await cem.give(bob, await cem.image(), 5)
        stolen = msgspec.structs.replace(confirming(foreign), grant=given.operation.grant)
        assert await refused(cem.get(stolen)) == "invalid"

    async def test_what_does_not_belong_together_is_refused(self, place, ann, bob):
        image = await ann.image()
        given, other = await ann.give(bob, image, 5), ann.grant_for(bob, await ann.image(), 1)
        good = confirming(given)
        for changes in (
            {"image": new_id()},
            {"record": b"{}"},
            {"record": encode_record(other.record)},
            {"cloud_share": bytes(32)},
            {"share_signature": bytes(64)},
            {"share_signature": None},
        ):
            assert await refused(ann.get(msgspec.structs.replace(good, **changes))) == "invalid"
        same_id = ann.grant_for(bob, image, 9, grant=given.operation.grant)
        assert await refused(ann.get(confirming(same_id))) == "invalid", "other shares under the same id"

    async def test_a_count_beyond_all_bounds_is_kept_within_them(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        assert (await ann.get(confirming(given, consumed=10**15))).grant.consumed == 9_999


class TestMakingAgain:
    async def test_a_grant_that_the_backup_lacks_is_made_from_what_its_owner_kept(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        grant = given.operation.grant
        for _ in range(2):
            await bob.spend(bob.look(grant))
        second = change_rights(ann.identity, given.record, granted=4)
        await forget_grant(place, grant)
        await restored(place)
        served = await ann.ask(confirming(given, second, consumed=2))
        assert served.nudges == (bob.account,)
        [letter] = await bob.mail()
        assert isinstance(letter, ops.GrantArrived)
        assert (letter.grant.version, letter.grant.consumed, letter.grant.frozen) == (2, 2, False)
        look = bob.look(grant)
        spent = await bob.spend(look)
        assert (spent.left, look.share(spent)) == (1, given.share)

    async def test_without_the_share_there_is_nothing_to_make_it_from(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        await forget_grant(place, given.operation.grant)
        assert await refused(ann.get(confirming(given, with_share=False))) == "not_found"

    async def test_the_image_comes_first(self, place, ann, bob):
        image = await ann.image()
        given = await ann.give(bob, image, 5)
        await forget_grant(place, given.operation.grant)
        await place.run("DELETE FROM images")
        assert await refused(ann.get(confirming(given))) == "not_found"
        await ann.ask(restoring(ann, image))
        assert not (await ann.get(confirming(given))).grant.frozen

    async def test_the_viewer_is_known_by_the_key_and_waited_for(self, place, ann, bob):
        """A viewer whom the backup lacks may come back under another number."""
        given = await ann.give(bob, await ann.image(), 5)
        await forget_grant(place, given.operation.grant)
        await place.run("DELETE FROM presence")
        await place.run("DELETE FROM accounts WHERE id = :bob", bob=bob.account)
        place.services.forget_accounts()
        assert await refused(ann.get(confirming(given))) == "not_ready"
        cem = await place.person("Cem")
        number = (await bob.get(bob.registration("Bob"))).account
        assert number not in (bob.account, cem.account)
        made = (await ann.get(confirming(given))).grant
        assert made.viewer == number
        assert (await bob.spend(bob.look(made.grant))).left == 4

    async def test_beside_a_frozen_grant_that_one_comes_first(self, place, ann, bob):
        """The first was revoked and a second given after the backup was taken: in the backup the first is live."""
        image = await ann.image()
        first = await ann.give(bob, image, 5)
        second = ann.grant_for(bob, image, 2)
        await restored(place)
        assert await refused(ann.get(confirming(second))) == "not_ready"
        await ann.ask(confirming(first, change_rights(ann.identity, first.record, revoked=True)))
        assert not (await ann.get(confirming(second))).grant.frozen
        assert (await bob.spend(bob.look(second.operation.grant))).left == 1

    async def test_what_was_given_since_the_restore_stands(self, place, ann, bob):
        image = await ann.image()
        old = ann.grant_for(bob, image, 5)
        await restored(place)
        await ann.give(bob, image, 1)
        assert await refused(ann.get(confirming(old))) == "conflict"

    async def test_a_revoked_grant_is_made_again_beside_a_live_one(self, place, ann, bob):
        image = await ann.image()
        old = ann.grant_for(bob, image, 5)
        await ann.give(bob, image, 1)
        revoked = change_rights(ann.identity, old.record, revoked=True)
        assert (await ann.get(confirming(old, revoked))).grant.revoked


# --- Images ----------------------------------------------------------------------------------------------------------
def receipt_of(person: Person, image: str) -> bytes:
    return Receipts(SHARE_KEY, CLUSTER).of_image(image, person.identity.public.signing_key)


def restoring(owner: Person, image: str, **changes) -> ops.RestoreImage:
    good = ops.RestoreImage(
        image=image,
        title="A\u202epicture",
        format="JPEG",
        width=640,
        height=480,
        original_size=10_000,
        created=1000.0,
        upload_size=11_000,
        upload_sha256=b"u" * 32,
        receipt=receipt_of(owner, image),
    )
    return msgspec.structs.replace(good, **changes)


class TestImages:
    async def test_an_image_that_the_backup_lacks_is_made_again(self, place, ann):
        image, withdrawn = new_id(), new_id()
        for _ in range(2):
            await ann.ask(restoring(ann, image))
            await ann.ask(restoring(ann, withdrawn, offered=False, created=2000.0))
        newest, oldest = (await ann.get(ops.MyImages())).rows
        assert (newest.image, newest.offered) == (withdrawn, False)
        assert (oldest.image, oldest.offered, oldest.created) == (image, True, 1000.0)
        assert "\u202e" not in oldest.title
        assert await ann.image(image) == image, "the same upload again finds it made"

    async def test_one_that_is_there_is_left_as_it_is(self, place, ann, bob):
        image = await ann.image(title="As it was")
        await ann.ask(restoring(ann, image, offered=False))
        [row] = (await ann.get(ops.MyImages())).rows
        assert (row.title, row.offered) == ("As it was", True)
        assert await refused(bob.get(restoring(bob, image))) == "conflict"

    async def test_who_only_knows_the_id_does_not_get_it(self, place, ann, bob):
        """The first to name the id of an image that a restored directory had forgotten owned it."""
        image = await ann.image()
        [row] = (await ann.get(ops.MyImages())).rows
        assert row.receipt == receipt_of(ann, image)
        [seen] = (await bob.get(ops.OfferedImages(owner=ann.account))).rows
        assert seen.receipt == b"", "nobody else is told"
        await place.run("DELETE FROM images")
        await place.forget_requests()
        for receipt in (b"", bytes(32), row.receipt, receipt_of(bob, new_id())):
            assert await refused(bob.get(restoring(bob, image, receipt=receipt))) == "not_allowed"
        await ann.ask(restoring(ann, image, receipt=row.receipt))
        assert (await ann.get(ops.MyImages())).total == 1

    async def test_an_image_comes_with_its_receipt(self, ann):
        image = new_id()
        made = await ann.ask(encrypt(image), exchange=Sending())
        assert made.outcome.receipt == receipt_of(ann, image)

    async def test_none_is_made_in_the_future(self, place, ann):
        await ann.ask(restoring(ann, new_id(), created=9e10))
        [row] = (await ann.get(ops.MyImages())).rows
        assert row.created < 9e10


# --- Accounts --------------------------------------------------------------------------------------------------------
class TestAccounts:
    async def forgotten(self, place: Town, person: Person) -> None:
        remembered = await place.directory.marks()
        await place.run("DELETE FROM presence WHERE account_id = :account", account=person.account)
        await place.run("DELETE FROM accounts WHERE id = :account", account=person.account)
        await place.forget_requests()
        await restored(place, remembered)

    async def test_a_number_comes_back_with_its_receipt(self, place, ann):
        registered = await ann.get(ann.registration("Ann"))
        assert len(registered.receipt) == 32
        assert (await ann.sign_in()).receipt == registered.receipt
        await self.forgotten(place, ann)
        assert await refused(ann.sign_in()) == "unknown_account"
        stranger = await place.person("Stranger")
        assert stranger.account > registered.account + 1_000, "numbers of the forgotten are not handed out"
        again = msgspec.structs.replace(ann.registration("Ann"), account=registered.account, receipt=registered.receipt)
        back = await ann.get(again)
        assert (back.account, back.receipt) == (registered.account, registered.receipt)
        assert back.epoch == 2
        assert (await ann.sign_in()).account == registered.account
        assert (await place.person("Later")).account > stranger.account

    @pytest.mark.parametrize("forged", [b"", bytes(32), b"x" * 31])
    async def test_a_forged_receipt_is_worth_nothing(self, place, ann, forged):
        cem = place.stranger()
        number = ann.account + 7
        wanted = msgspec.structs.replace(cem.registration("Cem"), account=number, receipt=forged)
        assert (await cem.get(wanted)).account != number

    async def test_a_receipt_is_for_one_key_and_one_number(self, place, ann):
        cem = place.stranger()
        receipt = (await ann.sign_in()).receipt
        await self.forgotten(place, ann)
        for number in (ann.account, ann.account + 1):
            wanted = msgspec.structs.replace(cem.registration("Cem"), account=number, receipt=receipt)
            assert (await cem.get(wanted)).account not in (ann.account, ann.account + 1)

    async def test_a_number_that_is_taken_is_not_given_again(self, place, ann, bob):
        receipt = Receipts(SHARE_KEY, CLUSTER).of(bob.account, ann.identity.public.signing_key)
        await self.forgotten(place, ann)
        wanted = msgspec.structs.replace(ann.registration("Ann"), account=bob.account, receipt=receipt)
        assert (await ann.get(wanted)).account not in (ann.account, bob.account)

    async def test_who_is_registered_stays_who_he_is(self, place, ann):
        receipt = Receipts(SHARE_KEY, CLUSTER).of(77, ann.identity.public.signing_key)
        wanted = msgspec.structs.replace(ann.registration("Ann"), account=77, receipt=receipt)
        assert (await ann.get(wanted)).account == ann.account

    async def test_receipts_of_other_clusters_are_others(self):
        mine, key = Receipts(SHARE_KEY, CLUSTER), b"k" * 32
        assert mine.holds(5, key, mine.of(5, key))
        for other in (Receipts(SHARE_KEY, "another"), Receipts(hashlib.sha256(SHARE_KEY).digest(), CLUSTER)):
            assert not mine.holds(5, key, other.of(5, key))


# --- Signing in ------------------------------------------------------------------------------------------------------
class TestSigningIn:
    async def test_sums_of_what_was_given_tell_whether_to_compare(self, place, ann, bob):
        cem = await place.person("Cem")
        assert (await ann.sign_in()).given == ops.GivenSums(0, 0, 0, 0)
        first = await ann.give(bob, await ann.image(), 5)
        await ann.give(cem, await ann.image(), 5)
        await bob.give(ann, await bob.image(), 5)
        await bob.spend(bob.look(first.operation.grant))
        signed_in = await ann.sign_in()
        assert (signed_in.epoch, signed_in.given) == (1, ops.GivenSums(2, 2, 1, 0))
        await restored(place)
        signed_in = await ann.sign_in()
        assert (signed_in.epoch, signed_in.given) == (2, ops.GivenSums(2, 2, 1, 2))
        await ann.ask(confirming(first, change_rights(ann.identity, first.record, revoked=True), consumed=4))
        assert (await ann.sign_in()).given == ops.GivenSums(2, 3, 4, 1)

    async def test_another_device_is_told_of(self, place, ann):
        other = new_id()
        assert not (await ann.sign_in()).other_device
        assert not (await ann.sign_in()).other_device
        assert (await ann.sign_in(device=other)).other_device
        assert (await ann.sign_in()).other_device
        await ann.ask(ops.SignOut(device=ann.device))
        assert not (await ann.sign_in(device=other)).other_device

    async def test_a_device_that_went_without_a_word_is_not(self, place, ann):
        await ann.sign_in(device=new_id())
        await place.run("UPDATE presence SET expires = 1")
        assert not (await ann.sign_in()).other_device

    async def test_all_that_an_account_gave_is_listed(self, place, ann, bob):
        cem = await place.person("Cem")
        image = await ann.image()
        mine = {(await ann.give(viewer, image, 1)).operation.grant for viewer in (bob, cem)}
        mine.add((await ann.give(bob, await ann.image(), 1)).operation.grant)
        await bob.give(ann, await bob.image(), 1)
        listed = await ann.get(ops.ListGrants(given=True))
        assert ({row.grant for row in listed.rows}, listed.total) == (mine, 3)
        assert (await ann.get(ops.ListGrants(given=True, image=image))).total == 2
        assert (await cem.get(ops.ListGrants(given=True))).total == 0


# --- What viewers know -----------------------------------------------------------------------------------------------
class TestWhatViewersKnow:
    """A snapshot of the whole machine takes the nodes' memories back with the directory: only people know more."""

    async def looking(self, person: Person, grant: str, *, version: int = 0, consumed: int = 0):
        look = person.look(grant)
        look.operation = msgspec.structs.replace(look.operation, known_version=version, known_consumed=consumed)
        return await person.spend(look)

    async def test_a_count_behind_the_viewers_freezes_that_grant_alone(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        other = await ann.give(bob, await ann.image(), 5)
        grant = given.operation.grant
        await ann.empty_mailbox()
        assert await refused(self.looking(bob, grant, version=1, consumed=4)) == "frozen"
        row = await standing(ann, grant)
        assert (row.frozen, row.consumed) == (True, 4)
        assert await ann.mail() == [ops.GrantFrozen(grant=grant)]
        assert (await self.looking(bob, other.operation.grant, version=1)).left == 4
        assert await refused(bob.spend(bob.look(grant))) == "frozen", "and stays so, whatever is said next"
        await ann.ask(confirming(given, consumed=3))
        assert (await self.looking(bob, grant, version=1, consumed=4)).left == 0

    async def test_a_version_behind_the_viewers_does_too(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        grant = given.operation.grant
        assert await refused(self.looking(bob, grant, version=2)) == "frozen"
        lowered = change_rights(ann.identity, given.record, granted=1)
        await ann.ask(confirming(given, lowered))
        assert (await self.looking(bob, grant, version=2)).left == 0

    async def test_the_owner_is_nudged_once(self, place, ann, bob):
        from node.services.freezing import GrantIsFrozen

        grant = (await ann.give(bob, await ann.image(), 5)).operation.grant
        nudges = []
        for _ in range(3):
            with pytest.raises(GrantIsFrozen) as caught:
                await self.looking(bob, grant, version=2, consumed=1)
            nudges += caught.value.nudges
        assert nudges == [ann.account]
        assert len([letter for letter in await ann.mail() if isinstance(letter, ops.GrantFrozen)]) == 1

    async def test_a_grant_that_is_frozen_again_is_told_again(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        for count in (1, 2):
            assert await refused(self.looking(bob, given.operation.grant, version=2)) == "frozen"
            assert len(await ann.mail()) == count
            await ann.ask(confirming(given))

    async def test_who_knows_as_much_as_the_directory_looks(self, place, ann, bob):
        grant = (await ann.give(bob, await ann.image(), 5)).operation.grant
        for consumed in range(5):
            assert (await self.looking(bob, grant, version=1, consumed=consumed)).left == 4 - consumed

    async def proving(self, person: Person, record, *, version: int | None = None, consumed: int = 0):
        known = ops.KnownCount(
            grant=record.grant_id,
            version=record.version if version is None else version,
            consumed=consumed,
            record=encode_record(record),
        )
        await person.ask(known)

    async def test_a_version_that_its_viewer_proves_is_taken_over_and_freezes_once(self, place, ann, bob):
        """Nobody but the viewer still had it: each look froze the grant again, whatever the owner confirmed."""
        given = await ann.give(bob, await ann.image(), 5)
        grant = given.operation.grant
        lowered = change_rights(ann.identity, given.record, granted=2)
        assert await refused(self.looking(bob, grant, version=2, consumed=1)) == "frozen"
        await ann.ask(confirming(given))
        await ann.empty_mailbox()
        await self.proving(bob, lowered, version=0)
        row = await standing(ann, grant)
        assert (row.version, row.granted, row.consumed, row.frozen) == (2, 2, 1, True)
        assert await ann.mail() == [ops.GrantFrozen(grant=grant)]
        confirmed = (await ann.get(confirming(given))).grant
        assert (confirmed.version, confirmed.granted, confirmed.consumed, confirmed.frozen) == (2, 2, 1, False)
        await self.proving(bob, lowered)
        assert (await self.looking(bob, grant, version=2, consumed=1)).left == 0

    async def test_a_revocation_that_its_viewer_proves_stands(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        await self.proving(bob, change_rights(ann.identity, given.record, revoked=True))
        assert (await standing(ann, given.operation.grant)).revoked
        later = change_rights(ann.identity, change_rights(ann.identity, given.record, granted=9), granted=9)
        await self.proving(bob, later)
        row = await standing(ann, given.operation.grant)
        assert (row.revoked, row.version) == (True, 2)
        assert await refused(self.looking(bob, given.operation.grant)) == "revoked"

    async def test_what_is_no_proof_changes_nothing(self, place, ann, bob):
        given = await ann.give(bob, await ann.image(), 5)
        other = await ann.give(bob, await ann.image(), 5)
        forged = msgspec.structs.replace(given.record, version=2, granted=99)
        elsewhere = change_rights(ann.identity, other.record, granted=9)
        moved = msgspec.structs.replace(elsewhere, grant_id=given.record.grant_id)
        for record in (forged, moved):
            assert await refused(self.proving(bob, record)) == "invalid"
        swapped = ops.KnownCount(grant=given.operation.grant, version=2, consumed=0, record=encode_record(elsewhere))
        assert await refused(bob.ask(swapped)) == "invalid"
        row = await standing(ann, given.operation.grant)
        assert (row.version, row.frozen) == (1, False)

    async def test_a_proof_never_gives_the_views_of_a_change_twice(self, place, ann, bob):
        """The owner still waits for the answer to that change, and the viewer has altered what no signature covers."""
        given = await ann.give(bob, await ann.image(), 5)
        raised = change_rights(ann.identity, given.record, granted=7)
        await self.proving(bob, with_left(raised, 3))
        operation = ops.ChangeRights(
            grant=given.operation.grant, record=encode_record(raised), met_version=1, met_consumed=0, wish=new_id()
        )
        assert (await ann.get(operation)).grant.granted == 7
        lowered = change_rights(ann.identity, raised, granted=1)
        await ann.ask(confirming(given, lowered))
        assert (await ann.get(operation)).grant.granted == 1

    async def test_a_lie_is_bounded_and_hurts_only_the_liar(self, place, ann, bob):
        grant = (await ann.give(bob, await ann.image(), 5)).operation.grant
        assert await refused(self.looking(bob, grant, version=2**53, consumed=2**53)) == "frozen"
        assert (await standing(ann, grant)).consumed == 9_999
        cem = await place.person("Cem")
        assert await refused(self.looking(cem, grant, version=9, consumed=9)) == "not_found"


# --- While it is not recovered ---------------------------------------------------------------------------------------
async def test_nothing_takes_effect_while_a_restored_directory_is_not_recovered(place, ann, bob):
    given = await ann.give(bob, await ann.image(), 5)
    waiting = True
    services = services_on(place.directory)
    services._must_wait = lambda: waiting
    ann, bob = replace(ann, services=services), replace(bob, services=services)
    with pytest.raises(Unavailable, match="restored from a backup"):
        await bob.spend(bob.look(given.operation.grant))
    sending = Sending()
    with pytest.raises(Unavailable):
        await ann.ask(encrypt(new_id()), exchange=sending)
    assert sending.pulls == 0, "a picture that would have to wait is not sent"
    assert (await ann.get(ops.MyImages())).total == 1
    waiting = False
    assert (await bob.spend(bob.look(given.operation.grant))).left == 4


async def test_nothing_takes_effect_in_a_directory_that_was_put_back_under_a_living_node(place, ann, bob):
    """Between two readings a dump may be loaded, and enough be written for the counter to pass what is remembered: each
    transaction looks for itself."""
    given = await ann.give(bob, await ann.image(), 5)
    remembered = (await place.directory.marks()).commits
    services = services_on(place.directory)
    services._remembered_commits = lambda: remembered
    ann, bob = replace(ann, services=services), replace(bob, services=services)
    assert (await bob.spend(bob.look(given.operation.grant))).left == 4
    await place.run("UPDATE writers SET commits = 1")
    look = bob.look(given.operation.grant)
    with pytest.raises(Unavailable, match="restored from a backup"):
        await bob.spend(look)
    with pytest.raises(Unavailable):
        await ann.give(bob, await ann.image(), 1)
    assert await place.number("SELECT SUM(consumed) AS n FROM grants") == 1
    await place.run("UPDATE writers SET commits = :commits", commits=remembered + 10)
    with pytest.raises(Unavailable):
        await bob.spend(look)
    assert await place.directory.write(recover(await place.directory.marks())) is not None
    assert await place.number("SELECT COUNT(*) AS n FROM views") == 1
    assert await refused(bob.spend(look)) == "frozen", "served again, and each grant waits for its owner's word"
