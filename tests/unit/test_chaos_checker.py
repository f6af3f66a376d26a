"""The checker of the chaos runs finds planted faults and nothing else: one that is always content proves nothing."""

import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest

from tests.chaos.checker import Fault, check, story, totals
from tests.chaos.journal import Line
from tests.chaos.without import CONTROLS
from tests.patience import PATIENCE_S
from tui.peer.granting import SUPERSEDED

IMAGE, GRANT, ASK, VIEW = "a" * 32, "b" * 32, "c" * 32, "d" * 32
OWNER, VIEWER = 1, 2
SHA = "e" * 64


class Story:
    """Builds a journal."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def line(self, kind: str, **facts: Any) -> int:
        number = len(self.lines) + 1
        self.lines.append(Line(number, float(number), kind, facts))
        return number

    def did(self, op: str, who: str, answer: dict[str, Any] | None, **facts: Any) -> int:
        """Something was asked for and acknowledged; None for an answer that nobody knows."""
        of = self.line("begin", op=op, who=who, **facts)
        if answer is None:
            return self.line("unknown", of=of, text="killed")
        return self.line("ack", of=of, **answer)

    def grant(self, views: int, answer: dict[str, Any] | None, **facts: Any) -> int:
        return self.did("grant", "ada", answer, image=IMAGE, viewer=VIEWER, views=views, expires=None, **facts)

    def look(self, who: str = "ben", **facts: Any) -> int:
        return self.did("look", who, {"sha256": SHA, "left": 0}, image=IMAGE, account=VIEWER, sha256=SHA, **facts)


def sound() -> tuple[Story, dict[str, Any], dict[str, Any]]:
    """A run in which all went well: three views given, two of them looked at, one request answered with no."""
    told = Story()
    told.did("register", "ada", {"account": OWNER})
    told.did("register", "ben", {"account": VIEWER})
    told.did("encrypt", "ada", {"image": IMAGE}, sha256=SHA)
    told.grant(2, {"request": "g1", "delivered": True})
    told.look()
    told.grant(1, {"request": "g2", "delivered": False})
    told.look()
    told.did("request", "ben", {"request": ASK, "delivered": True}, image=IMAGE, account=VIEWER, views=1)
    told.did("reject", "ada", {"request": "r1", "delivered": True}, ask=ASK, image=IMAGE, viewer=VIEWER)
    grant = {
        "id": GRANT,
        "image_id": IMAGE,
        "owner_id": OWNER,
        "viewer_id": VIEWER,
        "granted": 3,
        "consumed": 2,
        "expires": None,
        "revoked": 0,
        "version": 2,
        "epoch": 1,
        "created": 5.0,
    }
    directory = {
        "meta": [{"name": "epoch", "value": 1}],
        "accounts": [{"id": OWNER, "name": "ada"}, {"id": VIEWER, "name": "ben"}],
        "images": [{"id": IMAGE, "owner_id": OWNER, "state": "ready"}],
        "asks": [{"id": ASK, "viewer_id": VIEWER, "image_id": IMAGE, "state": "rejected"}],
        "grants": [grant],
        "views": [{"id": VIEW, "grant_id": GRANT}, {"id": "f" * 32, "grant_id": GRANT}],
        "held_copies": [],
    }
    empty: dict[str, list[dict[str, Any]]] = {
        "held": [],
        "given": [],
        "outbox": [],
        "pending_views": [],
        "own_images": [],
        "set_aside": [],
    }
    known = {"grant_id": GRANT, "version": 2, "consumed": 2}
    stores = {
        "ada": {**deepcopy(empty), "given": [dict(known)], "own_images": [{"image": IMAGE, "ready": 1}]},
        "ben": {**deepcopy(empty), "held": [{**known, "received": 1}]},
    }
    return told, directory, stores


def kinds(told: Story, directory: dict[str, Any], stores: dict[str, Any]) -> dict[str, int]:
    """Return the kinds of faults that are found, with how many."""
    return {kind: count for kind, count in totals(check(told.lines, directory, stores)).items() if count}


def test_a_run_in_which_all_went_well_has_no_fault() -> None:
    assert kinds(*sound()) == {}


def test_an_account_and_an_image_that_are_gone() -> None:
    told, directory, stores = sound()
    directory["accounts"].pop()
    directory["images"].clear()
    assert kinds(told, directory, stores) == {"lost": 2}


def test_a_number_that_two_people_got() -> None:
    told, directory, stores = sound()
    told.did("register", "eve", {"account": VIEWER})
    directory["accounts"].append({"id": VIEWER, "name": "eve"})
    assert "doubled" in kinds(told, directory, stores)


def test_an_image_that_nobody_made() -> None:
    told, directory, stores = sound()
    directory["images"].append({"id": "9" * 32, "owner_id": OWNER, "state": "ready"})
    assert kinds(told, directory, stores) == {"doubled": 1}


def test_an_image_that_is_offered_although_it_was_withdrawn() -> None:
    told, directory, stores = sound()
    told.did("withdraw", "ada", {}, image=IMAGE)
    assert kinds(told, directory, stores) == {"lost": 1}


@pytest.mark.parametrize(
    ("row", "received", "found"),
    [
        pytest.param({}, 0, {"stuck": 1}, id="its viewer has not got it, which is a fault of its own"),
        pytest.param({}, 1, {"stuck": 1}, id="its viewer has it"),
        pytest.param({"whole": 0}, 1, {}, id="parts of one that is needed no more"),
        pytest.param({"whole": 0, "expires": 5.0 + 15 * 86_400}, 1, {"stuck": 1}, id="for too long"),
        pytest.param({"grant_id": "9" * 32}, 1, {"stuck": 1}, id="of no grant"),
    ],
)
def test_a_copy_that_the_cloud_still_holds(row: dict[str, Any], received: int, found: dict[str, int]) -> None:
    told, directory, stores = sound()
    held = {"grant_id": GRANT, "copy_id": "7" * 32, "whole": 1, "created": 5.0, "expires": 5.0 + 14 * 86_400}
    directory["held_copies"].append({**held, **row})
    stores["ben"]["held"][0]["received"] = received
    assert kinds(told, directory, stores) == found


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_look_that_was_paid_for_before_a_lowering_may_be_finished_after_it(cut_off: bool) -> None:
    told, directory, stores = sound()
    if cut_off:
        told.did("look", "ben", None, image=IMAGE, account=VIEWER, sha256=SHA)
    answer = {"request": "s1", "delivered": True, "left": 0, "met": 2 + cut_off}
    told.did("set_views", "ada", answer, image=IMAGE, viewer=VIEWER, left=0, expires=None)
    told.look()
    found = [fault.text for fault in check(told.lines, directory, stores)]
    assert any("after set_views left 0" in text for text in found) is not cut_off


def test_an_image_that_is_withdrawn_although_nobody_asked() -> None:
    told, directory, stores = sound()
    directory["images"][0]["state"] = "withdrawn"
    assert kinds(told, directory, stores) == {"doubled": 1}


def test_what_became_of_an_encryption_that_was_cut_short_is_withdrawn() -> None:
    told, directory, stores = sound()
    told.did("encrypt", "ada", None, sha256="0" * 64)
    directory["images"].append({"id": "9" * 32, "owner_id": OWNER, "state": "withdrawn"})
    assert kinds(told, directory, stores) == {}


def test_a_request_that_is_gone_unless_a_restore_excuses_it() -> None:
    told, directory, stores = sound()
    directory["asks"].clear()
    assert kinds(told, directory, stores) == {"lost": 1}
    told.line("fault", what="restored", backup=3)
    assert kinds(told, directory, stores) == {}
    told.lines[-1] = Line(len(told.lines), 0.0, "fault", {"what": "restored", "backup": len(told.lines) - 1})
    assert kinds(told, directory, stores) == {"lost": 1}


def test_a_request_that_is_pending_for_ever() -> None:
    told, directory, stores = sound()
    directory["asks"][0]["state"] = "pending"
    assert kinds(told, directory, stores) == {"stuck": 1}


@pytest.mark.parametrize(("granted", "expected"), [(2, {"lost": 1}), (3, {}), (4, {"doubled": 1}), (5, {"doubled": 1})])
def test_a_change_that_was_lost_or_made_twice(granted: int, expected: dict[str, int]) -> None:
    told, directory, stores = sound()
    directory["grants"][0]["granted"] = granted
    assert kinds(told, directory, stores) == expected


@pytest.mark.parametrize("granted", [3, 5])
def test_a_change_whose_caller_died_happened_or_not(granted: int) -> None:
    told, directory, stores = sound()
    told.grant(2, None)
    directory["grants"][0]["granted"] = granted
    assert kinds(told, directory, stores) == {}


@pytest.mark.parametrize("granted", [4, 7])
def test_a_change_whose_caller_died_did_not_half_happen_nor_twice(granted: int) -> None:
    told, directory, stores = sound()
    told.grant(2, None)
    directory["grants"][0]["granted"] = granted
    assert len(kinds(told, directory, stores)) == 1


def test_a_request_is_answered_with_views_once_however_often_it_was_tried() -> None:
    told, directory, stores = sound()
    for _ in range(2):
        told.did("accept", "ada", None, ask=ASK, image=IMAGE, viewer=VIEWER, views=4)
    directory["asks"][0]["state"] = "accepted"
    directory["grants"][0]["granted"] = 7
    assert kinds(told, directory, stores) == {}
    directory["grants"][0]["granted"] = 11
    assert kinds(told, directory, stores) == {"doubled": 1}


@pytest.mark.parametrize(("delivered_before", "found"), [(False, {}), (True, {"lost": 1})])
def test_a_request_that_was_queued_may_be_missing_where_the_backup_is_older_than_its_delivery(
    delivered_before: bool, found: dict[str, int]
) -> None:
    """It was rejected as well; after the restore nobody has a reason to make it anew."""
    told, directory, stores = sound()
    told.did("request", "ben", {"request": "9" * 32, "delivered": False}, image=IMAGE, account=VIEWER, views=1)
    if delivered_before:
        told.line("event", event="Delivered", request="9" * 32)
    backup = told.line("fault", what="backup", file="backup-1.sqlite")
    if not delivered_before:
        told.line("event", event="Delivered", request="9" * 32)
    told.did("reject", "ada", {"request": "x9", "delivered": True}, image=IMAGE, ask="9" * 32, viewer=VIEWER)
    told.line("fault", what="restored", backup=backup)
    assert kinds(told, directory, stores) == found


def test_a_revocation_that_was_dropped() -> None:
    """A queued revocation met a full disk, was told as undeliverable, and the viewer kept the views."""
    told, directory, stores = sound()
    told.did("revoke", "ada", {"request": "x1", "delivered": False}, image=IMAGE, viewer=VIEWER)
    assert kinds(told, directory, stores) == {"lost": 1}
    told.line("event", event="Undeliverable", request="x1", reason="The cloud failed.")
    assert kinds(told, directory, stores) == {"lost": 1}


@pytest.mark.parametrize(("reason", "found"), [(SUPERSEDED, 0), ("There is no such account.", 1)])
def test_a_grant_that_was_given_up_for_a_later_revocation_may_have_been_made(reason: str, found: int) -> None:
    """Its answer was lost: it was in the directory for a second, until the revocation behind it came."""
    told, directory, stores = sound()
    told.did("revoke", "ada", {"request": "x1", "delivered": True, "met": 2, "left": 0}, image=IMAGE, viewer=VIEWER)
    told.grant(2, {"request": "g2", "delivered": False})
    told.did("revoke", "ada", {"request": "x2", "delivered": False}, image=IMAGE, viewer=VIEWER)
    told.grant(4, {"request": "g3", "delivered": True})
    told.line("event", event="Undeliverable", request="g2", reason=reason)
    first = directory["grants"][0]
    second = first | {"id": "e2" * 16, "granted": 2, "consumed": 0, "revoked": 1, "created": 2.0}
    third = first | {"id": "e3" * 16, "granted": 4, "consumed": 0, "created": 3.0}
    first["revoked"] = 1
    directory["grants"] += [second, third]
    assert kinds(told, directory, stores).get("doubled", 0) == found


def test_an_acceptance_that_was_given_up_because_its_image_was_withdrawn() -> None:
    """The withdrawal closes the request with a no; what its owner had accepted before is given all the same."""
    told, directory, stores = sound()
    told.did("request", "ben", {"request": "9" * 32, "delivered": True}, image=IMAGE, account=VIEWER, views=1)
    directory["asks"].append({"id": "9" * 32, "viewer_id": VIEWER, "image_id": IMAGE, "state": "rejected"})
    answer = {"request": "a1", "delivered": False}
    told.did("accept", "ada", answer, image=IMAGE, viewer=VIEWER, ask="9" * 32, views=1)
    told.did("withdraw", "ada", {}, image=IMAGE)
    directory["images"][0]["state"] = "withdrawn"
    told.line("event", event="Undeliverable", request="a1", reason="This request is already rejected.")
    assert kinds(told, directory, stores) == {"lost": 1}
    told.lines.pop()
    directory["asks"][-1]["state"] = "accepted"
    directory["grants"][0]["granted"] = 4
    assert kinds(told, directory, stores) == {}


def test_grants_that_a_restore_brought_back_in_another_order() -> None:
    told, directory, stores = sound()
    told.did("revoke", "ada", {"request": "x1", "delivered": True, "met": 2, "left": 0}, image=IMAGE, viewer=VIEWER)
    told.grant(9, {"request": "g3", "delivered": True})
    told.did("revoke", "ada", {"request": "x2", "delivered": True, "met": 0, "left": 0}, image=IMAGE, viewer=VIEWER)
    directory["grants"][0]["revoked"] = 1
    later = {**directory["grants"][0], "id": "8" * 32, "granted": 9, "consumed": 0, "created": 4.0}
    directory["grants"].append(later)
    for name, table in (("ada", "given"), ("ben", "held")):
        stores[name][table].append({"grant_id": "8" * 32, "version": 2, "consumed": 0, "received": 1})
    assert kinds(told, directory, stores) == {"lost": 1}
    told.line("fault", what="restored", backup=len(told.lines))
    assert kinds(told, directory, stores) == {}


@pytest.mark.parametrize("heard", [False, True])
def test_a_revocation_that_forgets_given_views_unless_nobody_heard_that_they_were_given(heard: bool) -> None:
    """Two looks were counted on a grant whose revocation, after a restore, says that one view was given."""
    told, directory, stores = sound()
    told.grant(2, {"request": "g3", "delivered": True} if heard else None)
    told.line("fault", what="restored", backup=len(told.lines))
    told.did("revoke", "ada", {"request": "x1", "delivered": True, "met": 2, "left": 0}, image=IMAGE, viewer=VIEWER)
    told.grant(9, {"request": "g4", "delivered": True})
    directory["grants"][0] |= {"revoked": 1, "granted": 1}
    later = {**directory["grants"][0], "id": "8" * 32, "granted": 9, "consumed": 0, "revoked": 0, "created": 9.0}
    directory["grants"].append(later)
    for name, table in (("ada", "given"), ("ben", "held")):
        stores[name][table].append({"grant_id": "8" * 32, "version": 2, "consumed": 0, "received": 1})
    assert kinds(told, directory, stores) == ({"extra": 1} if heard else {})


def test_a_revocation_of_nothing_may_be_refused() -> None:
    told, directory, stores = sound()
    told.did("revoke", "ada", {"request": "x1", "delivered": True, "met": 2, "left": 0}, image=IMAGE, viewer=VIEWER)
    of = told.line("begin", op="revoke", who="ada", image=IMAGE, viewer=VIEWER)
    told.line("refused", of=of, code="not_found", text="No rights.", mistake=False)
    directory["grants"][0]["revoked"] = 1
    assert kinds(told, directory, stores) == {}


def test_a_passing_failure_that_was_told_as_a_no() -> None:
    told, directory, stores = sound()
    of = told.line("begin", op="grant", who="ada", image=IMAGE, viewer=VIEWER, views=1)
    told.line("refused", of=of, code="failed", text="The disk is full.", mistake=False)
    assert kinds(told, directory, stores) == {"lost": 1}


def test_a_picture_that_was_shown_more_often_than_it_was_counted_or_given() -> None:
    told, directory, stores = sound()
    told.look()
    assert kinds(told, directory, stores) == {"extra": 1}
    told.look()
    assert kinds(told, directory, stores) == {"extra": 2}


@pytest.mark.parametrize(
    ("before_the_restore", "restored", "expected"),
    [
        (("ben", "ben-twin1"), True, {}),
        (("ben-twin1", "ben"), True, {"extra": 3}),
        (("ben", "ben"), True, {"extra": 3}),
        (("ben", "ben-twin1"), False, {"extra": 3}),
    ],
)
def test_a_view_that_a_restore_forgot_and_only_a_copy_of_the_profile_knew(
    before_the_restore: tuple[str, str], restored: bool, expected: dict[str, int]
) -> None:
    """A copy had the last view, was thrown away, and the directory was restored to before: nobody else had heard of the
    view, so that it could be had again, and a run was blamed for it. Where the person's own peer looked after the copy,
    it knows the count, and one view more is a fault as ever."""
    told, directory, stores = sound()
    backup = told.line("fault", what="backup")
    answer = {"request": "s1", "delivered": True, "left": 2, "met": 2}
    told.did("set_views", "ada", answer, image=IMAGE, viewer=VIEWER, left=2, expires=None)
    for who in before_the_restore:
        told.look(who)
    if restored:
        told.line("fault", what="restored", backup=backup)
    told.look()
    directory["grants"][0] |= {"granted": 4, "consumed": 4}
    directory["views"] += [{"id": "8" * 32, "grant_id": GRANT}, {"id": "9" * 32, "grant_id": GRANT}]
    stores["ada"]["given"][0]["consumed"] = stores["ben"]["held"][0]["consumed"] = 4
    assert kinds(told, directory, stores) == expected


@pytest.mark.parametrize("who", ["ben", "ben-twin1"])
def test_a_look_after_a_revocation_is_excused_by_no_copy(who: str) -> None:
    told, directory, stores = sound()
    backup = told.line("fault", what="backup")
    told.did("revoke", "ada", {"request": "v1", "delivered": True, "left": 0}, image=IMAGE, viewer=VIEWER)
    told.look(who)
    told.line("fault", what="restored", backup=backup)
    directory["grants"][0] |= {"revoked": 1}
    found = [fault.text for fault in check(told.lines, directory, stores)]
    assert any("after revoke left 0" in text for text in found)


def test_a_look_after_the_revocation() -> None:
    told, directory, stores = sound()
    answer = {"request": "x1", "delivered": True, "met": 2, "left": 0}
    told.did("revoke", "ada", answer, image=IMAGE, viewer=VIEWER)
    told.look()
    directory["grants"][0] |= {"revoked": 1, "consumed": 3}
    directory["views"].append({"id": "1" * 32, "grant_id": GRANT})
    found = check(told.lines, directory, stores)
    assert any(fault.kind == "extra" and "after revoke" in fault.text for fault in found)


@pytest.mark.parametrize("stepped", [False, True])
def test_a_look_after_the_expiry_unless_clocks_were_set(stepped: bool) -> None:
    told, directory, stores = sound()
    if stepped:
        told.line("fault", what="clock", offset=-3600.0)
    facts = {"image": IMAGE, "viewer": VIEWER, "left": None, "expires": 99.0, "over_at": 30.0}
    told.did("set_views", "ada", {"request": "x1", "delivered": True, "met": 2, "left": 1}, **facts)
    while len(told.lines) < 40:
        told.line("note")
    told.look()
    directory["grants"][0] |= {"consumed": 3, "expires": 99.0}
    directory["views"].append({"id": "1" * 32, "grant_id": GRANT})
    for row in (stores["ada"]["given"][0], stores["ben"]["held"][0]):
        row["consumed"] = 3
    assert kinds(told, directory, stores) == ({} if stepped else {"extra": 1})


def test_a_view_that_was_counted_and_never_shown() -> None:
    told, directory, stores = sound()
    directory["grants"][0]["consumed"] = 3
    directory["views"].append({"id": "1" * 32, "grant_id": GRANT})
    for row in (stores["ada"]["given"][0], stores["ben"]["held"][0]):
        row["consumed"] = 3
    assert kinds(told, directory, stores) == {"lost": 1}
    told.did("look", "ben", None, image=IMAGE, account=VIEWER, sha256=SHA)  # cut off by a kill: it may have cost one
    assert kinds(told, directory, stores) == {}


def test_a_view_that_a_restore_forgot_before_its_picture_was_shown() -> None:
    told, directory, stores = sound()
    directory["grants"][0]["consumed"] = 3
    directory["views"].append({"id": "1" * 32, "grant_id": GRANT})
    for row in (stores["ada"]["given"][0], stores["ben"]["held"][0]):
        row["consumed"] = 3
    answer = {"code": "not_found", "text": "There is no such view.", "mistake": False}
    of = told.line("begin", op="look", who="ben", image=IMAGE, account=VIEWER, sha256=SHA, expected=False)
    told.line("refused", of=of, **answer)
    assert kinds(told, directory, stores) == {"lost": 1}
    told.lines.pop()
    told.line("fault", what="restored", backup=3)
    told.line("refused", of=of, **answer)
    assert kinds(told, directory, stores) == {}


def test_a_look_that_the_peer_had_views_for() -> None:
    told, directory, stores = sound()
    of = told.line("begin", op="look", who="ben", image=IMAGE, account=VIEWER, sha256=SHA, expected=True)
    told.line("refused", of=of, code="frozen", text="Restored.", mistake=False)
    assert kinds(told, directory, stores) == {"lost": 1}


def test_other_bytes_than_the_owner_s() -> None:
    told, directory, stores = sound()
    answer = told.lines[-6]
    assert answer.facts["sha256"] == SHA
    answer.facts["sha256"] = "0" * 64
    assert kinds(told, directory, stores) == {"extra": 1}


def test_counts_and_log_that_do_not_agree() -> None:
    told, directory, stores = sound()
    directory["views"].append({"id": "1" * 32, "grant_id": GRANT})
    assert kinds(told, directory, stores) == {"doubled": 1}


def test_what_never_ends() -> None:
    told, directory, stores = sound()
    stores["ada"]["outbox"].append({"what": "rights", "trouble": ""})
    stores["ben"]["pending_views"].append({"grant_id": GRANT})
    stores["ben"]["held"][0]["received"] = 0
    directory["meta"][0]["value"] = 2
    told.line("stuck", text="n1 did not end")
    told.line("begin", op="look", who="ben", image=IMAGE, account=VIEWER, sha256=SHA)
    assert kinds(told, directory, stores) == {"stuck": 6}


@pytest.mark.parametrize("ended", [{"revoked": 1}, {"expires": 1_000.0}])
def test_a_look_at_what_is_over_is_not_stuck(ended: dict[str, Any]) -> None:
    """A look that was begun before its right ended leaves a row behind; nothing waits for it."""
    _, directory, stores = sound()
    stores["ben"]["pending_views"].append({"grant_id": GRANT})
    directory["grants"][0] |= ended
    lines = [Line(1, 0.0, "note", {"wall": 1_000.0})]
    found = check(lines, directory, stores)
    assert not [fault for fault in found if "never finished" in fault.text]


def test_stores_that_differ_from_the_directory() -> None:
    told, directory, stores = sound()
    stores["ada"]["given"][0]["consumed"] = 1
    stores["ben"]["held"][0]["version"] = 1
    assert kinds(told, directory, stores) == {"differ": 2}
    stores["ada"]["given"].clear()
    assert kinds(told, directory, stores) == {"differ": 2}


def test_a_grant_that_only_a_peer_knows() -> None:
    told, directory, stores = sound()
    directory["grants"].clear()
    directory["views"].clear()
    assert {"lost", "extra"} <= set(kinds(told, directory, stores))


def test_a_fault_tells_its_story() -> None:
    told, _, _ = sound()
    told.line("fault", what="kill", node="n1")
    told.look()
    fault = Fault("extra", "shown too often", (7, len(told.lines) - 1))
    shown = list(story(told.lines, fault, around=0))
    assert [line.kind for line in shown] == ["begin", "ack", "fault", "begin", "ack"]
    assert "bbbbbbbb" not in str(shown[0])


@pytest.mark.parametrize("name", CONTROLS)
def test_each_negative_control_replaces_what_is_there(name: str) -> None:
    """In a process of its own: the one of the restores had ended every node, so that it proved nothing."""
    call = f"from tests.chaos.without import take_out; take_out([{name!r}])"
    subprocess.run([sys.executable, "-c", call], check=True, timeout=PATIENCE_S)
