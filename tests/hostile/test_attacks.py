"""Each attack in small, on real nodes: an honest person signs in, encrypts and asks meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.hostile.attacks import ATTACKS
from tests.hostile.honest import course, running
from tests.hostile.intruder import Target
from tests.integration.cluster import RunningCluster

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("hostile"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    with running(tmp_path_factory.mktemp("attacked")) as cluster:
        yield cluster


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 60).save(path, quality=80)
    return path


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_honest_person_is_served_and_the_attacker_wins_nothing(
    name: str, cluster: RunningCluster, tmp_path: Path, picture: Path
) -> None:
    attack, target = ATTACKS[name], Target(cluster.folder, 300.0, pictures=3, picture_bytes=4_000_000)
    found = await course(cluster, tmp_path, picture, attack, target, rest_s=1.0)
    print("\n".join([*found.lines(), *(bar.line() for bar in found.bars(attack))]))
    assert sum(found.sent.values()) > 3
    for never in ("pulled", "covers hidden", "looks shown", "pictures refused", "pictures not served"):
        assert not found.sent.get(never)
    assert max(found.during.peak_mb, found.after.peak_mb) <= 200
    if name != "stolen_term":  # a busy machine may take a leader for silent; a lie about terms may not
        return
    assert found.during.leader is not None
    assert found.after.leader is not None
    assert found.after.term < 1_000, "a term that only a message told of"
