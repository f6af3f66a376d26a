"""Two peers behind address translators of every kind: they always find a path, the direct one where there is one."""

from itertools import pairwise

import pytest

from shared.secure.path_choice import PathChoice
from tests.sim.nat import Depends, Kind
from tests.sim.paths import AWAITED_S, NODES, SimPeer, World, journey, kill_node
from tests.sim.world import Weather

FULL_CONE = Kind(Depends.NOTHING, Depends.NOTHING)
RESTRICTED = Kind(Depends.NOTHING, Depends.PORT)
SYMMETRIC = Kind(Depends.PORT, Depends.PORT)
BLOCKED = Kind(only_to=NODES)


def met(world: World, seconds: float = 8.0) -> World:
    world.begin()
    world.run(seconds)
    assert all(peer.heard_at for peer in world.peers)
    return world


def longest_silence(world: World) -> float:
    return max(after - before for peer in world.peers for before, after in pairwise(peer.heard_at))


@pytest.mark.parametrize("seed", range(200))
def test_no_pair_is_without_a_way_and_none_goes_through_a_node_without_need(seed: int) -> None:
    """Through lost datagrams, translators that forget, and the end of the node that carries them."""
    journey(seed)


@pytest.mark.parametrize(
    ("one", "other", "direct"),
    [
        ((), (), True),
        ((), (RESTRICTED,), True),
        ((), (SYMMETRIC,), True),
        ((FULL_CONE,), (SYMMETRIC,), True),
        ((RESTRICTED,), (RESTRICTED,), True),
        ((RESTRICTED, RESTRICTED), (RESTRICTED, RESTRICTED), True),
        ((RESTRICTED,), (SYMMETRIC,), False),
        ((SYMMETRIC,), (SYMMETRIC,), False),
        ((BLOCKED,), (), False),
        ((RESTRICTED,), (BLOCKED,), False),
    ],
)
def test_what_translators_allow_is_what_is_taken(one: tuple[Kind, ...], other: tuple[Kind, ...], direct: bool) -> None:
    for homes in ((one, other), (other, one)):
        assert [peer.is_direct for peer in met(World(1, homes)).peers] == [direct, direct]


def test_two_machines_behind_one_translator_meet_within_it() -> None:
    world = met(World(1, ((RESTRICTED,), (RESTRICTED,)), shared=1))
    assert all(peer.talk is not None and peer.talk.address[0].startswith("192.168.1.") for peer in world.peers)


def test_a_peer_that_hides_its_addresses_sends_nothing_to_the_other_one() -> None:
    world = World(1, ((), ()), hides=(True, False))
    met(world)
    assert not any(peer.is_direct for peer in world.peers)
    nodes = {node.address for node in world.nodes}
    assert all(peer.spoken_to == nodes for peer in world.peers)


def test_a_node_that_dies_is_replaced_by_another_without_a_new_session() -> None:
    world = met(World(1, ((SYMMETRIC,), (SYMMETRIC,)), nodes_count=3))
    sessions = [peer.talk for peer in world.peers]
    for _ in range(2):
        kill_node(world, world.random)
        world.run(6.0)
    assert [peer.talk for peer in world.peers] == sessions
    assert longest_silence(world) <= AWAITED_S + 0.5


def test_a_router_that_is_switched_off_and_on_costs_about_a_second() -> None:
    world = met(World(1, ((RESTRICTED,), (RESTRICTED,))))
    assert all(peer.is_direct for peer in world.peers)
    world.translators[0][0].forget()
    world.run(6.0)
    assert all(peer.is_direct for peer in world.peers)
    assert longest_silence(world) < 1.5


@pytest.mark.parametrize(("timeout_s", "a_minute"), [(120.0, 2.0), (31.0, 2.0), (29.0, 3.0), (20.0, 3.5), (8.0, 10.0)])
@pytest.mark.parametrize("mapping", [Depends.NOTHING, Depends.PORT])
@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_a_peer_that_is_left_alone_says_as_little_as_its_router_allows(
    timeout_s: float, a_minute: float, mapping: Depends, loss: float
) -> None:
    """And is reached all the time: what nodes send it arrives, but for the moment in which it is found out how long the
    router keeps a mapping."""
    home = (Kind(mapping, Depends.PORT, timeout_s=timeout_s),)
    world = World(3, (home, ()), weather=Weather(loss=loss))
    peer = world.peers[0]
    peer.join()
    world.run(200.0)
    heard: list[float] = []
    peer.heard = lambda _session, _data: heard.append(world.time.now)  # type: ignore[method-assign]
    peer.kept, words, minutes = 0, 0, 40
    for _ in range(minutes * 6):
        world.run(world.random.uniform(9.0, 11.0))
        for node in world.nodes:
            for session in node.sessions.values():
                node.send(session, b"\x09word")
                words += 1
            node.flush()
    assert peer.kept / len(world.nodes) / minutes <= a_minute * (1.05 + 10 * loss), "a minute to each node"
    assert len(heard) >= words * (0.98 - 3 * loss)


@pytest.mark.parametrize("without", ["probes of one side", "doubts"])
def test_the_check_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    """A check is worth what it finds: with a part of the search taken out, it must."""
    if without == "doubts":
        monkeypatch.setattr(PathChoice, "doubt", lambda *_, **__: None)
    else:
        told_of = SimPeer._told_of
        monkeypatch.setattr(SimPeer, "_told_of", lambda self, told: [] if self.name == "b" else told_of(self, told))
    wrong = 0
    for seed in range(40):
        try:
            journey(seed)
        except AssertionError:
            wrong += 1
    assert wrong
