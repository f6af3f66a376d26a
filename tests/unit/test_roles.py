"""The transition table of the election: complete, and drawn as it is."""

import re
from pathlib import Path

import pytest

from node.roles import IGNORED, TRANSITIONS, Input, Role, next_role, render_diagram
from shared.errors import LocalError

REMOTE_INPUTS = {
    Input.LEADER_HEARD,
    Input.LEADER_NAMED,
    Input.LEADER_RESIGNED,
    Input.HIGHER_TERM,
    Input.OK_RECEIVED,
    Input.ASKED_TO_LEAD,
    Input.ELECTION_CALLED,
}


def test_what_another_node_sends_is_provided_for_in_every_role() -> None:
    """A missing pair is our bug, so no message may reach one."""
    known = set(TRANSITIONS) | IGNORED
    assert {(role, happened) for role in Role for happened in REMOTE_INPUTS} <= known


def test_no_pair_is_both_taken_and_ignored() -> None:
    assert not set(TRANSITIONS) & IGNORED


def test_every_role_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == set(Role)
    assert {role for role, _ in TRANSITIONS} == set(Role)


def test_only_a_won_lease_makes_a_leader() -> None:
    assert [pair for pair, target in TRANSITIONS.items() if target is Role.LEADER] == [(Role.CLAIM, Input.LEASE_WON)]


@pytest.mark.parametrize(
    ("role", "happened", "expected"),
    [
        (Role.FOLLOWER, Input.MY_TURN, Role.CLAIM),
        (Role.FOLLOWER, Input.ANOTHERS_TURN, Role.PROBE),
        (Role.PROBE, Input.OK_RECEIVED, Role.WAIT),
        (Role.WAIT, Input.LEADER_HEARD, Role.FOLLOWER),
        (Role.ELECT, Input.BEST_IS_ANOTHER, Role.WAIT),
        (Role.CLAIM, Input.LEASE_LOST, Role.FOLLOWER),
        (Role.LEADER, Input.TRUST_LAPSED, Role.FOLLOWER),
        (Role.LEADER, Input.ASKED_TO_LEAD, None),
    ],
)
def test_transitions(role: Role, happened: Input, expected: Role | None) -> None:
    assert next_role(role, happened) is expected


def test_a_missing_pair_is_a_named_error() -> None:
    with pytest.raises(LocalError, match="FOLLOWER has no transition for LEASE_WON"):
        next_role(Role.FOLLOWER, Input.LEASE_WON)


def test_the_documented_diagram_is_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "election.md").read_text(encoding="utf-8")
    drawn = re.search(r"```mermaid\n(.*?)```", page, re.DOTALL)
    assert drawn is not None
    assert drawn.group(1) == render_diagram()
