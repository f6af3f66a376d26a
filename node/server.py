"""One node, composed: sockets, directory, control plane, request handler and services. No rules live here."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from node import supervision
from node.audit_log import AuditLog
from node.control import Control
from node.directory import Directory, open_directory
from node.directory.upkeep import claim, number_of, read_cluster
from node.directory.url import SqliteUrl, parse_directory_url
from node.encoder import Encoder
from node.exchange import Pulls
from node.feed import Feed, LogToFeed
from node.following import Following
from node.lane import Lane
from node.lock import running_once
from node.meetings import Meetings
from node.node_folder import Lives, memory_path
from node.node_stats import NodeStats
from node.orders import OrderDesk
from node.remembering import Remembering
from node.reports import Reports
from node.request_handler import RequestHandler
from node.services.operations import Services
from node.settings import change_node_settings, load_node_settings, node_file
from node.telemetry import Telemetry
from shared.cluster import MAX_CLUSTER_BYTES, load_cluster, parse_cluster, read_cluster_file
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError, InvalidInput, MalformedMessage, UserError
from shared.identity import public_key
from shared.logs import end_log, log_to
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.net.partial_store import MemoryPartials
from shared.parent_watch import until_orphaned
from shared.wire.codec import decode
from shared.wire.feed_messages import Unwatch, Watch, WatchMessage
from shared.wire.labels import MAX_LABEL_BYTES, Label, OrderObject
from shared.wire.node_messages import DirectoryMark
from shared.wire.peer_messages import (
    ClusterQuery,
    KeepAlive,
    MeetingAnswer,
    OperatorCommand,
    PeerToNode,
    Received,
    Request,
    SettingsChange,
    StatusQuery,
)

log = logging.getLogger(__name__)

Sockets = tuple[socket.socket, socket.socket]
"""UDP sockets that are bound already to a node's two ports: the one for requests, the one for other nodes."""
DRAIN_S = 5.0
"""How long a node that was asked to stop goes on with what it has in its hands."""
_SWEEP_EVERY_S = 10.0
_ENCODER_WORKERS = 2
_SWITCH_INTERVAL_S = 0.000_5
"""After this a thread that computes gives way to one that waits for the interpreter. The lane's thread needs it some
ten times for a heartbeat; Python's own 5 ms each time would be felt there, and a switch costs microseconds."""
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
"""The number of this setting in glibc's malloc.h."""
_OWN_PAGES_FROM_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class _Parts:
    requests: Endpoint
    lane: Lane
    request_handler: RequestHandler
    control: Control
    reports: Reports
    orders: OrderDesk
    feed: Feed
    services: Services
    remembering: Remembering
    following: Following


