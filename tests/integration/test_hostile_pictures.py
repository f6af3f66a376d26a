"""Pictures that stop whoever decodes them, sent by modified clients to real nodes and to a real client."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest
from PIL import Image

from shared.config import MAX_ORIGINAL_BYTES
from shared.decoding import checks
from shared.errors import Refused
from tests.hostile_pictures import repeated_scans
from tests.integration.cluster import RunningCluster
from tests.integration.test_client_program import Stage, ask_and_look, register
from tests.patience import PATIENCE_S
from tests.photos import small_jpeg
from tui.peer import Peer, encrypting

pytestmark = pytest.mark.xdist_group("hostile-pictures")
UNCHECKED_AGENT = (
    "from shared.stego.pictures import PictureInfo; from tui.peer import encrypting; from tui.cli import main\n"
    "encrypting.pictures.inspect = lambda data: PictureInfo('JPEG', 4000, 3000, 1, len(data))\n"
    "main()"
)


class HostileStage(Stage):
    """Ben's agent shares a picture without having looked at it."""

    PICTURE = ("Coffee.jpg", repeated_scans(6_000))
    AGENT = (sys.executable, "-c", UNCHECKED_AGENT)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[HostileStage]:
    stage = HostileStage(tmp_path)
    yield stage
    stage.end_agent()
    assert stage.cluster.stop() == 0


def test_a_viewer_is_told_that_a_hostile_picture_cannot_be_shown_and_spends_no_second_view(stage: HostileStage) -> None:
    """The client froze, every look burnt a view, and quitting took over a minute."""
    with stage.client() as terminal:
        register(terminal, "Zoe")
        ask_and_look(terminal)
        terminal.wait_for("What Ben shared cannot be shown; ask Ben about it.")
        terminal.wait_for("more than 50 scans")
        terminal.press("escape")
        terminal.wait_for("2 of 3 left")
        terminal.press("enter")
        terminal.wait_for("Uses 1 of 2 views")
        terminal.press("tab", "enter")
        terminal.wait_for("further view is spent on it")
        terminal.press("escape")
        terminal.wait_for("2 of 3 left")
        terminal.press("ctrl+q")
        assert terminal.wait_until_over() == 0
    stage.end_agent()
    assert [(look.viewer_name, look.left, look.lasted_s) for look in stage.looks_at_bens_picture()] == [("Zoe", 2, 0.0)]


# --- As a cover ------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("scans", [6_000, 30])
async def test_a_hostile_cover_holds_up_no_honest_encryption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scans: int
) -> None:
    """Two of them held both threads of a node, and every other encryption with them.

    The first is refused for what it says of itself; the second is within bounds, and takes a child some time.
    """
    cover, photo = tmp_path / "cover.jpg", tmp_path / "photo.jpg"
    cover.write_bytes(repeated_scans(scans))
    photo.write_bytes(small_jpeg())
    monkeypatch.setattr(encrypting.covers, "check_owner_cover", lambda *_: None)
    running = await anyio.to_thread.run_sync(RunningCluster, tmp_path / "cluster")
    try:
        async with Peer(tmp_path / "mallory", running.file) as mallory, Peer(tmp_path / "ada", running.file) as ada:
            for peer, name in ((mallory, "mallory"), (ada, "ada")):
                await peer.register(name)
                await peer.sign_in()
            ends: list[str] = []

            async def attack() -> None:
                try:
                    await mallory.encrypt(photo, cover=cover)
                    ends.append("hidden")
                except Refused as refusal:
                    ends.append(str(refusal))

            with anyio.fail_after(4 * PATIENCE_S):
                async with anyio.create_task_group() as tasks:
                    for _ in range(6):
                        tasks.start_soon(attack)
                    for _ in range(3):
                        image = await ada.encrypt(photo)
                        assert (await ada.view(image.image)).data == photo.read_bytes()
            if scans > 50:
                assert len(ends) == 6
                assert all("The cover is made of more than 50 scans" in text for text in ends)
            else:
                assert ends == ["hidden"] * 6
            assert len(await ada.my_images()) == 3
    finally:
        assert await anyio.to_thread.run_sync(running.stop) == 0


@pytest.mark.anyio
async def test_a_seal_that_is_cancelled_ends_the_decoding_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited for 37 s."""
    monkeypatch.setattr(checks, "MAX_JPEG_SCANS", 10_000)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(repeated_scans(6_000))
    here = psutil.Process()
    running = await anyio.to_thread.run_sync(RunningCluster, tmp_path / "cluster")
    try:
        async with Peer(tmp_path / "ada", running.file) as ada:
            await ada.register("ada")
            await ada.sign_in()
            before = {child.pid: child.cpu_times().user for child in here.children()}  # one may be warm already

            def at_work() -> list[psutil.Process]:
                return [one for one in here.children() if one.cpu_times().user > before.get(one.pid, 0.0) + 0.3]

            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ada.encrypt, photo)
                    with anyio.fail_after(PATIENCE_S):
                        while not (found := at_work()):  # noqa: ASYNC110 - a process tells nobody that it works
                            await anyio.sleep(0.02)
                    scope.cancel()
            assert scope.cancelled_caught
            await anyio.to_thread.run_sync(psutil.wait_procs, found, PATIENCE_S)
            assert not any(one.is_running() for one in found)
            assert await ada.my_images() == []
    finally:
        assert await anyio.to_thread.run_sync(running.stop) == 0


# --- Memory ----------------------------------------------------------------------------------------------------------
def peak_mb(pid: int) -> float:
    """Return the most memory that a process has ever held."""
    return next(int(line.split()[1]) for line in _status(pid) if line.startswith("VmHWM")) / 1024


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text().splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="only here does a process tell its peak")
@pytest.mark.anyio
async def test_one_largest_picture_after_another_in_the_largest_cover_leaves_a_node_within_200_mb(
    tmp_path: Path,
) -> None:
    """One took 576 MB. Later, one alone took less, but what was left of it lay there when the next one came."""
    cover, photo = tmp_path / "cover.jpg", tmp_path / "photo.jpg"
    photo.write_bytes(small_jpeg() + bytes(MAX_ORIGINAL_BYTES - 11 * 1024))
    Image.effect_noise((1250, 1000), 90).resize((5000, 4000)).convert("RGB").save(
        cover, progressive=True, subsampling=0
    )
    running = await anyio.to_thread.run_sync(lambda: RunningCluster(tmp_path / "cluster", "--nodes", "1"))
    try:
        async with Peer(tmp_path / "ada", running.file) as ada:
            await ada.register("ada")
            await ada.sign_in()
            [node] = (await anyio.to_thread.run_sync(running.status))["nodes"]
            for _ in range(3):
                await ada.encrypt(photo, cover=cover)
            assert peak_mb(node["pid"]) <= 200
            assert all(peak_mb(child.pid) < 250 for child in psutil.Process(node["pid"]).children())
    finally:
        assert await anyio.to_thread.run_sync(running.stop) == 0
