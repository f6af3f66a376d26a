"""Who was heard, in which life; and when a node counts as cut off."""

import pytest

from node.membership import MemberRow, Membership
from shared.config import LOCAL

HB = LOCAL.heartbeat_s


def membership() -> Membership:
    return Membership("a", ("a", "b", "c"), LOCAL)


def test_an_earlier_life_is_not_heard() -> None:
    members = membership()
    assert members.heard("b", 2, 0.0)
    assert not members.heard("b", 1, 1.0)
    assert not members.heard("stranger", 9, 1.0)
    assert members.state("b", 1.0).heard_age_s == pytest.approx(1.0)


def test_a_new_life_has_acknowledged_nothing() -> None:
    members = membership()
    members.heard("b", 1, 0.0)
    members.acked("b", 5.0, 5.001)
    assert members.acknowledged(0.0, 5.5)
    assert members.rtt_s("b") == pytest.approx(0.001)
    members.heard("b", 2, 5.5)
    assert not members.acknowledged(0.0, 5.5)
    assert members.rtt_s("b") is None


def test_the_gate_closes_after_four_heartbeats() -> None:
    members = membership()
    members.heard("b", 1, 0.0)
    assert members.hears(4 * HB) == {"b"}
    assert members.hears(4 * HB + 0.01) == frozenset()
    members.acked("b", 1.0, 1.0)
    assert members.acknowledged(0.0, 1.0 + 4 * HB)
    assert not members.acknowledged(0.0, 1.0 + 4 * HB + 0.01)
    assert members.acknowledged(1.5, 1.0 + 4 * HB + 0.01), "a young leadership has yet to be acknowledged"


def feed(members: Membership, seconds: float, *rows: MemberRow, start: float = 0.0, moving: bool = False) -> float:
    now = start
    while now < start + seconds:
        now += HB
        members.rows([MemberRow(row.node, now if moving else row.beat, row.hears) for row in rows], now)
    return now


def test_alone_only_when_the_others_rows_are_stale() -> None:
    members = membership()
    hearing = [MemberRow("b", 1.0, True), MemberRow("c", 1.0, True)]
    assert not members.alone(), "nothing was read yet"
    now = feed(members, 4.0, *hearing, moving=True)
    assert not members.alone()
    now = feed(members, 7 * HB, *hearing, start=now)
    assert not members.alone()
    feed(members, 3 * HB, *hearing, start=now)
    assert members.alone()


def test_a_fresh_row_that_hears_nobody_does_not_forbid_leading() -> None:
    members = membership()
    feed(members, 1.0, MemberRow("b", 1.0), MemberRow("c", 1.0), moving=True)
    assert members.alone()
    feed(members, 1.0, MemberRow("b", 1.0, True), MemberRow("c", 1.0), start=1.0, moving=True)
    assert not members.alone()


def test_time_without_a_directory_makes_no_row_stale() -> None:
    members = membership()
    hearing = [MemberRow("b", 1.0, True), MemberRow("c", 1.0, True)]
    feed(members, 1.0, *hearing)
    members.rows(hearing, 60.0)
    assert not members.alone()


def test_a_node_without_a_row_goes_stale_too() -> None:
    members = membership()
    feed(members, 10 * HB)
    assert members.alone()
