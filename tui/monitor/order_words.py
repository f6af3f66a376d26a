"""Orders in words: what was done by whom, and what an order will do and cost, as things stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tui.common.wording import counted, plain
from tui.monitor.model.nodes import Badge, Presence
from tui.monitor.orders import DEAF_S, OrderKind
from tui.monitor.wording import lasting

if TYPE_CHECKING:
    from shared.wire.node_messages import AuditRecord
    from tui.monitor.model.cluster import ClusterData
    from tui.monitor.model.nodes import NodeData

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


NOTHING_LOST: Final = "Requests wait until then; none is lost."


@dataclass(frozen=True, slots=True)
class Situation:
    """The cluster and its nodes by place, at one moment. `token_s`: how long the token makes a node deaf."""

    cluster: ClusterData
    nodes: tuple[NodeData, ...]
    token_s: float = DEAF_S

    @property
    def leader(self) -> NodeData | None:
        """Who leads, as far as is known."""
        return None if self.cluster.leader is None else self.nodes[self.cluster.leader]

    @property
    def contact_node(self) -> NodeData:
        """Who is told what holds for the whole cluster: the leader, else the first node that answers."""
        return self.leader or next((node for node in self.nodes if _up(node)), self.nodes[0])

    @property
    def successor(self) -> NodeData | None:
        """Who is next in line."""
        return next((node for node in self.nodes if node.next_in_line and _up(node)), None)

    def others_up(self, node: NodeData) -> int:
        """Return how many other nodes answer and do not drain."""
        return sum(_up(other) and not drains(other) for other in self.nodes if other.place != node.place)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the dialog says of an order."""

    heading: str
    accept: str
    """What the button says."""
    does: str
    costs: str
    needless: str = ""
    """Why there is nothing to order; empty if there is."""


def drains(node: NodeData) -> bool:
    """Return whether a node said last that it drains."""
    return node.state is not None and node.state.standing.draining


def _up(node: NodeData) -> bool:
    return node.presence is Presence.UP


def first_choice(kind: OrderKind, situation: Situation) -> NodeData:
    """Return the node that an order is meant for most probably, where the person chose none."""
    leader = situation.contact_node
    match kind:
        case OrderKind.LEAD:
            return situation.successor or leader
        case OrderKind.DRAIN:
            return next((node for node in situation.nodes if _up(node) and not drains(node)), leader)
        case OrderKind.UNDRAIN:
            return next((node for node in situation.nodes if drains(node)), leader)
        case _:
            return leader


def plan(kind: OrderKind, node: NodeData, situation: Situation) -> Plan:
    """Return what an order means for a node; of one for the whole cluster, `node` is who is told."""
    found = _PLANS[kind](node, situation)
    if found.needless or node.presence in (Presence.UP, Presence.UNKNOWN):
        return found
    name, is_so = plain(node.name, _NAME_CELLS), "is deaf" if node.presence is Presence.DEAF else "does not answer"
    doubt = f"{name} {is_so} now, so the order will probably not reach it."
    return Plan(found.heading, found.accept, found.does, f"{doubt} {found.costs}")


def _deaf(node: NodeData, situation: Situation) -> Plan:
    name = plain(node.name, _NAME_CELLS)
    if not situation.others_up(node):
        costs = f"No other node could take over: for {DEAF_S} s nobody is served."
    elif _leads(node, situation):
        costs = f"It leads: {_elected(situation)} under a higher term. {NOTHING_LOST}"
    else:
        costs = "The others take over what it is working on; none of it is lost."
    return Plan(
        f"Make {name} deaf for {DEAF_S} s?",
        f"Make {name} deaf",
        f"{name} neither receives nor sends anything for {DEAF_S} s, as if its cable were pulled. Its process runs on, "
        "and then it hears again by itself.",
        costs,
    )


