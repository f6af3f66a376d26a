"""A profile whose disk is full, with real nodes: what can be seen is seen, and nothing is spent or lost."""

from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from PIL import Image

from shared.errors import StorageError
from tests.disks import fill
from tests.integration.cluster import RunningCluster
from tests.patience import until
from tui.peer import Peer

pytestmark = pytest.mark.anyio


async def test_with_a_full_disk_one_sees_what_is_there_and_spends_nothing(
    small_disk: Path,
    tmp_path: Path,
) -> None:
    picture = tmp_path / "picture.png"
    Image.effect_noise((60, 40), 50).convert("RGB").save(picture)
    running = await anyio.to_thread.run_sync(RunningCluster, tmp_path / "cluster")
    try:
        async with Peer(tmp_path / "ada", running.file) as owner:
            await owner.register("ada")
            await owner.sign_in()
            theirs = await owner.encrypt(picture, title="theirs")
            async with Peer(small_disk / "ben", running.file) as viewer:
                await viewer.register("ben")
                await viewer.sign_in()
                assert viewer.me is not None
                ben = viewer.me.account
                mine = await viewer.encrypt(picture, title="mine")
                await owner.grant(theirs.image, ben, 3)
                await until(viewer.peer_images, lambda rows: any(row.path for row in rows))
            fill(small_disk)
            async with Peer(small_disk / "ben", running.file) as viewer:
                await owner.set_views(theirs.image, ben, 2)  # mail that cannot be stored now
                await viewer.sign_in()
                assert "free some space" in viewer.status().trouble
                assert viewer.status().signed_in
                assert (await viewer.view(mine.image)).data == picture.read_bytes()
                assert [user.name for user in (await viewer.users()).rows]
                assert [image.title for image in await viewer.my_images()] == ["mine"]
                assert [image.title for image in await viewer.peer_images()] == ["theirs"]
                await viewer.requests()
                calls = (viewer.view(theirs.image), viewer.request(theirs.image, 1), viewer.grant(mine.image, 1, 1))
                for call in calls:
                    with pytest.raises(StorageError, match="free some space"):
                        await call
            assert [row.consumed for row in await owner.viewers(theirs.image)] == [0]
            (small_disk / "ballast").unlink()
            async with Peer(small_disk / "ben", running.file) as viewer:
                await viewer.sign_in()
                assert viewer.status().trouble == ""
                await until(viewer.peer_images, lambda rows: [row.left for row in rows] == [2])
                assert (await viewer.view(theirs.image)).left == 1
    finally:
        assert await anyio.to_thread.run_sync(running.stop) == 0
