"""Random misfortune for a simulated cluster: everything follows from the seed."""

import random

from node.dispatch import Policy
from tests.sim.cluster import SimCluster
from tests.sim.world import Weather

CONVERGED_WITHIN_S = 6.0
ANSWERED_WITHIN_S = 10.0
REQUESTS = 12


def bad_weather(rng: random.Random) -> Weather:
    """Return a network that loses, doubles, delays and reorders, from not at all to badly."""
    return Weather(
        loss=rng.choice([0.0, 0.02, 0.1, 0.3]),
        duplication=rng.choice([0.0, 0.05, 0.3]),
        delay_max=rng.choice([0.002, 0.02, 0.08]),
        reordering=rng.choice([0.0, 0.1, 0.5]),
    )


class Chaos:
    """Does something bad to the cluster every now and then, and undoes all of it in the end."""

    def __init__(self, cluster: SimCluster, seed: int) -> None:
        self.cluster = cluster
        self.rng = random.Random(seed)
        self.done: list[str] = []
        self._misfortunes = [
            self.crash,
            self.crash,
            self.pause,
            self.stall,
            self.deafen,
            self.partition,
            self.one_way,
            self.directory_gone,
            self.directory_gone_for_one,
            self.drop_in,
            self.forget,
            self.hand_over,
            self.stand_down,
            self.choose_policy,
            self.give_up,
            self.hang_up,
        ]
        if len(cluster.names) == 1:
            self._misfortunes.remove(self.partition)
            self._misfortunes.remove(self.one_way)

    def run(self, seconds: float, pause_s: float = 0.8) -> None:
        """Let misfortunes happen for `seconds`, one after about `pause_s`, and heal everything."""
        until = self.cluster.time.now + seconds
        while self.cluster.time.now < until:
            self.cluster.run(self.rng.uniform(0.1, 2 * pause_s))
            misfortune = self.rng.choice(self._misfortunes)
            self.done.append(f"{self.cluster.time.now:.3f} {misfortune.__name__}")
            misfortune()
        self.heal()

    def heal(self) -> None:
        """Undo everything: every node is up, awake and connected, and directory and peers are there."""
        cluster = self.cluster
        cluster.network.heal()
        cluster.network.weather = Weather()
        cluster.directory.away = False
        cluster.directory.away_for.clear()
        for peer in cluster.peers.values():
            peer.gone = False
        for name, node in list(cluster.nodes.items()):
            if node.stalled:
                node.unstall()
            if node.paused:
                node.resume()
            if not node.up:
                cluster.restart(name)

    def _some_node(self) -> str:
        return self.rng.choice(self.cluster.names)

    def crash(self) -> None:
        name = self._some_node()
        if self.rng.random() < 0.5 and (leader := self.cluster.leader()) is not None:
            name = leader.name
        self.cluster.nodes[name].crash()
        self.cluster.time.call_later(self.rng.uniform(0.05, 3.0), lambda: self._bring_back(name))

    def _bring_back(self, name: str) -> None:
        if not self.cluster.nodes[name].up:
            self.cluster.restart(name)

    def pause(self) -> None:
        node = self.cluster.nodes[self._some_node()]
        node.pause()
        self.cluster.time.call_later(self.rng.uniform(0.1, 3.0), lambda: node.paused and node.resume())

    def stall(self) -> None:
        """A node's loop of requests stands still, for longer at times than a leader's may."""
        node = self.cluster.nodes[self._some_node()]
        node.stall()
        self.cluster.time.call_later(self.rng.choice([0.3, 1.5, 3.0, 7.0]), node.unstall)

    def deafen(self) -> None:
        node = self.cluster.nodes[self._some_node()]
        if node.up and not node.paused:
            duration_s = self.rng.uniform(0.5, 3.0)
            node.do(lambda now: node.faults.make_deaf(now, duration_s))

    def partition(self) -> None:
        names = list(self.cluster.names)
        self.rng.shuffle(names)
        cut = self.rng.randrange(1, len(names))
        self.cluster.partition(tuple(names[:cut]), tuple(names[cut:]))
        self.cluster.time.call_later(self.rng.uniform(0.3, 3.0), self.cluster.network.heal)

    def one_way(self) -> None:
        source, target = self.rng.sample(self.cluster.names, 2)
        self.cluster.network.cut(source, target)
        self.cluster.time.call_later(self.rng.uniform(0.3, 3.0), self.cluster.network.heal)

    def directory_gone(self) -> None:
        directory = self.cluster.directory
        directory.away = True
        self.cluster.time.call_later(self.rng.uniform(0.2, 3.0), lambda: setattr(directory, "away", False))

    def directory_gone_for_one(self) -> None:
        name = self._some_node()
        away_for = self.cluster.directory.away_for
        away_for.add(name)
        self.cluster.time.call_later(self.rng.uniform(0.2, 3.0), lambda: away_for.discard(name))

    def drop_in(self) -> None:
        """A node restarts so fast that nobody misses it."""
        self.cluster.restart(self._some_node())

    def forget(self) -> None:
        """A node restarts and does not know how many lives it had."""
        self.cluster.restart(self._some_node(), incarnation=1)

    def hand_over(self) -> None:
        node = self.cluster.nodes[self._some_node()]
        if node.up and not node.paused:
            node.do(node.election.request_leadership)

    def stand_down(self) -> None:
        leader = self.cluster.leader()
        if leader is not None:
            leader.do(leader.election.stand_down)

    def choose_policy(self) -> None:
        node = self.cluster.nodes[self._some_node()]
        if node.up and not node.paused:
            node.choose_policy(self.rng.choice(list(Policy)))

    def give_up(self) -> None:
        """A peer wants one of its requests no more."""
        for peer in self.cluster.peers.values():
            if waits_for := sorted(peer.waits_for):
                peer.give_up(self.rng.choice(waits_for))

    def hang_up(self) -> None:
        """A peer's sessions end, whatever nodes have in hand for it, and it is back a little later."""
        for peer in self.cluster.peers.values():
            peer.gone = True
            self.cluster.time.call_later(self.rng.uniform(0.1, 2.0), lambda peer=peer: setattr(peer, "gone", False))