class NodeServer:
    """A node of the cluster. `run` serves until it is told to stop, or is to begin anew by changed files."""

    def __init__(
        self,
        name: str,
        file: Path,
        *,
        parent: int | None = None,
        metrics: tuple[str, int] | None = None,
        sockets: Sockets | None = None,
    ) -> None:
        """`file` is the cluster file; in its folder are the node's own file and its audit log. `metrics` is the address
        to serve Prometheus metrics on, if any; `sockets` are used instead of new ones.

        Raises `InvalidInput` for files that no node can run by, `UserError` where they do not name this node's key.
        """
        self._file = file
        self._data = read_cluster_file(file)
        self._cluster = parse_cluster(self._data, file)
        self._folder = file.parent
        own = self._cluster.node(name)
        self._settings = load_node_settings(node_file(self._folder, name))
        if public_key(self._settings.private_key) != own.key:
            raise UserError(
                f"The cluster file names another key for {name} than this machine has: the node was replaced. Its new"
                " bundle belongs here, or the node has no place in the cluster any more."
            )
        self.begins_anew = False
        """Whether `run` ended because a file was changed, or to read them all again."""
        self._metrics = metrics
        self._sockets: tuple[socket.socket | None, socket.socket | None] = sockets or (None, None)
        self._name = name
        self._parent = parent
        self._ends_with_terminal = _ends_with_terminal(parent)
        self._stop = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._keeping: set[Session] = set()

    def stop(self) -> None:
        """Begin to drain: give leadership away, finish what is in hand, then end."""
        self._stop.set()

    def begin_anew(self) -> None:
        """Begin to drain, and have whoever called `run` start a node by the files as they are now."""
        self.begins_anew = True
        self.stop()

    async def run(self) -> None:
        """Serve until `stop`, SIGTERM, SIGINT, or a terminal that goes away; a service begins anew on SIGHUP.

        Raises `Unavailable` if the directory cannot be opened, `InvalidInput` if an address is taken.
        """
        async with AsyncExitStack() as stack:
            directory = await stack.enter_async_context(
                open_directory(self._settings.directory_url, timing=self._cluster.timing, writer=self._name)
            )
            tasks = await stack.enter_async_context(anyio.create_task_group())
            self._tasks = tasks
            lives = Lives(self._folder, self._name)
            await self._check_belonging(directory)
            incarnation = await anyio.to_thread.run_sync(lives.begin, await self._in_directory(directory))
            parts = await self._compose(stack, directory, tasks, lives, incarnation)
            tasks.start_soon(self._watch_signals)
            if self._parent is not None:
                tasks.start_soon(self._watch_parent, self._parent)
            tasks.start_soon(parts.lane.until_ended)
            tasks.start_soon(parts.control.run)
            tasks.start_soon(parts.remembering.run)
            tasks.start_soon(parts.following.run)
            tasks.start_soon(parts.feed.run)
            tasks.start_soon(self._sweep, directory, parts.services)
            tasks.start_soon(supervision.keep_watchdog)
            log.info("ready", extra={"node": self._name, "pid": os.getpid()})
            supervision.notify(supervision.READY)
            await self._stop.wait()
            await self._drain(parts)
            tasks.cancel_scope.cancel()

    async def _check_belonging(self, directory: Directory) -> None:
        """Refuse a directory that belongs to another cluster, before anything is written there.

        Where it cannot be noted now whose it is, a later start does it.
        """
        cluster_id = self._cluster.cluster_id
        belongs = await directory.read(read_cluster)
        if belongs is None:
            try:
                belongs = await directory.write(claim(cluster_id))
            except GlimpseError as error:
                log.warning("the directory could not be claimed for this cluster", extra={"reason": str(error)})
                return
        if belongs != number_of(cluster_id):
            raise UserError(
                f"The directory of {self._name} belongs to another cluster: name this cluster's directory in the node's"
                " file, or restore a backup of it."
            )

    async def _in_directory(self, directory: Directory) -> int:
        """Return the incarnation of this node that the directory has; 0 for one that is new."""
        return max((row.incarnation for row in await directory.nodes() if row.name == self._name), default=0)

    async def _compose(
        self, stack: AsyncExitStack, directory: Directory, tasks: TaskGroup, lives: Lives, incarnation: int
    ) -> _Parts:
        cluster, me = self._cluster, self._cluster.node(self._name)
        own = self._settings.bind
        host, ports = own.host or me.bind_host, (own.port or me.port, own.node_port or me.node_port)
        requests = self._endpoint(host, ports[0], self._sockets[0])
        clock = time.monotonic
        operators = frozenset(cluster.operators)
        telemetry = Telemetry(self._name, [node.name for node in cluster.nodes], cluster.timing.heartbeat_s, clock)
        stack.enter_context(_log_to_feed(telemetry))
        encoder = Encoder(_ENCODER_WORKERS)
        services = Services(
            directory,
            encoder,
            cluster_id=cluster.cluster_id,
            share_key=self._settings.share_key,
            former_share_keys=self._settings.former_share_keys,
            next_share_key=self._settings.next_share_key,
            entropy=os.urandom,
            timing=cluster.timing,
            node_name=self._name,
            limits=self._settings.limits,
            must_wait=lambda: remembering.must_wait,
            remembered_commits=lambda: remembering.memory.highest.commits,
        )
        pulls = Pulls(requests, cluster.timing)
        meetings = Meetings(
            self._name,
            requests,
            timing=cluster.timing,
            limits=self._settings.limits,
            clock=clock,
            entropy=os.urandom,
        )
        request_handler = RequestHandler(
            requests,
            services,
            pulls,
            tasks,
            meetings=meetings,
            telemetry=telemetry,
            clock=clock,
            limits=self._settings.limits,
        )
        lane = Lane(
            self._name,
            cluster,
            incarnation,
            endpoint=lambda: self._endpoint(host, ports[1], self._sockets[1]),
            directory=directory,
            lives=lives,
            telemetry=telemetry,
            clock=clock,
            set_deaf=requests.pause,
        )
        remembering = Remembering(
            memory_path(self._folder, self._name),
            cluster.cluster_id,
            directory=directory,
            others=[node.name for node in cluster.nodes if node is not me],
            heartbeat_s=cluster.timing.heartbeat_s,
            clock=clock,
            send=lane.send,
            recovered=telemetry.restored,
            forget=services.forget_accounts,
            cluster_version=cluster.version,
        )
        following = Following(
            self._name,
            self._file,
            cluster,
            self._data,
            directory=directory,
            clock=clock,
            leader=lambda: lane.machine.election.leader,
            restart=self.begin_anew,
        )

        def marked(node: str, mark: DirectoryMark) -> None:
            remembering.heard(node, mark)
            following.heard(node, mark)

        lane.on_mark = marked
        lane.on_cluster = following.seen
        await remembering.start()
        audit = AuditLog(self._folder / f"audit-{self._name}.log", self._name, directory)
        control = Control(
            lane,
            cluster.timing,
            directory=directory,
            request_handler=request_handler,
            audit=audit,
            telemetry=telemetry,
            tasks=tasks,
            clock=clock,
        )
        stats = NodeStats(
            me,
            incarnation,
            control=control,
            request_handler=request_handler,
            directory=directory,
            remembering=remembering,
            encoder=encoder,
            requests=requests,
            lane=lane,
            telemetry=telemetry,
            clock=clock,
        )
        self._serve_metrics(stack, stats)
        feed = Feed(requests, stats, operators=operators, clock=clock, tasks=tasks)
        reports = Reports(
            self._name,
            stats=stats,
            control=control,
            request_handler=request_handler,
            directory=directory,
            services=services,
            requests=requests,
            operators=operators,
            following=following,
            cluster_version=cluster.version,
            wall_clock=time.time,
        )
        orders = OrderDesk(
            self._name,
            requests,
            control=control,
            encoder=encoder,
            audit=audit,
            operators=operators,
            heartbeat_s=cluster.timing.heartbeat_s,
            clock=clock,
            wall_clock=time.time,
            stop=self.stop,
            hurry=feed.hurry,
            following=following,
            change_settings=self._change_settings,
        )
        parts = _Parts(
            requests, lane, request_handler, control, reports, orders, feed, services, remembering, following
        )
        requests.on_message = lambda session, data: self._from_peer(parts, session, data)
        requests.on_offer = lambda session, offer: self._offered(parts, session, offer)
        requests.on_relay = meetings.relay
        requests.on_closed = lambda session, _reason: self._peer_gone(parts, session)
        await stack.enter_async_context(requests)
        await stack.enter_async_context(lane.running())
        return parts

    def _endpoint(self, host: str, port: int, bound: socket.socket | None) -> Endpoint:
        return Endpoint(
            self._settings.private_key,
            bind=(host, port),
            bound=bound,
            timing=self._cluster.timing,
            prologue=self._cluster.prologue,
            partials=MemoryPartials(max_bytes=self._settings.limits.partial_bytes),
        )

    def _serve_metrics(self, stack: AsyncExitStack, stats: NodeStats) -> None:
        if self._metrics is None:
            return
        assert self._tasks is not None
        from node.metrics import serving_metrics  # only who asks for metrics pays for the library

        stack.enter_context(serving_metrics(stats, asyncio.get_running_loop(), *self._metrics))
        self._tasks.start_soon(stats.keep_measuring, self._folder)

    def _from_peer(self, parts: _Parts, session: Session, data: bytes) -> None:
        message: PeerToNode | WatchMessage = decode(data, PeerToNode | WatchMessage, cap_bytes=MAX_MESSAGE_BYTES)
        assert self._tasks is not None
        match message:
            case Request():
                if not self._stop.is_set():
                    parts.request_handler.take(session, message)
            case KeepAlive():
                if session not in self._keeping:
                    self._keeping.add(session)
                    self._tasks.start_soon(self._keep_alive, parts, session, message)
            case StatusQuery():
                self._tasks.start_soon(self._guarded_status, parts, session, message)
            case ClusterQuery():
                parts.reports.cluster_file(session, message)
            case OperatorCommand():
                if parts.orders.wants(session, message):
                    self._tasks.start_soon(parts.orders.take, session, message)
            case Watch() | Unwatch():
                parts.feed.receive(session, message)
            case Received():
                parts.request_handler.unwanted(session, message.request)
            case MeetingAnswer():
                parts.request_handler.meetings.answered(session, message)
            case _:
                raise MalformedMessage("a message that nodes do not take")

    def _offered(self, parts: _Parts, session: Session, offer: IncomingOffer) -> Incoming | None:
        label: Label = decode(offer.label, Label, cap_bytes=MAX_LABEL_BYTES)
        if isinstance(label, OrderObject):
            return parts.orders.offered(session, label, offer)
        return parts.request_handler.offered(session, label, offer)

    async def _change_settings(self, data: bytes) -> None:
        """Change this node's own file as an operator's order says, and begin anew by it.

        A new key is only written down: it counts from the cluster file on that names it. Raises `InvalidInput` for
        another directory than this cluster's, `Unavailable` for one that cannot be opened, `OSError`.
        """
        change: SettingsChange = decode(data, SettingsChange, cap_bytes=MAX_CLUSTER_BYTES)
        path = node_file(self._folder, self._name)
        if change.directory:
            if isinstance(parse_directory_url(change.directory), SqliteUrl):
                raise InvalidInput("Only a directory on a database server can get another URL.")
            async with open_directory(change.directory, timing=self._cluster.timing, writer=self._name) as other:
                if await other.read(read_cluster) != number_of(self._cluster.cluster_id):
                    raise InvalidInput("What is at that URL is not the directory of this cluster.")
        await anyio.to_thread.run_sync(
            lambda: change_node_settings(
                path,
                private_key=change.private_key,
                directory_url=change.directory or None,
                share_key=change.share_key,
                next_share_key=change.next_share_key,
            )
        )
        if change.private_key is None:
            self.begin_anew()

    async def _keep_alive(self, parts: _Parts, session: Session, message: KeepAlive) -> None:
        try:
            await parts.reports.keep_alive(session, message)
        finally:
            self._keeping.discard(session)

    async def _guarded_status(self, parts: _Parts, session: Session, query: StatusQuery) -> None:
        try:
            await parts.reports.status(session, query)
        except GlimpseError as error:
            log.info("a status report was not delivered", extra={"reason": str(error)})

    def _peer_gone(self, parts: _Parts, session: Session) -> None:
        self._keeping.discard(session)
        parts.request_handler.closed(session)
        parts.feed.closed(session)

    async def _watch_signals(self) -> None:
        """Heed signals until cancelled, so also while it drains: a further one must not cut that short."""
        try:
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
                async for received in signals:
                    if received != signal.SIGHUP or self._ends_with_terminal:
                        log.info("asked to stop", extra={"signal": received.name})
                        self.begins_anew = False
                        self.stop()
                    elif not self._stop.is_set():
                        await self._read_files_again()
        finally:
            if not self._ends_with_terminal:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the next run heeds it

    async def _read_files_again(self) -> None:
        """Begin anew by the files as they are now, if a node can run by them."""
        try:
            await anyio.to_thread.run_sync(NodeServer, self._name, self._file)
        except GlimpseError as error:
            log.warning(
                "told to read its files again, which no node can run by: it goes on as before",
                extra={"reason": str(error)},
            )
        else:
            log.info("reads its files again")
            self.begin_anew()

    async def _watch_parent(self, parent: int) -> None:
        """Stop when the process that started this one is gone, however it went."""
        await until_orphaned(parent)
        log.warning("the parent process is gone")
        self.stop()

    async def _drain(self, parts: _Parts) -> None:
        if not self.begins_anew:
            supervision.notify(supervision.STOPPING)
        await parts.control.drain()
        with anyio.move_on_after(DRAIN_S):
            while parts.request_handler.in_flight:
                await parts.request_handler.idle.wait()
        await parts.remembering.stop()
        log.info("drained", extra={"left": parts.request_handler.in_flight})

    async def _sweep(self, directory: Directory, services: Services) -> None:
        while True:
            await anyio.sleep(_SWEEP_EVERY_S)
            try:
                await directory.sweep()
                await services.sweep()
            except GlimpseError as error:
                log.info("the directory was not swept", extra={"reason": str(error)})


