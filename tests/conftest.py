"""Fixtures and guards that every test shares."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.databases import fresh_database, shared_server, skip_or_fail_without_server
from tests.disks import mounted

settings.register_profile("glimpse", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("glimpse")
"""How long one example takes, or is made, says more about the machine than about the program."""


_MEMORY = Path("/dev/shm")
_FREE_BYTES = 2 * 1024**3


def pytest_configure() -> None:
    """Keep the tests' folders in memory: waiting for a disk took most of the time of tests with a directory.

    What they do is the same there; no test loses power. PYTEST_DEBUG_TEMPROOT chooses another place.
    """
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _FREE_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every search for garbage: it took a third of the screens' tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the loop that Textual and the node use."""
    return "asyncio"


@pytest.fixture(scope="session")
def mysql_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a private MariaDB server that all workers of this run share; see `tests.databases`."""
    skip_or_fail_without_server()
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with shared_server(root / "mariadb") as port:
        yield port


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of a SQLite directory that does not exist yet."""
    return f"sqlite:///{tmp_path / 'directory.sqlite'}"


@pytest.fixture
def mysql_url(mysql_port: int) -> Iterator[str]:
    """URL of a fresh, empty database. Tests that use it carry the marker `mysql`."""
    with fresh_database(mysql_port) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)])
def directory_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh directory, once for each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that a test may fill; skipped where none can be mounted."""
    with mounted(tmp_path / "disk") as folder:
        yield folder
