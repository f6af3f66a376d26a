"""Real nodes over directories that were put back to a backup, behind their backs or by the command: no look is had
before the owner has compared, nothing is numbered twice, and ordinary ends of nodes are never taken for a restore."""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from PIL import Image

from node.directory.url import parse_directory_url
from shared.errors import ViewRefused
from tests.databases import find_program
from tests.integration.cluster import GLIMPSE, RunningCluster
from tests.patience import wait_until
from tui.peer import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("restored")]


class Place:
    """A cluster that can be stopped and started again in the same folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options
        self.cluster: RunningCluster | None = None
        self.start()

    def start(self) -> None:
        assert self.cluster is None
        self.cluster = RunningCluster(self.folder, *self._options)

    def stop(self) -> None:
        if self.cluster is not None:
            self.cluster.stop()
            self.cluster = None

    def power_cut(self) -> None:
        """End every process at once."""
        pids = [node["pid"] for node in self.running.status()["nodes"]]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.running.kill()
        self.cluster = None
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))

    @property
    def running(self) -> RunningCluster:
        assert self.cluster is not None
        return self.cluster

    @property
    def database(self) -> Path:
        return self.folder / "directory.sqlite"

    def epoch(self) -> int:
        return int(self.running.status()["directory"]["epoch"])

    def glimpse(self, *arguments: str) -> str:
        """Run a command against this cluster, running or not; return what it printed."""
        environment = {**os.environ, "GLIMPSE_CLUSTER": str(self.folder / "cluster.toml")}
        done = subprocess.run(
            [*GLIMPSE, *arguments],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def until_remembered_anew(self) -> None:
        """Wait until a node has written down that the directory moved on."""
        memory = self.folder / "memory-n1.json"
        before = memory.read_bytes()
        wait_until(lambda: memory.read_bytes() != before)

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("node-n*.log")))


@pytest.fixture
async def place(tmp_path: Path):
    made = await anyio.to_thread.run_sync(Place, tmp_path / "cloud")
    yield made
    await anyio.to_thread.run_sync(made.stop)


@asynccontextmanager
async def signed_in(place: Place, folder: Path, *names: str):
    async with AsyncExitStack() as stack:
        peers = []
        for name in names:
            peer = await stack.enter_async_context(Peer(folder / name, place.folder / "cluster.toml"))
            await peer.register(name)
            await peer.sign_in()
            peers.append(peer)
        yield peers


async def eventually(call: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until the answer is yes."""
    with anyio.fail_after(60):
        while True:
            if await call():
                return
            await anyio.sleep(0.05)


def picture(folder: Path) -> Path:
    path = folder / "picture.png"
    Image.effect_mandelbrot((96, 64), (-2, -1, 1, 1), 60).save(path)
    return path


async def given(owner: Peer, viewer: Peer, folder: Path, views: int) -> str:
    """Give a viewer views on a new picture, and wait until it is there; return the image."""
    image = (await owner.encrypt(picture(folder))).image
    assert viewer.me is not None
    await owner.grant(image, viewer.me.account, views)

    async def is_there() -> bool:
        return any(held.image == image and held.path for held in await viewer.peer_images())

    await eventually(is_there)
    return image


async def refusal_of(viewer: Peer, image: str) -> str:
    with pytest.raises(ViewRefused) as caught:
        await viewer.view(image)
    return str(caught.value.code)


def put_back(place: Place, backup: Path) -> None:
    """Do as an operator does who knows of no command: the files are deleted, and a copy takes their place."""
    for ending in ("", "-wal", "-shm"):
        place.database.with_name(place.database.name + ending).unlink(missing_ok=True)
    shutil.copy(backup, place.database)
    place.database.chmod(0o600)


async def test_a_directory_that_was_put_back_gives_no_look_and_no_number_twice(place: Place, tmp_path: Path) -> None:
    """A viewer had 9 looks of 5, and the number of somebody whom the backup lacked went to the next. One node lost its
    memory, and another's is damaged: the third remembers for them."""
    backup = tmp_path / "backup.sqlite"
    async with signed_in(place, tmp_path, "owner", "viewer") as (owner, viewer):
        image = await given(owner, viewer, tmp_path, 5)
        await anyio.to_thread.run_sync(place.glimpse, "backup", str(backup))
        for _ in range(2):
            await viewer.view(image)
        async with signed_in(place, tmp_path, "late") as (late,):
            assert late.me is not None
            late_account = late.me.account
    await anyio.to_thread.run_sync(place.stop)
    (place.folder / "memory-n1.json").unlink()
    (place.folder / "memory-n2.json").write_bytes(b"\0" * 100)
    put_back(place, backup)
    await anyio.to_thread.run_sync(place.start)
    await anyio.to_thread.run_sync(wait_until, lambda: place.epoch() == 2)
    async with signed_in(place, tmp_path, "viewer") as (viewer,):
        for _ in range(3):
            assert await refusal_of(viewer, image) == "frozen"
        async with signed_in(place, tmp_path, "stranger") as (stranger,):
            assert stranger.me is not None
            assert stranger.me.account > late_account + 900
    assert await anyio.to_thread.run_sync(place.epoch) == 2, "found once"
    assert "it goes by what the other nodes remember" in place.logs()
    assert "it was restored from a backup" in place.logs()
    status = await anyio.to_thread.run_sync(place.glimpse, "status")
    assert "restored from a backup (epoch 2)" in status


