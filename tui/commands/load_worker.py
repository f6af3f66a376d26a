"""One client of `glimpse load`, in a process of its own: encrypts a picture many times and compares what returns.

Reads its task as one JSON line from standard input. Writes one JSON line per progress and, at the end, one with all
latencies and the outcome of the comparison. Nothing is compared while the clock runs.
"""

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from shared.cluster import Cluster, load_cluster
from shared.errors import GlimpseError, Unavailable
from shared.identity import Identity
from shared.net.endpoint import Endpoint
from shared.rights import create_owner_record
from shared.sealed_record import seal_record
from shared.sealing import open_picture, seal_picture
from shared.stego import container, pictures
from shared.wire import operations as ops
from shared.wire.codec import decode
from shared.wire.labels import MAX_LABEL_BYTES, Label
from shared.wire.upload import Upload, encode_upload
from tui.peer.cloud import CloudLink, monotonic
from tui.peer.following import ClusterFollower

_PROGRESS_EVERY = 20
_WAIT_S = 60.0
_TRIES = 3


class Task(msgspec.Struct, frozen=True):
    """What one client is to do. `client` numbers it."""

    cluster: str
    image: str
    requests: int
    concurrency: int
    client: int


class Report(msgspec.Struct, frozen=True):
    """What one client saw. `latencies_s` are of the requests that succeeded."""

    ok: int
    failed: int
    mismatched: int
    images_listed: int
    started_at: float
    ended_at: float
    latencies_s: list[float]
    failures: list[str]


class Progress(msgspec.Struct, frozen=True):
    """How far one client is."""

    done: int


class Client:
    """Sends encrypt requests as a peer does, without keeping anything."""

    def __init__(self, task: Task, cluster: Cluster, folder: Path) -> None:
        self._task = task
        self._cluster = cluster
        self._folder = folder
        self._identity = Identity.generate()
        self._original = Path(task.image).read_bytes()
        self._info = pictures.inspect(Path(task.image))
        self._keys: dict[str, bytes] = {}
        self._latencies: list[float] = []
        self._failures: list[str] = []
        self._next = 0
        self._cloud: CloudLink

    async def run(self) -> Report:
        """Register, encrypt, stop the clock, compare."""
        async with AsyncExitStack() as stack:
            endpoint = Endpoint(
                self._identity.session_private,
                bind=(self._cluster.bind_host, 0),
                timing=self._cluster.timing,
                prologue=self._cluster.prologue,
                looks_at_paths=True,
            )
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            self._cloud = cloud = CloudLink(self._cluster, endpoint, tasks, clock=monotonic)
            ClusterFollower(self._cluster, endpoint, cloud)
            endpoint.on_message = cloud.receive
            endpoint.on_offer = lambda session, offer: cloud.offered(
                session, decode(offer.label, Label, cap_bytes=MAX_LABEL_BYTES), offer
            )
            endpoint.on_closed = lambda session, _reason: cloud.session_closed(session)
            await stack.enter_async_context(endpoint)
            cloud.start()
            await self._register()
            started_at = time.time()
            async with anyio.create_task_group() as group:
                for _ in range(self._task.concurrency):
                    group.start_soon(self._work)
            ended_at = time.time()
            listed = await self._listed()
            mismatched = await anyio.to_thread.run_sync(self._compare)
        return Report(
            len(self._keys) - mismatched,
            len(self._failures),
            mismatched,
            listed,
            started_at,
            ended_at,
            self._latencies,
            self._failures[:20],
        )

    async def _register(self) -> None:
        public, name = self._identity.public, f"load {os.getpid()}"
        proof = self._identity.sign("register", self._cluster.cluster_id.encode(), name.encode(), public.session_key)
        operation = ops.Register(
            name=name,
            signing_key=public.signing_key,
            session_key=public.session_key,
            session_signature=public.session_signature,
            proof=proof,
        )
        await self._persist(lambda: self._cloud.ask(operation, request=os.urandom(16).hex()))

    async def _persist(self, call: Callable[[], Awaitable[tuple[ops.Outcome, bytes | None]]]) -> ops.Outcome:
        for attempt in range(_TRIES):
            try:
                return (await call())[0]
            except Unavailable:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    async def _work(self) -> None:
        while self._next < self._task.requests:
            self._next += 1
            try:
                await self._one()
            except GlimpseError as error:
                self._failures.append(f"{type(error).__name__}: {error}")
            done = len(self._keys) + len(self._failures)
            if done % _PROGRESS_EVERY == 0:
                say(Progress(done))

    async def _one(self) -> None:
        image, key, nonce = os.urandom(16).hex(), os.urandom(32), os.urandom(12)
        owner = self._identity.public.signing_key
        sealed = seal_picture(key, self._original, owner_key=owner, image_id=image, nonce=nonce)
        record = create_owner_record(self._identity, image_id=image, content_key=key)
        text = seal_record(record, self._identity.session_private, self._identity.public.session_key)
        upload = encode_upload(Upload(text, sealed))
        operation = ops.Encrypt(
            image=image,
            title="load",
            format=self._info.format,
            width=self._info.width,
            height=self._info.height,
            original_size=len(self._original),
            upload_size=len(upload),
            upload_sha256=hashlib.sha256(upload).digest(),
        )
        began = time.perf_counter()
        _, stego = await self._cloud.ask(operation, request=os.urandom(16).hex(), wait_s=_WAIT_S, upload=upload)
        self._latencies.append(time.perf_counter() - began)
        (self._folder / image).write_bytes(stego or b"")
        self._keys[image] = key

    async def _listed(self) -> int:
        """Return how many images the directory holds for this account: more than succeeded are doubled effects."""
        outcome = await self._persist(lambda: self._cloud.ask(ops.MyImages(), request=os.urandom(16).hex()))
        return outcome.total if isinstance(outcome, ops.Images) else 0

    def _compare(self) -> int:
        owner = self._identity.public.signing_key
        wrong = 0
        for image, key in self._keys.items():
            try:
                sealed = container.reveal((self._folder / image).read_bytes(), image_id=bytes.fromhex(image))
                wrong += open_picture(key, sealed, owner_key=owner, image_id=image) != self._original
            except GlimpseError:
                wrong += 1
        return wrong


def say(message: msgspec.Struct) -> None:
    """Write one line to whoever started this process."""
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Read the task, run it, report."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    with tempfile.TemporaryDirectory(prefix="glimpse-load-") as folder:
        say(anyio.run(Client(task, load_cluster(Path(task.cluster)), Path(folder)).run))


if __name__ == "__main__":
    main()
