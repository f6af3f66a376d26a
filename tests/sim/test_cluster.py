"""The whole cloud under misfortune: what must never happen, and what must happen in the end."""

import random
from dataclasses import replace

import pytest

from node.dispatch import Policy
from shared.config import LOCAL
from shared.errors import LocalError
from shared.wire import node_messages as wire
from tests.sim.chaos import Chaos, bad_weather, storm
from tests.sim.cluster import SimCluster, SimNode, Violation
from tests.sim.failover import (
    SIZES,
    bully_messages,
    next_in_line_messages,
    percentile,
    recovery_heartbeats,
)
from tests.sim.world import Weather

SEEDS = 2_000
"""In `make test`; `make soak` runs 10 000."""


@pytest.mark.parametrize("first", range(0, SEEDS, 100))
def test_no_storm_breaks_the_cloud(first: int) -> None:
    """Never two trusted leases, terms only grow, one leader after healing, every request served, each effect once, and
    all nodes go by the policy that was chosen last."""
    for seed in range(first, first + 100):
        try:
            storm(seed)
        except (AssertionError, LocalError) as error:
            pytest.fail(f"seed {seed}: {error}")


def test_an_unfenced_build_has_two_leaders() -> None:
    """Negative control: the same simulation finds overlapping leaders where every claim of the lease is granted."""
    overlapping = 0
    for seed in range(90):
        cluster = SimCluster(seed, weather=bad_weather(random.Random(seed)), fenced=False)
        Chaos(cluster, seed).run(4.0)
        overlapping += cluster.overlaps > 0
    assert overlapping >= 4


def test_a_lease_trusted_too_long_is_found_out() -> None:
    """Negative control: a paused leader that would trust its lease for longer than it lasts is a violation."""
    for trust_s in (LOCAL.lease_trust_s, 3.0):
        cluster = settled(timing=replace(LOCAL, lease_trust_s=trust_s))
        leader = cluster.leader()
        assert leader is not None
        leader.pause()
        if trust_s > LOCAL.lease_s:
            with pytest.raises(Violation):
                cluster.run(4.0)
        else:
            cluster.run(4.0)
            assert cluster.leader() is not None


# --- Time and messages to recover ------------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_crashed_leader_is_replaced_within_eight_heartbeats(loss: float) -> None:
    beats = recovery_heartbeats("crash", 150, weather=Weather(loss=loss))
    assert percentile(beats, 0.99) <= 8


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_deaf_leader_is_replaced_within_sixteen_heartbeats(loss: float) -> None:
    beats = recovery_heartbeats("deaf", 150, weather=Weather(loss=loss))
    assert percentile(beats, 0.99) <= 16


@pytest.mark.parametrize("nodes", SIZES)
def test_next_in_line_needs_no_more_messages_than_bully(nodes: int) -> None:
    """Not more than Bully's best case, and where everybody notices, as they do with heartbeats, far fewer."""
    ours = [next_in_line_messages(seed, nodes) for seed in range(4)]
    best = [bully_messages(seed, nodes, [nodes - 2]) for seed in range(4)]
    everybody = [bully_messages(seed, nodes, list(range(nodes - 1))) for seed in range(4)]
    assert sum(ours) <= sum(best)
    assert sum(ours) < sum(everybody)
    heir_dead = [next_in_line_messages(seed, nodes, heir_dead=True) for seed in range(3)]
    assert max(heir_dead) <= 4 * nodes, "linear also when the first alternative is dead"


# --- The cloud as a whole --------------------------------------------------------------------------------------------
def settled(seed: int = 1, **options: object) -> SimCluster:
    cluster = SimCluster(seed, **options)  # type: ignore[arg-type]
    cluster.run_to_leader()
    cluster.run(2.0)
    assert cluster.agreed()
    return cluster


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("which", ["leader", "follower", "all"])
def test_a_node_that_forgot_its_lives_is_in_the_cluster_again(seed: int, which: str) -> None:
    """Restarted with its clock set back by a day, a node had a lower incarnation: it was out of the cluster for good,
    and once the others were gone it could not be followed either."""
    cluster = settled(seed)
    for name in cluster.names:
        cluster.restart(name, incarnation=1_000)
        cluster.run(3.0)
    leader = cluster.leader()
    assert leader is not None
    follower = next(name for name in cluster.names if name != leader.name)
    for name in {"leader": (leader.name,), "follower": (follower,), "all": cluster.names}[which]:
        cluster.restart(name, incarnation=7)
        cluster.run(4.0)
    assert cluster.agreed()
    for node in cluster.nodes.values():
        for other in cluster.nodes.values():
            if other is not node:
                assert other.election.membership.state(node.name, other.now).incarnation == node.election.incarnation
    peer = cluster.peer()
    peer.ask()
    cluster.run(3.0)
    assert len(peer.answered_at) == 1


