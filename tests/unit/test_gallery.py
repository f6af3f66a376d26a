"""Held images in words: states, orders, and what a session remembers of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from shared.errors import DamagedStego, Unavailable, ViewRefused
from tui.client.gallery import (
    GalleryOrder,
    GallerySession,
    TileState,
    asked_words,
    expiry_words,
    heading_words,
    latest,
    reason,
    short_expiry,
    state_words,
    use_words,
)
from tui.peer.events import CopyProgress, ImageReceived, RequestAnswered, RightsUpdated, ViewSpentEvent
from tui.peer.models import PeerImage

NOW = 1_800_000_000.0
DAY = 86_400
HELD = PeerImage("a" * 32, "1" * 32, "Harbour", 12, "Bea", "olive-maple", 5, 3, None, False, Path("/held"))


def tile(session: GallerySession | None = None, **changes: object):
    return (session or GallerySession()).tile(replace(HELD, **changes), NOW)


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, TileState.OPEN, "3 of 5 left"),
        ({"expires": NOW + 1}, TileState.OPEN, "3 of 5 left"),
        ({"expires": NOW}, TileState.EXPIRED, "expired"),
        ({"left": 0}, TileState.SPENT, "no views left"),
        ({"revoked": True}, TileState.REVOKED, "revoked"),
        ({"path": None}, TileState.NOT_HERE, "not here yet"),
        ({"frozen": True}, TileState.ON_HOLD, "on hold"),
        ({"frozen": True, "left": 0}, TileState.SPENT, "no views left"),
        ({"frozen": True, "revoked": True}, TileState.REVOKED, "revoked"),
        ({"path": None, "left": 0}, TileState.SPENT, "no views left"),
        ({"path": None, "revoked": True}, TileState.REVOKED, "revoked"),
        ({"revoked": True, "expires": NOW - 1, "left": 0}, TileState.REVOKED, "revoked"),
        ({"expires": NOW - 1, "left": 0}, TileState.EXPIRED, "expired"),
    ],
)
def test_the_state_of_an_image(changes: dict[str, object], state: TileState, words: str) -> None:
    found = tile(**changes)
    assert (found.state, state_words(found)) == (state, words)
    assert found.may_try == (state in (TileState.OPEN, TileState.ON_HOLD))


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("no_views", TileState.SPENT),
        ("expired", TileState.EXPIRED),
        ("revoked", TileState.REVOKED),
        ("frozen", TileState.ON_HOLD),
        ("not_ready", TileState.OPEN),
        ("not_found", TileState.OPEN),
        ("repeat_over", TileState.OPEN),
    ],
)
def test_a_refusal_is_remembered_until_the_rights_change(code: str, state: TileState) -> None:
    session = GallerySession()
    session.refused(HELD.image, ViewRefused(code, "no"))
    assert tile(session).state is state
    assert session.heard(RightsUpdated(HELD.image, HELD.grant, 3, revoked=False))
    assert tile(session).state is TileState.OPEN


def test_only_what_is_on_hold_may_be_tried_again() -> None:
    assert [state for state in TileState if state.may_try] == [TileState.OPEN, TileState.ON_HOLD]


def test_damage_is_remembered_until_the_image_comes_again() -> None:
    session = GallerySession()
    session.refused(HELD.image, DamagedStego("changed"))
    session.heard(RightsUpdated(HELD.image, HELD.grant, 8, revoked=False))
    assert tile(session).state is TileState.DAMAGED
    session.heard(CopyProgress(HELD.grant, sending=False, done=1, total=2))
    assert state_words(tile(session, path=None)) == "on its way 50 %, cloud"
    session.heard(ImageReceived(HELD.image, HELD.grant))
    assert tile(session).state is TileState.OPEN


def test_the_cloud_being_away_says_nothing_about_the_image() -> None:
    session = GallerySession()
    session.refused(HELD.image, Unavailable("away"))
    assert tile(session).state is TileState.OPEN


def test_an_image_is_new_from_its_arrival_until_it_is_looked_at() -> None:
    session = GallerySession()
    assert not tile(session).new
    assert session.heard(ImageReceived(HELD.image, HELD.grant))
    assert tile(session).new
    session.opened(HELD.image)
    assert not tile(session).new


@pytest.mark.parametrize("changes", [{"revoked": True}, {"expires": NOW}, {"left": 0}])
def test_what_opens_no_more_is_not_new(changes: dict[str, object]) -> None:
    """An image that expired before its first look stayed `new`, and the tab's badge could never be cleared."""
    session = GallerySession()
    session.heard(ImageReceived(HELD.image, HELD.grant))
    assert not tile(session, **changes).new


def test_what_is_being_received_has_a_share_until_it_is_here() -> None:
    session = GallerySession()
    assert not session.heard(CopyProgress(HELD.grant, sending=False, done=42, total=100, path="direct"))
    coming = tile(session, path=None)
    assert (coming.received, state_words(coming)) == (0.42, "on its way 42 %, direct")
    session.heard(CopyProgress(HELD.grant, sending=False, done=42, total=100))
    assert state_words(tile(session, path=None)) == "on its way 42 %, cloud"
    assert tile(session).received is None, "a copy that is here does not come"
    session.heard(CopyProgress(HELD.grant, sending=True, done=90, total=100))
    assert tile(session, path=None).received == 0.42, "what one sends oneself is another copy"
    session.heard(CopyProgress(HELD.grant, sending=False, done=500, total=100))
    assert tile(session, path=None).received == 1.0
    session.heard(CopyProgress(HELD.grant, sending=False, done=0, total=0))
    assert tile(session, path=None).received == 0.0
    session.heard(ImageReceived(HELD.image, HELD.grant))
    assert tile(session, path=None).received is None


