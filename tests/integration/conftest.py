"""What tests of real nodes begin with: a cluster for all tests of a file, a photograph, people who are signed in."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.integration.cluster import RunningCluster
from tests.patience import PATIENCE_S
from tui.peer import Peer
from tui.peer import outbox as outbox_module


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """Three nodes, which end in order after the last test of the file."""
    running = RunningCluster(tmp_path_factory.mktemp("cluster"))
    yield running
    assert running.stop() == 0


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 60).save(path, quality=80)
    return path


@pytest.fixture
async def people(cluster: RunningCluster, tmp_path: Path) -> AsyncIterator[Callable[[str], Any]]:
    """Return a function that opens, registers and signs in a peer by name; all are closed at the end."""
    async with AsyncExitStack() as stack:

        async def person(name: str, **options: Any) -> Peer:
            peer = await stack.enter_async_context(Peer(tmp_path / name, cluster.file, **options))
            await peer.register(name)
            await peer.sign_in()
            return peer

        yield person


@pytest.fixture
def first_try(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let callers wait until what they ask for is delivered: a busy machine may take longer than a person would wait.

    Return what sets how many seconds they wait from then on, 0 where the cloud is known to be away.
    """

    def wait(seconds: float) -> None:
        monkeypatch.setattr(outbox_module, "FIRST_TRY_S", seconds)

    wait(PATIENCE_S)
    return wait