@pytest.mark.parametrize("seed", range(10))
def test_who_has_the_key_of_a_follower_deposes_nobody_by_what_it_says_of_terms(seed: int) -> None:
    """One Decline of a very high term left the cloud without a leader until all nodes were started anew together."""
    cluster = settled(seed)
    leader = cluster.leader()
    assert leader is not None
    thief, victim = (name for name in cluster.names if name != leader.name)
    won = len(cluster.directory.terms_won)
    lies = random.Random(seed)
    peer = cluster.peer()
    for _ in range(100):
        stamp = {"term": lies.choice([cluster.directory.term, cluster.directory.term + 1, 2**53]), "incarnation": 1_000}
        lie = lies.choice(
            [
                wire.Decline(**stamp),
                wire.NewLeader(table=(), **stamp),
                wire.Heartbeat(sequence=lies.randrange(100), table=(), **stamp),
                wire.LeaderIs(leader=thief, **stamp),
            ]
        )
        cluster.send(thief, lies.choice([leader.name, victim]), lie)
        peer.ask()
        cluster.run(0.05)
    cluster.run(3.0)
    assert cluster.agreed()
    assert cluster.leader() is leader
    assert len(cluster.directory.terms_won) == won
    assert len(peer.answered_at) == 100


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("step_s", [86_400.0, -86_400.0, 3_600.0, -3_600.0])
def test_a_clock_that_is_set_deposes_nobody(seed: int, step_s: float) -> None:
    """The leader renews its lease by the directory's clock as it is, so at most one election follows."""
    cluster = settled(seed)
    won = len(cluster.directory.terms_won)
    cluster.directory.ahead_s += step_s
    cluster.run(5.0)
    assert cluster.agreed()
    assert len(cluster.directory.terms_won) <= won + 1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("step_s", [86_400.0, -86_400.0, -3_600.0])
def test_a_clock_that_is_set_while_the_power_is_off_keeps_nobody_from_leading(seed: int, step_s: float) -> None:
    """A clock that had been an hour ahead before the power failed left the cloud without a leader for an hour."""
    cluster = settled(seed)
    for node in cluster.nodes.values():
        node.crash()
    won = len(cluster.directory.terms_won)
    cluster.directory.ahead_s += step_s
    for name in cluster.names:
        cluster.restart(name)
    cluster.run_to_leader(within_s=8.0)
    cluster.run(3.0)
    assert cluster.agreed()
    assert len(cluster.directory.terms_won) == won + 1


# --- A busy machine --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("seconds", [1.0, 3.0, 20.0])
def test_a_machine_that_stands_still_deposes_nobody(seed: int, seconds: float) -> None:
    """All nodes of one computer were held up together, and the leader gave up a lease that nobody had claimed."""
    cluster = settled(seed)
    leader = cluster.leader()
    for node in cluster.nodes.values():
        node.pause()
    cluster.run(seconds)
    for name in cluster.random.sample(cluster.names, 3):
        cluster.nodes[name].resume()
        cluster.run(0.05)
    cluster.run(3.0)
    assert cluster.leader() is leader
    assert cluster.agreed()
    assert cluster.directory.term == 1


