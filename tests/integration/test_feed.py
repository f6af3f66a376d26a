"""Three real nodes and an operator who watches them: what a failure, an order and a rolling restart look like."""

import json
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import psutil
import pytest

from node.orders import STRANGER_BURST
from node.settings import load_node_settings
from shared.cluster import load_cluster
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import InvalidInput
from shared.identity import words_of
from shared.net.endpoint import Endpoint
from shared.wire import feed_messages as feed
from shared.wire.codec import encode
from shared.wire.feed_messages import AuditNotice, FeedNotices, FeedState, Happening, LeaderNotice, RoleNotice
from shared.wire.node_messages import AuditRecord, TableRow
from shared.wire.peer_messages import OperatorCommand, StatusQuery
from tests.integration.cluster import GLIMPSE, Fault, RunningCluster
from tests.patience import PATIENCE_S
from tui.operator import Operator
from tui.peer import Peer
from tui.peer.profile import Profile

pytestmark = [pytest.mark.xdist_group("nodes"), pytest.mark.anyio]

M = TypeVar("M")
HB = 0.25


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    running = RunningCluster(tmp_path / "cluster")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A cluster for tests that leave it with three nodes that could lead."""
    running = RunningCluster(tmp_path_factory.mktemp("lasting") / "cluster")
    yield running
    running.stop()


class Seen:
    """Everything that the nodes pushed, by node."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.messages: dict[str, list[feed.FeedMessage]] = {node.name: [] for node in operator.cluster.nodes}
        self.news = anyio.Event()

    def take(self, node: str, message: feed.FeedMessage) -> None:
        self.messages[node].append(message)
        self.news.set()
        self.news = anyio.Event()

    def last(self, node: str, kind: type[M]) -> M | None:
        return next((found for found in reversed(self.messages[node]) if isinstance(found, kind)), None)

    def notices(self, node: str, kind: type[M]) -> list[M]:
        return [
            notice.body
            for message in self.messages[node]
            if isinstance(message, FeedNotices)
            for notice in message.notices
            if isinstance(notice.body, kind)
        ]

    def records(self, node: str) -> list[AuditRecord]:
        return [notice.record for notice in self.notices(node, AuditNotice)]

    def standing(self, node: str) -> feed.Standing:
        state = self.last(node, FeedState)
        assert state is not None
        return state.standing

    def table(self, node: str) -> tuple[TableRow, ...]:
        table = self.last(node, feed.FeedTable)
        assert table is not None
        return table.rows

    async def frames(self, count: int) -> None:
        """Wait until every node has pushed so many more frames."""
        wanted = {name: self.states(name) + count for name in self.names}
        await self.until(lambda: all(self.states(name) >= wanted[name] for name in self.names))

    def silent_s(self, node: str) -> float:
        return time.monotonic() - self.operator.links[node].heard_at

    def states(self, node: str) -> int:
        return sum(isinstance(message, FeedState) for message in self.messages[node])

    async def until(self, holds: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        with anyio.fail_after(within_s):
            while not holds():
                await self.news.wait()

    async def accepted(self, name: str, order: str) -> None:
        """Give an order until it is accepted: where nobody was heard in time just now, the answer is to wait."""
        with anyio.fail_after(PATIENCE_S):
            while True:
                try:
                    await self.operator.command(name, order)
                except InvalidInput as refusal:
                    if "wait" not in str(refusal):
                        raise
                    await self.news.wait()
                else:
                    return

    @property
    def names(self) -> list[str]:
        return list(self.messages)


@asynccontextmanager
async def watching(cluster: RunningCluster) -> AsyncIterator[Seen]:
    """Watch all three nodes; entered when each has pushed its state."""
    async with Operator(load_cluster(cluster.file), cluster.file) as operator:
        seen = Seen(operator)
        async with anyio.create_task_group() as group:
            group.start_soon(operator.watch, seen.take)
            await seen.until(lambda: all(seen.last(name, feed.FeedDirectory) for name in seen.names))
            yield seen
            group.cancel_scope.cancel()


def audit_file(cluster: RunningCluster, node: str) -> list[dict]:
    path = cluster.folder / f"audit-{node}.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("fault", Fault)
async def test_a_leader_that_ends_an_election_and_a_new_leader_are_seen(cluster: RunningCluster, fault: Fault) -> None:
    """However it ends. How long the others take is held to the bars in simulated time, in `tests/sim`.

    Notices and the states that they lead to come in datagrams of their own, in any order, and are waited for apart.
    """
    async with watching(cluster) as seen:
        places = {node.name: place for place, node in enumerate(seen.operator.cluster.nodes)}
        leader = next(name for name in seen.names if seen.standing(name).role == "leader")
        term = seen.standing(leader).term
        state = seen.last(leader, FeedState)
        assert state is not None
        await seen.until(lambda: all(seen.standing(name).leader == places[leader] for name in seen.names))
        # That there is a leader is told to who begins to watch, though it was before.
        await seen.until(lambda: any(notice.term == term for notice in seen.notices(leader, LeaderNotice)))
        before = {name: len(seen.notices(name, RoleNotice)) for name in seen.names}
        await anyio.to_thread.run_sync(cluster.end_node, state.life.pid, fault)
        others = [name for name in seen.names if name != leader]
        await seen.until(lambda: any(seen.standing(name).role == "leader" for name in others))
        new = next(name for name in others if seen.standing(name).role == "leader")
        assert seen.standing(new).term > term
        await seen.until(lambda: all(seen.standing(name).leader == places[new] for name in others))
        await seen.until(
            lambda: [notice.role for notice in seen.notices(new, RoleNotice)[before[new] :]][-2:] == ["claim", "leader"]
        )
        await seen.until(lambda: LeaderNotice(None, term) in seen.notices(others[0], LeaderNotice))

        def told(kind: str) -> list[feed.ElectionNotice]:
            return [notice for notice in seen.notices(new, feed.ElectionNotice) if notice.kind == kind]

        await seen.until(lambda: any(notice.sent and notice.term > term for notice in told("NEW_LEADER")))
        await seen.until(lambda: seen.silent_s(leader) > 2 * HB)
        await seen.until(lambda: not running(state.life.pid))
        if fault is Fault.STOPPED:
            await seen.until(lambda: told("RESIGN"))
            assert {(notice.node, notice.sent) for notice in told("RESIGN")} == {(places[leader], False)}
        else:

            def missed() -> int:
                beats = seen.last(new, feed.FeedBeats)
                return 0 if beats is None else sum(row.missed for row in beats.beats if row.place == places[leader])

            await seen.until(lambda: missed() >= 2)


async def test_an_order_is_seen_by_all_and_stands_in_every_audit_log(cluster: RunningCluster) -> None:
    async with watching(cluster) as seen:
        leader = next(name for name in seen.names if seen.standing(name).role == "leader")
        deaf = next(name for name in seen.names if name != leader)
        others = [name for name in seen.names if name != deaf]
        await seen.operator.command(deaf, "deaf", number=3)
        await seen.until(lambda: all(any(r.order == "deaf" for r in seen.records(name)) for name in others))
        said = [message for message in seen.messages[deaf] if isinstance(message, FeedState)]
        assert any(state.standing.deaf_ms > 0 for state in said), "its last word before it went deaf"
        with pytest.raises(InvalidInput, match="up to 600 s"):
            await seen.operator.command(leader, "deaf", number=9_999)
        await seen.until(lambda: any(not r.obeyed for r in seen.records(leader)))
        await seen.until(lambda: [notice.deaf for notice in seen.notices(deaf, feed.DeafNotice)] == [True, False])
        assert seen.standing(deaf).deaf_ms == 0
        await seen.until(lambda: any(r.order == "deaf" for r in seen.records(deaf)))
        record = seen.records(deaf)[0]
        assert (record.node, record.value, record.obeyed) == (deaf, "3", True)
        assert record.operator == seen.operator.words
    for name in seen.names:
        lines = [line for line in audit_file(cluster, name) if line["obeyed"]]
        assert [(line["node"], line["order"], line["operator"]) for line in lines] == [(deaf, "deaf", record.operator)]
        assert stat.S_IMODE((cluster.folder / f"audit-{name}.log").stat().st_mode) == 0o600
    refused = [name for name in seen.names if any(not line["obeyed"] for line in audit_file(cluster, name))]
    assert refused == [leader]


async def test_a_rolling_restart_under_load(lasting: RunningCluster) -> None:
    """Drain the leader while requests come: it serves no new ones and goes on running; undrained it serves again."""
    async with watching(lasting) as seen:
        leader = next(name for name in seen.names if seen.standing(name).role == "leader")

        async def load(requests: int) -> None:
            await anyio.to_thread.run_sync(lasting.load, requests, 3)

        def done(name: str) -> int:
            state = seen.last(name, FeedState)
            assert state is not None
            return state.work.requests_done

        before = sum(map(done, seen.names))
        async with anyio.create_task_group() as group:
            group.start_soon(load, 200)
            await seen.until(lambda: sum(map(done, seen.names)) - before > 40, 60)
            await seen.operator.command(leader, "drain")
            await seen.until(lambda: seen.standing(leader).draining)
            await seen.until(
                lambda: any(seen.standing(n).role == "leader" and seen.standing(n).trusts_lease for n in seen.names)
            )
            assert seen.standing(leader).role != "leader"
        while_drained = done(leader)
        await load(60)
        await seen.until(lambda: sum(map(done, seen.names)) - before > 260)
        assert done(leader) - while_drained <= 6, "registration and the like may be taken over; work is not assigned"
        assert lasting.status()["nodes"][seen.names.index(leader)]["draining"] is True
        await seen.operator.command(leader, "undrain")
        await seen.until(lambda: not seen.standing(leader).draining and seen.standing(leader).fit)
        undrained = done(leader)
        await load(60)
        await seen.until(lambda: done(leader) - undrained > 6)
        counted = seen.last(leader, feed.FeedDispatch)
        assert counted is not None
        assert sum(counted.latency) == done(leader)
        assert counted.counts[Happening.SERVED] + counted.counts[Happening.REFUSED] == done(leader)
        events = [
            event
            for name in seen.names
            for m in seen.messages[name]
            if isinstance(m, feed.FeedRequests)
            for event in m.events
        ]
        assert {Happening.HELD, Happening.ASSIGNED, Happening.SERVED} <= {event.what for event in events}
        assert all(link.lost == 0 for link in seen.operator.links.values())
    for name in seen.names:
        assert {line["order"] for line in audit_file(lasting, name)} >= {"drain", "undrain"}


async def test_the_last_node_that_could_lead_is_not_drained(lasting: RunningCluster) -> None:
    async with watching(lasting) as seen:
        first, second, last = seen.names
        for name in (first, second):
            await seen.operator.command(name, "drain")
            await seen.until(lambda name=name: seen.standing(name).draining)
        await seen.until(lambda: seen.standing(last).role == "leader" and seen.standing(last).trusts_lease)
        # The new leader hears with the next heartbeats that the others drain; until then one of them could lead.
        await seen.until(lambda: not any(row.fit for row in seen.table(last) if seen.names[row.place] != last))
        with pytest.raises(InvalidInput, match="No other node"):
            await seen.operator.command(last, "drain")
        with pytest.raises(InvalidInput, match="does not lead"):
            await seen.operator.command(first, "step_down")
        await seen.operator.command(first, "undrain")
        await seen.until(lambda: any(row.fit for row in seen.table(last) if seen.names[row.place] == first))
        await seen.accepted(last, "step_down")
        await seen.until(lambda: seen.standing(first).role == "leader")
        await seen.operator.command(second, "undrain")
        await seen.until(lambda: all(row.fit for row in seen.table(first)))


async def test_a_policy_holds_whoever_leads_and_at_nodes_that_come_later(lasting: RunningCluster) -> None:
    async with watching(lasting) as seen:
        await seen.operator.command(seen.names[2], "policy", text="round-robin")
        await seen.until(lambda: all(seen.standing(name).policy == "round-robin" for name in seen.names))
        with pytest.raises(InvalidInput, match="least-cost"):
            await seen.operator.command(seen.names[0], "policy", text="by-moonlight")


@pytest.mark.parametrize("who", ["stranger", "peer", "node"])
async def test_only_an_operator_gets_anything_or_can_do_anything(
    cluster: RunningCluster, tmp_path: Path, who: str
) -> None:
    """Not a key that nobody knows, not that of a registered account, not even that of a node."""
    known = load_cluster(cluster.file)
    heard: list[bytes] = []
    before = cluster.status()
    private = await private_key(cluster, tmp_path, who)
    endpoint = Endpoint(private, timing=known.timing, prologue=known.prologue)
    asked = [
        feed.Watch(request="0" * 32),
        feed.Unwatch(),
        StatusQuery(request="1" * 32),
        *(OperatorCommand(request=f"{number:032x}", command="deaf", number=20.0) for number in range(60)),
        OperatorCommand(request="2" * 32, command="stop"),
    ]
    async with watching(cluster) as seen, endpoint:
        endpoint.on_message = lambda _session, data: heard.append(data)
        for node in known.nodes:
            session = await endpoint.connect_any(node.addresses, node.key)
            for message in asked:
                endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))
        await seen.until(lambda: all(seen.records(name) for name in seen.names))
        await seen.frames(5)
        assert not heard
        assert all(seen.standing(name).deaf_ms == 0 for name in seen.names)
        words = words_of(endpoint.public_key)
        for name in seen.names:
            found = {(record.node, record.operator, record.obeyed) for record in seen.records(name)}
            assert found == {(name, words, False)}, "written down where it was tried, and only there"
    after = cluster.status()
    assert (after["leader"], after["term"]) == (before["leader"], before["term"])
    for name in seen.names:
        assert 1 <= len(audit_file(cluster, name)) <= STRANGER_BURST


