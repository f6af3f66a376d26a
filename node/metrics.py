"""Prometheus metrics and health of one node, served over HTTP by threads of their own; for whoever runs the node.

`/metrics` has the figures. `/healthz` is 200 while the node's event loop answers: a supervisor restarts one that does
not. `/readyz` is 200 while requests should come here, and otherwise 503 with the reasons, a line each.

Figures are taken in the event loop when they are asked for, which costs it well under a millisecond; text is made and
sent elsewhere. There is no key to it, hence loopback unless told otherwise, and nothing in it names a person.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from node.health import hindrances
from node.node_stats import NodeSnapshot, NodeStats
from node.roles import Role
from shared.config import PROTOCOL_VERSION
from shared.errors import InvalidInput
from shared.version import VERSION
from shared.wire import operations
from shared.wire.feed_messages import LATENCY_BOUNDS_MS, Happening

log = logging.getLogger(__name__)

SCRAPE_PATIENCE_S = 5.0
"""A scrape of a node whose loop or directory does not answer for this long fails."""
IDLE_CLIENT_S = 5.0
"""A client that sends nothing for this long is let go."""
MAX_SCRAPES = 8
"""Requests in hand at once; further ones are turned away."""
_OPERATIONS = {kind.__struct_config__.tag: kind.__name__ for kind in operations.Operation.__args__}


class NodeCollector(Collector):
    """Gives the families of metrics of one node. Called by the threads that serve scrapes."""

    def __init__(self, stats: NodeStats, loop: asyncio.AbstractEventLoop) -> None:
        self._stats = stats
        self._loop = loop

    def collect(self) -> Iterable[Metric]:
        """Return all families. Raises `TimeoutError` where the node is stuck, which makes the scrape fail."""
        return families(self.snapshot())

    def snapshot(self) -> NodeSnapshot:
        """Return the node as it is now. Raises `TimeoutError` where it is stuck."""
        return asyncio.run_coroutine_threadsafe(self._snapshot(), self._loop).result(SCRAPE_PATIENCE_S)

    def beat(self) -> None:
        """Return once the event loop has had a turn. Raises `TimeoutError` where it is stuck."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result(SCRAPE_PATIENCE_S)

    async def _snapshot(self) -> NodeSnapshot:
        await self._stats.ping()
        return self._stats.snapshot()


def families(taken: NodeSnapshot) -> list[Metric]:
    """Return the metrics of a snapshot. Every one carries the node's name."""
    node = taken.name
    return [
        *_election(taken, node),
        *_work(taken, node),
        *_room(taken, node),
        *_requests(taken, node),
        *_network(taken, node),
    ]


def _gauge(name: str, text: str, node: str, value: float) -> Metric:
    return _labelled(GaugeMetricFamily, name, text, (), node, [((), value)])


def _counter(name: str, text: str, node: str, value: float) -> Metric:
    return _labelled(CounterMetricFamily, name, text, (), node, [((), value)])


