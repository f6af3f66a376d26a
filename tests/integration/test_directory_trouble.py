"""What waits in outboxes outlives whatever an operator does to the directory's server in passing."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from PIL import Image

from shared.errors import ViewRefused
from tests.databases import USER, MariaDb, run_sql, skip_or_fail_without_server
from tests.integration.cluster import RunningCluster
from tests.patience import until
from tui.peer import Peer

pytestmark = [pytest.mark.mysql, pytest.mark.xdist_group("nodes")]
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    skip_or_fail_without_server()
    made = MariaDb(tmp_path_factory.mktemp("mariadb"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize(
    ("hurt", "mend"),
    [
        ("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"),
        ("REVOKE INSERT, UPDATE ON {name}.* FROM {user}@127.0.0.1", "GRANT ALL ON {name}.* TO {user}@127.0.0.1"),
    ],
)
def test_a_request_a_grant_a_change_and_a_revocation_wait_and_hold(
    server: MariaDb, tmp_path: Path, hurt: str, mend: str
) -> None:
    """Each was thrown away with the code `failed`, and the viewer kept five views of what had been taken back."""
    with server.database() as url:
        name = url.rsplit("/", 1)[1]
        cluster = RunningCluster(tmp_path / "cluster", "--directory", url)

        def change(statement: str) -> None:
            run_sql(server.port, statement.format(name=name, user=USER), f"KILL USER {USER}@127.0.0.1")

        try:
            asyncio.run(story(cluster, tmp_path, lambda: change(hurt), lambda: change(mend)))
        finally:
            cluster.stop()


async def story(cluster: RunningCluster, folder: Path, hurt: Callable[[], None], mend: Callable[[], None]) -> None:
    photo = folder / "photo.jpg"
    Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 60).save(photo, quality=80)
    async with Peer(folder / "ada", cluster.file) as owner, Peer(folder / "ben", cluster.file) as viewer:
        for peer, who in ((owner, "ada"), (viewer, "ben")):
            await peer.register(who)
            await peer.sign_in()
        assert viewer.me is not None
        ben = viewer.me.account
        revoked, raised, given, asked = [(await owner.encrypt(photo, title=title)).image for title in "abcd"]
        for image in (revoked, raised):
            await owner.grant(image, ben, 5)

        async def held() -> set[str]:
            return {image.image for image in await viewer.peer_images() if image.path}

        await until(held, lambda images: {revoked, raised} <= images)
        await anyio.to_thread.run_sync(hurt)
        await owner.revoke(revoked, ben)
        await owner.set_views(raised, ben, 2)
        await owner.grant(given, ben, 3)
        await viewer.request(asked, 4)
        await until(owner.outbox, lambda rows: len(rows) == 3 and all(row.trouble for row in rows))
        await until(viewer.outbox, lambda rows: len(rows) == 1 and all(row.trouble for row in rows))
        assert not (await anyio.to_thread.run_sync(cluster.status))["directory"]["ok"]
        await anyio.to_thread.run_sync(mend)
        await until(owner.outbox, lambda rows: not rows)
        await until(viewer.outbox, lambda rows: not rows)
        await until(held, lambda images: given in images)
        with pytest.raises(ViewRefused, match="taken back"):
            await viewer.view(revoked)
        assert (await viewer.view(raised)).left == 1
        requests = await until(owner.requests, lambda found: found.incoming)
        assert [(ask.image, ask.views) for ask in requests.incoming] == [(asked, 4)]

        async def ok() -> bool:
            return bool((await anyio.to_thread.run_sync(cluster.status))["directory"]["ok"])

        await until(ok, bool)
