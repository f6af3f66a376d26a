"""What one node knows of all nodes: itself, the others at first hand, and what the leader's coordination table says.

A follower hears the leader and its neighbours in the ring only, so of the rest it takes the leader's word; the leader
goes by what it hears itself. `node.election` decides upon it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from node.coordination import CoordinationTable, NodeState, order_of
from node.membership import Membership
from shared.config import Timing
from shared.wire.node_messages import TableRow

_NEVER = float("-inf")


class ClusterView:
    """One node's knowledge. `nodes` in address order, `me` among them; times in seconds of the node's clock."""

    def __init__(self, me: str, nodes: Sequence[str], *, timing: Timing, incarnation: int, now: float) -> None:
        self.me = me
        self.nodes = tuple(nodes)
        self.timing = timing
        self.places = {node: place for place, node in enumerate(self.nodes)}
        self.order = order_of(self.nodes)
        self.membership = Membership(me, self.nodes, timing)
        self.table = CoordinationTable()
        self.table_at = now
        """When the table was made or last heard."""
        self.leader: str | None = None
        self.leader_heard_at = _NEVER
        self.draining = False
        """This node stands aside, by an operator's order or because it is about to end."""
        self.directory_away = False
        self.row_unwritten = False
        """This node's row in the directory could not be written the last time: neither could the lease."""
        self.stalled = False
        """Nothing is seen of the loop that serves this node's requests."""
        self._own = NodeState(me, incarnation, 0.0)

    @property
    def fit(self) -> bool:
        """Whether this node could lead: it neither drains nor lacks the directory, and its requests do not stand
        still."""
        return not (self.draining or self.directory_away or self.stalled)

    @property
    def own(self) -> NodeState:
        """This node."""
        return replace(self._own, fit=self.fit)

    def own_load(self, load1: float, cores: int, in_flight: int) -> None:
        """Note this machine's load, its cores and the requests that this node has in its hands."""
        own = self._own
        load1 = min(load1, 9_999.0)
        if (own.load1, own.cores, own.in_flight) != (load1, cores, in_flight):  # asked at every step, seldom new
            self._own = replace(own, load1=load1, cores=cores, in_flight=in_flight)

    def live_on(self, incarnation: int) -> None:
        """Note a higher incarnation of this node."""
        self._own = replace(self._own, incarnation=incarnation)

    # --- All nodes ---------------------------------------------------------------------------------------------------
    def states(self, now: float) -> tuple[NodeState, ...]:
        """Return every node in address order."""
        return tuple(self.state(node, now) for node in self.nodes)

    def state(self, node: str, now: float) -> NodeState:
        """Return what is known of a node, from whoever knows it best."""
        if node == self.me:
            return self.own
        known = self.membership.state(node, now)
        row = None if self.leader == self.me else self.table.row(node)
        if row is None or row.incarnation < known.incarnation:
            return known
        age_s = now - self.leader_heard_at if node == self.leader else row.heard_age_s + now - self.table_at
        return replace(row, heard_age_s=min(age_s, known.heard_age_s))

    def others_fit(self, now: float) -> bool:
        """Return whether another node could lead now: it was heard lately, does not drain and has the directory."""
        others = (state for state in self.states(now) if state.node != self.me)
        return any(state.fit and state.heard_age_s <= self.timing.suspect_s for state in others)

    def connected(self, now: float) -> bool:
        """Return whether this node may claim: it heard another lately, or the directory shows that it is alone."""
        return bool(self.membership.hears(now)) or self.membership.alone()

    def next_in_ring(self, now: float) -> str | None:
        """Return the follower after this one among those that are heard of; None if there is no other."""
        patience_s = 2 * self.timing.suspect_s
        ring = [
            node
            for node in self.nodes
            if node == self.me or (node != self.leader and self.state(node, now).heard_age_s <= patience_s)
        ]
        after = ring[(ring.index(self.me) + 1) % len(ring)]
        return None if after == self.me else after

    def best_of(self, answers: Iterable[NodeState]) -> NodeState:
        """Return the node of least cost among those who answered and this one, if it is fit; the lower address wins."""
        candidates = [*answers, *([self.own] if self.fit else [])]
        return min(candidates, key=lambda state: (round(state.cost, 6), self.places[state.node]), default=self.own)

    # --- The table ---------------------------------------------------------------------------------------------------
    def make_table(self, term: int, now: float) -> None:
        """Put the nodes in order, as the leader of `term`."""
        self.table = CoordinationTable.ordered(term, self.states(now), self.places, alive_s=self.timing.suspect_s)
        self.table_at = now

    def take_table(self, term: int, rows: Iterable[TableRow], now: float) -> None:
        """Note the table of the leader of `term`."""
        self.table = CoordinationTable.from_wire(term, rows, self.nodes)
        self.table_at = now

    def wire_table(self) -> tuple[TableRow, ...]:
        """Return the table as it travels."""
        return self.table.to_wire(self.places)

    def rank(self, leader: str | None) -> int:
        """Return this node's place in line behind `leader`, 0 for the next; the last place if it is in no line."""
        line = self.table.line(leader)
        return line.index(self.me) if self.me in line else len(self.nodes) - 1
