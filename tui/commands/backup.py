"""`glimpse backup` and `glimpse restore`: the directory in a file of its own, and back."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from node.directory import open_directory
from node.directory.backup import back_up, mark_restored, restore
from node.directory.marks import Marks
from node.directory.recovery import Recovered, recover
from node.directory.upkeep import number_of, read_cluster
from node.directory.url import MysqlUrl, SqliteUrl, parse_directory_url
from node.memory import NOTHING
from node.node_folder import Damaged, load_memory, memory_path
from node.settings import load_node_settings
from shared.cluster import load_cluster
from shared.config import LOCAL
from shared.errors import InvalidInput, UserError
from tui.common.user_paths import find_cluster

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """The directory that a command is about; `remembered` is the furthest state that the nodes beside it know of."""

    url: str
    remembered: Marks = NOTHING
    cluster: int | None = None
    """The number by which a directory knows the cluster; None where only the directory's URL is known."""


def target_of(cluster: Path | None, url: str | None) -> Target:
    """Return the directory that was named by its URL, or that of a cluster by the nodes' own files beside its file.

    Raises `InvalidInput` where there is no node's file, or where two name different directories.
    """
    if url is not None:
        return Target(url)
    file = find_cluster(cluster)
    known = load_cluster(file)
    urls: dict[str, str] = {}
    remembered = NOTHING
    for node in known.nodes:
        settings = file.parent / f"node-{node.name}.toml"
        if settings.exists():
            urls[node.name] = load_node_settings(settings).directory_url
        try:
            remembered = remembered.furthest(load_memory(memory_path(file.parent, node.name), known.cluster_id))
        except Damaged:
            continue  # the node says so itself when it starts
    if not urls:
        raise InvalidInput(
            f"No node's file lies beside {file}: do this on a node's machine, or name the directory with --directory."
        )
    if len(set(urls.values())) > 1:
        raise InvalidInput(f"The nodes {', '.join(sorted(urls))} use different directories: name one with --directory.")
    return Target(next(iter(urls.values())), remembered, number_of(known.cluster_id))


async def run_backup(target: Target, file: Path, force: bool, say: Say) -> None:
    """Take a backup of a directory, in use or not, and say what is in it."""
    place = parse_directory_url(target.url)
    if isinstance(place, MysqlUrl):
        raise UserError(
            "A directory on a MySQL or MariaDB server is backed up with the server's own tool, also while nodes use "
            f"it; it asks for the password:\n  {dump_command(place, file)}"
        )
    contents = await anyio.to_thread.run_sync(lambda: back_up(place.path, file, force=force))
    say(f"backed up {contents} to {file}")
    say(
        "The nodes' own files are not in it: without their share key a directory opens no picture. Keep copies of them."
    )


async def run_restore(target: Target, file: Path | None, say: Say) -> None:
    """Put a directory back to a backup, or, without a file, mark one as restored that was put back by other means."""
    place = parse_directory_url(target.url)
    if file is None:
        recovered = await _mark(target, place)
        say("marked the directory as restored")
        _say_what_follows(recovered, say)
        return
    if isinstance(place, MysqlUrl):
        raise UserError(
            "A directory on a MySQL or MariaDB server is restored with the server's own tool. Stop all nodes, then run "
            "these, of which the first asks for the password and the second takes the options that you gave here, and "
            f"start them again:\n  {load_command(place, file)}\n  glimpse restore --loaded"
        )
    done = await anyio.to_thread.run_sync(lambda: restore(file, place.path, target.remembered, cluster=target.cluster))
    if done.kept is not None:
        say(f"kept the present directory as {done.kept}")
    say(f"restored {done.contents} from {file}")
    _say_what_follows(done.recovered, say)


async def _mark(target: Target, place: SqliteUrl | MysqlUrl) -> Recovered:
    """Recover a directory that was put back by other means; that of a file only while no node uses it."""
    if not isinstance(place, MysqlUrl):
        return await anyio.to_thread.run_sync(
            lambda: mark_restored(place.path, target.remembered, cluster=target.cluster)
        )
    async with open_directory(target.url, timing=LOCAL) as directory:
        if target.cluster is not None and await directory.read(read_cluster) not in (None, target.cluster):
            raise InvalidInput("The directory that was loaded is of another cluster: load a backup of this one's.")
        recovered = await directory.write(recover(target.remembered, certain=True))
    assert recovered is not None, "what is certain is always done"
    return recovered


def _say_what_follows(recovered: Recovered, say: Say) -> None:
    say(f"the directory is in epoch {recovered.epoch} from now on; {waiting_words(recovered.frozen)}")
    say("Start the nodes. Who registered, or was given something, after the backup comes back with their own client.")


def waiting_words(frozen: int) -> str:
    """Say how many grants wait for their owners, and until when."""
    if frozen == 0:
        return "it has no grant that would have to wait for its owner"
    grants = "1 grant waits" if frozen == 1 else f"{frozen} grants wait"
    return f"{grants} until their owners' clients have signed in and compared them"


def dump_command(place: MysqlUrl, file: Path) -> str:
    """Return the command that backs a MySQL directory up. It holds no password."""
    words = ["mariadb-dump", "--single-transaction", *_connection(place), f"--result-file={file}", place.database]
    return shlex.join(words)


def load_command(place: MysqlUrl, file: Path) -> str:
    """Return the command that puts a dump back. It holds no password."""
    return f"{shlex.join(['mariadb', *_connection(place), place.database])} < {shlex.quote(str(file))}"


def _connection(place: MysqlUrl) -> list[str]:
    host, port = place.servers[0]
    return [f"--host={host}", f"--port={port}", f"--user={place.user}", "--password"]
