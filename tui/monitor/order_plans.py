"""What an order will do and what it costs, as things stand: the words of the dialog that confirms it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tui.common.wording import counted, plain
from tui.monitor.model.nodes import Badge, Presence
from tui.monitor.orders import DEAF_S, OrderKind
from tui.monitor.wording import lasting

if TYPE_CHECKING:
    from tui.monitor.model.cluster import ClusterData
    from tui.monitor.model.nodes import NodeData

_NAME_CELLS: Final = 32
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


def first_choice(deed: OrderKind, situation: Situation) -> NodeData:
    """Return the node that a deed is meant for most probably, where the person chose none."""
    leader = situation.contact_node
    match deed:
        case OrderKind.LEAD:
            return situation.successor or leader
        case OrderKind.DRAIN:
            return next((node for node in situation.nodes if _up(node) and not drains(node)), leader)
        case OrderKind.UNDRAIN:
            return next((node for node in situation.nodes if drains(node)), leader)
        case _:
            return leader


def plan(deed: OrderKind, node: NodeData, situation: Situation) -> Plan:
    """Return what a deed means for a node; for the whole cluster, `node` is who is told."""
    found = _PLANS[deed](node, situation)
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
