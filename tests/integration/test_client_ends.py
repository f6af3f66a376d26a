"""How the client ends: by key, by a signal, by its terminal going away, by a failure. It always says goodbye first."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.patience import PATIENCE_S, wait_until
from tests.tui.terminal import Terminal
from tui.peer import Peer

pytestmark = pytest.mark.xdist_group("client-program")
FAILING_PEER = """
import anyio
from tui.peer.cloud import CloudLink
start = CloudLink.start

def failing(self):
    start(self)
    async def fail():
        await anyio.sleep(0.5)
        raise RuntimeError("nobody thought of this")
    self._tasks.start_soon(fail)

CloudLink.start = failing
"""
FAILING_HOST = """
from tui.client.host import LocalHost

async def fail(self):
    raise RuntimeError("the host went")

LocalHost.run = fail
"""
RUN = "\nfrom tui.cli import main\nmain(['client'])"


@pytest.fixture
def env(cluster: RunningCluster, tmp_path: Path) -> dict[str, str]:
    """Folders of the test's own, and one profile in them with an account."""
    places = {f"XDG_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("DATA", "CONFIG", "STATE")}
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}

    async def register() -> None:
        async with Peer(tmp_path / "data" / "glimpse" / "profiles" / "ada", cluster.file) as peer:
            await peer.register("Ada")

    anyio.run(register)
    return {**kept, **places, "GLIMPSE_CLUSTER": str(cluster.file)}


def is_online(cluster: RunningCluster, folder: Path) -> list[bool]:
    """Return who of those called Ada is signed in, as somebody else sees it."""

    async def ask() -> list[bool]:
        async with Peer(folder / "watcher", cluster.file) as peer:
            await peer.register("Watcher")
            await peer.sign_in()
            page = await peer.users("Ada")
            return [user.online for user in page.rows]

    return anyio.run(ask)


def is_signed_in(terminal: Terminal, cluster: RunningCluster, folder: Path) -> None:
    """Return once the client is signed in: the cloud is there before, and a sign-in may be under way then."""
    terminal.wait_for("leads")
    wait_until(lambda: True in is_online(cluster, folder))


def test_the_only_profile_is_opened_and_ctrl_q_signs_out(env, cluster, tmp_path) -> None:
    with Terminal([*GLIMPSE, "client"], env=env) as terminal:
        is_signed_in(terminal, cluster, tmp_path)
        terminal.press("ctrl+q")
        assert terminal.wait_until_over() == 0
        assert "Traceback" not in terminal.text
    assert True not in is_online(cluster, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_signs_out(env, cluster, tmp_path, number) -> None:
    with Terminal([*GLIMPSE, "client"], env=env) as terminal:
        is_signed_in(terminal, cluster, tmp_path)
        terminal.process.send_signal(number)
        assert terminal.wait_until_over() == 128 + number
        assert "Traceback" not in terminal.text
    assert True not in is_online(cluster, tmp_path)


def test_a_terminal_that_goes_away_signs_out(env, cluster, tmp_path) -> None:
    """The window was closed: nothing can be written any more, and the process must not live on."""
    with Terminal([*GLIMPSE, "client"], env=env) as terminal:
        is_signed_in(terminal, cluster, tmp_path)
        terminal.hang_up()
        assert terminal.process.wait(PATIENCE_S) != 0
    assert True not in is_online(cluster, tmp_path)


def test_a_signal_on_the_first_screen_ends_it(env) -> None:
    with Terminal([*GLIMPSE, "client", "--profile", "new"], env=env) as terminal:
        terminal.wait_for("Nobody has registered")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.wait_until_over() == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("fault", "words"), [(FAILING_PEER, "RuntimeError: nobody thought of this"), (FAILING_HOST, "the host went")]
)
def test_a_failure_of_the_core_ends_the_screens_and_is_said(env, tmp_path, fault: str, words: str) -> None:
    with Terminal([sys.executable, "-c", fault + RUN], env=env) as terminal:
        assert terminal.wait_until_over() == 1
        said = " ".join(terminal.text.split())
        assert words.replace(" ", "") in said.replace(" ", "")
        assert "start it again" in said
        assert "Traceback" not in said


def test_settings_that_cannot_be_used_are_told_before_anything_is_shown(env, tmp_path) -> None:
    (tmp_path / "config" / "glimpse").mkdir(parents=True)
    (tmp_path / "config" / "glimpse" / "client.toml").write_text("colour = 'blue'")
    with Terminal([*GLIMPSE, "client"], env=env) as terminal:
        assert terminal.wait_until_over() == 2
        assert "'colour'" in terminal.text


def test_a_profile_that_another_process_has_open_is_told(env) -> None:
    with Terminal([*GLIMPSE, "client"], env=env) as first:
        first.wait_for("leads")
        with Terminal([*GLIMPSE, "client"], env=env) as second:
            second.wait_for(f"The profile ada is open in process {first.process.pid}")
            second.press("ctrl+q")
            assert second.wait_until_over() == 0, second.text
        first.press("ctrl+q")
        assert first.wait_until_over() == 0