def _token_start(_node: NodeData, situation: Situation) -> Plan:
    holder = situation.cluster.token
    pause = "Whenever that is the leader, another one is elected."
    return Plan(
        "Send the token round?",
        "Send it round",
        f"The token goes from node to node in the order of their addresses. Who holds it is deaf for "
        f"{lasting(situation.token_s)}, then it moves on.",
        f"{pause} It goes on until it is stopped.",
        "" if holder is None else f"The token goes round already; {plain(holder, _NAME_CELLS)} holds it.",
    )


def _token_stop(_node: NodeData, situation: Situation) -> Plan:
    holder = situation.cluster.token
    now = "" if holder is None else f" {plain(holder, _NAME_CELLS)} holds it now, and is deaf until its time is over."
    return Plan(
        "Stop the token?",
        "Stop it",
        f"The token is taken out of the game; it makes no other node deaf.{now}",
        "It costs nothing.",
        "" if holder is not None else "The token does not go round.",
    )


def _drain(node: NodeData, situation: Situation) -> Plan:
    name, others = plain(node.name, _NAME_CELLS), situation.others_up(node)
    left = f"Until it is undrained, {counted(others, 'other node')} {'does' if others == 1 else 'do'} all the work."
    if not others:
        left = "No other node could take over now, so it will refuse."
    hands_over = f"It leads, and gives that up first: {_elected(situation)}. " if _leads(node, situation) else ""
    return Plan(
        f"Drain {name}?",
        f"Drain {name}",
        f"{name} stands aside: it takes no new work and cannot be elected. Its process runs on. This is the first step "
        "of a rolling restart: drain, restart the process, undrain, go on with the next node.",
        f"{hands_over}{left}",
        f"{name} drains already." if _up(node) and drains(node) else "",
    )


def _undrain(node: NodeData, _situation: Situation) -> Plan:
    name = plain(node.name, _NAME_CELLS)
    return Plan(
        f"Undrain {name}?",
        f"Undrain {name}",
        f"{name} takes work again and is back in the line of succession. Who leads goes on leading.",
        "It costs nothing.",
        f"{name} does not drain." if _up(node) and not drains(node) else "",
    )


def _step_down(node: NodeData, situation: Situation) -> Plan:
    name = plain(node.name, _NAME_CELLS)
    return Plan(
        f"Have {name} step down?",
        f"{name} steps down",
        f"{name} gives the lease back and goes on as a follower, in line as before; {_elected(situation)}.",
        f"There is no leader for a moment, and the term grows. {NOTHING_LOST}",
    )


def _lead(node: NodeData, situation: Situation) -> Plan:
    name, leader = plain(node.name, _NAME_CELLS), situation.leader
    way = (
        "Nobody leads now: it claims the lease."
        if leader is None
        else (f"It asks {plain(leader.name, _NAME_CELLS)} to hand over, which then goes on as a follower.")
    )
    needless = f"{name} drains; undrain it first." if drains(node) else ""
    if _leads(node, situation):
        way = "Choose the node that shall lead instead."
    return Plan(
        f"Ask {name} to lead?",
        f"Ask {name}",
        way,
        f"There is no leader for a moment, and the term grows. {NOTHING_LOST}",
        f"{name} leads already." if _leads(node, situation) else needless if _up(node) else "",
    )


def _leads(node: NodeData, situation: Situation) -> bool:
    return situation.cluster.leader == node.place or Badge.LEADER in node.badges


def _elected(situation: Situation) -> str:
    successor = situation.successor
    return (
        "the next in line is elected"
        if successor is None
        else f"{plain(successor.name, _NAME_CELLS)}, next in line, is elected"
    )


_PLANS: Final = {
    OrderKind.DEAF: _deaf,
    OrderKind.TOKEN_START: _token_start,
    OrderKind.TOKEN_STOP: _token_stop,
    OrderKind.DRAIN: _drain,
    OrderKind.UNDRAIN: _undrain,
    OrderKind.STEP_DOWN: _step_down,
    OrderKind.LEAD: _lead,
}
