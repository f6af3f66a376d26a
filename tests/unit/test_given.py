"""What an owner's peer keeps of the grants it gave: it only grows, and only on the owner's own word."""

import os
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from shared.errors import RemoteError, Unavailable
from shared.records import RightsRecord
from shared.rights import change_rights
from shared.wire import operations as ops
from tests.unit.rights_samples import GRANT, IMAGE, OWNER, STRANGER, grant_row, new_grant, new_record
from tui.peer.given import GivenGrants
from tui.peer.store import Store

pytestmark = pytest.mark.anyio


@pytest.fixture
def given(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    context = SimpleNamespace(store=store, identity=OWNER, entropy=os.urandom)
    yield GivenGrants(cast("Any", context))
    store.close()


def told(record: RightsRecord, consumed: int = 0, *, frozen: bool = False, image: str = IMAGE) -> ops.GrantRow:
    return grant_row(record, consumed, frozen=frozen, image=image)


async def test_nothing_that_is_known_goes_down(given):
    first = new_record()
    second = change_rights(OWNER, first, granted=9)
    await given.remember(told(second, 4))
    await given.remember(told(first, 2))
    [side] = await given.known()
    assert (side.version, side.consumed, side.revoked) == (2, 4, False)


async def test_wishes_are_kept_with_the_record_that_contains_them(given):
    """A device that confirms a record after a restore says which wishes of other devices are in it."""
    first = new_record()
    second, third = change_rights(OWNER, first, granted=9), change_rights(OWNER, first, granted=8, beyond=2)
    wishes = (ops.WishDone("a" * 32, 2), ops.WishDone("b" * 32, 1))
    await given.remember(msgspec.structs.replace(told(second), wishes=wishes))
    await given.remember(told(second, 3))
    await given.remember(msgspec.structs.replace(told(first), wishes=(ops.WishDone("c" * 32, 1),)))
    [side] = await given.known()
    assert side.wishes == wishes
    await given.remember(told(third))
    [side] = await given.known()
    assert (side.version, side.wishes) == (3, ()), "another record may contain others"


async def test_wishes_that_cannot_be_read_are_none(given):
    await given.remember(msgspec.structs.replace(told(new_record()), wishes=(ops.WishDone("a" * 32, 1),)))
    await given._context.store.run(lambda store: store.do("UPDATE given SET wishes = x'00ff'"))
    [side] = await given.known()
    assert side.wishes == ()


async def test_a_revocation_stays_whatever_comes_after(given):
    first = new_record()
    await given.remember(told(change_rights(OWNER, first, revoked=True)))
    later = change_rights(OWNER, change_rights(OWNER, first, granted=7), granted=8)
    await given.remember(told(later, 3))
    [side] = await given.known()
    assert (side.version, side.revoked, side.consumed) == (2, True, 3)


async def test_what_a_grant_was_made_from_is_kept_through_its_changes(given):
    made = new_grant()
    await given.remember(told(made.record), share=made.cloud_share, signature=made.share_signature)
    await given.remember(told(change_rights(OWNER, made.record, granted=2)))
    assert await given.made_from(GRANT) == (made.cloud_share, made.share_signature)
    [side] = await given.known()
    assert side.remakeable


async def test_only_the_owners_own_word_counts(given):
    with pytest.raises(RemoteError):
        await given.remember(told(new_record(owner=STRANGER)))
    with pytest.raises(RemoteError):
        await given.remember(told(new_record(), image="b2" * 16))
    damaged = told(new_record())
    assert await given.checked([damaged, told(new_record(owner=STRANGER))]) == await given.checked([damaged])
    assert await given.known() == []


async def test_a_view_raises_the_count_and_the_log_keeps_it(given):
    await given.remember(told(new_record(), 1))
    view = ops.ViewRow(
        view="c" * 32, viewer=2, viewer_name="Bob\x1b[31m", at=50.0, left=2, taken=True, grant=GRANT, consumed=3
    )
    await given.saw_view(IMAGE, view)
    await given.saw_view(IMAGE, view)
    [side] = await given.known()
    assert side.consumed == 3
    other = ops.ViewRow(view="d" * 32, viewer=2, viewer_name="Bob", at=60.0, left=1, taken=True)
    log = await given.logged(IMAGE, [other])
    assert [(row.view, row.at) for row in log] == [("d" * 32, 60.0), ("c" * 32, 50.0)]
    assert "\x1b" not in log[1].viewer_name


async def test_sums_are_those_of_the_directory(given):
    await given.remember(told(change_rights(OWNER, new_record(), granted=9), 4))
    assert await given.sums() == ops.GivenSums(grants=1, versions=2, consumed=4, frozen=0)


@pytest.mark.parametrize(
    ("row", "ends", "trusted"),
    [
        (None, False, False),
        (None, True, False),
        ((1, 4, False), False, False),
        ((2, 3, False), False, False),
        ((2, 4, True), False, False),
        ((2, 4, False), False, True),
        ((3, 5, False), False, True),
        ((1, 0, True), True, True),
    ],
)
async def test_no_change_is_signed_on_top_of_what_the_directory_forgot(given, row, ends, trusted):
    """`5 left` signed against a restored count gave back what had been spent since the backup."""
    first = new_record()
    second = change_rights(OWNER, first, granted=9)
    third = change_rights(OWNER, second, granted=8)
    await given.remember(told(second, 4))
    doubts = []
    given.on_doubt = lambda: doubts.append(True)
    there = None
    if row is not None:
        version, consumed, frozen = row
        there = told([first, second, third][version - 1], consumed, frozen=frozen)
    if trusted:
        await given.trust(IMAGE, 2, there, ends=ends)
        assert not doubts
    else:
        with pytest.raises(Unavailable, match="goes on as soon as"):
            await given.trust(IMAGE, 2, there, ends=ends)
        assert doubts == [True]


async def test_what_this_device_never_saw_is_the_owners_to_decide(given):
    await given.trust(IMAGE, 2, told(new_record(), frozen=True))
    await given.trust(IMAGE, 2, None)


async def test_a_damaged_row_is_left_out_and_mended_by_the_next_word(given):
    await given.remember(told(new_record(), 2))
    await given._context.store.run(lambda s: s.do("UPDATE given SET record = x'00'"))
    assert await given.known() == []
    await given.remember(told(new_record(), 1))
    [side] = await given.known()
    assert (side.version, side.consumed) == (1, 2)


def test_an_answer_that_mail_has_overtaken_freezes_nothing():
    """A list asked for before the owner's word, and read after the mail with it, left a picture on hold for good."""
    from tui.peer.context import Context

    moment = 10.0
    parts = [cast("Any", None)] * 9
    context = Context(*parts, lambda: moment, lambda: 0.0)
    assert context.note_frozen(GRANT, frozen=True, asked=9.0)
    assert context.note_frozen(GRANT, frozen=False)
    assert not context.note_frozen(GRANT, frozen=True, asked=9.5)
    assert not context.frozen
    moment = 12.0
    assert context.note_frozen(GRANT, frozen=True, asked=11.0)
    assert context.frozen == {GRANT}
