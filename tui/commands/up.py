"""`glimpse up`: a local cluster, one process per node, set up on first start and watched until it is stopped."""

import errno
import fcntl
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import anyio
import anyio.abc

from node.directory import open_directory
from node.directory.url import MysqlUrl, parse_directory_url
from node.settings import load_node_settings, node_file
from shared.cluster import Cluster, load_cluster
from shared.config import LOCAL
from shared.errors import InvalidInput, StorageError, Unavailable
from shared.net.paths import is_numeric
from shared.text import clean
from shared.wire.node_messages import MAX_NODES
from tui.commands.cluster_folder import Placed, check_directory, create
from tui.common.user_paths import CLUSTER_FILE
from tui.operator import Operator

DEFAULT_BASE_PORT = 47600
_READY_S = 60.0
"""How long nodes that run may take to find a leader, on a machine that has much else to do. One that ended is told at
once."""
_STOP_S = 20.0
"""How long nodes may take to drain and close the directory before they are killed."""
_LOWEST_FREE_PORT = 10_240
_USUAL_FIRST_LENT_PORT = 32_768


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    """A cluster on this machine: its folder, its file, and the cluster that it describes.

    One that was made on free ports just now holds these ports until its nodes have them, or until `close`.
    """

    folder: Path
    file: Path
    cluster: Cluster
    sockets: dict[str, tuple[socket.socket, socket.socket]] = field(default_factory=dict, repr=False, compare=False)
    """Bound sockets by node name: the one for requests, the one for other nodes."""

    def close(self) -> None:
        """Let go of the ports that no node has been given."""
        while self.sockets:
            _close(self.sockets.popitem()[1])


def set_up(
    folder: Path,
    *,
    nodes: int = 3,
    directory_url: str | None = None,
    base_port: int | None = None,
    preset: str = "local",
    host: str = "127.0.0.1",
) -> ClusterFolder:
    """Return the cluster in `folder`, made on first use.

    `host` is the address of this machine by which the nodes are reached. `base_port` None or 0 takes free ports, and
    holds them until `running` has given them to the nodes: whoever runs nothing closes what is returned. A folder that
    holds a cluster keeps it; raises `InvalidInput` if it was set up with another directory than is asked for now.
    """
    if not 1 <= nodes <= MAX_NODES:
        raise InvalidInput(f"A cluster has 1 to {MAX_NODES} nodes.")
    if directory_url is not None:
        check_directory(directory_url)
    if not is_numeric(host) or ip_address(host.partition("%")[0]).is_unspecified:
        raise InvalidInput(f"{host!r} is no address by which others reach this machine; see `ip address`.")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    file = folder / CLUSTER_FILE
    sockets = {} if file.exists() else _create(folder, nodes, directory_url, base_port, preset, host)
    cluster = load_cluster(file)
    if directory_url is not None:
        settings = load_node_settings(node_file(folder, cluster.nodes[0].name))
        if settings.directory_url != directory_url:
            raise InvalidInput(
                f"The cluster in {folder} uses another directory; choose another folder with --data. A new password, or"
                " another server of the same directory, is set with `glimpse cluster set-directory`."
            )
    return ClusterFolder(folder, file, cluster, sockets)


async def try_directory(folder: Path, url: str) -> None:
    """Open the directory server of a cluster that is about to be set up, so that a slip in its URL is not kept.

    Nothing for a cluster that is there, and for a file. Raises as `open_directory`.
    """
    if not (folder / CLUSTER_FILE).exists() and isinstance(parse_directory_url(url), MysqlUrl):
        async with open_directory(url, timing=LOCAL):
            pass


def not_heeded(
    place: ClusterFolder, *, nodes: int | None, base_port: int | None, preset: str | None, host: str | None
) -> list[str]:
    """Return a sentence for each option that a cluster which was there already is not as; None for one not given."""
    known = place.cluster
    first = known.nodes[0]
    found = [
        ("--nodes", nodes, len(known.nodes), "`glimpse cluster add-node` and `remove-node` change that"),
        ("--base-port", base_port or None, min(node.port for node in known.nodes), "it keeps its ports"),
        ("--preset", preset, known.preset, "edit the cluster file and run `glimpse cluster publish`"),
        ("--host", host, first.host, "edit the cluster file and run `glimpse cluster publish`"),
    ]
    return [
        f"{option} {asked} is not heeded: the cluster in {place.folder} has {has}; {remedy}, or name another folder."
        for option, asked, has, remedy in found
        if asked is not None and asked != has
    ]


