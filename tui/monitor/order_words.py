"""Operators' orders in words: what was done by whom, for announcements and for the list of the last actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tui.client.wording import plain

if TYPE_CHECKING:
    from shared.wire.node_messages import AuditRecord

_NAME_CELLS: Final = 32
_VALUE_CELLS: Final = 32
_TEXT_CELLS: Final = 200
_OPERATOR_WORDS: Final = 3
POLICIES: Final = {"least-cost": "Least cost", "priority": "Priority, 1 / load", "round-robin": "Round robin"}
"""Names of the policies, in the order in which they are offered."""
POLICY_MEANINGS: Final = {
    "least-cost": "To the node with the least open work, weighted by how busy its machine is.",
    "priority": "To the node with the highest 1 / load of the last minute, whatever it has open.",
    "round-robin": "To one node after the other, whatever they have to do.",
}


def policy_name(policy: str) -> str:
    """Return a policy's name; one that nobody knows as it came, made harmless."""
    return POLICIES.get(policy, plain(policy, _VALUE_CELLS) or "unknown")


def operator_name(words: str) -> str:
    """Return an operator's name in short: the first words of the fingerprint."""
    return plain("-".join(words.split()[:_OPERATOR_WORDS]), _NAME_CELLS) or "an operator"


def done(order: str, value: str, node: str) -> str:
    """Return what was done as a phrase in the past: `made n2 deaf for 20 s`. All three may come from anywhere."""
    name, what = plain(node, _NAME_CELLS), plain(value, _VALUE_CELLS)
    match order:
        case "deaf":
            return f"made {name} deaf for {what} s"
        case "token":
            return "took the token out of the game" if what == "stop" else "sent the token round"
        case "drain":
            return f"drained {name}"
        case "undrain":
            return f"undrained {name}"
        case "step_down":
            return f"made {name} step down"
        case "lead":
            return f"asked {name} to lead"
        case "policy":
            return f"chose the policy “{policy_name(value)}”"
        case "slow":
            return f"slowed the encoder of {name} {what} times"
        case "stop":
            return f"stopped {name}"
        case _:
            return f"gave {name} the order {plain(order, _VALUE_CELLS)} {what}".rstrip()


def record_line(record: AuditRecord) -> str:
    """Return a record of the audit log as a harmless sentence, who first."""
    who, what = operator_name(record.operator), done(record.order, record.value, record.node)
    if record.obeyed:
        return f"{who} {what}"
    return f"{who} was refused: {what}. {objection(record.text)}".rstrip()


def objection(text: str) -> str:
    """Return a node's objection as it is, but harmless and in one line."""
    return plain(text, _TEXT_CELLS)