@contextmanager
def _log_to_feed(telemetry: Telemetry) -> Iterator[None]:
    """Let those who watch see warnings of the node's log, for the length of a `with` block."""
    handler = LogToFeed(telemetry.logged, asyncio.get_running_loop().call_soon_threadsafe)
    loggers = [logging.getLogger(name) for name in ("node", "shared")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def serve(
    name: str,
    file: Path,
    *,
    parent: int | None = None,
    metrics: tuple[str, int] | None = None,
    sockets: tuple[int, int] | None = None,
    log_level: str = "info",
) -> None:
    """Run one node until it is told to stop, or until the process `parent`, which started it, is gone.

    `file` is the cluster file; its folder has the node's own file, and takes its log and audit log. `metrics` is the
    host and port to serve Prometheus metrics on, if any. `sockets` are the descriptors of sockets that the starting
    process has bound to the node's port for requests and to the one for nodes. The node begins anew, with its log
    opened again, where its files are changed by an operator's order and, as a service, on SIGHUP.

    Raises `UserError`, before anything of the node is touched, if it runs already; `InvalidInput` for descriptors that
    are no sockets, and for a cluster file that does not name the node (any more); otherwise as `NodeServer`.
    """
    _give_memory_back()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    load_cluster(file).node(name)
    with running_once(file.parent, name):
        taken_over = None if sockets is None else (_taken_over(sockets[0]), _taken_over(sockets[1]))
        if not _ends_with_terminal(parent):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        while True:
            handler = log_to(file.parent / f"node-{name}.log", log_level)
            try:
                server = NodeServer(name, file, parent=parent, metrics=metrics, sockets=taken_over)
                anyio.run(server.run)
            finally:
                end_log(handler)
            if not server.begins_anew:
                return
            if name not in {node.name for node in load_cluster(file).nodes}:
                raise UserError(f"The operator took node {name} out of the cluster; its files are of no use any more.")
            taken_over = None


def _ends_with_terminal(parent: int | None) -> bool:
    """Whether SIGHUP tells that the terminal is gone; a service is asked by it to begin anew."""
    return parent is not None or os.isatty(0)


def _give_memory_back() -> None:
    """Have freed memory of pictures go back to the system at once.

    glibc would otherwise keep blocks of up to 32 MB for itself, in each thread that has ever freed such a one: hundreds
    of megabytes after a few large pictures. Where there is another C library, it does as it does.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES_FROM_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _OWN_PAGES_FROM_BYTES)


def _taken_over(descriptor: int) -> socket.socket:
    """Return a socket that the starting process opened, and keep it from processes that this one starts."""
    try:
        bound = socket.socket(fileno=descriptor)
    except OSError as error:
        raise InvalidInput(f"Descriptor {descriptor} is no socket that was handed over: {error.strerror}.") from None
    bound.set_inheritable(False)
    return bound
