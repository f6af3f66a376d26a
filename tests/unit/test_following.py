"""Who may follow which cluster file, how its parts are put together, and in which order nodes restart for it."""

import random
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from node.directory import Tx
from node.following import Following
from node.rollout import PATIENCE_S, SILENT_S, Rollout
from shared.cluster import (
    Cluster,
    NodeAddress,
    handed_over,
    load_cluster,
    newer_cluster,
    parse_cluster,
    replace_cluster_file,
    signed_cluster,
)
from shared.cluster_parts import ClusterParts, part_of
from shared.errors import GlimpseError, ProfileError, RemoteError
from shared.identity import Identity
from shared.wire.peer_messages import ClusterQuery
from tui.peer.following import COPY, newest_cluster

OPERATOR, NEXT, STRANGER = (Identity.generate(lambda count, seed=seed: bytes([seed]) * count) for seed in (1, 2, 3))
NODES = tuple(NodeAddress(f"n{i}", f"192.0.2.{i}", 4000, 4001, bytes([i]) * 32) for i in range(1, 16))
FIRST = Cluster(
    "ab" * 16, "lan", NODES[:3], (OPERATOR.public.session_key,), 1, OPERATOR.public.signing_key, is_signed=True
)


def file_of(cluster: Cluster, operator: Identity = OPERATOR) -> bytes:
    return signed_cluster(cluster, operator)


def version(number: int, **changes: object) -> Cluster:
    return replace(FIRST, version=number, **changes)  # type: ignore[arg-type]


STOLEN = replace(FIRST, signer=STRANGER.public.signing_key)


# --- Trust -----------------------------------------------------------------------------------------------------------
def test_a_newer_file_of_the_operator_is_followed() -> None:
    grown = version(4, nodes=NODES[:5])
    found = newer_cluster(FIRST, file_of(grown))
    assert (found, found.is_signed) == (grown, True)


def _forged(data: bytes) -> bytes:
    return data.replace(b"192.0.2.3", b"192.0.2.9")


