"""Operators' orders in words: what was done by whom, for announcements and for the list of the last actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tui.common.wording import plain

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
    """Return what was done: `made n2 deaf for 20 s`. All three may come from anywhere."""
    return _phrase(order, value, node, past=True)


def to_do(order: str, value: str, node: str) -> str:
    """Return what is to be done: `make n2 deaf for 20 s`. All three may come from anywhere."""
    return _phrase(order, value, node, past=False)


def _phrase(order: str, value: str, node: str, *, past: bool) -> str:
    name, what = plain(node, _NAME_CELLS), plain(value, _VALUE_CELLS)
    phrases = {
        "deaf": ("make", "made", f"{name} deaf for {what} s"),
        "token": ("take", "took", "the token out") if what == "stop" else ("send", "sent", "the token round"),
        "drain": ("drain", "drained", name),
        "undrain": ("undrain", "undrained", name),
        "step_down": ("have", "had", f"{name} step down"),
        "lead": ("ask", "asked", f"{name} to lead"),
        "policy": ("choose", "chose", f"the policy “{policy_name(value)}”"),
        "slow": ("slow", "slowed", f"the encoder of {name} {what} times"),
        "stop": ("stop", "stopped", name),
    }
    unknown = "give", "gave", f"{name} the order {plain(order, _VALUE_CELLS)} {what}".rstrip()
    present_verb, past_verb, rest = phrases.get(order, unknown)
    return f"{past_verb if past else present_verb} {rest}"


def record_line(record: AuditRecord) -> str:
    """Return a record of the audit log as a harmless sentence, who first."""
    who, order = operator_name(record.operator), (record.order, record.value, record.node)
    if record.obeyed:
        return f"{who} {done(*order)}."
    return f"{who} wanted to {to_do(*order)}, which was refused: {objection(record.text)}"


def objection(text: str) -> str:
    """Return a node's objection as it is, but harmless and in one line."""
    return plain(text, _TEXT_CELLS)
