"""What a node tells the supervisor that started it, and the unit file by which systemd is one."""

import os
import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from node import supervision
from shared.errors import InvalidInput
from tui.commands.systemd import unit


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_state_is_told_where_the_supervisor_listens(tmp_path: Path, is_abstract: bool) -> None:
    name = f"glimpse-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind("\0" + name if is_abstract else name)
        supervision.notify(supervision.READY, {"NOTIFY_SOCKET": "@" + name if is_abstract else name})
        assert listening.recv(100) == b"READY=1"


def test_no_supervisor_and_one_that_is_gone_do_no_harm(tmp_path: Path) -> None:
    supervision.notify(supervision.READY, {})
    supervision.notify(supervision.READY, {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    supervision.notify(supervision.READY, {"NOTIFY_SOCKET": "x" * 500})


@pytest.mark.parametrize(
    ("environment", "within_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
    ],
)
def test_only_the_process_that_is_watched_gives_signs_of_life(
    environment: dict[str, str], within_s: float | None
) -> None:
    assert supervision.watchdog_s(environment) == within_s


@pytest.mark.anyio
async def test_signs_of_life_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervision.keep_watchdog)
            for _ in range(5):
                await anyio.wait_readable(listening)
                assert listening.recv(100) == b"WATCHDOG=1"
            tasks.cancel_scope.cancel()


def test_a_unit_file_that_systemd_understands(tmp_path: Path) -> None:
    text = unit("n1", Path("/srv/glimpse"), Path("/usr/bin/true"), "root")
    assert "ExecStart=/usr/bin/true node --cluster /srv/glimpse/cluster.toml --name n1\n" in text
    assert "Type=notify\n" in text
    if shutil.which("systemd-analyze"):
        file = tmp_path / "glimpse-n1.service"
        file.write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
        assert "glimpse" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("folder", "user"),
    [("/srv/a b", "glimpse"), ("srv", "glimpse"), ("/srv", 'x"'), ("/srv\nUser=root", "x"), ("/srv", "%u")],
)
def test_what_has_no_place_in_a_unit_file_is_refused(folder: str, user: str) -> None:
    with pytest.raises(InvalidInput, match=r"cannot stand|whole path"):
        unit("n1", Path(folder), Path("/usr/bin/glimpse"), user)