def _labelled(
    family: type[Any],
    name: str,
    text: str,
    labels: tuple[str, ...],
    node: str,
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    metric: Metric = family(name, text, labels=("node", *labels))
    for label_values, value in values:
        metric.add_metric((node, *label_values), value)  # type: ignore[attr-defined] # every family has it
    return metric


def _histogram(name: str, text: str, node: str, counts: Sequence[int], sum_ms: float) -> Metric:
    buckets, passed = [], 0
    for bound_ms, count in zip((*LATENCY_BOUNDS_MS, None), counts, strict=True):
        passed += count
        buckets.append(("+Inf" if bound_ms is None else repr(bound_ms / 1000), float(passed)))
    histogram = HistogramMetricFamily(name, text, labels=("node",))
    histogram.add_metric((node,), buckets, sum_ms / 1000)
    return histogram


def _election(taken: NodeSnapshot, node: str) -> Iterator[Metric]:
    text = "1; the version of Glimpse and the protocol that it speaks are labels."
    labels = (VERSION, str(PROTOCOL_VERSION))
    yield _labelled(GaugeMetricFamily, "glimpse_build_info", text, ("version", "protocol"), node, [(labels, 1.0)])
    yield _gauge("glimpse_node_uptime_seconds", "Since this life of the node began.", node, taken.uptime_s)
    yield _labelled(
        GaugeMetricFamily,
        "glimpse_election_role",
        "Role in the election: 1 for the present one.",
        ("role",),
        node,
        [((role.value,), float(role is taken.role)) for role in Role],
    )
    yield _gauge("glimpse_election_term", "Highest term that the node knows.", node, taken.term)
    yield _counter("glimpse_election_leaderships", "Leaderships that it has seen begin.", node, taken.leaderships)
    yield _gauge("glimpse_node_leads", "1 while it leads and trusts its lease.", node, taken.leads)
    yield _gauge("glimpse_node_fit", "1 while it could lead and serve.", node, taken.fit)
    yield _gauge("glimpse_node_draining", "1 while an operator's order keeps work from it.", node, taken.draining)
    yield _gauge("glimpse_node_deaf", "1 while the failure simulation silences it.", node, taken.deaf_s > 0)
    counted = ("sent", "acked", "unacked", "heard", "missed", "pulses_sent", "pulses_heard")
    yield _labelled(
        CounterMetricFamily,
        "glimpse_heartbeats",
        "Signs of life between this node and a peer.",
        ("peer", "event"),
        node,
        [((link.node, name), getattr(link, name)) for link in taken.links for name in counted],
    )
    yield _labelled(
        GaugeMetricFamily,
        "glimpse_heartbeat_rtt_seconds",
        "Round trip of the last acknowledged heartbeat.",
        ("peer",),
        node,
        [((link.node,), link.rtt_s) for link in taken.links if link.rtt_s is not None],
    )
    yield _labelled(
        GaugeMetricFamily,
        "glimpse_peer_silence_seconds",
        "Since a peer node was last heard.",
        ("peer",),
        node,
        [((link.node,), link.heard_age_s) for link in taken.links if link.heard_age_s is not None],
    )
    text = "Between two heartbeats of the leader that it follows."
    gaps = taken.heartbeat_gaps
    yield _histogram("glimpse_heartbeat_gap_seconds", text, node, gaps.counts, gaps.sum_ms)


def _work(taken: NodeSnapshot, node: str) -> Iterator[Metric]:
    yield _gauge("glimpse_node_cost", "Cost of giving it one more request; lower is better.", node, taken.cost)
    yield _gauge("glimpse_node_priority", "1 / load of the last minute; higher is better.", node, taken.priority)
    text = "By how much the event loop of requests was late; heartbeats have one of their own."
    yield _histogram("glimpse_loop_lateness_seconds", text, node, taken.lateness.counts, taken.lateness.sum_ms)
    yield _gauge("glimpse_machine_load1", "The machine's load of the last minute.", node, taken.load1)
    yield _gauge("glimpse_machine_cores", "The machine's cores.", node, taken.cores)
    yield _counter("glimpse_process_cpu_seconds", "Processor time of the process.", node, taken.cpu_s)
    yield _gauge("glimpse_process_resident_memory_bytes", "Memory of the process.", node, taken.rss_bytes)
    started = taken.wall_offset_s + taken.at - taken.uptime_s
    yield _gauge("glimpse_process_start_time_seconds", "When the process began, since 1970.", node, round(started, 1))
    yield _gauge("glimpse_directory_epoch", "1, and one more for every restore from a backup.", node, taken.epoch)
    yield _counter("glimpse_directory_recoveries", "Restored directories that it recovered.", node, taken.recoveries)
    yield _gauge("glimpse_grants_frozen", "Grants that wait for their owners since a restore.", node, taken.frozen)
    directory = taken.directory
    yield _gauge(
        "glimpse_directory_up",
        "1 if the directory answered and can be written, as this node found.",
        node,
        directory.ok,
    )
    yield _gauge(
        "glimpse_directory_writable", "1 if the last write of this node was committed.", node, directory.writable
    )
    yield _gauge(
        "glimpse_directory_ahead_seconds",
        "How far directory time stands before a clock that was set back.",
        node,
        directory.ahead_s,
    )
    latency_ms = taken.directory.latency_ms
    if latency_ms is not None:
        yield _gauge("glimpse_directory_latency_seconds", "How long it took to.", node, latency_ms / 1000)


def _room(taken: NodeSnapshot, node: str) -> Iterator[Metric]:
    if taken.room is not None:
        yield _gauge("glimpse_directory_bytes", "Bytes that the directory takes.", node, taken.room.directory_bytes)
        yield _gauge("glimpse_held_bytes", "Bytes of copies that wait for viewers.", node, taken.room.held_bytes)
    yield _labelled(
        GaugeMetricFamily,
        "glimpse_disk_free_bytes",
        "Room that is left on the disk of the node's folder, and of the directory's where the node keeps it.",
        ("folder",),
        node,
        [((folder,), free) for folder, free in sorted(taken.free_bytes.items())],
    )


def _requests(taken: NodeSnapshot, node: str) -> Iterator[Metric]:
    yield _gauge("glimpse_requests_in_flight", "Requests that it serves now.", node, taken.in_flight)
    yield _gauge("glimpse_requests_open", "Requests that it knows of and nobody answered.", node, taken.open_requests)
    yield _labelled(
        CounterMetricFamily,
        "glimpse_requests",
        "Requests that it answered.",
        ("operation", "outcome"),
        node,
        [
            ((_OPERATIONS.get(kind, "unknown"), outcome), count)
            for kind, totals in sorted(taken.kinds.items())
            for outcome, count in (("served", totals.served), ("refused", totals.refused))
        ],
    )
    yield _labelled(
        CounterMetricFamily,
        "glimpse_request_events",
        "What happened to requests here.",
        ("event",),
        node,
        [((what.name.lower(),), taken.happenings[what]) for what in Happening],
    )
    yield _labelled(
        CounterMetricFamily,
        "glimpse_limited_requests",
        "Requests that were more than one account or host may send.",
        ("limit",),
        node,
        [((limit,), taken.limited.get(limit, 0)) for limit in ("requests", "registrations")],
    )
    text = "From a request's arrival here to its answer."
    yield _histogram("glimpse_request_latency_seconds", text, node, taken.latency, taken.latency_sum_ms)


def _network(taken: NodeSnapshot, node: str) -> Iterator[Metric]:
    yield _labelled(
        CounterMetricFamily,
        "glimpse_network_bytes",
        "Bytes of datagrams, over all sockets.",
        ("direction",),
        node,
        [(("sent",), taken.sent_bytes), (("received",), taken.received_bytes)],
    )
    yield _labelled(
        CounterMetricFamily,
        "glimpse_network_datagrams",
        "Datagrams, over all sockets.",
        ("direction",),
        node,
        [(("sent",), taken.sent_datagrams), (("received",), taken.received_datagrams)],
    )
    yield _labelled(
        CounterMetricFamily,
        "glimpse_dropped_datagrams",
        "Datagrams and messages thrown away.",
        ("reason",),
        node,
        [((reason,), count) for reason, count in sorted(taken.dropped.items())],
    )
    yield _gauge("glimpse_worker_ports_in_use", "Worker ports of running transfers.", node, taken.worker_ports)
    yield _gauge("glimpse_sessions", "Sessions of peers and operators.", node, taken.sessions)
    yield _gauge("glimpse_clients", "Accounts that have a session here.", node, taken.clients)
    yield _gauge("glimpse_relay_pairs", "Pairs of peers for whom it carries datagrams.", node, taken.relay_pairs)
    yield _counter("glimpse_relayed_bytes", "Bytes that it has carried for peers.", node, taken.relayed_bytes)
    yield _counter("glimpse_relayed_datagrams", "The same in datagrams.", node, taken.relayed_datagrams)
    yield _labelled(
        CounterMetricFamily,
        "glimpse_relay_refused_datagrams",
        "Datagrams of peers that it has not carried.",
        ("reason",),
        node,
        [((reason,), count) for reason, count in sorted(taken.relay_refused.items())],
    )


# --- Health ----------------------------------------------------------------------------------------------------------
def _health(collector: NodeCollector, path: str) -> tuple[str, str]:
    """Return the status and the text for a path of `_app`."""
    if path not in ("/healthz", "/readyz"):
        return "404 Not Found", "There are /metrics, /healthz and /readyz.\n"
    try:
        if path == "/healthz":
            collector.beat()
            return "200 OK", "ok\n"
        found = hindrances(collector.snapshot())
    except TimeoutError:
        return "503 Service Unavailable", f"The node has not answered for {SCRAPE_PATIENCE_S:.0f} s.\n"
    return ("503 Service Unavailable", "\n".join(found) + "\n") if found else ("200 OK", "ok\n")


def _app(collector: NodeCollector) -> WSGIApplication:
    registry = CollectorRegistry()
    registry.register(collector)
    metrics = make_wsgi_app(registry)

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return metrics(environ, start_response)  # type: ignore[no-any-return]
        status, text = _health(collector, environ["PATH_INFO"])
        body = text.encode()
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return serve


# --- The server ------------------------------------------------------------------------------------------------------
class _Handler(WSGIRequestHandler):
    timeout = IDLE_CLIENT_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the library gave it
        log.debug("metrics: %s", format % args)


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a scrape, at most `MAX_SCRAPES` of them: a client that is slow holds up nothing else."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._room = threading.BoundedSemaphore(MAX_SCRAPES)
        super().__init__(*arguments, **named)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        log.info("a scrape of the metrics failed", extra={"reason": repr(sys.exception())})


@contextmanager
def serving_metrics(stats: NodeStats, loop: asyncio.AbstractEventLoop, host: str, port: int) -> Iterator[None]:
    """Serve them for the length of a `with` block. Raises `InvalidInput` where the address cannot be had."""
    try:
        server = make_server(host, port, _app(NodeCollector(stats, loop)), _Server, handler_class=_Handler)
    except (OSError, OverflowError) as error:
        raise InvalidInput(f"Metrics cannot be served at {host}:{port}: {error}.") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True)
    thread.start()
    log.info("metrics", extra={"host": host, "port": port})
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