@pytest.mark.parametrize(
    "data",
    [
        file_of(version(1)),
        file_of(version(0)),
        _forged(file_of(version(2))),
        file_of(version(2)).replace(b"version = 2", b"version = 3"),
        file_of(version(2, cluster_id="cd" * 16)),
        file_of(replace(STOLEN, version=2), STRANGER),
        file_of(replace(handed_over(STOLEN, STRANGER, NEXT), version=2), NEXT),
        b"",
        b"\xff" * 100,
        b"x" * 100_000,
        file_of(version(2)) + b"later = 1979-05-27T07:32:00Z\n",
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_nothing_else_is(data: bytes) -> None:
    with pytest.raises(RemoteError):
        newer_cluster(FIRST, data)


def test_an_operator_hands_over_to_another_over_any_number_of_versions() -> None:
    second = replace(handed_over(FIRST, OPERATOR, NEXT), version=2)
    third = replace(handed_over(second, NEXT, STRANGER), version=3, nodes=NODES[:4])
    assert newer_cluster(FIRST, file_of(third, STRANGER)) == third
    assert third.operators == (STRANGER.public.session_key,)


def test_the_old_operator_is_nobody_to_whoever_knows_of_the_new_one() -> None:
    second = parse_cluster(file_of(replace(handed_over(FIRST, OPERATOR, NEXT), version=2), NEXT), "")
    with pytest.raises(RemoteError):
        newer_cluster(second, file_of(version(9)))


def test_what_a_later_program_adds_is_signed_as_well() -> None:
    text = file_of(version(2)).decode()
    found = parse_cluster(f'colour = "red"\n{text}'.encode(), "cluster.toml")
    assert (found.is_signed, found.is_edited) == (False, True)


def test_an_edited_file_is_used_as_it_lies_there_and_nobody_follows_it(tmp_path: Path) -> None:
    """A port that only one machine goes through, for example."""
    given, copy = tmp_path / "given.toml", tmp_path / COPY
    given.write_bytes(_forged(file_of(version(2))))
    copy.write_bytes(file_of(version(4)))
    assert newest_cluster(given, copy).nodes[2].host == "192.0.2.9"
    assert load_cluster(copy).version == 4


def test_nobody_follows_from_a_file_that_was_never_signed() -> None:
    unsigned = replace(FIRST, signer=b"", is_signed=False)
    with pytest.raises(RemoteError):
        newer_cluster(unsigned, file_of(version(2)))


def test_a_file_is_only_replaced_by_a_later_one(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    for number, stands in ((2, 2), (5, 5), (3, 5)):
        replace_cluster_file(path, file_of(version(number)), number)
        assert load_cluster(path).version == stands
    path.write_bytes(b"damaged")
    replace_cluster_file(path, file_of(version(3)), 3)
    assert load_cluster(path).version == 3


# --- A profile's copy ------------------------------------------------------------------------------------------------
def test_a_profile_begins_with_the_newest_file_that_it_has_met(tmp_path: Path) -> None:
    given, copy = tmp_path / "given.toml", tmp_path / COPY
    given.write_bytes(file_of(version(2)))
    assert newest_cluster(given, copy).version == 2
    replace_cluster_file(copy, file_of(version(4)), 4)
    assert newest_cluster(given, copy).version == newest_cluster(FIRST, copy).version == 4
    given.write_bytes(file_of(version(6)))
    assert newest_cluster(given, copy).version == load_cluster(copy).version == 6


def test_a_file_of_another_operator_is_not_believed_because_somebody_handed_it_over(tmp_path: Path) -> None:
    given, copy = tmp_path / "given.toml", tmp_path / COPY
    copy.write_bytes(file_of(version(2)))
    given.write_bytes(file_of(version(9, signer=STRANGER.public.signing_key), STRANGER))
    with pytest.raises(ProfileError, match="not signed by the operator whom this profile follows"):
        newest_cluster(given, copy)
    assert load_cluster(copy).version == 2


# --- In parts --------------------------------------------------------------------------------------------------------
def test_parts_come_together_over_a_bad_network_while_a_newer_file_appears() -> None:
    """Parts are lost, doubled and late, and half way the node has a newer file."""
    hosts = tuple(f"{'x' * 200}{i}.example.org" for i in range(7))
    large = [
        replace(version(number, nodes=tuple(replace(node, more_hosts=hosts) for node in NODES))) for number in (2, 3)
    ]
    files = [file_of(cluster) for cluster in large]
    for seed in range(50):
        chance, parts, late, found, asked = random.Random(seed), ClusterParts(1), [], None, 0
        while found is None:
            asked += 1
            assert asked < 2_000
            query = parts.query()
            number = int(asked > 20)
            answer = part_of(number + 2, files[number], query)
            assert answer is not None
            if chance.random() < 0.7:
                late += [answer] * chance.choice([1, 1, 2])
            if late and chance.random() < 0.8:
                found = parts.take(late.pop(chance.randrange(len(late))))
        assert found == files[1]


def test_who_has_the_newest_file_gets_no_answer() -> None:
    data = file_of(version(2))
    assert part_of(2, data, ClusterQuery(above=2)) is None
    assert part_of(2, data, ClusterQuery(above=1, part=100)) is None


# --- Restarting ------------------------------------------------------------------------------------------------------
def rolled(
    nodes: int, leader: str | None, *, lost: float = 0.0, dead: tuple[str, ...] = (), seed: int = 0
) -> dict[str, float]:
    """Simulate nodes that got version 2 at time 0, tell each other every second, and take some time for a restart.

    Returns when each began to restart.
    """
    chance = random.Random(seed)
    names = [f"n{number}" for number in range(nodes)]
    machines: dict[str, Rollout] = {name: Rollout(name, names) for name in names if name not in dead}
    began: dict[str, float] = {}
    for tick in range(2_000):
        now = tick / 10
        for name, machine in machines.items():
            is_down = name in began and now < began[name] + 1.5
            if is_down:
                continue
            if tick % 10 == int(name[1:]) % 10:
                for other in machines.values():
                    if chance.random() >= lost:
                        other.heard(name, 2 if name in began else 1, now)
            if name not in began and now > SILENT_S and machine.is_turn(2, leader, now - SILENT_S, now):
                began[name] = now
    return began


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("nodes", [1, 2, 3, 5, 15])
def test_nodes_restart_one_after_the_other_and_the_leader_last(nodes: int, seed: int) -> None:
    began = rolled(nodes, "n0", lost=0.05, seed=seed)
    times = sorted(began.values())
    assert len(began) == nodes
    assert began["n0"] == times[-1]
    assert all(later - earlier >= 1.5 for earlier, later in pairwise(times))


def test_nobody_waits_long_for_a_node_that_is_dead() -> None:
    assert max(rolled(5, "n0", dead=("n2", "n3")).values()) < 3 * SILENT_S


def test_nobody_waits_for_ever_for_a_node_that_cannot_follow() -> None:
    machine = Rollout("n3", ["n1", "n2", "n3"])
    for waited, is_turn in ((0.0, False), (2 * PATIENCE_S - 1, False), (2 * PATIENCE_S, True)):
        machine.heard("n1", 1, waited)
        machine.heard("n2", 2, waited)
        assert machine.is_turn(2, None, waited, waited) is is_turn


# --- A node and its directory ----------------------------------------------------------------------------------------
@dataclass
class Shelf:
    """A directory that holds a cluster file; `write` and `read` run transactions on nothing but that."""

    data: bytes = b""
    written: int = 0

    async def write(self, transaction: Any) -> None:
        step = transaction(Tx(0.0, "sqlite"))
        query = next(step)
        self.data, self.written = query.parameters["data"], self.written + 1

    async def read(self, _transaction: Any) -> bytes:
        return self.data


@pytest.fixture
def bench(tmp_path: Path) -> tuple[Following, Shelf, list[str], Path]:
    shelf, restarts, file = Shelf(), [], tmp_path / "cluster.toml"
    file.write_bytes(file_of(FIRST))
    following = Following(
        "n1",
        file,
        FIRST,
        file_of(FIRST),
        directory=cast("Any", shelf),
        clock=lambda: 0.0,
        leader=lambda: "n1",
        restart=lambda: restarts.append("restart"),
    )
    return following, shelf, restarts, file


async def looked(following: Following, times: int = 1) -> None:
    """Let the node look so many times."""
    for _ in range(times):
        with suppress(GlimpseError):
            await following._agree()


@pytest.mark.anyio
async def test_a_node_puts_its_file_into_a_directory_that_has_none_or_an_older_one(bench: Any) -> None:
    """As after a restore from a backup."""
    following, shelf, _, _ = bench
    following.seen(0)
    await looked(following)
    assert shelf.data == file_of(FIRST)
    await looked(following, 3)
    assert shelf.written == 1


@pytest.mark.anyio
async def test_a_node_follows_the_directory_to_the_operators_file_only(bench: Any) -> None:
    """Whoever can write the directory can at most keep a node from following; and that is said once, not for ever."""
    following, shelf, _, file = bench
    shelf.data = file_of(replace(STOLEN, version=9), STRANGER)
    following.seen(9)
    await looked(following, 3)
    assert (following.version, file.read_bytes()) == (1, file_of(FIRST))
    shelf.data = file_of(version(10))
    following.seen(10)
    await looked(following)
    assert (following.version, file.read_bytes()) == (10, shelf.data)
    assert following.answer(ClusterQuery(above=9)) is not None


@pytest.mark.anyio
async def test_what_an_operator_hands_over_counts_only_if_it_is_signed(bench: Any) -> None:
    following, _, _, file = bench
    with pytest.raises(RemoteError):
        await following.take(file_of(replace(STOLEN, version=9), STRANGER))
    await following.take(file_of(version(2)))
    await following.take(file_of(version(2)))
    assert load_cluster(file).version == 2
