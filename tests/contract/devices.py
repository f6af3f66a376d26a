"""An owner's device without sockets: the real store, outbox and granting, over a cloud whose answers can be lost."""

import os
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio

from node.services.receipts import Receipts
from shared.config import LOCAL
from shared.errors import Unavailable
from shared.wire import operations as ops
from tests.contract.people import CLUSTER, SHARE_KEY, Person
from tui.peer import outbox as outbox_module
from tui.peer.confirming import Confirming
from tui.peer.context import Context
from tui.peer.copies import COPY, Copies
from tui.peer.events import Delivered, Event, EventHub, Undeliverable
from tui.peer.given import GivenGrants
from tui.peer.granting import Granting
from tui.peer.outbox import Outbox
from tui.peer.paths import Paths
from tui.peer.people import People
from tui.peer.store import Store

CONTENT_KEY = b"k" * 32
SENT = (ops.Grant, ops.ChangeRights)


class Crash(BaseException):
    """The process is killed at this moment. No exception of the program's own, so that nothing takes it for one."""


@dataclass
class Link:
    """The cloud as a device meets it. `fates` are used up by grants and changes of rights, in order; then all is well.

    `lost request`: the cloud never hears of it. `lost answer`: it is done and nobody is told. `crash before` and
    `crash after` kill the device instead.
    """

    person: Person
    fates: list[str] = field(default_factory=list)
    sent: list[ops.Operation] = field(default_factory=list)
    away: bool = False

    def leave_out(self, request: str, why: str) -> None:
        raise AssertionError(f"an honest node is left out: {why}")

    async def ask(
        self,
        operation: ops.Operation,
        *,
        request: str,
        wait_s: float = 0.0,
        at_once: Collection[str] = (),
        without: str = "",
    ) -> tuple[ops.Outcome, None]:
        if self.away:
            raise Unavailable("The cloud is away.")
        fate = ""
        if isinstance(operation, SENT):
            self.sent.append(operation)
            fate = self.fates.pop(0) if self.fates else ""
        if fate == "lost request":
            raise Unavailable("The request was lost.")
        if fate == "crash before":
            raise Crash
        outcome = await self.person.get(operation, request)
        if fate == "lost answer":
            raise Unavailable("The answer was lost.")
        if fate == "crash after":
            raise Crash
        return outcome, None


@dataclass
class Tasks:
    """Notes what is begun; the test decides when it runs."""

    begun: list[tuple[Callable[..., Awaitable[None]], tuple[Any, ...]]] = field(default_factory=list)

    def start_soon(self, call: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        self.begun.append((call, arguments))


class Hub(EventHub):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[Event] = []

    def emit(self, event: Event) -> None:
        self.said.append(event)
        super().emit(event)


class Device:
    """One device of a person. `start` opens it, also again after `stop` or a crash, over the same store."""

    def __init__(self, person: Person, folder: Path) -> None:
        self.person, self.folder = person, folder
        self.link = Link(person)
        self.hub = Hub()
        self.store: Store | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.store = Store(self.folder / "store.sqlite")
        self.tasks = Tasks()
        cluster = SimpleNamespace(cluster_id=CLUSTER, timing=LOCAL)
        self.context = Context(
            cast("Any", SimpleNamespace(images=self.folder)),
            self.person.identity,
            cast("Any", cluster),
            self.store,
            cast("Any", None),
            cast("Any", self.link),
            cast("Any", self.tasks),
            self.hub,
            os.urandom,
            anyio.current_time,
            lambda: 1_000_000.0,
            holds_copies=False,  # there are no stego images here
            account=self.person.account,
            signed_in=True,
        )
        self.people = People(self.context)
        self.outbox = Outbox(self.context)
        looked = anyio.Event()
        looked.set()
        self.copies = Copies(self.context, self.people, self.outbox, Paths(self.context), looked)
        self.given = GivenGrants(self.context)
        self.confirming = Confirming(self.context, self.given)
        self.granting = Granting(self.context, self.people, self.outbox, self.copies, self.given, self.confirming)

    def stop(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None

    async def own(self, image: str, *, with_receipt: bool = True) -> None:
        """Put an own image's key into the store, and the receipt that came with it."""
        receipts = Receipts(SHARE_KEY, CLUSTER)
        receipt = receipts.of_image(image, self.person.identity.public.signing_key) if with_receipt else None
        await self.context.store.run(
            lambda s: s.put(
                "own_images",
                image=image,
                title="A picture",
                format="JPEG",
                width=640,
                height=480,
                size=10_000,
                content_key=CONTENT_KEY,
                created=1.0,
                ready=1,
                receipt=receipt,
            )
        )

    async def turn(self) -> None:
        """Try everything whose turn it is, once. A crash restarts the device."""
        self.outbox.retry()  # as after the longest of pauses
        await self.outbox._sweep()
        try:
            while self.tasks.begun:
                call, arguments = self.tasks.begun.pop(0)
                await call(*arguments)
        except Crash:
            self.stop()
            self.start()

    async def deliver_all(self) -> None:
        """Go on, now that nothing is lost, until only copies wait."""
        self.link.fates.clear()
        self.link.away = False
        for _ in range(50):
            if not await self.waiting():
                return
            await self.turn()
        raise AssertionError(f"something waits for ever: {await self.waiting()}")

    async def waiting(self) -> list[str]:
        rows = await self.context.store.run(lambda s: s.outbox())
        return [row.kind for row in rows if row.kind != COPY]

    def ended(self, kind: type[Delivered] | type[Undeliverable]) -> list[Any]:
        return [event for event in self.hub.said if isinstance(event, kind)]


def do_not_wait(monkeypatch: Any) -> None:
    """Let whoever stores something go on at once: the test delivers it."""
    monkeypatch.setattr(outbox_module, "FIRST_TRY_S", 0.0)
