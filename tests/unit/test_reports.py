"""What a node tells a peer that is there: directory time only where it has that from the directory."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from node.reports import Reports
from node.services.operations import CloudView
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import Unavailable
from shared.wire.codec import decode
from shared.wire.peer_messages import AnyPeerMessage, CloudState, KeepAlive

pytestmark = pytest.mark.anyio
SESSION = cast("Any", SimpleNamespace(remote_key=b"k" * 32, address=("127.0.0.1", 4000), alive=True))


async def told(is_registered: bool, view: CloudView | Exception, *, time: float | Exception = 99.0) -> CloudState:
    """Return what a node says to a keep-alive, by what its directory says of a peer, and to a stranger of the time."""

    async def caller(_key: bytes, _host: str) -> object:
        return SimpleNamespace(is_registered=is_registered, account=7)

    async def keep_alive(_caller: object, _device: str, _port: int | None, *, lasts_s: float | None) -> CloudView:
        assert lasts_s is None
        if isinstance(view, Exception):
            raise view
        return view

    async def read(_transaction: object) -> float:
        if isinstance(time, Exception):
            raise time
        return time

    posted: list[bytes] = []
    reports = Reports(
        "n1",
        stats=cast("Any", SimpleNamespace(remembering=SimpleNamespace(epoch=1))),
        control=cast("Any", SimpleNamespace(election=SimpleNamespace(leader="n1", term=3))),
        request_handler=cast("Any", SimpleNamespace(remember=lambda *_: None, note_present=lambda *_: None)),
        directory=cast("Any", SimpleNamespace(ok=True, read=read)),
        services=cast("Any", SimpleNamespace(caller=caller, keep_alive=keep_alive)),
        requests=cast("Any", SimpleNamespace(post=lambda _session, data: posted.append(data))),
        operators=frozenset(),
        following=cast("Any", SimpleNamespace(version=7)),
        cluster_version=7,
        wall_clock=lambda: 0.0,
    )
    await reports.keep_alive(SESSION, KeepAlive(device="d" * 32))
    (data,) = posted
    state: CloudState = decode(data, AnyPeerMessage, cap_bytes=MAX_MESSAGE_BYTES)
    return state


async def test_directory_time_is_told() -> None:
    assert (await told(True, CloudView(signed_in=True, mail_waiting=0, now=1234.5))).now == 1234.5
    stranger = await told(False, Unavailable("Nobody."), time=1234.5)
    assert (stranger.now, stranger.signed_in) == (1234.5, False), "whoever is no account yet may have a wrong clock too"


async def test_a_node_s_own_clock_is_never_told_for_it() -> None:
    """While the directory was away a node told its own clock. Where that had been set back by a day, a look at a
    right that ended in a minute stayed open for a day; where it was ahead, owners could set no expiry for today."""
    away = await told(True, Unavailable("The directory does not answer."))
    assert (away.now, away.directory_ok, away.signed_in) == (0.0, False, True)
    stranger = await told(False, Unavailable("Nobody."), time=Unavailable("The directory does not answer."))
    assert (stranger.now, stranger.directory_ok) == (0.0, False)


async def test_the_version_of_the_cluster_file_is_told() -> None:
    view = CloudView(signed_in=True, mail_waiting=0, now=5.0)
    assert (await told(True, view)).cluster == 7