async def private_key(cluster: RunningCluster, tmp_path: Path, who: str) -> bytes:
    if who == "stranger":
        return os.urandom(32)
    if who == "node":
        return load_node_settings(cluster.folder / "node-n1.toml").private_key
    async with Peer(tmp_path / "eve", cluster.file) as peer:
        await peer.register("Eve")
    with Profile(tmp_path / "eve") as profile:
        return profile.identity().session_private


@pytest.mark.parametrize("fault", [Fault.KILLED, Fault.STOPPED])
async def test_a_stopped_node_ends_and_one_that_was_away_learns_what_it_missed(
    cluster: RunningCluster, fault: Fault
) -> None:
    async with watching(cluster) as seen:
        leader = next(name for name in seen.names if seen.standing(name).role == "leader")
        away, other = [name for name in seen.names if name != leader]
        state, stopped = seen.last(away, FeedState), seen.last(other, FeedState)
        assert state is not None
        assert stopped is not None
        cluster.end_node(state.life.pid, fault)
        await seen.until(lambda: not running(state.life.pid) and seen.silent_s(away) > 1)
        await seen.operator.command(leader, "policy", text="round-robin")
        await seen.operator.command(other, "stop")
        await seen.until(lambda: any(record.order == "stop" for record in seen.records(leader)))
        await seen.until(lambda: not running(stopped.life.pid))
        command = [*GLIMPSE, "node", "--cluster", str(cluster.file), "--name", away]
        async with await anyio.open_process(command, stdout=None, stderr=None) as again:
            await seen.until(lambda: {record.order for record in seen.records(away)} == {"policy", "stop"})
            await seen.until(lambda: seen.standing(away).policy == "round-robin")
            again.terminate()
    orders = [line["order"] for line in audit_file(cluster, away)]
    assert sorted(orders) == ["policy", "stop"], "each once, from the leader"


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