@pytest.mark.parametrize("seed", range(20))
def test_nodes_that_are_held_up_again_and_again_depose_nobody(seed: int) -> None:
    """Each node by itself stands still for up to three and a half heartbeats at a time, and runs for one in between."""
    cluster = settled(seed)
    leader = cluster.leader()

    def hold_up(node: SimNode) -> None:
        node.pause()
        cluster.time.call_later(cluster.random.uniform(0, 3.5) * LOCAL.heartbeat_s, node.resume)
        cluster.time.call_later(4.5 * LOCAL.heartbeat_s, lambda: hold_up(node))

    for node in cluster.nodes.values():
        hold_up(node)
    cluster.run(60.0)
    assert cluster.directory.term == 1
    assert cluster.leader() in (leader, None), "held up at this moment"


@pytest.mark.parametrize("seed", range(10))
def test_a_leader_whose_requests_stand_still_leads_on_and_another_serves(seed: int) -> None:
    """Heartbeats waited behind requests: a loop that was busy for longer than the lease had its node deposed."""
    cluster = settled(seed)
    leader = cluster.leader()
    assert leader is not None
    leader.stall()
    cluster.run(LOCAL.suspect_s)
    peer = cluster.peer()
    peer.ask()
    cluster.run(3 * LOCAL.lease_s - LOCAL.suspect_s)
    assert len(peer.answered_at) == 1
    leader.unstall()
    cluster.run(1.0)
    assert cluster.leader() is leader
    assert cluster.directory.term == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_leader_whose_requests_stand_still_for_good_is_replaced_within_the_bound(seed: int) -> None:
    cluster = settled(seed)
    leader = cluster.leader()
    assert leader is not None
    leader.stall()
    began = cluster.time.now
    while (successor := cluster.leader()) in (leader, None):
        assert cluster.time.step(began + LOCAL.stall_s + 4 * LOCAL.heartbeat_s)
    cluster.run(5.0)
    assert cluster.leader() is successor
    leader.unstall()
    cluster.run(2.0)
    assert cluster.agreed()


@pytest.mark.parametrize("seed", range(10))
def test_a_slow_directory_deposes_nobody(seed: int) -> None:
    """Renewals that take up to a second each, on a busy disk."""
    cluster = settled(seed)
    cluster.directory.latency = lambda: cluster.random.uniform(0.1, 0.5)  # type: ignore[method-assign]
    cluster.run(60.0)
    assert cluster.directory.term == 1


def test_a_restarted_node_does_not_bully_a_live_leader() -> None:
    cluster = settled()
    leader = cluster.leader()
    assert leader is not None
    other = next(name for name in cluster.names if name != leader.name)
    cluster.loads[other] = 0.0
    cluster.restart(other)
    cluster.run(3.0)
    assert cluster.leader() is leader
    assert cluster.agreed()
    assert cluster.directory.term == 1


def test_one_node_of_three_carries_on_alone() -> None:
    cluster = settled()
    leader = cluster.leader()
    assert leader is not None
    last = next(name for name in cluster.names if name != leader.name)
    for name in cluster.names:
        if name != last:
            cluster.nodes[name].crash()
    assert cluster.run_to_leader(10.0).name == last
    cluster.run(5.0)
    assert cluster.nodes[last].trusts_lease()


def test_without_a_directory_there_is_no_leader_and_no_effect() -> None:
    cluster = settled()
    cluster.directory.away = True
    cluster.run(2.0)
    peer = cluster.peer()
    peer.ask()
    for _ in range(100):
        cluster.run(0.1)
        assert cluster.leader() is None
    assert not cluster.directory.effects
    assert not peer.answered_at
    cluster.directory.away = False
    cluster.run(8.0)
    assert cluster.agreed()
    assert len(peer.answered_at) == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_minute_without_a_directory_is_a_quiet_minute(seed: int) -> None:
    """Every node claimed the lease several times a second on a full disk, and every try was told to all monitors."""
    cluster = settled(seed)
    cluster.directory.away = True
    began_at = cluster.time.now
    cluster.run(60.0)
    for node in cluster.nodes.values():
        told = [event for at, event in node.events if at > began_at + 5.0]
        assert not told, "after the leader's end nothing happens until the directory is back"
        assert sum(at > began_at for at, _ in node.events) <= 12
    cluster.directory.away = False
    back_at = cluster.time.now
    cluster.run_to_leader()
    assert cluster.time.now - back_at <= 4 * LOCAL.heartbeat_s


