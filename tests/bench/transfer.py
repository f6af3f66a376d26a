"""Goodput and latency of object transfers over the loopback interface, beside TCP over anyio in the same run.

Run with `python -m tests.bench.transfer [--megabytes 10] [--rounds 5] [--json FILE]`. Two processes; every object is
verified by hash on the other side before the clock stops. Medians of the rounds, which alternate between the ways, so
that whatever else the machine does hits them alike.
"""

import argparse
import hashlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter, process_time

import anyio
import psutil
from anyio.abc import SocketStream

from shared.config import LOCAL
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.net.udp import Batch, UdpSocket

KEY = b"r" * 32
WAYS = {
    "1200 B": {"datagram_bytes": 1200},
    "1200 B, 5 % loss both ways": {"datagram_bytes": 1200, "loss": 0.05},
    "1200 B, plain calls": {"datagram_bytes": 1200, "gso": False},
    "8 KB": {"datagram_bytes": 8_192},
    "large": {"datagram_bytes": None},
}
"""Options of both endpoints by name; `loss` is the share of datagrams that either side drops on arrival."""
Transfer = Callable[[bytes], Awaitable[None]]


def lose(share: float) -> None:
    """Let sockets of this process drop a share of what arrives, if a loss is is in force for them."""
    receive_now, chance = UdpSocket.receive_now, random.Random(1).random

    def lossy(self: UdpSocket) -> Batch:
        batch = receive_now(self)
        return [item for item in batch if chance() >= share] if self in LOSSY else batch

    UdpSocket.receive_now = lossy  # type: ignore[method-assign]


LOSSY: set[UdpSocket] = set()


class LossyEndpoint(Endpoint):
    """Drops datagrams at its worker ports."""

    def _open_worker(self, host: str):
        port = super()._open_worker(host)
        LOSSY.add(port.socket)
        return port


def endpoint(private: bytes, options: dict[str, object]) -> Endpoint:
    """An endpoint of one way."""
    rest = {name: value for name, value in options.items() if name != "loss"}
    return (LossyEndpoint if "loss" in options else Endpoint)(private, timing=LOCAL, **rest)  # type: ignore[arg-type]


# --- The receiving process --------------------------------------------------------------------------------------------


async def serve_tcp(stream: SocketStream) -> None:
    """Take objects, each after its length, and answer each with its hash."""
    async with stream:
        stream.extra(anyio.abc.SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                head = await stream.receive(8)
                size, digest, seen = int.from_bytes(head, "big"), hashlib.sha256(), 0
                while seen < size:
                    chunk = await stream.receive(262_144)
                    seen += len(chunk)
                    digest.update(chunk)
                await stream.send(digest.digest())
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return


async def receive() -> None:
    """Print where everything is and serve until standard input ends."""
    async with anyio.create_task_group() as group:
        ports = {}
        endpoints = [endpoint(KEY, options) for options in WAYS.values()]
        async with AllOpen(endpoints):
            for name, one in zip(WAYS, endpoints, strict=True):
                one.on_offer = _accept
                ports[name] = one.local_address[1]
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            group.start_soon(listener.serve, serve_tcp)
            ports["tcp"] = listener.extra(anyio.abc.SocketAttribute.local_port)
            print(json.dumps({"key": endpoints[0].public_key.hex(), "ports": ports}), flush=True)
            await anyio.to_thread.run_sync(sys.stdin.read)
        group.cancel_scope.cancel()


def _accept(_session: Session, _offer: IncomingOffer) -> Incoming:
    return Incoming()


class AllOpen:
    """Opens endpoints together."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        self.endpoints = endpoints

    async def __aenter__(self) -> None:
        for one in self.endpoints:
            await one.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        for one in reversed(self.endpoints):
            await one.__aexit__(None, None, None)


# --- The sending process --------------------------------------------------------------------------------------------


def over_tcp(stream: SocketStream) -> Transfer:
    async def transfer(data: bytes) -> None:
        await stream.send(len(data).to_bytes(8, "big"))
        await stream.send(data)
        digest = b""
        while len(digest) < 32:
            digest += await stream.receive(32 - len(digest))
        assert digest == hashlib.sha256(data).digest()

    return transfer


def over_endpoint(one: Endpoint, session: Session) -> Transfer:
    async def transfer(data: bytes) -> None:
        await one.send_object(session, b"bench", data)

    return transfer


async def measure(megabytes: float, rounds: int, child: subprocess.Popen) -> dict:
    """Return medians by way."""
    where = json.loads(await anyio.to_thread.run_sync(child.stdout.readline))
    key, ports = bytes.fromhex(where["key"]), where["ports"]
    endpoints = [endpoint(os.urandom(32), options) for options in WAYS.values()]
    async with AllOpen(endpoints), await anyio.connect_tcp("127.0.0.1", ports["tcp"]) as stream:
        stream.extra(anyio.abc.SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transfers = {"TCP over anyio": over_tcp(stream)}
        for name, one in zip(WAYS, endpoints, strict=True):
            transfers[name] = over_endpoint(one, await one.connect(("127.0.0.1", ports[name]), key))
        results: dict[str, dict[str, float]] = {name: {} for name in transfers}
        data = os.urandom(int(megabytes * 1e6))
        goodputs: dict[str, list[float]] = {name: [] for name in transfers}
        work = dict.fromkeys(transfers, 0.0)
        other = psutil.Process(child.pid)
        for _ in range(rounds):
            for name, transfer in transfers.items():
                began, began_work = perf_counter(), process_time() + sum(other.cpu_times()[:2])
                await transfer(data)
                goodputs[name].append(len(data) / 1e6 / (perf_counter() - began))
                work[name] += process_time() + sum(other.cpu_times()[:2]) - began_work
        small: dict[str, list[float]] = {name: [] for name in transfers}
        cpu: dict[str, float] = dict.fromkeys(transfers, 0.0)
        for _ in range(40 * rounds):
            for name, transfer in transfers.items():
                if "loss" not in name:
                    data = os.urandom(10_000)
                    began, began_cpu = perf_counter(), process_time()
                    await transfer(data)
                    small[name].append(1000 * (perf_counter() - began))
                    cpu[name] += process_time() - began_cpu
        for name in transfers:
            results[name]["mb_per_s"] = statistics.median(goodputs[name])
            results[name]["best_mb_per_s"] = max(goodputs[name])
            results[name]["cpu_ms_per_mb"] = 1000 * work[name] / (rounds * megabytes)
            if small[name]:
                results[name]["ms_10_kb"] = statistics.median(small[name])
                results[name]["sender_cpu_ms_10_kb"] = 1000 * cpu[name] / len(small[name])
    return results


def main() -> None:
    """Run both processes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    lose(0.05)
    if arguments.receive:
        anyio.run(receive)
        return
    command = [sys.executable, "-m", "tests.bench.transfer", "--receive"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            results = anyio.run(measure, arguments.megabytes, arguments.rounds, child)
        finally:
            child.stdin.close()
    tcp = results["TCP over anyio"]
    for name, figures in results.items():
        latency = figures.get("ms_10_kb")
        print(
            f"{name:28} {figures['mb_per_s']:7.1f} MB/s ({figures['mb_per_s'] / tcp['mb_per_s']:5.2f} x TCP)"
            f"  best {figures['best_mb_per_s']:6.1f}  CPU {figures['cpu_ms_per_mb']:5.1f} ms/MB"
            + (f"   10 KB {latency:6.3f} ms ({latency / tcp['ms_10_kb']:5.2f} x TCP)" if latency else "")
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
