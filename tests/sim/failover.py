"""What a failure of the leader costs: messages, and heartbeats until there is a usable leader again."""

import random
from dataclasses import dataclass

from tests.sim.bully import BullyCluster
from tests.sim.cluster import SimCluster
from tests.sim.world import Weather

ELECTION_KINDS = (
    "CrashLeader",
    "Ok",
    "LeaderIs",
    "Election",
    "Yield",
    "NewLeader",
    "Join",
    "Decline",
    "Resign",
    "HandOver",
)
"""Everything but the signs of life, which flow whether there is an election or not."""
SIZES = (3, 5, 9, 15)


@dataclass(frozen=True, slots=True)
class MessageRow:
    """Messages for one failure of the leader among `nodes`; means over the seeds."""

    nodes: int
    next_in_line: float
    next_in_line_heir_dead: float
    """The first alternative died together with the leader."""
    bully_best: float
    """Only the highest survivor notices."""
    bully_worst: float
    """Only the lowest survivor notices."""
    bully_all: float
    """All survivors notice, as with heartbeats to all."""


def next_in_line_messages(seed: int, nodes: int, *, heir_dead: bool = False, weather: Weather | None = None) -> int:
    """Crash the leader (and the first in line) of a settled cluster; return the election messages until all agree."""
    cluster = SimCluster(seed, size=nodes, weather=weather)
    leader = cluster.run_to_leader()
    cluster.run(2.0 + random.Random(seed).random())
    heirs = leader.election.table.line(leader.name)
    cluster.kinds.clear()
    leader.crash()
    if heir_dead:
        cluster.nodes[heirs[0]].crash()
    cluster.run_to_leader()
    cluster.run(1.0)
    assert cluster.agreed()
    return sum(cluster.kinds[kind] for kind in ELECTION_KINDS)


def bully_messages(seed: int, nodes: int, detectors: list[int]) -> int:
    """Return the messages of the classic algorithm when `detectors` notice the failure."""
    return BullyCluster(seed, nodes).fail_over(detectors)


def message_row(nodes: int, seeds: int) -> MessageRow:
    """Measure one line of the table."""

    def mean(counts: list[int]) -> float:
        return sum(counts) / len(counts)

    all_survivors = list(range(nodes - 1))
    return MessageRow(
        nodes,
        mean([next_in_line_messages(seed, nodes) for seed in range(seeds)]),
        mean([next_in_line_messages(seed, nodes, heir_dead=True) for seed in range(seeds)]),
        mean([bully_messages(seed, nodes, [nodes - 2]) for seed in range(seeds)]),
        mean([bully_messages(seed, nodes, [0]) for seed in range(seeds)]),
        mean([bully_messages(seed, nodes, all_survivors) for seed in range(seeds)]),
    )


def recovery_heartbeats(failure: str, seeds: int, *, nodes: int = 3, weather: Weather | None = None) -> list[float]:
    """Return, sorted, the heartbeats from a `crash` or `deaf` leader to a usable one, one for each seed."""
    results = []
    for seed in range(seeds):
        cluster = SimCluster(seed, size=nodes, weather=weather)
        cluster.run_to_leader()
        cluster.run(1 + random.Random(seed).random())
        leader = cluster.run_to_leader()
        failed_at = cluster.time.now
        if failure == "crash":
            leader.crash()
        else:
            leader.do(leader.faults.make_deaf)
        cluster.run_to_leader()
        results.append((cluster.time.now - failed_at) / cluster.timing.heartbeat_s)
    return sorted(results)


def percentile(ordered: list[float], share: float) -> float:
    """Return the value below which `share` of the ordered values lie."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