def test_a_node_without_the_directory_does_not_lead() -> None:
    cluster = settled()
    leader = cluster.leader()
    assert leader is not None
    cluster.directory.away_for.add(leader.name)
    cluster.run(4.0)
    successor = cluster.leader()
    assert successor is not None
    assert successor is not leader


def test_a_drained_leader_hands_over_within_two_heartbeats() -> None:
    for seed in range(20):
        cluster = settled(seed)
        leader = cluster.leader()
        assert leader is not None
        left_at = cluster.time.now
        leader.do(leader.election.drain)
        assert cluster.run_to_leader() is not leader
        assert cluster.time.now - left_at <= 2 * LOCAL.heartbeat_s
        cluster.run(10.0)
        assert not leader.trusts_lease(), "a drained node never leads again"


def test_an_undrained_node_leads_again_when_it_is_needed() -> None:
    """A rolling restart: drained and back, it is in the line as before and bullies no live leader."""
    for seed in range(20):
        cluster = settled(seed)
        leader = cluster.leader()
        assert leader is not None
        leader.do(leader.election.drain)
        successor = cluster.run_to_leader()
        assert successor is not None
        cluster.run(10.0)
        leader.do(leader.election.undrain)
        cluster.run(5.0)
        assert cluster.leader() is successor, "it does not bully"
        assert all(state.fit for state in successor.election.node_states(successor.now))
        for node in cluster.nodes.values():
            if node is not leader:
                node.crash()
        cluster.run(15.0)
        assert cluster.leader() is leader


def test_an_operator_moves_leadership() -> None:
    for seed in range(20):
        cluster = settled(seed)
        wanted = next(node for node in cluster.nodes.values() if node is not cluster.leader())
        wanted.do(wanted.election.request_leadership)
        cluster.run(2 * LOCAL.heartbeat_s)
        assert cluster.leader() is wanted


def test_a_paused_leader_does_not_act_when_it_wakes() -> None:
    cluster = settled()
    leader = cluster.leader()
    assert leader is not None
    leader.pause()
    cluster.run(4.0)
    successor = cluster.leader()
    assert successor is not None
    assert not leader.election.is_leader(leader.now)
    leader.resume()
    cluster.run(2.0)
    assert cluster.agreed()
    assert cluster.leader() is successor


# --- Requests --------------------------------------------------------------------------------------------------------
def ask_many(cluster: SimCluster, count: int, *, over_s: float) -> None:
    peers = [cluster.peer() for _ in range(3)]
    start = cluster.time.now
    for number in range(count):
        cluster.time.call_at(start + over_s * number / count, peers[number % 3].ask)


def latencies(cluster: SimCluster) -> list[float]:
    return [peer.answered_at[key] - asked for peer in cluster.peers.values() for key, asked in peer.asked_at.items()]


def test_in_calm_each_request_is_served_once() -> None:
    cluster = settled()
    ask_many(cluster, 400, over_s=4.0)
    cluster.run(6.0)
    assert len(latencies(cluster)) == 400
    assert cluster.directory.served.total() == 400
    assert max(latencies(cluster)) < LOCAL.takeover_heartbeats * LOCAL.heartbeat_s
    busy = [node.dispatch.counts() for node in cluster.nodes.values()]
    assert sum(counts.taken_over for counts in busy) == 0
    assert all(counts.served > 20 for counts in busy), [counts.served for counts in busy]
    assert all(counts.open == 0 for counts in busy)
    leader = cluster.leader()
    assert leader is not None
    assert [leader.dispatch._placement.in_flight(name) for name in cluster.names] == [0, 0, 0]


@pytest.mark.parametrize("victim", ["leader", "follower"])
def test_a_node_killed_midway_costs_no_request(victim: str) -> None:
    for seed in range(10):
        cluster = settled(seed)
        ask_many(cluster, 300, over_s=3.0)
        cluster.run(1.5)
        leader = cluster.leader()
        assert leader is not None
        others = [node for node in cluster.nodes.values() if node is not leader]
        (leader if victim == "leader" else others[0]).crash()
        cluster.run(8.0)
        assert len(latencies(cluster)) == 300
        assert set(cluster.directory.effects.values()) == {1}
        assert len(cluster.directory.effects) == 300


