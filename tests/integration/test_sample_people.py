"""The people of the demo: they come with pictures, answer in their manner, leave, and never outlive the demo."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.integration.cluster import RunningCluster
from tests.patience import PATIENCE_S, until
from tui.commands.sample_people import SamplePerson, sample_people
from tui.peer import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("sample-people")]


async def test_they_share_answer_and_leave(cluster: RunningCluster, tmp_path: Path) -> None:
    people = (
        SamplePerson("Ada", {"Morning coffee": "coffee.png"}),
        SamplePerson("Cem", {"Portrait": "astronaut.png"}, stays_s=0.0),
    )
    async with Peer(tmp_path / "me", cluster.file) as me:
        await me.register("Me")
        await me.sign_in()
        async with sample_people(tmp_path / "people", cluster.file, people):
            page = await until(
                me.users,
                lambda page: (
                    {("Ada", True, 1), ("Cem", False, 1)}
                    <= {(user.name, user.online, user.images) for user in page.rows}
                ),
            )
            ada = next(user for user in page.rows if user.name == "Ada")
            offered = await until(lambda: me.images_of(ada.account), lambda rows: all(row.has_preview for row in rows))
            assert [row.title for row in offered] == ["Morning coffee"]
            await me.request(offered[0].image, 2)
            held = await until(me.peer_images, lambda rows: any(row.path for row in rows))
            assert held[0].left == 2
        page = await me.users()
        assert not any(user.online for user in page.rows if user.name in ("Ada", "Cem"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_they_end_with_a_demo_that_was_ended(cluster: RunningCluster, tmp_path: Path, number: signal.Signals) -> None:
    """A demo that is killed, or has not got to heed a signal, closes nothing; its people must not go on for ever."""
    script = textwrap.dedent(
        """
        import sys, anyio
        from pathlib import Path
        from tui.commands.sample_people import SamplePerson, sample_people
        from tui.peer import Peer

        async def main():
            people = (SamplePerson(sys.argv[3], {"Coffee": "coffee.png"}),)
            async with sample_people(Path(sys.argv[1]), Path(sys.argv[2]), people):
                async with Peer(Path(sys.argv[1]) / "me", Path(sys.argv[2])) as me:
                    await me.register("Me")
                    await me.sign_in()
                    while not any(user.name == sys.argv[3] and user.images for user in (await me.users()).rows):
                        await anyio.sleep(0.05)
                print("here", flush=True)
                await anyio.sleep_forever()

        anyio.run(main)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "people"), str(cluster.file), f"Ada-{number.name}"],
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        try:
            assert demo.stdout.readline() == "here\n"
            agents = psutil.Process(demo.pid).children()
            assert len(agents) == 1
            os.kill(demo.pid, number)
        finally:
            demo.kill()  # where it was never ready: what comes next waits for its end
    gone, alive = psutil.wait_procs(agents, timeout=PATIENCE_S)
    assert (len(gone), alive) == (1, [])
