"""The roles of the election, the table of every transition between them, its diagram, and the events."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from shared.errors import LocalError


class Role(Enum):
    """What a node is doing in the election."""

    FOLLOWER = "follower"
    PROBE = "probe"
    ELECT = "elect"
    WAIT = "wait"
    CLAIM = "claim"
    LEADER = "leader"


class Input(Enum):
    """What can happen to a role. Conditions are decided before, so that role and input alone give the next role."""

    LEADER_HEARD = "HEARTBEAT or NEW_LEADER"
    LEADER_NAMED = "LEADER_IS"
    LEADER_SILENT = "leader silent"
    LEADER_RESIGNED = "RESIGN"
    HIGHER_TERM = "higher term seen"
    MY_TURN = "first in line"
    ANOTHERS_TURN = "another is first in line"
    LINE_UNKNOWN = "no line, or cut off"
    OK_RECEIVED = "OK"
    ASKED_TO_LEAD = "CRASH_LEADER or YIELD"
    ELECTION_CALLED = "ELECTION"
    BEST_IS_ME = "best of those who answered"
    BEST_IS_ANOTHER = "another is best: YIELD"
    NOBODY_ANSWERED = "nobody answered"
    LEASE_WON = "lease won"
    LEASE_LOST = "lease lost"
    LEASE_UNKNOWN = "no answer about the lease"
    TRUST_LAPSED = "lease no longer trusted"
    CUT_OFF = "no heartbeat acknowledged"
    STEPPED_ASIDE = "drain or hand over"
    DIRECTORY_AWAY = "directory cannot be written"
    STALLED = "own requests stand still"


@dataclass(frozen=True, slots=True)
class RoleChanged:
    """This node changed its role."""

    previous: Role
    role: Role
    why: Input


@dataclass(frozen=True, slots=True)
class LeaderChanged:
    """This node now takes `leader` for the leader; None while it knows of none."""

    leader: str | None
    term: int


@dataclass(frozen=True, slots=True)
class Deposed:
    """This node led `term` and no longer does."""

    term: int
    why: Input


ElectionEvent = RoleChanged | LeaderChanged | Deposed


def _table() -> dict[tuple[Role, Input], Role]:
    follower, probe, elect, wait, claim, leader = Role
    table = {
        (follower, Input.LEADER_HEARD): follower,
        (follower, Input.LEADER_NAMED): follower,
        (follower, Input.LEADER_SILENT): follower,
        (claim, Input.LEADER_HEARD): follower,
        (claim, Input.LEASE_WON): leader,
        (claim, Input.LEASE_LOST): follower,
        (claim, Input.LEASE_UNKNOWN): follower,
        (claim, Input.STEPPED_ASIDE): follower,
        (probe, Input.OK_RECEIVED): wait,
        (elect, Input.BEST_IS_ME): claim,
        (elect, Input.BEST_IS_ANOTHER): wait,
        (elect, Input.NOBODY_ANSWERED): follower,
        (leader, Input.LEADER_HEARD): follower,
        (leader, Input.HIGHER_TERM): follower,
        (leader, Input.LEASE_LOST): follower,
        (leader, Input.TRUST_LAPSED): follower,
        (leader, Input.CUT_OFF): follower,
        (leader, Input.STEPPED_ASIDE): follower,
        (leader, Input.STALLED): follower,
        (follower, Input.ELECTION_CALLED): wait,
    }
    for role in (follower, probe, wait):
        table[role, Input.MY_TURN] = claim
        table[role, Input.ANOTHERS_TURN] = probe
        table[role, Input.LINE_UNKNOWN] = elect
    for role in (probe, elect, wait):
        table[role, Input.LEADER_HEARD] = follower
        table[role, Input.LEADER_NAMED] = follower
        table[role, Input.STEPPED_ASIDE] = follower
        table[role, Input.DIRECTORY_AWAY] = follower
        table[role, Input.STALLED] = follower
    for role in (follower, probe, elect, wait):
        table[role, Input.ASKED_TO_LEAD] = claim
        table[role, Input.LEADER_RESIGNED] = wait
    return table


TRANSITIONS: Final[Mapping[tuple[Role, Input], Role]] = MappingProxyType(_table())
"""Every transition. A pair that is in neither this table nor `IGNORED` is a bug of the machine."""

IGNORED: Final = frozenset(
    {
        *((role, Input.OK_RECEIVED) for role in Role if role is not Role.PROBE),  # ELECT only collects them
        *((role, Input.ELECTION_CALLED) for role in (Role.PROBE, Role.ELECT, Role.WAIT, Role.CLAIM, Role.LEADER)),
        *((role, Input.HIGHER_TERM) for role in Role if role is not Role.LEADER),  # the number alone moves nobody
        *((role, Input.LEADER_NAMED) for role in (Role.CLAIM, Role.LEADER)),  # the directory's word is worth more
        *((role, Input.LEADER_RESIGNED) for role in (Role.CLAIM, Role.LEADER)),
        *((role, Input.ASKED_TO_LEAD) for role in (Role.CLAIM, Role.LEADER)),
        (Role.FOLLOWER, Input.STEPPED_ASIDE),
    }
)
"""What may happen and changes nothing."""


def next_role(role: Role, happened: Input) -> Role | None:
    """Return the role after `happened`, or None where it changes nothing.

    Raises `LocalError` for a pair that must not occur.
    """
    if (role, happened) in IGNORED:
        return None
    try:
        return TRANSITIONS[role, happened]
    except KeyError:
        raise LocalError(f"a node that is {role.name} has no transition for {happened.name}") from None


def render_diagram() -> str:
    """Return the table as a Mermaid state diagram; transitions between the same two roles share an arrow."""
    arrows: dict[tuple[Role, Role], list[str]] = {}
    for (role, happened), target in sorted(TRANSITIONS.items(), key=_position):
        arrows.setdefault((role, target), []).append(happened.value)
    lines = [f"    {source.name} --> {target.name}: {', '.join(labels)}" for (source, target), labels in arrows.items()]
    return "\n".join(["stateDiagram-v2", "    [*] --> FOLLOWER", *lines]) + "\n"


def _position(entry: tuple[tuple[Role, Input], Role]) -> tuple[int, int, int]:
    (role, happened), target = entry
    roles = list(Role)
    return roles.index(role), roles.index(target), list(Input).index(happened)