def _create(
    folder: Path, nodes: int, directory_url: str | None, base_port: int | None, preset: str, host: str
) -> dict[str, tuple[socket.socket, socket.socket]]:
    """Write the files of a cluster. Return the bound sockets of its nodes by name, none for ports that were given."""
    url = directory_url or f"sqlite:///{(folder / 'directory.sqlite').resolve()}"
    names = [f"n{number + 1}" for number in range(nodes)]
    if base_port:
        ports = list(range(base_port, base_port + 2 * nodes))
        if ports[-1] > 65_535 or ports[0] < 1:
            raise InvalidInput("The base port must leave room for two ports a node below 65536.")
        _write(folder, names, ports, url, preset, host)
        return {}
    with ExitStack() as undo:
        bound = _bound_to_free_ports(2 * nodes, host)
        undo.callback(_close, bound)
        _write(folder, names, [one.getsockname()[1] for one in bound], url, preset, host)
        undo.pop_all()
    return dict(zip(names, zip(bound[:nodes], bound[nodes:], strict=True), strict=True))


def _write(folder: Path, names: list[str], ports: list[int], url: str, preset: str, host: str) -> None:
    """Write the files of a new cluster: the first half of `ports` is for requests, the second for nodes."""
    pairs = zip(names, ports[: len(names)], ports[len(names) :], strict=True)
    placed = [Placed(name, (host,), port, node_port) for name, port, node_port in pairs]
    create(folder, placed, url, preset, bundles=False)


def _bound_to_free_ports(count: int, host: str) -> list[socket.socket]:
    """Return sockets, by their ports in order, that are bound to free ports.

    The system gives these ports to nobody who does not ask for them by number: one that it lends out for a moment, as
    to any peer's socket, may be taken when the cluster is stopped and started again.
    """
    choice = random.SystemRandom()
    bound: list[socket.socket] = []
    while len(bound) < count:
        one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            one.bind((host, choice.randrange(_LOWEST_FREE_PORT, _first_lent_port())))
        except OSError as error:
            one.close()
            if error.errno != errno.EADDRINUSE:
                raise InvalidInput(f"{host} is no address of this machine: {error.strerror}.") from error
        else:
            bound.append(one)
    return sorted(bound, key=lambda one: int(one.getsockname()[1]))


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _first_lent_port() -> int:
    """Return the lowest port that the system lends to sockets which do not ask for one."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        first = _USUAL_FIRST_LENT_PORT
    return max(first, 2 * _LOWEST_FREE_PORT)


@asynccontextmanager
async def running(
    place: ClusterFolder, *, died: Callable[[str, int], None] | None = None, metrics: tuple[str, int] | None = None
) -> AsyncIterator[dict[str, anyio.abc.Process]]:
    """Run the nodes of a cluster for the length of an `async with` block; it is entered when there is a leader.

    `metrics` is the address where the first node serves its metrics; the next ones take the ports after it. Ports that
    the cluster's folder holds are given to the nodes, and let go of.

    Yields the processes by node name. `died(name, exit code)` is told of one that ends by itself. At the end all are
    drained with SIGTERM, and killed if they do not go. Raises `Unavailable` if no leader comes up.
    """
    stopping = False
    processes: dict[str, anyio.abc.Process] = {}

    async def watch(name: str, process: anyio.abc.Process) -> None:
        code = await process.wait()
        if not stopping and died is not None:
            died(name, code)

    async with AsyncExitStack() as stack:
        stack.callback(place.close)
        stack.enter_context(_locked(place.folder))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        try:
            for number, node in enumerate(place.cluster.nodes):
                command = [sys.executable, "-m", "tui.cli", "node", "--cluster", str(place.file), "--name", node.name]
                command += ["--with-parent", str(os.getpid())]
                if metrics is not None:
                    command += ["--metrics", str(metrics[1] + number), "--metrics-host", metrics[0]]
                processes[node.name] = process = await _start(place, node.name, command)
                tasks.start_soon(watch, node.name, process)
            await _until_ready(place, processes)
            yield processes
        finally:
            stopping = True
            with anyio.CancelScope(shield=True):
                await _stop(processes)
            tasks.cancel_scope.cancel()


async def _start(place: ClusterFolder, name: str, command: list[str]) -> anyio.abc.Process:
    """Start a node and give it its sockets, if they are held: the port stays with the node alone."""
    sockets = place.sockets.pop(name, ())
    descriptors = [one.fileno() for one in sockets]
    if descriptors:
        command = [*command, "--sockets", *map(str, descriptors)]
    try:
        with (place.folder / f"node-{name}.out").open("ab") as out:
            return await anyio.open_process(
                command, stdin=None, stdout=out.fileno(), stderr=out.fileno(), pass_fds=descriptors
            )
    finally:
        _close(sockets)


class _locked:  # noqa: N801 - used as a function
    """Hold the folder of a cluster, so that it runs once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file = -1

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise InvalidInput(f"The cluster in {self._path.parent} is running already.") from None

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


