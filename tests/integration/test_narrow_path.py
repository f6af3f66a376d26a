"""A path that lets through small datagrams only: one sentence that names the size, wherever the cloud is waited for.

It said "timed out", like a node that is down. MTU 576 leaves 548 bytes for a datagram over IPv4.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from shared.cluster import load_cluster
from shared.config import LOCAL
from shared.errors import Explained, PathTooNarrow, Unavailable
from shared.identity import Identity
from shared.net import path_probe
from shared.net.endpoint import Endpoint, Session
from shared.net.path_probe import is_too_narrow
from shared.wire.codec import decode, encode
from shared.wire.feed_messages import FeedMessage
from shared.wire.operations import Account
from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.integration.relay import Relay, relay
from tests.integration.test_held_copies import heard
from tests.integration.test_host import running_host
from tests.integration.test_peers import received
from tests.patience import PATIENCE_S, until
from tui.monitor.model import Model
from tui.monitor.node_index import NodeIndex
from tui.operator import Operator
from tui.peer import Peer
from tui.peer.events import CopyWaits

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("cluster")]
MTU_576 = 576 - 28
SENTENCE = "Datagrams of 1200 bytes do not get through to 127.0.0.1:"
REMEDY = "set the MTU of this network, its VPN or its tunnel to 1280 or more"


@pytest.fixture
async def narrow(cluster: RunningCluster, tmp_path: Path) -> AsyncIterator[Relay]:
    (tmp_path / "behind").mkdir()
    shutil.copy(cluster.folder / "operator.key", tmp_path / "behind" / "operator.key")
    async with relay(cluster.file, tmp_path / "behind" / "cluster.toml") as made:
        made.max_bytes = MTU_576
        yield made


async def glimpse(tmp_path: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    places = {f"XDG_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("DATA", "CONFIG", "STATE")}
    command = [*GLIMPSE, *map(str, arguments)]
    return await anyio.run_process(command, check=False, env={**os.environ, **places})


async def test_an_agent_and_status_say_which_size_is_needed(narrow: Relay, tmp_path: Path) -> None:
    agent = await glimpse(tmp_path, "agent", "--cluster", narrow.file, "--accept", "none", "--profile", "ada")
    assert agent.returncode == 1
    for words in (SENTENCE, REMEDY):
        assert words in agent.stderr.decode()
    assert "Traceback" not in agent.stderr.decode()
    status = await glimpse(tmp_path, "status", "--cluster", narrow.file)
    assert status.returncode == 1
    assert status.stdout.decode().count(SENTENCE) == 3
    order = await glimpse(tmp_path, "order", "n1", "drain", "--cluster", narrow.file)
    assert SENTENCE in order.stderr.decode()
    load = await glimpse(tmp_path, "load", "--requests", "1", "--clients", "1", "--cluster", narrow.file)
    assert load.returncode == 1
    assert SENTENCE in load.stderr.decode()
    assert "Traceback" not in load.stderr.decode()
    narrow.max_bytes = 65_536
    status = await glimpse(tmp_path, "status", "--cluster", narrow.file)
    assert (status.returncode, SENTENCE in status.stdout.decode()) == (0, False)


async def test_the_monitor_says_it_of_each_node_until_its_feed_comes(narrow: Relay) -> None:
    """Its panels said of each node that it had not been heard yet."""
    known = load_cluster(narrow.file)
    index = NodeIndex.of(known)
    model = Model(index)

    def deliver(name: str, message: FeedMessage) -> None:
        decode(encode(message, cap_bytes=65_536), FeedMessage, cap_bytes=65_536)  # it is recorded, and read again
        model.take(index.names.index(name), message, anyio.current_time())

    async def troubles() -> list[str]:
        return [model.node(place, anyio.current_time()).trouble for place in index.places]

    async with Operator(known, narrow.file) as operator, anyio.create_task_group() as group:
        group.start_soon(operator.watch, deliver)
        for said in await until(troubles, all):
            assert SENTENCE in said
            assert REMEDY in said
        narrow.max_bytes = 65_536
        await until(troubles, lambda found: not any(found))
        group.cancel_scope.cancel()


@pytest.mark.parametrize("held", [True, False, None])
async def test_a_copy_that_cannot_go_directly_goes_through_a_node_or_its_owner_is_told_why_it_waits(
    people: Any, photo: Path, monkeypatch: pytest.MonkeyPatch, held: bool | None
) -> None:
    """Only a log said it. A node carries datagrams that are small enough; None for a cloud that does."""
    owner, viewer = await people("ada", holds_copies=held is not False), await people("ben")
    async with _relayed(viewer._context.endpoint) as (address, made):
        made.max_bytes = MTU_576
        find = owner._people.find

        async def found(account: int, **options: Any) -> Account:
            there = await find(account, **options)
            is_viewer = account == viewer.me.account
            return msgspec.structs.replace(there, host=address[0], port=address[1]) if is_viewer else there

        async def nobody(*_: Any) -> Session:
            raise Unavailable("No node is in touch with the other side.")

        monkeypatch.setattr(owner._people, "find", found)
        monkeypatch.setattr(path_probe, "LASTS_S", 4.0)  # a busy machine answers small datagrams late, too
        monkeypatch.setattr(owner._paths, "reach", partial(owner._paths.reach, timeout_s=PATIENCE_S))
        if held is not None:
            monkeypatch.setattr(owner._paths, "_through_a_node", nobody)
        image = await owner.encrypt(photo)
        with owner.subscribe() as events:
            await owner.grant(image.image, viewer.me.account, 3)
            if held is None:
                await received(viewer, image.image)
                return
            if held:
                waits = await heard(events, CopyWaits)
                assert SENTENCE in waits.trouble
                assert waits.viewer_words == viewer.me.words
                return
        waiting = await until(owner.outbox, lambda rows: any(SENTENCE in row.trouble for row in rows))
        assert REMEDY in next(row.trouble for row in waiting if row.trouble)


async def test_the_client_says_it_before_and_after_a_profile_is_open(
    narrow: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / "xdg" / kind.lower()))
    async with running_host(tmp_path / "profiles", narrow.file) as (host, _):
        reach = await host.reach()
        assert reach.answering == ()
        assert SENTENCE in reach.reason
        peer = await host.open("ada")

        async def trouble() -> str:
            return peer.status().cloud_trouble

        assert REMEDY in await until(trouble, bool)
        with pytest.raises(Explained, match=SENTENCE):
            await peer.register("Ada")
        narrow.max_bytes = 65_536
        await until(trouble, lambda text: not text)
        await peer.register("Ada")


async def test_a_path_between_two_peers_is_told_apart_too(cluster: RunningCluster, tmp_path: Path) -> None:
    """An endpoint answers for itself, whoever it belongs to."""
    async with Peer(tmp_path / "ada", cluster.file) as ada, _relayed(ada._context.endpoint) as (address, made):
        made.max_bytes = MTU_576
        known = load_cluster(cluster.file)
        private = Identity.generate().session_private
        async with Endpoint(private, timing=LOCAL, prologue=known.prologue, looks_at_paths=True) as endpoint:
            with pytest.raises(PathTooNarrow, match=REMEDY):
                await endpoint.connect(address, ada._context.identity.public.session_key)


@asynccontextmanager
async def _relayed(endpoint: Endpoint) -> AsyncIterator[tuple[tuple[str, int], Relay]]:
    """Open a relay before one endpoint."""
    made = Relay(Path())
    front = await made.before(endpoint.local_address)
    try:
        yield front.transport.get_extra_info("sockname"), made
    finally:
        await front.aclose()


@pytest.mark.parametrize(
    ("hook", "max_bytes", "expected"),
    [
        (lambda _: True, 548, True),
        (lambda _: True, 1_199, True),
        (lambda _: True, 1_200, False),
        (lambda _: False, 65_536, False),
        (lambda direction: direction == "up", 548, False),
    ],
)
async def test_only_the_size_is_blamed_for_what_is_the_size(
    cluster: RunningCluster, narrow: Relay, hook: Callable[[str], bool], max_bytes: int, expected: bool
) -> None:
    narrow.hook, narrow.max_bytes = hook, max_bytes
    node = load_cluster(narrow.file).nodes[0]
    assert await is_too_narrow((node.host, node.port), local_host="127.0.0.1") is expected


async def test_a_closed_port_a_silent_one_and_no_way_are_not_narrow() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert not await is_too_narrow(silent.getsockname(), local_host="127.0.0.1")
        closed = silent.getsockname()
    assert not await is_too_narrow(closed, local_host="127.0.0.1")
    assert not await is_too_narrow(("2001:db8::1", 9), local_host="::1")


async def test_other_keys_behind_a_wide_path_are_no_narrow_path(cluster: RunningCluster) -> None:
    known = load_cluster(cluster.file)
    node = known.nodes[0]
    private, other = Identity.generate().session_private, Identity.generate().public.session_key
    async with Endpoint(private, timing=LOCAL, prologue=known.prologue, looks_at_paths=True) as endpoint:
        with pytest.raises(Unavailable, match="timed out") as caught:
            await endpoint.connect((node.host, node.port), other, timeout_s=2.5)
    assert not isinstance(caught.value, PathTooNarrow)
