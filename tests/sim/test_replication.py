"""Operators' actions reach every node through loss, absence and restarts: the machines over a simulated network."""

from __future__ import annotations

import random
from collections.abc import Hashable

import pytest

from node.agreed import AgreedPolicy
from node.audit import Replication, id_of
from node.placement import Policy
from shared.config import LOCAL, MAX_MESSAGE_BYTES
from shared.wire.codec import decode, encode
from shared.wire.node_messages import AuditRecord, Join, NodeMessage
from tests.sim.world import SimNetwork, VirtualTime, Weather

NAMES = ("n0", "n1", "n2", "n3", "n4")
STEP_S = 0.05
HARSH = Weather(loss=0.3, duplication=0.1, reordering=0.3, delay_max=0.02)


class Node:
    """One node's machines and its file, which outlives its lives."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.file: list[AuditRecord] = []
        self.life = 0
        self.up = False
        self.start()

    def start(self) -> None:
        now = self.world.time.now
        self.life += 1
        self.up = True
        self.audit = Replication(self.name, NAMES, LOCAL)
        self.audit.restore(self.file[-256:], now)
        self.agreed = AgreedPolicy(self.name, NAMES, timing=LOCAL)
        self.world.network.attach(self.name, self.arrived)
        report = {"load1": 0.0, "cores": 1, "in_flight": 0, "fit": True}
        self.hello = Join(term=0, incarnation=self.life, **report)

    def stop(self) -> None:
        self.up = False
        self.world.network.detach(self.name)

    def order(self, number: int) -> AuditRecord:
        record = AuditRecord(self.name, self.life, number, 0.0, "acorn", "deaf", "20")
        self.file.append(record)
        self.audit.made(record, self.world.time.now)
        return record

    def arrived(self, source: Hashable, payload: object) -> None:
        assert isinstance(source, str)
        assert isinstance(payload, bytes)
        message = decode(payload, NodeMessage, cap_bytes=MAX_MESSAGE_BYTES)
        for machine in (self.audit, self.agreed):
            machine.receive(source, message, self.world.time.now)

    def tick(self) -> None:
        if not self.up:
            return
        now = self.world.time.now
        self.audit.tick(now)
        self.agreed.tick(now)
        for record in self.audit.take_records():
            self.file.append(record)
            self.audit.written(record, now)
        sends = [*self.audit.take_sends(), *self.agreed.take_sends()]
        if round(now / STEP_S) % 5 == 0:
            sends += [(node, self.hello) for node in NAMES if node != self.name]
        for node, message in sends:
            self.world.sent += not isinstance(message, Join)
            self.world.network.send(self.name, node, encode(message, cap_bytes=MAX_MESSAGE_BYTES))


class World:
    def __init__(self, seed: int, weather: Weather) -> None:
        self.time = VirtualTime()
        self.network = SimNetwork(self.time, seed, weather)
        self.random = random.Random(seed)
        self.sent = 0
        self.nodes = {name: Node(self, name) for name in NAMES}

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.time.run_until(self.time.now + STEP_S)
            for node in self.nodes.values():
                node.tick()

    def check(self, made: list[AuditRecord]) -> None:
        for node in self.nodes.values():
            assert sorted(node.file, key=id_of) == sorted(made, key=id_of), f"{node.name}: every record once"


@pytest.mark.parametrize("seed", range(15))
def test_records_reach_every_node_once_whatever_the_network_does(seed: int) -> None:
    world = World(seed, HARSH)
    made = []
    for number in range(12):
        made.append(world.nodes[world.random.choice(NAMES)].order(number))
        world.run(world.random.uniform(0, 0.5))
    world.run(90.0)
    world.check(made)
    before = world.sent
    world.run(120.0)
    assert world.sent == before, "then there is silence"


@pytest.mark.parametrize("seed", range(15))
def test_a_node_that_was_away_gets_them_even_if_their_maker_is_gone(seed: int) -> None:
    world = World(seed, Weather(loss=0.2))
    away, maker = world.random.sample(NAMES, 2)
    world.nodes[away].stop()
    made = [world.nodes[maker].order(number) for number in range(20)]
    world.nodes[maker].agreed.choose(Policy.ROUND_ROBIN, world.time.now)
    world.run(30.0)
    world.nodes[maker].stop()
    world.run(200.0)
    world.nodes[away].start()
    world.run(30.0)
    assert sorted(world.nodes[away].file, key=id_of) == sorted(made, key=id_of)
    assert world.nodes[away].agreed.policy is Policy.ROUND_ROBIN
    world.nodes[maker].start()
    world.run(60.0)
    world.check(made)
    assert world.nodes[maker].agreed.policy is Policy.ROUND_ROBIN


def test_without_loss_an_order_costs_one_record_to_each_and_their_answers() -> None:
    world = World(1, Weather())
    world.nodes["n0"].order(1)
    world.run(60.0)
    others = len(NAMES) - 1
    assert world.sent == others + others * others
