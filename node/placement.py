"""Which node gets the next request: policies over the leader's own, fresh counts of requests in flight."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

from node.coordination import cost, priority


class Policy(Enum):
    """How the leader chooses."""

    LEAST_COST = "least-cost"
    PRIORITY = "priority"
    """The reference's: highest 1 / load1."""
    ROUND_ROBIN = "round-robin"


@dataclass(slots=True)
class _Node:
    load1: float = 0.0
    cores: int = 1
    alive: bool = False
    counted: int = 0
    """Requests that are assigned to it, as far as this node has seen assignments and their ends."""
    excess: int = 0
    """What it reported beyond `counted`: work that this node did not hear of."""
    doubted_until: float = float("-inf")
    """It could not serve something lately; others are preferred until then."""


@dataclass(slots=True)
class Placement:
    """The nodes as places for work. `nodes` in address order; ties go to the lower address."""

    me: str
    nodes: Sequence[str]
    policy: Policy = Policy.LEAST_COST
    _nodes: dict[str, _Node] = field(init=False)
    _turn: int = field(init=False, default=-1)

    def __post_init__(self) -> None:
        self._nodes = {node: _Node(alive=node == self.me) for node in self.nodes}

    def update(self, node: str, load1: float, cores: int, in_flight: int, *, alive: bool) -> bool:
        """Note what `node` reports; return whether it just died."""
        place = self._nodes[node]
        died = place.alive and not alive
        place.load1, place.cores, place.alive = load1, max(cores, 1), alive
        place.excess = 0 if node == self.me else max(0, in_flight - place.counted)
        return died

    def alive(self, node: str) -> bool:
        """Return whether `node` was last reported alive."""
        return node in self._nodes and self._nodes[node].alive

    def count(self, node: str, change: int) -> None:
        """Add to the requests in flight at `node`."""
        self._nodes[node].counted += change

    def in_flight(self, node: str) -> int:
        """Return the requests in flight at `node` as counted here."""
        return self._nodes[node].counted

    def doubt(self, node: str, until: float) -> None:
        """Prefer others to `node` until then."""
        self._nodes[node].doubted_until = until

    def cost(self, node: str) -> float:
        """Return the cost of giving `node` one more request."""
        place = self._nodes[node]
        return cost(place.load1, place.cores, place.counted + place.excess)

    def choose(self, candidates: Collection[str], now: float) -> str | None:
        """Return the node that gets the next request, among the living of `candidates`; None if there is none."""
        living = [node for node in self.nodes if node in candidates and self._nodes[node].alive]
        trusted = [node for node in living if self._nodes[node].doubted_until <= now] or living
        if not trusted:
            return None
        if self.policy is Policy.ROUND_ROBIN:
            return self._next_in_turn(trusted)
        if self.policy is Policy.PRIORITY:
            return max(trusted, key=lambda node: priority(self._nodes[node].load1))
        return min(trusted, key=self.cost)

    def line(self, leader: str | None) -> list[str]:
        """Return the living nodes but the leader in the order in which they take over."""
        living = [node for node in self.nodes if node != leader and self._nodes[node].alive]
        return sorted(living, key=lambda node: round(self.cost(node), 6))

    def _next_in_turn(self, candidates: Sequence[str]) -> str:
        for _ in self.nodes:
            self._turn = (self._turn + 1) % len(self.nodes)
            if self.nodes[self._turn] in candidates:
                break
        return self.nodes[self._turn]