def test_what_was_asked_for_is_said_until_it_is_answered() -> None:
    session = GallerySession()
    session.asked(HELD.image, 1)
    assert asked_words(tile(session)) == "You asked for 1 view."
    session.asked(HELD.image, 4)
    assert asked_words(tile(session)) == "You asked for 5 views."
    session.heard(RightsUpdated(HELD.image, HELD.grant, 0, revoked=False))
    assert tile(session).asked == 5, "a look of one's own is no answer"
    session.heard(RequestAnswered("9" * 32, HELD.image, accepted=False, reason="no"))
    assert asked_words(tile(session)) == ""
    session.asked(HELD.image, 2)
    session.heard(RightsUpdated(HELD.image, HELD.grant, 4, revoked=False))
    assert tile(session).asked == 0


def test_other_peoples_looks_change_nothing_here() -> None:
    assert not GallerySession().heard(ViewSpentEvent("f" * 32, "Cem", NOW, 2))


def test_while_it_opens_a_tile_says_so_whatever_its_state() -> None:
    session = GallerySession(opening=HELD.image)
    assert state_words(tile(session)) == "opening…"
    assert not tile(session, image="b" * 32).opening


def test_of_several_grants_on_an_image_the_one_that_a_look_uses_is_shown() -> None:
    revoked = replace(HELD, grant="2" * 32, revoked=True)
    coming = replace(HELD, grant="3" * 32, path=None)
    other = replace(HELD, image="b" * 32, grant="4" * 32)
    assert latest([coming, revoked, other]) == [coming, other]
    assert latest([revoked, coming]) == [coming]
    assert latest([coming, HELD, revoked]) == [HELD]
    assert latest([HELD, replace(HELD, grant="5" * 32)]) == [HELD], "the newest of equals"


def test_the_orders() -> None:
    first = replace(HELD, image="1" * 32, title="b", owner_name="zoe", expires=None)
    second = replace(HELD, image="2" * 32, title="A", owner_name="Abe", expires=NOW + DAY)
    third = replace(HELD, image="3" * 32, title="c", owner_name="abe", expires=NOW + 1)
    session = GallerySession()

    def shown(order: GalleryOrder) -> str:
        return "".join(row.key[0] for row in session.tiles([first, second, third], order, NOW))

    assert {order: shown(order) for order in GalleryOrder} == {
        GalleryOrder.NEWEST: "123",
        GalleryOrder.OWNER: "231",
        GalleryOrder.TITLE: "213",
        GalleryOrder.EXPIRY: "321",
    }


def test_the_sort_key_goes_through_all_orders_and_comes_back() -> None:
    order, seen = GalleryOrder.NEWEST, []
    for _ in GalleryOrder:
        seen.append(order)
        order = order.next
    assert seen == list(GalleryOrder)
    assert order is GalleryOrder.NEWEST


def test_expiry_is_said_where_there_is_an_end_still_to_come() -> None:
    ending = tile(expires=NOW + 2 * DAY + 5)
    assert expiry_words(ending, NOW) == "expires in 2 d"
    assert short_expiry(ending, NOW) == "ends in 2 d"
    assert expiry_words(tile(), NOW) == ""
    assert expiry_words(tile(expires=NOW - 5), NOW) == ""
    assert expiry_words(tile(expires=NOW + DAY, revoked=True), NOW) == ""


@pytest.mark.parametrize(("left", "words"), [(3, "uses 1 of 3 views"), (1, "uses your last view")])
def test_what_a_look_costs(left: int, words: str) -> None:
    assert use_words(tile(left=left)) == words


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"left": 0}, "All 5 views are used. Ask Bea for more."),
        ({"left": 0, "granted": 1}, "Your one view is used. Ask Bea for more."),
        ({"left": 0, "granted": 0}, "No views are left. Ask Bea for more."),
        ({"expires": NOW - 60}, "It could be looked at until 2027-01-15 07:59. Ask Bea for more."),
        ({"revoked": True}, "Bea has taken back the right to look at it. You can ask again."),
        ({"path": None}, "It is not on this device yet: Bea's device sends it when both of you are online."),
        ({}, "A look uses 1 of 3 views."),
    ],
)
def test_reasons_say_what_to_do(changes: dict[str, object], said: str) -> None:
    assert reason(tile(**changes), UTC) == said


def test_reasons_that_only_the_cloud_or_the_file_knows() -> None:
    session = GallerySession()
    session.refused(HELD.image, ViewRefused("frozen", "no"))
    assert "restored from a backup" in reason(tile(session))
    session.refused(HELD.image, ViewRefused("expired", "by the cloud's clock"))
    assert reason(tile(session)) == "The time to look at it is over. Ask Bea for more."
    session.refused(HELD.image, DamagedStego("changed"))
    assert "No view was spent. Bea's device sends it again when both of you are online." in reason(tile(session))


def test_texts_of_others_are_made_harmless() -> None:
    bad = tile(title="\x1b[31mred\u202e\n" + "x" * 10_000, owner_name="\x07[red]" + "y" * 10_000)
    for text in (bad.title, bad.owner, reason(bad), use_words(bad)):
        assert text.isprintable()
        assert len(text) < 200
    assert tile(title="  ").title == "untitled"
    assert tile(owner_name="").owner == "account 12"


def test_the_heading_counts() -> None:
    session = GallerySession(new={HELD.image})
    assert heading_words([], GalleryOrder.NEWEST) == ""
    assert heading_words([tile(session)], GalleryOrder.NEWEST) == "1 image · 1 new · newest first"
    assert heading_words([tile(), tile()], GalleryOrder.OWNER) == "2 images · by owner"
