"""Profiles under a passphrase in real programs: an agent, the command, the client; and what a thief's copy holds."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.errors import ProfileError, WrongPassphrase
from shared.keyfiles import is_locked_file
from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.integration.test_host import running_host
from tests.patience import PATIENCE_S, until
from tests.tui.terminal import Terminal
from tui.client.entering import Entering
from tui.peer import Peer, at_rest
from tui.peer.profile import Profile
from tui.peer.profiles import ProfileSummary
from tui.peer.store import Store

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("cluster")]
FIRST, SECOND = "four words or more", "another four words"


class Machine:
    """A machine on which Ada's agent runs: its folders, and commands in them."""

    def __init__(self, folder: Path, cluster: RunningCluster) -> None:
        self.folder = folder
        self.profile = folder / "data" / "glimpse" / "profiles" / "ada"
        self._cluster = cluster
        for name, word in (("first", FIRST), ("second", SECOND)):
            (folder / name).touch(0o600)
            (folder / name).write_text(f"{word}\n")

    def env(self, **more: str) -> dict[str, str]:
        places = {f"XDG_{kind}_HOME": str(self.folder / kind.lower()) for kind in ("DATA", "CONFIG", "STATE")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GLIMPSE_PASSPHRASE")}
        return {**kept, **places, "GLIMPSE_CLUSTER": str(self._cluster.file), **more}

    def run(self, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*GLIMPSE, *map(str, arguments)],
            env=self.env(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    @contextmanager
    def agent(self, *arguments: str | Path, **env: str) -> Iterator[subprocess.Popen[str]]:
        """Run Ada's agent until the end of the block, from the moment that it has signed in."""
        command = [*GLIMPSE, "agent", "--profile", "ada", "--name", "Ada", "--accept", "all", *map(str, arguments)]
        with subprocess.Popen(command, env=self.env(**env), stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert "Ada is account" in process.stdout.readline()
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE_S) == 0


@pytest.fixture
def machine(tmp_path: Path, cluster: RunningCluster) -> Machine:
    (tmp_path / "ada").mkdir()
    return Machine(tmp_path / "ada", cluster)


def secrets_of(folder: Path, word: str) -> list[bytes]:
    """Return what a profile must not show: its keys, and all that stands in secret columns, without what is short."""
    with Profile(folder) as profile:
        identity = profile.identity(word)
        store = Store(profile.store_path, key=profile.data_key)
        found = [
            bytes(row[column])
            for table, columns in at_rest.COLUMNS.items()
            for column in columns
            for row in store.all(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
        ]
        store.close()
        assert profile.data_key is not None
        return [identity.signing_private, identity.session_private, profile.data_key.secret, *filter(_is_long, found)]


def _is_long(secret: bytes) -> bool:
    return len(secret) >= 32


def readable(folder: Path, secrets: list[bytes]) -> set[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return {path.name for path in files for secret in secrets if secret in path.read_bytes()}


async def test_an_agent_on_a_locked_profile(
    machine: Machine, cluster: RunningCluster, tmp_path: Path, photo: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shutil.copy(photo, shared / "fractal.jpg")
    picture = photo.read_bytes()
    async with Peer(tmp_path / "ben", cluster.file, passphrase=SECOND) as ben:
        await ben.register("Ben")
        await ben.sign_in()
        with machine.agent("--share", shared, "--views", "2", GLIMPSE_PASSPHRASE_FILE=str(machine.folder / "first")):
            page = await until(ben.users, lambda page: any(user.images for user in page.rows if user.name == "Ada"))
            ada = next(user for user in page.rows if user.name == "Ada" and user.images)
            [offered] = await ben.images_of(ada.account)
            await ben.request(offered.image, 1, note="a note that is nobody's business")
            [held] = await until(ben.peer_images, lambda rows: rows and rows[0].path)
            assert (await ben.view(held.image)).data == picture
            shutil.copytree(machine.profile, tmp_path / "copy-of-ada")
            shutil.copytree(tmp_path / "ben", tmp_path / "copy-of-ben")

    # What a thief has: both copies, taken while the programs ran.
    for name, folder, word in (("ada", machine.profile, FIRST), ("ben", tmp_path / "ben", SECOND)):
        secrets = secrets_of(folder, word)
        assert len(secrets) > (4 if name == "ada" else 3)
        for copied in (tmp_path / f"copy-of-{name}", folder):
            assert readable(copied, [*secrets, picture[:200], picture[-200:], b"nobody's business"]) == set()
        with pytest.raises(WrongPassphrase):
            async with Peer(tmp_path / f"copy-of-{name}", cluster.file, passphrase="a guess"):
                pass

    # Without the passphrase, and with another, the agent says what to do.
    for env, words in (
        ({}, "is locked; give its passphrase with --passphrase-file"),
        ({"GLIMPSE_PASSPHRASE": SECOND}, "does not open this profile"),
    ):
        refused = machine.run("agent", "--profile", "ada", "--accept", "all", **env)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr

    changed = machine.run(
        "passphrase", "--profile", "ada", "--passphrase-file", machine.folder / "first",
        "--new-passphrase-file", machine.folder / "second",
    )  # fmt: skip
    assert (changed.returncode, changed.stderr) == (0, "")
    with machine.agent(GLIMPSE_PASSPHRASE=SECOND):
        held_by = machine.run("passphrase", "--profile", "ada", "--remove", GLIMPSE_PASSPHRASE=SECOND)
        assert held_by.returncode == 1
        assert "is open in process" in held_by.stderr

    removed = machine.run("passphrase", "--profile", "ada", "--remove", GLIMPSE_PASSPHRASE=SECOND)
    assert removed.returncode == 0, removed.stderr
    assert "in clear" in removed.stdout
    assert not is_locked_file(machine.profile / "identity")
    with machine.agent():
        pass
    again = machine.run("passphrase", "--profile", "ada", "--remove", GLIMPSE_PASSPHRASE=SECOND)
    assert (again.returncode, "has no passphrase" in again.stderr) == (1, True)
    locked = machine.run("passphrase", "--profile", "ada", "--new-passphrase-file", machine.folder / "first")
    assert locked.returncode == 0, locked.stderr
    assert readable(machine.profile, secrets_of(machine.profile, FIRST)) == set()


def test_a_file_that_others_may_read_and_no_terminal_are_refused(machine: Machine) -> None:
    (machine.folder / "first").chmod(0o640)
    for arguments in (
        ("agent", "--profile", "ada", "--accept", "all", "--passphrase-file", machine.folder / "first"),
        ("client", "--passphrase-file", machine.folder / "first"),
    ):
        refused = machine.run(*arguments)
        assert refused.returncode == 2
        assert "chmod 600" in refused.stderr or "no terminal" in refused.stderr
    made = machine.run("passphrase", "--profile", "ada")
    assert (made.returncode, "no profile ada" in made.stderr) == (1, True)
    with Profile(machine.profile) as profile:
        profile.identity()
    asked = machine.run("passphrase", "--profile", "ada")
    assert asked.returncode == 2
    assert "give --new-passphrase-file" in asked.stderr


def test_the_client_asks_and_the_command_asks(machine: Machine) -> None:
    with Profile(machine.profile) as profile:
        profile.identity(FIRST)
    with Terminal([*GLIMPSE, "client", "--profile", "ada"], env=machine.env()) as client:
        client.wait_for("Locked profile")
        client.type("wrong")
        client.press("enter")
        client.wait_for("try again")
        client.type(FIRST)
        client.press("enter")
        client.wait_for("Nobody has registered in the profile ada yet")
        client.type("Ada")
        client.press("enter")
        client.wait_for("Your account is ready")
        client.press("escape")
        client.wait_for("leads")
    with Terminal([*GLIMPSE, "passphrase", "--profile", "ada"], env=machine.env()) as command:
        for asked, word in (("Passphrase:", FIRST), ("New passphrase:", SECOND), ("Repeat for confirmation:", SECOND)):
            command.wait_for(asked)
            command.type(word)
            command.press("enter")
        command.wait_for("opens by the new passphrase only")
    with Profile(machine.profile) as profile, pytest.raises(WrongPassphrase):
        profile.identity(FIRST)


async def test_the_host_of_the_client_opens_a_locked_profile(
    cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / "xdg" / kind.lower()))
    async with running_host(tmp_path / "profiles", cluster.file) as (host, failures):
        entering = Entering(host)
        peer = await entering.create("Ada", FIRST)
        me = peer.me
        await host.close()
        with pytest.raises(ProfileError, match="is locked"):
            await entering.open("ada")
        with pytest.raises(WrongPassphrase):
            await entering.open("ada", SECOND)
        again = await entering.open("ada", FIRST)
        assert again is not None
        assert again.me == me
        [summary] = await host.profiles()
        assert isinstance(summary, ProfileSummary)
        assert summary.locked
        assert failures == []
