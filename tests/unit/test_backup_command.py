"""`glimpse backup` and `glimpse restore`: which directory they mean, and what they say."""

from pathlib import Path

import pytest

from node.directory import open_directory
from node.directory.marks import Marks
from node.directory.upkeep import number_of
from node.directory.url import MysqlUrl, parse_directory_url
from node.node_folder import memory_path, save_memory
from node.settings import NodeSettings, save_node_settings
from shared.cluster import Cluster, NodeAddress, save_cluster
from shared.errors import InvalidInput, UserError
from tests.databases import PATIENT
from tui.commands.backup import Target, dump_command, load_command, run_backup, run_restore, target_of, waiting_words

pytestmark = pytest.mark.anyio
CLUSTER = "c" * 32
MYSQL = "mysql://glimpse:secret@db:3306/glimpse"


def beside(folder: Path, **urls: str) -> Path:
    """Write a cluster's file and the own files of some of its nodes; return the cluster's."""
    nodes = tuple(
        NodeAddress(name, "127.0.0.1", 5000 + 2 * number, 5001 + 2 * number, bytes((number,)) * 32)
        for number, name in enumerate(("n1", "n2", "n3"))
    )
    save_cluster(folder / "cluster.toml", Cluster(CLUSTER, "local", nodes))
    for name, url in urls.items():
        save_node_settings(folder / f"node-{name}.toml", NodeSettings(b"k" * 32, b"s" * 32, url))
    return folder / "cluster.toml"


def test_the_directory_of_the_nodes_with_all_that_they_remember(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/directory.sqlite"
    cluster = beside(tmp_path, n1=url, n2=url)
    save_memory(memory_path(tmp_path, "n1"), CLUSTER, Marks(10, 1, 7, 3))
    save_memory(memory_path(tmp_path, "n3"), CLUSTER, Marks(4, 2, 5, 9))
    memory_path(tmp_path, "n2").write_bytes(b"damaged")
    assert target_of(cluster, None) == Target(url, Marks(10, 2, 7, 9), number_of(CLUSTER))


def test_nodes_that_use_different_directories_or_are_not_here(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--directory"):
        target_of(beside(tmp_path), None)
    with pytest.raises(InvalidInput, match="n1, n2 use different"):
        target_of(beside(tmp_path, n1=f"sqlite:///{tmp_path}/one", n2=f"sqlite:///{tmp_path}/two"), None)
    assert target_of(None, MYSQL) == Target(MYSQL)


def test_the_server_s_own_commands_hold_no_password_and_take_any_file_name() -> None:
    place = parse_directory_url(MYSQL)
    assert isinstance(place, MysqlUrl)
    dump, load = dump_command(place, Path("a file; rm x.sql")), load_command(place, Path("a file; rm x.sql"))
    assert dump == (
        "mariadb-dump --single-transaction --host=db --port=3306 --user=glimpse --password"
        " '--result-file=a file; rm x.sql' glimpse"
    )
    assert load == "mariadb --host=db --port=3306 --user=glimpse --password glimpse < 'a file; rm x.sql'"


async def test_a_server_s_directory_is_left_to_the_server_s_tools() -> None:
    said: list[str] = []
    with pytest.raises(UserError, match="mariadb-dump"):
        await run_backup(Target(MYSQL), Path("monday.sql"), False, said.append)
    with pytest.raises(UserError, match=r"glimpse restore --loaded"):
        await run_restore(Target(MYSQL), Path("monday.sql"), said.append)
    assert said == []


async def test_nothing_is_said_to_be_done_that_was_not(tmp_path: Path) -> None:
    """`restore --loaded` said that the directory was marked, and then that it could not be opened."""
    said: list[str] = []
    with pytest.raises(InvalidInput, match="There is no directory"):
        await run_restore(Target(f"sqlite:///{tmp_path}/absent/directory.sqlite"), None, said.append)
    assert said == []
    url = f"sqlite:///{tmp_path}/directory.sqlite"
    async with open_directory(url, timing=PATIENT):
        with pytest.raises(UserError, match="stop them all first"):
            await run_restore(Target(url), None, said.append)
        assert said == []
    await run_restore(Target(url), None, said.append)
    assert said[0] == "marked the directory as restored"
    assert "epoch 2" in said[1]


def test_what_waits_is_counted_in_words() -> None:
    assert "no grant" in waiting_words(0)
    assert waiting_words(1).startswith("1 grant waits until")
    assert waiting_words(2).startswith("2 grants wait until")
