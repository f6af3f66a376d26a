"""The classic Bully election (Garcia-Molina, 1982), to count its messages beside next in line.

Names sort by rank: the highest living one leads. Whoever suspects the leader asks everybody above; who is asked answers
and asks upward itself; whom nobody answers tells everybody below.
"""

from collections import Counter

from tests.sim.world import SimNetwork, VirtualTime

ANSWER_TIMEOUT_S = 0.2


class BullyNode:
    """One process of the classic algorithm."""

    def __init__(self, cluster: "BullyCluster", rank: int) -> None:
        self.cluster = cluster
        self.rank = rank
        self.leader = len(cluster.ranks) - 1
        self.electing = False
        self.answered = False
        cluster.network.attach(rank, self._arrived)

    def suspect(self) -> None:
        """Start an election, unless one is under way."""
        if self.electing:
            return
        self.electing, self.answered = True, False
        for higher in self.cluster.ranks[self.rank + 1 :]:
            self.cluster.send(self.rank, higher, "ELECTION")
        self.cluster.time.call_later(ANSWER_TIMEOUT_S, self._counted)

    def _counted(self) -> None:
        if self.electing and not self.answered:
            self.electing = False
            self.leader = self.rank
            for lower in self.cluster.ranks[: self.rank]:
                self.cluster.send(self.rank, lower, "COORDINATOR")

    def _arrived(self, source: object, payload: object) -> None:
        assert isinstance(source, int)
        if payload == "ELECTION":
            self.cluster.send(self.rank, source, "ANSWER")
            self.suspect()
        elif payload == "ANSWER":
            self.answered = True
        else:
            self.leader, self.electing = source, False


class BullyCluster:
    """`size` processes of which the highest has just died."""

    def __init__(self, seed: int, size: int) -> None:
        self.time = VirtualTime()
        self.network = SimNetwork(self.time, seed)
        self.ranks = list(range(size))
        self.kinds: Counter[str] = Counter()
        self.nodes = [BullyNode(self, rank) for rank in self.ranks]
        self.network.detach(size - 1)

    def send(self, source: int, target: int, kind: str) -> None:
        self.kinds[kind] += 1
        self.network.send(source, target, kind)

    def fail_over(self, detectors: list[int]) -> int:
        """Let `detectors` notice the failure within a few milliseconds; return the messages until all agree."""
        for detector in detectors:
            self.time.call_later(self.network.random.uniform(0, 0.005), self.nodes[detector].suspect)
        self.time.run_until(5.0)
        assert {node.leader for node in self.nodes[:-1]} == {len(self.ranks) - 2}
        return self.kinds.total()