def storm(seed: int) -> None:
    """One life of a cluster: five seconds of misfortune with requests, then healing. Raises AssertionError, of which a
    `Violation` is one, where something happened that must not, or something did not that must."""
    rng = random.Random(seed)
    cluster = SimCluster(
        seed,
        size=rng.choice([1, 2, 3, 3, 3, 3, 3, 5]),
        weather=bad_weather(rng),
        lost_answers=rng.choice([0.0, 0.0, 0.1]),
        encoded=seed % 20 == 0,
        policy=rng.choice(list(Policy)),
    )
    peer = cluster.peer()
    for _ in range(REQUESTS):
        cluster.time.call_at(rng.uniform(0, 5), peer.ask)
    chaos = Chaos(cluster, seed)
    chaos.run(4.0)
    healed_at = cluster.time.now
    while not cluster.agreed():
        cluster.run(0.1)
        assert cluster.time.now - healed_at < CONVERGED_WITHIN_S, ("no agreement", chaos.done)
    while {node.dispatch.policy for node in cluster.nodes.values()} != {cluster.directory.policy}:
        cluster.run(0.1)
        assert cluster.time.now - healed_at < CONVERGED_WITHIN_S, ("no common policy", chaos.done)
    while len(peer.asked_at) < REQUESTS or peer.waits_for:
        cluster.run(0.2)
        assert cluster.time.now - healed_at < ANSWERED_WITHIN_S, ("no answer", chaos.done)
    effects = cluster.directory.effects
    assert peer.asked_at.keys() - peer.given_up <= set(effects) <= set(peer.asked_at)
    assert set(effects.values()) <= {1}
    terms = [term for term, _ in cluster.directory.terms_won]
    assert terms == sorted(set(terms))
