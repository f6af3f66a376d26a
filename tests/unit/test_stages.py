"""How far an encryption is, and how an owner is told of rights."""

from __future__ import annotations

import pytest

from tui.client import sharing
from tui.client.stages import CHECKING, HIDING, PUBLISHING, RECEIVING, SEALING, SENDING, STAGES, Stages, StageState
from tui.peer.models import RightsResult, Sent, Viewer

MARKS = {StageState.DONE: "d", StageState.UNDER_WAY: "u", StageState.WAITING: "w", StageState.FAILED: "f"}


def marks(stages: Stages) -> str:
    return "".join(MARKS[line.state] for line in stages.lines())


def test_an_encryption_goes_through_its_stages_in_order() -> None:
    stages = Stages()
    seen = [marks(stages)]
    for stage, done, total in (
        (SEALING, 0, 1),
        (SENDING, 0, 100),
        (SENDING, 50, 100),
        (SENDING, 100, 100),
        (RECEIVING, 1, 300),
        (CHECKING, 0, 1),
    ):
        stages.report(stage, done, total)
        seen.append(marks(stages))
    assert seen == ["uwwww", "uwwww", "duwww", "duwww", "dduww", "ddduw", "ddddu"]
    assert not stages.again


def test_only_another_stage_is_news() -> None:
    stages = Stages()
    reports = [(SEALING, 0, 1), (SENDING, 0, 9), (SENDING, 5, 9), (SENDING, 9, 9), (SENDING, 9, 9), ("dancing", 1, 1)]
    assert [stages.report(*report) for report in reports] == [False, True, False, True, False, False]
    assert stages.stage == HIDING


def test_bytes_are_told_where_they_are_known() -> None:
    stages = Stages()
    stages.report(SENDING, 512 * 1024, 2 * 1024 * 1024)
    line = stages.lines()[1]
    assert (line.share, line.detail) == (0.25, "512 KB of 2.0 MB")
    stages.report(RECEIVING, 10, 0)
    assert stages.lines()[3].share is None
    stages.report(RECEIVING, 30, 20)
    assert stages.lines()[3].share == 1.0
    stages.report(CHECKING, 0, 1)
    assert stages.lines()[4].share is None


def test_a_node_that_is_replaced_makes_sending_begin_anew_and_that_is_told() -> None:
    stages = Stages()
    for report in ((SENDING, 9, 9), (SENDING, 3, 9)):
        stages.report(*report)
    assert (stages.again, stages.stage) == (True, SENDING)


def test_a_stage_that_failed_is_marked() -> None:
    stages = Stages()
    stages.report(SENDING, 5, 9)
    stages.failed = True
    assert marks(stages) == "dfwww"


def test_a_preview_is_a_stage_of_its_own_where_one_is_wanted() -> None:
    assert len(Stages().lines()) == len(STAGES)
    assert not Stages().report(PUBLISHING, 0, 1)
    stages = Stages(publishes=True)
    assert stages.report(PUBLISHING, 0, 1)
    assert marks(stages) == "dddddu"


# --- Rights ----------------------------------------------------------------------------------------------------------
def viewer(**changes) -> Viewer:
    values = {
        "grant": "a" * 32,
        "account": 12,
        "name": "Ben",
        "granted": 5,
        "consumed": 2,
        "left": 3,
        "expires": None,
        "revoked": False,
        "words": "amber basil",
    }
    return Viewer(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "share", "told"),
    [
        ({}, None, ""),
        ({"left": 0}, None, "used up"),
        ({"expires": 1000.0}, None, "expired"),
        ({"expires": 1000.1}, None, ""),
        ({"expires": 500.0, "left": 0}, None, "expired"),
        ({"revoked": True, "left": 0, "expires": 1.0}, 0.5, "revoked"),
        ({}, 0.456, "sending 46%"),
        ({"held_until": 1000.1}, None, "in the cloud"),
        ({"held_until": 1000.0, "left": 0}, None, "used up"),
    ],
)
def test_rights_are_told_by_what_stands_in_the_way(changes: dict[str, object], share: float | None, told: str) -> None:
    assert sharing.state(viewer(**changes), 1000.0, share) == told


def test_views_left_are_told_of_those_granted_and_none_after_a_revocation() -> None:
    assert sharing.left(viewer()) == "3 of 5"
    assert sharing.left(viewer(revoked=True)) == "0 of 5"


def test_the_rights_that_stand_are_found() -> None:
    old, new = viewer(revoked=True), viewer(grant="b" * 32)
    assert sharing.standing([old, new], 12) == new
    assert sharing.standing([old], 12) is None
    assert sharing.standing([new], 13) is None


def test_a_change_tells_what_it_met() -> None:
    done = RightsResult("r" * 32, True, left=7, met_consumed=2)
    assert sharing.describe_change(viewer(), done) == "Ben #12 has 7 views left now; 2 views spent so far."
    none = RightsResult("r" * 32, True, left=7, met_consumed=0)
    assert sharing.describe_change(viewer(consumed=0), none) == "Ben #12 has 7 views left now; none spent so far."
    met = RightsResult("r" * 32, True, left=1, met_consumed=3)
    assert sharing.describe_change(viewer(), met) == (
        "Ben #12 has 1 view left now; 1 view was spent before the change took effect."
    )
    met = RightsResult("r" * 32, True, left=0, met_consumed=4)
    assert "2 views were spent before" in sharing.describe_change(viewer(), met)


def test_what_waits_for_the_cloud_is_told_as_waiting() -> None:
    waits = RightsResult("r" * 32, delivered=False)
    assert "the change waits in the outbox" in sharing.describe_change(viewer(), waits)
    told = sharing.describe_revoke(viewer(), waits)
    assert "the revocation waits" in told
    assert "Ben #12 may still look" in told
    assert "the grant waits" in sharing.describe_grant("Ben", 12, 3, Sent("r" * 32, delivered=False))


def test_a_revocation_and_a_grant_are_told() -> None:
    done = RightsResult("r" * 32, True, left=0, met_consumed=1)
    told = sharing.describe_revoke(viewer(), done)
    assert told.startswith("Ben #12 can begin no look any more; 1 view had been spent.")
    assert "open there closes" in told, "a look that is under way ends only when the other side hears of it"
    assert sharing.describe_grant("Ben", 12, 1, Sent("r" * 32, delivered=True)).startswith("Ben #12 was given 1 view;")


def test_a_hostile_name_stays_one_short_harmless_line() -> None:
    told = sharing.person("\x1b[31mBen\u202e\n" + "x" * 10_000, 12)
    assert told.endswith(" #12")
    assert len(told) < 50
    assert told.isprintable()