async def _until_ready(place: ClusterFolder, processes: dict[str, anyio.abc.Process]) -> None:
    with anyio.move_on_after(_READY_S):
        async with Operator(place.cluster, place.file) as operator:
            while True:
                status = await operator.status()
                roles = [node["role"] for node in status["nodes"]]
                if status["leader"] is not None and "down" not in roles:
                    return
                for name, process in processes.items():
                    if process.returncode is not None:
                        out = place.folder / f"node-{name}.out"
                        raise Unavailable(_why_it_ended(out, name, process.returncode))
                await anyio.sleep(0.1)
    raise Unavailable(f"The nodes found no leader within {_READY_S:.0f} s; see the logs in {place.folder}.")


def _why_it_ended(out: Path, name: str, code: int) -> str:
    """Return the sentence that a node ended with, or how it ended and its last words: a demo's folder is soon gone."""
    last = _last_words(out)
    if last.startswith("glimpse: "):
        return f"Node {name} did not start: {last.removeprefix('glimpse: ')}"
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    said = f" ({last})" if last else ""
    return f"Node {name} {how} before there was a leader{said}; see {out}, unless its disk is full."


def _last_words(out: Path) -> str:
    """Return the last line that a node has written, empty where there is none."""
    try:
        last = out.read_text(encoding="utf-8", errors="replace")[-2_000:].rstrip().rpartition("\n")[2]
    except OSError:
        return ""
    return clean(last, max_chars=400)


async def _stop(processes: dict[str, anyio.abc.Process]) -> None:
    for process in processes.values():
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(_STOP_S):
        for process in processes.values():
            await process.wait()
    for process in processes.values():
        if process.returncode is None:
            process.kill()
            await process.wait()


async def up(place: ClusterFolder, say: Callable[[str], None], metrics: tuple[str, int] | None = None) -> int:
    """Run a cluster until SIGTERM, SIGINT or SIGHUP, or until no node is left; return the exit code.

    Whatever happens to a node is said at once. `metrics` as in `running`.
    """
    if metrics is not None and metrics[1] + len(place.cluster.nodes) > 65_536:
        raise InvalidInput("The port for metrics must leave room for one port a node below 65536.")
    left = {node.name for node in place.cluster.nodes}
    over = anyio.Event()

    def died(name: str, code: int) -> None:
        said = _last_words(place.folder / f"node-{name}.out")
        say(f"node {name} ended with code {code}" + (f": {said.removeprefix('glimpse: ')}" if code and said else ""))
        left.discard(name)
        if not left:
            over.set()

    async def until_told(signals: AsyncIterator[signal.Signals]) -> None:
        async for _ in signals:
            over.set()

    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_told, signals)
            async with running(place, died=died, metrics=metrics):
                async with Operator(place.cluster, place.file) as operator:
                    status = await operator.status()
                say(f"ready leader={status['leader']} term={status['term']} cluster={place.file}")
                await over.wait()
            tasks.cancel_scope.cancel()
    if not left:
        say("no node is left")
        return 1
    return 0
