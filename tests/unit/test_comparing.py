"""Comparing what an owner's peer knows with what a restored directory has: what is sent, and what is told."""

from dataclasses import replace

import pytest

from shared.wire import operations as ops
from tui.peer.comparing import (
    GrantAction,
    GrantSide,
    Left,
    RequestAction,
    Tally,
    later_ask,
    request_action,
    sentence,
    step_for,
    steps_for,
)

MINE = GrantSide("a" * 32, "b" * 32, 7, b"record 3", 3, 5, revoked=False, remakeable=True)
SAME = replace(MINE, remakeable=False)


@pytest.mark.parametrize(
    ("known", "found", "action"),
    [
        (MINE, SAME, GrantAction.NOTHING),
        (MINE, replace(SAME, frozen=True), GrantAction.CONFIRM),
        (MINE, replace(SAME, version=2, record=b"record 2"), GrantAction.CONFIRM),
        (MINE, replace(SAME, consumed=4), GrantAction.CONFIRM),
        (MINE, replace(SAME, version=4, record=b"record 4"), GrantAction.LEARN),
        (MINE, replace(SAME, consumed=6), GrantAction.LEARN),
        (MINE, replace(SAME, version=4, record=b"record 4", consumed=4), GrantAction.CONFIRM),
        (MINE, replace(SAME, record=b"another record 3"), GrantAction.LEARN),
        (MINE, None, GrantAction.REMAKE),
        (replace(MINE, remakeable=False), None, GrantAction.LOST),
        (replace(MINE, revoked=True), None, GrantAction.REMAKE),
        (replace(MINE, revoked=True, remakeable=False), None, GrantAction.NOTHING),
        (replace(MINE, revoked=True), replace(SAME, version=2), GrantAction.CONFIRM),
        (replace(MINE, revoked=True), SAME, GrantAction.REVOKE),
        (replace(MINE, revoked=True), replace(SAME, version=9), GrantAction.REVOKE),
        (replace(MINE, revoked=True), replace(SAME, revoked=True), GrantAction.NOTHING),
        (replace(MINE, revoked=True), replace(SAME, revoked=True, frozen=True), GrantAction.NOTHING),
        (None, SAME, GrantAction.LEARN),
        (None, replace(SAME, frozen=True, revoked=True), GrantAction.LEARN),
        (None, replace(SAME, frozen=True), GrantAction.UNKNOWN),
    ],
)
def test_each_difference_has_its_action(known: GrantSide | None, found: GrantSide | None, action: GrantAction) -> None:
    assert step_for(known, found).action is action


def test_the_newer_record_is_sent_and_the_directorys_where_both_are_as_new() -> None:
    assert step_for(MINE, replace(SAME, version=2, record=b"record 2")).record() == b"record 3"
    assert step_for(MINE, replace(SAME, version=4, record=b"record 4", frozen=True)).record() == b"record 4"
    assert step_for(MINE, replace(SAME, record=b"another record 3", frozen=True)).record() == b"another record 3"


def test_the_end_of_a_grant_goes_before_its_successor() -> None:
    """The directory takes one live grant for an image and a viewer: the old one's end has to be told first."""
    old = replace(MINE, grant="c" * 32, revoked=True, version=2)
    steps = steps_for([MINE, old], [replace(old, revoked=False, version=1, frozen=True)])
    assert [(step.grant[0], step.action) for step in steps] == [("c", GrantAction.CONFIRM), ("a", GrantAction.REMAKE)]


def test_a_grant_that_was_given_again_meanwhile_is_not_made_a_second_time() -> None:
    later = replace(SAME, grant="d" * 32, version=1)
    actions = {step.grant[0]: step.action for step in steps_for([MINE], [later])}
    assert actions == {"a": GrantAction.NOTHING, "d": GrantAction.LEARN}


def test_a_restore_and_a_grant_frozen_by_a_viewers_word_alone_are_told_apart() -> None:
    assert not step_for(MINE, replace(SAME, frozen=True)).forgot
    assert not step_for(None, replace(SAME, frozen=True)).forgot
    for forgetful in (replace(SAME, version=2), replace(SAME, consumed=1), None):
        assert step_for(MINE, forgetful).forgot
    assert step_for(replace(MINE, revoked=True), SAME).forgot


def test_the_owner_is_told_in_one_sentence_what_came_back() -> None:
    tally = Tally()
    tally.count(step_for(MINE, replace(SAME, frozen=True)))
    tally.count(step_for(MINE, replace(SAME, frozen=True, consumed=0)))
    tally.count(step_for(MINE, None))
    tally.count(step_for(replace(MINE, revoked=True), replace(SAME, version=1)))
    assert sentence(tally, Left()) == (
        "The cloud was restored from a backup: 3 grants were confirmed, 1 revocation sent again, 10 views counted"
        " again."
    )


def test_what_waits_is_told_with_what_to_do() -> None:
    text = sentence(Tally(images=1, account=1012), Left(unknown=2, lost=1, absent=1, refused=1))
    assert text == (
        "The cloud was restored from a backup: 1 picture made known again. Your account has the number 1012 now."
        " 2 grants wait for you: this device did not know of them. Set the views again in My images, or sign in with"
        " the device that gave them. 1 grant is gone: sign in with the device that gave it, or give the views again in"
        " My images. 1 grant waits until the viewer has signed in again. 1 grant was refused; look at My images."
    )
    assert not Tally()
    assert not Left()


def ask(state: str, grant: str | None = None) -> ops.AskRow:
    return ops.AskRow(
        ask="e" * 32,
        image="b" * 32,
        title="t",
        owner=1,
        viewer=7,
        viewer_name="Ben",
        viewer_key=bytes(32),
        views=3,
        note="",
        state=state,
        reason="",
        created=1.0,
        grant=grant,
    )


@pytest.mark.parametrize(
    ("mine", "found", "incoming", "action"),
    [
        ("pending", None, False, RequestAction.ASK),
        ("accepted", None, False, None),
        ("pending", None, True, None),
        ("withdrawn", "pending", False, RequestAction.WITHDRAW),
        ("pending", "pending", False, None),
        ("accepted", "pending", False, None),
        ("rejected", "pending", True, RequestAction.REJECT),
        ("accepted", "pending", True, RequestAction.CLOSE),
        ("pending", "pending", True, None),
        ("rejected", "rejected", True, None),
        ("rejected", None, True, None),
    ],
)
def test_each_side_repeats_its_own_part_of_a_request(
    mine: str, found: str | None, incoming: bool, action: RequestAction | None
) -> None:
    there = None if found is None else ask(found)
    assert request_action(ask(mine, "f" * 32), there, incoming=incoming) is action


def test_a_request_that_was_answered_is_never_open_again() -> None:
    """A restored directory told of a rejected request as pending; accepted from that list it gave views twice."""
    assert later_ask(ask("rejected"), ask("pending")).state == "rejected"
    assert later_ask(ask("pending"), ask("accepted")).state == "accepted"
    assert later_ask(ask("withdrawn"), ask("rejected")).state == "rejected"
    assert later_ask(None, ask("pending")).state == "pending"