def test_without_a_leader_the_next_in_line_takes_over() -> None:
    """All nodes drain, so nobody may lead; the directory is there, so requests are still served."""
    cluster = settled()
    for node in cluster.nodes.values():
        node.do(node.election.drain)
    cluster.run(1.0)
    ask_many(cluster, 10, over_s=1.0)
    cluster.run(6.0)
    assert cluster.leader() is None
    assert len(latencies(cluster)) == 10


def test_a_peer_cut_off_from_the_leader_is_served() -> None:
    for only in range(3):
        cluster = settled()
        peer = cluster.peer()
        peer.reaches = (cluster.names[only],)
        peer.ask()
        cluster.run(2.0)
        assert len(peer.answered_at) == 1
        assert max(latencies(cluster)) < 4 * LOCAL.heartbeat_s


def test_long_work_is_left_to_the_node_that_does_it() -> None:
    """Work that lasts longer than an assignment shows signs of itself, so nobody takes it over."""
    cluster = settled(mean_service_s=1e-9)
    for name in cluster.names:
        cluster.slow[name] = 0.0
    cluster.service_s = lambda node: 3.0  # type: ignore[method-assign]
    peer = cluster.peer()
    peer.ask()
    cluster.run(8.0)
    assert cluster.directory.served.total() == 1


def test_an_assigned_node_that_dies_is_replaced() -> None:
    cluster = settled()
    cluster.service_s = lambda node: 1.0  # type: ignore[method-assign]
    peer = cluster.peer()
    key = peer.ask()
    cluster.run(0.2)
    worker = next(node for node in cluster.nodes.values() if node.dispatch.in_flight)
    worker.crash()
    cluster.run(6.0)
    assert key in peer.answered_at
    assert cluster.directory.effects[key] == 1


def test_a_lost_answer_is_served_again_from_the_store() -> None:
    cluster = settled()
    peer = cluster.peer()
    for name in cluster.names:
        cluster.network.cut(name, peer.name)
    key = peer.ask()
    cluster.run(0.4)
    assert cluster.directory.served[key] == 1
    assert key not in peer.answered_at
    cluster.network.heal()
    cluster.run(2.0)
    assert key in peer.answered_at
    assert cluster.directory.served[key] >= 2
    assert cluster.directory.effects[key] == 1


def test_least_cost_beats_round_robin_with_a_slow_node() -> None:
    """One node at a third of the speed, at a load that round robin cannot carry there."""
    means = {}
    for policy in (Policy.LEAST_COST, Policy.ROUND_ROBIN):
        cluster = settled(5, policy=policy, mean_service_s=0.02)
        cluster.slow["n1"] = 3.0
        ask_many(cluster, 600, over_s=8.0)
        cluster.run(20.0)
        observed = latencies(cluster)
        assert len(observed) == 600
        means[policy] = sum(observed) / len(observed)
    assert means[Policy.LEAST_COST] * 2 <= means[Policy.ROUND_ROBIN]


# --- Failure simulation ----------------------------------------------------------------------------------------------
def test_the_token_goes_round_and_there_is_only_one() -> None:
    """Each node is deaf in its turn, never two at once, although the leader itself is made deaf on the way."""
    cluster = settled(timing=replace(LOCAL, deaf_s=4.0))
    starter = next(iter(cluster.nodes.values()))
    starter.do(starter.faults.start_token)
    deafened: list[str] = []
    usable = 0
    for _ in range(900):
        cluster.run(0.05)
        deaf = [name for name, node in cluster.nodes.items() if node.deaf]
        assert len(deaf) <= 1
        usable += cluster.leader() is not None
        if deaf and deaf != deafened[-1:]:
            deafened += deaf
    assert set(deafened) == set(cluster.names)
    assert len(deafened) >= 5
    assert usable >= 0.85 * 900
    starter.do(starter.faults.stop_token)
    cluster.run(8.0)
    assert not any(node.deaf for node in cluster.nodes.values())
    cluster.run(8.0)
    assert not any(node.deaf for node in cluster.nodes.values())
    assert cluster.agreed()
