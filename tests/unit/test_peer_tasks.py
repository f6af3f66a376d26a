"""What goes wrong in the background of a peer ends neither the peer nor what its caller does; errors come out alone."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from shared.cluster import save_cluster
from shared.errors import InvalidInput, ProfileError, Unavailable
from shared.records import decode_record
from tests.patience import PATIENCE_S
from tests.unit.profiles_made import (
    HELD,
    HELD_IMAGE,
    ME,
    MY_IMAGE,
    NOWHERE,
    OTHER,
    change,
    grant_record,
    make_profile,
)
from tui.peer import Peer, tending
from tui.peer import outbox as outbox_module
from tui.peer.account import AccountSession
from tui.peer.holding import Holding
from tui.peer.mailbox import Mailbox
from tui.peer.notices import notice_of
from tui.peer.outbox import Outbox

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "FIRST_TRY_S", 0.0)
    monkeypatch.setattr(tending, "_PAUSE_S", 0.001)


@pytest.mark.parametrize("task", [(Outbox, "run"), (Mailbox, "run"), (AccountSession, "keep_alive")])
@pytest.mark.parametrize("error", [RuntimeError, Unavailable, KeyError])
async def test_a_background_task_that_fails_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: tuple[type, str], error: type[Exception]
) -> None:
    """An exception of any of them ended the task group: whoever called anything got a CancelledError."""
    kind, name = task
    begun = []
    again = anyio.Event()
    real = getattr(kind, name)

    async def fails(self: object) -> None:
        begun.append(self)
        if len(begun) < 3:
            raise error("nobody thought of this")
        again.set()
        await real(self)

    monkeypatch.setattr(kind, name, fails)
    make_profile(tmp_path / "profile")
    async with Peer(tmp_path / "profile", NOWHERE) as peer:
        with anyio.fail_after(PATIENCE_S):
            await again.wait()
        assert not (await peer.request(HELD_IMAGE, 1)).delivered
        assert len(await peer.outbox()) == 2


async def test_a_row_left_by_an_older_version_bricks_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`grant(image, "Ada", 1)` was stored once: from then on client, agent and script died at every start."""
    path = make_profile(tmp_path / "profile")
    body = f'{{"image":"{MY_IMAGE}","viewer":"Ada","views":1,"expires":null,"ask":null,"grant":"{"a" * 32}"}}'
    change(path, "UPDATE outbox SET kind = 'grant', what = 'grant', body = :body", body=body.encode())
    caplog.set_level(logging.CRITICAL)
    async with Peer(tmp_path / "profile", NOWHERE) as peer:
        with peer.subscribe() as events:
            peer._context.signed_in = True
            peer._outbox.retry()
            with anyio.fail_after(PATIENCE_S):
                while type(event := await anext(events)).__name__ != "Undeliverable":
                    pass
        peer._context.signed_in = False
        assert "cannot be read" in event.reason
        assert await peer.outbox() == []
        assert [trouble.what for trouble in await peer.troubles()] == ["something in the outbox"]
        assert (await peer.requests(local=True)).incoming


async def test_an_error_in_the_block_comes_out_as_it_is(tmp_path: Path) -> None:
    make_profile(tmp_path / "profile")
    with pytest.raises(InvalidInput):
        async with Peer(tmp_path / "profile", NOWHERE) as peer:
            await peer.view("no id")
    with pytest.raises(ZeroDivisionError):
        async with Peer(tmp_path / "profile", NOWHERE):
            raise ZeroDivisionError


async def test_what_ends_a_peer_comes_out_as_one_error_of_ours(tmp_path: Path) -> None:
    make_profile(tmp_path / "profile")

    async def fail() -> None:
        raise ProfileError("The profile is gone.")

    async def use() -> None:
        async with Peer(tmp_path / "profile", NOWHERE) as peer:
            peer._context.tasks.start_soon(fail)
            await anyio.sleep_forever()

    with pytest.raises(ProfileError, match="gone"):
        await use()


async def test_an_opening_that_fails_late_comes_out_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui.peer.copies import Copies

    async def fail(_self: Copies) -> None:
        raise ProfileError("The profile is gone.")

    monkeypatch.setattr(Copies, "recall", fail)
    make_profile(tmp_path / "profile")
    with pytest.raises(ProfileError, match="gone"):
        async with Peer(tmp_path / "profile", NOWHERE):
            pass
    monkeypatch.undo()
    async with Peer(tmp_path / "profile", NOWHERE):
        pass


async def test_the_agent_says_it_in_one_sentence(tmp_path: Path) -> None:
    root = tmp_path / "data" / "glimpse" / "profiles"
    path = make_profile(root / "ada")
    change(path, "PRAGMA user_version = 99")
    save_cluster(tmp_path / "cluster.toml", NOWHERE)
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [
        sys.executable,
        "-m",
        "tui.cli",
        "agent",
        "--profile",
        "ada",
        "--accept",
        "none",
        "--cluster",
        str(tmp_path / "cluster.toml"),
    ]
    done = await anyio.run_process(command, env=environment, check=False, stderr=subprocess.PIPE)
    said = done.stderr.decode()
    assert done.returncode == 1
    assert said.startswith("glimpse: ")
    assert "newer Glimpse; update this one" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("error", [RuntimeError, OSError, Unavailable])
async def test_a_notice_that_nobody_can_take_over_ends_no_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    """What came from another peer was taken over in a task of its own, and a fault there ended the whole peer."""
    tried = anyio.Event()

    async def fails(*_: object) -> None:
        tried.set()
        raise error("nobody thought of this")

    monkeypatch.setattr(Holding, "right", fails)
    caplog.set_level(logging.CRITICAL)
    make_profile(tmp_path / "profile")
    async with Peer(tmp_path / "profile", NOWHERE) as peer:
        notice = notice_of(decode_record(grant_record(OTHER, ME, HELD, HELD_IMAGE)), 2)
        owner = SimpleNamespace(remote_key=OTHER.public.session_key, alive=True)
        peer._notices.told(cast("Any", owner), notice)
        with anyio.fail_after(PATIENCE_S):
            await tried.wait()
        assert not (await peer.request(HELD_IMAGE, 1)).delivered
        assert not peer._notices._in_work, "its sender is not counted any more"
