"""`glimpse up`: a local cluster, one process per node, set up on first start and watched until it is stopped."""

import fcntl
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from node.directory.url import SqliteUrl, parse_directory_url
from node.settings import NodeSettings, load_node_settings, save_node_settings
from shared.cluster import Cluster, NodeAddress, load_cluster, save_cluster
from shared.errors import InvalidInput, StorageError, Unavailable
from shared.identity import Identity
from shared.keyfiles import load_identity, save_identity
from shared.text import clean
from shared.wire.node_messages import MAX_NODES
from tui.common.user_paths import CLUSTER_FILE, OPERATOR_KEY
from tui.operator import Operator

DEFAULT_BASE_PORT = 47600
_READY_S = 20.0
_STOP_S = 10.0
_LOWEST_FREE_PORT = 10_240
_USUAL_FIRST_LENT_PORT = 32_768


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    """A cluster on this machine: its folder, its file, and the cluster that it describes."""

    folder: Path
    file: Path
    cluster: Cluster


def set_up(
    folder: Path,
    *,
    nodes: int = 3,
    directory_url: str | None = None,
    base_port: int | None = None,
    preset: str = "local",
) -> ClusterFolder:
    """Return the cluster in `folder`, made on first use.

    `base_port` None or 0 takes free ports. A folder that holds a cluster keeps it; raises `InvalidInput` if it was
    set up with another directory than is asked for now.
    """
    if not 1 <= nodes <= MAX_NODES:
        raise InvalidInput(f"A cluster has 1 to {MAX_NODES} nodes.")
    if directory_url is not None:
        _check_directory(directory_url)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    file = folder / CLUSTER_FILE
    if not file.exists():
        _create(folder, nodes, directory_url, base_port, preset)
    cluster = load_cluster(file)
    if directory_url is not None:
        settings = load_node_settings(_node_file(folder, cluster.nodes[0].name))
        if settings.directory_url != directory_url:
            raise InvalidInput(f"The cluster in {folder} uses another directory; choose another folder with --data.")
    return ClusterFolder(folder, file, cluster)


def _check_directory(url: str) -> None:
    """Raise `InvalidInput` for a URL that no node could open, before any process is started."""
    place = parse_directory_url(url)
    if isinstance(place, SqliteUrl) and not place.path.resolve().parent.is_dir():
        raise InvalidInput(f"The folder {place.path.parent} of the directory is not there; make it, or name another.")


def _create(folder: Path, nodes: int, directory_url: str | None, base_port: int | None, preset: str) -> None:
    url = directory_url or f"sqlite:///{(folder / 'directory.sqlite').resolve()}"
    ports = _free_ports(2 * nodes) if not base_port else list(range(base_port, base_port + 2 * nodes))
    if ports[-1] > 65_535 or ports[0] < 1:
        raise InvalidInput("The base port must leave room for two ports a node below 65536.")
    share_key = os.urandom(32)
    addresses = []
    for number in range(nodes):
        private = os.urandom(32)
        name = f"n{number + 1}"
        save_node_settings(_node_file(folder, name), NodeSettings(private, share_key, url))
        public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
        addresses.append(NodeAddress(name, "127.0.0.1", ports[number], ports[nodes + number], public))
    if not (folder / OPERATOR_KEY).exists():
        save_identity(folder / OPERATOR_KEY, Identity.generate())
    operator = load_identity(folder / OPERATOR_KEY).public.session_key
    save_cluster(folder / CLUSTER_FILE, Cluster(os.urandom(16).hex(), preset, tuple(addresses), (operator,)))


def _node_file(folder: Path, name: str) -> Path:
    return folder / f"node-{name}.toml"


def _free_ports(count: int) -> list[int]:
    """Return free ports that the system gives to nobody who does not ask for them by number.

    A port that it lends out for a moment, as to any peer's socket, may be taken again before the node binds it.
    """
    choice = random.SystemRandom()
    with ExitStack() as stack:
        ports: set[int] = set()
        while len(ports) < count:
            port = choice.randrange(_LOWEST_FREE_PORT, _first_lent_port())
            bound = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                bound.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.add(port)
        return sorted(ports)


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

    `metrics` is the address where the first node serves its metrics; the next ones take the ports after it.

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
        stack.enter_context(_locked(place.folder))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        try:
            for number, node in enumerate(place.cluster.nodes):
                command = [sys.executable, "-m", "tui.cli", "node", "--cluster", str(place.file), "--name", node.name]
                command.append("--with-parent")
                if metrics is not None:
                    command += ["--metrics", str(metrics[1] + number), "--metrics-host", metrics[0]]
                log = place.folder / f"node-{node.name}.out"
                with log.open("ab") as out:
                    process = await anyio.open_process(command, stdin=None, stdout=out.fileno(), stderr=out.fileno())
                processes[node.name] = process
                tasks.start_soon(watch, node.name, process)
            await _until_ready(place, processes)
            yield processes
        finally:
            stopping = True
            with anyio.CancelScope(shield=True):
                await _stop(processes)
            tasks.cancel_scope.cancel()


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
                        raise Unavailable(_why_it_ended(place.folder / f"node-{name}.out", name))
                await anyio.sleep(0.1)
    raise Unavailable(f"The nodes found no leader within {_READY_S:.0f} s; see the logs in {place.folder}.")


def _why_it_ended(out: Path, name: str) -> str:
    """Return the sentence that a node ended with, or where to look for it."""
    try:
        last = out.read_text(encoding="utf-8", errors="replace")[-2_000:].rstrip().rpartition("\n")[2]
    except OSError:
        last = ""
    if last.startswith("glimpse: "):
        return f"Node {name} did not start: {clean(last.removeprefix('glimpse: '), max_chars=400)}"
    return f"Node {name} ended at once; {out} says why, unless its disk is full."


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
    """Run a cluster until SIGTERM or SIGINT; return the exit code. `metrics` as in `running`."""
    if metrics is not None and metrics[1] + len(place.cluster.nodes) > 65_536:
        raise InvalidInput("The port for metrics must leave room for one port a node below 65536.")
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with running(place, died=lambda name, code: say(f"node {name} ended with code {code}"), metrics=metrics):
            async with Operator(place.cluster, place.file) as operator:
                status = await operator.status()
            say(f"ready leader={status['leader']} term={status['term']} cluster={place.file}")
            async for _ in signals:
                break
    return 0