async def test_the_command_puts_a_directory_back(place: Place, tmp_path: Path) -> None:
    backup = tmp_path / "backup.sqlite"
    async with signed_in(place, tmp_path, "owner", "viewer") as (owner, viewer):
        image = await given(owner, viewer, tmp_path, 5)
        said = await anyio.to_thread.run_sync(place.glimpse, "backup", str(backup))
        assert "2 accounts, 1 image, 1 grant and 0 views" in said
        await viewer.view(image)
        with pytest.raises(AssertionError, match="stop them all first"):
            await anyio.to_thread.run_sync(place.glimpse, "restore", str(backup))
        await viewer.view(image)
    await anyio.to_thread.run_sync(place.stop)
    said = await anyio.to_thread.run_sync(place.glimpse, "restore", str(backup))
    assert "1 grant waits until" in said
    assert "epoch 2" in said
    await anyio.to_thread.run_sync(place.start)
    async with signed_in(place, tmp_path, "viewer") as (viewer,):
        assert await refusal_of(viewer, image) == "frozen"
    await anyio.to_thread.run_sync(place.stop)
    await anyio.to_thread.run_sync(place.start)
    assert await anyio.to_thread.run_sync(place.epoch) == 2, "the nodes remember less than the command left"


async def test_no_end_of_nodes_is_taken_for_a_restore(place: Place, tmp_path: Path) -> None:
    """Power cuts under load, restarts in order, a memory that was copied from another node: the epoch stays."""
    for _ in range(2):
        async with signed_in(place, tmp_path, "owner") as (owner,), anyio.create_task_group() as group:

            async def work(owner: Peer = owner) -> None:
                while True:
                    with suppress(Exception):
                        await owner.encrypt(picture(tmp_path))

            group.start_soon(work)
            await anyio.to_thread.run_sync(place.until_remembered_anew)
            await anyio.to_thread.run_sync(place.power_cut)
            group.cancel_scope.cancel()
        shutil.copy(place.folder / "memory-n1.json", place.folder / "memory-n2.json")
        await anyio.to_thread.run_sync(place.start)
        assert await anyio.to_thread.run_sync(place.epoch) == 1
    await anyio.to_thread.run_sync(place.stop)
    await anyio.to_thread.run_sync(place.start)
    assert await anyio.to_thread.run_sync(place.epoch) == 1
    assert "restored" not in place.logs()


@pytest.mark.mysql
async def test_a_server_whose_dump_was_loaded_under_running_nodes_is_found(mysql_url: str, tmp_path: Path) -> None:
    """The commands that `glimpse backup` and `glimpse restore` show for a server do what they say, and a directory that
    is replaced under living nodes is found within seconds."""
    if find_program("mariadb-dump") is None or find_program("mariadb") is None:
        pytest.skip("the server's own tools are not installed")
    url = parse_directory_url(mysql_url)
    dump = tmp_path / "dump.sql"
    url_file = tmp_path / "url"
    url_file.write_text(mysql_url)
    url_file.chmod(0o600)
    place = await anyio.to_thread.run_sync(Place, tmp_path / "cloud", "--directory-file", str(url_file))

    def shown(*arguments: str) -> str:
        with pytest.raises(AssertionError) as caught:
            place.glimpse(*arguments)
        text = str(caught.value)
        assert url.password not in text
        # What the command said comes first; how the assertion is explained after it may repeat it.
        line = next(line for line in text.replace("\\n", "\n").splitlines() if line.strip().startswith("mariadb"))
        return line.strip().replace(" --password", "")

    def run(command: str) -> int:
        environment = {**os.environ, "MYSQL_PWD": url.password, "PATH": os.environ["PATH"] + ":/usr/local/bin"}
        return subprocess.run(["sh", "-c", command], check=False, env=environment, timeout=100).returncode

    try:
        async with signed_in(place, tmp_path, "owner", "viewer") as (owner, viewer):
            image = await given(owner, viewer, tmp_path, 5)
            command = await anyio.to_thread.run_sync(shown, "backup", str(dump))
            assert shlex.split(command)[0] == "mariadb-dump"
            assert await anyio.to_thread.run_sync(run, command) == 0
            for _ in range(3):
                await viewer.view(image)
            for _ in range(3):  # what was read is remembered once a later reading has confirmed it
                await anyio.to_thread.run_sync(place.until_remembered_anew)
            await owner.sign_out()
            command = await anyio.to_thread.run_sync(shown, "restore", str(dump))
            with anyio.fail_after(100):
                while await anyio.to_thread.run_sync(run, command):
                    pass  # the nodes, which should have been stopped, were in its way
            await anyio.to_thread.run_sync(wait_until, lambda: place.epoch() >= 2)
            assert await refusal_of(viewer, image) == "frozen"
        roles = [node["role"] for node in (await anyio.to_thread.run_sync(place.running.status))["nodes"]]
        assert "down" not in roles
        epoch = await anyio.to_thread.run_sync(place.epoch)
        await anyio.to_thread.run_sync(place.stop)
        said = await anyio.to_thread.run_sync(place.glimpse, "restore", "--loaded")
        assert f"epoch {epoch + 1}" in said
    finally:
        await anyio.to_thread.run_sync(place.stop)
