"""Opening and closing a peer: its parts, how they are wired to each other, and its background tasks."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from shared.cluster import Cluster
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError, MalformedMessage, ProfileError
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.net.partial_store import FolderPartials
from shared.passphrase import checked_passphrase
from shared.wire.codec import decode
from shared.wire.labels import MAX_LABEL_BYTES, CopyObject, Label
from shared.wire.peer_messages import CopyHeld, PeerToPeer, RightsNotice, RightsNoticed
from tui.peer import files
from tui.peer.account import AccountSession
from tui.peer.adopting import Adopting
from tui.peer.asker import Asker
from tui.peer.asking import Asking
from tui.peer.checks import checked_path
from tui.peer.cloud import CloudLink, monotonic
from tui.peer.confirming import Confirming
from tui.peer.context import Context
from tui.peer.copies import Copies
from tui.peer.damaged_rows import DamagedRows
from tui.peer.encrypting import Encrypting
from tui.peer.events import CloudChanged, EventHub, OtherDevice
from tui.peer.following import COPY, ClusterFollower, keep_copy, newest_cluster
from tui.peer.given import GivenGrants
from tui.peer.granting import Granting
from tui.peer.holding import Holding
from tui.peer.image_lists import ImageLists
from tui.peer.mailbox import Mailbox
from tui.peer.notices import DirectNotices
from tui.peer.outbox import Outbox
from tui.peer.paths import Paths
from tui.peer.people import Offers, People
from tui.peer.profile import Profile
from tui.peer.restoring import Restoring
from tui.peer.store import OutboxRow, Store
from tui.peer.tending import tend
from tui.peer.view_requests import ViewRequests
from tui.peer.viewing import Viewing
from tui.peer.wanting import Wanting

log = logging.getLogger(__name__)

_PARTIALS_BYTES: Final = 256 * 1024 * 1024
"""What pictures that arrived in part may take of the profile's disk."""


class PeerLifecycle:
    """What a peer is made of. The base of `Peer`, which adds everything that a person can do."""

    def __init__(
        self,
        profile: Path | str,
        cluster: Path | str | Cluster,
        *,
        bind_host: str | None = None,
        holds_copies: bool = True,
        share_local_addresses: bool = True,
        relay_only: bool = False,
        passphrase: str | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._profile = Profile(checked_path(profile, "A profile"))
        self._source = cluster if isinstance(cluster, Cluster) else checked_path(cluster, "A cluster")
        self._bind_host = bind_host
        self._holds_copies = holds_copies
        self._share_local_addresses = share_local_addresses
        self._relay_only = relay_only
        self._passphrase = None if passphrase is None else checked_passphrase(passphrase)
        self._entropy = entropy
        self._clock = clock
        self._wall = wall
        self._stack: AsyncExitStack | None = None
        self._hub = EventHub()

    # --- Opening and closing -----------------------------------------------------------------------------------------
    async def __aenter__(self) -> Self:
        stack = AsyncExitStack()
        try:
            await self._open(stack)
        except BaseException as error:
            try:
                await stack.aclose()
            except BaseExceptionGroup as group:  # a background task failed meanwhile, and that ended the opening
                if (first := _only_error(group)) is not None:
                    raise first from error
                raise
            raise
        self._stack = stack
        return self

    async def _open(self, stack: AsyncExitStack) -> None:
        profile = self._profile
        await anyio.to_thread.run_sync(profile.__enter__)
        stack.callback(profile.__exit__, None, None, None)
        identity = await anyio.to_thread.run_sync(profile.identity, self._passphrase)
        copy = profile.folder / COPY
        cluster = await anyio.to_thread.run_sync(newest_cluster, self._source, copy)
        store = await anyio.to_thread.run_sync(lambda: Store(profile.store_path, wall=self._wall, key=profile.data_key))
        stack.push_async_callback(store.aclose)
        partials = FolderPartials(profile.partials, max_bytes=_PARTIALS_BYTES)
        await partials.sweep()
        endpoint = Endpoint(
            identity.session_private,
            bind=(cluster.bind_host if self._bind_host is None else self._bind_host, 0),
            timing=cluster.timing,
            prologue=cluster.prologue,
            partials=partials,
            looks_at_paths=True,
        )
        endpoint.on_message = self._receive
        endpoint.on_offer = self._offered
        endpoint.on_closed = self._closed
        endpoint.on_silent = lambda session: self._paths.silent(session)
        endpoint.on_moved = lambda session: self._paths.moved(session)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        await stack.enter_async_context(endpoint)
        cloud = CloudLink(cluster, endpoint, tasks, clock=self._clock)
        ClusterFollower(
            cluster,
            endpoint,
            cloud,
            keep=lambda data, version: tasks.start_soon(anyio.to_thread.run_sync, keep_copy, copy, data, version),
        )
        endpoint.roams_with = lambda key: not cloud.is_node_key(key)
        self._context = context = Context(
            profile,
            identity,
            cluster,
            store,
            endpoint,
            cloud,
            tasks,
            self._hub,
            self._entropy,
            self._clock,
            self._wall,
            partials=partials,
            holds_copies=self._holds_copies,
            share_local_addresses=self._share_local_addresses,
            relay_only=self._relay_only,
        )
        await self._recall(context)
        self._make_parts(context)
        self._wire_parts(context)
        if not store.read_only:
            await files.repair(store, profile.images)
            await self._copies.find_gone()
        await self._copies.recall()
        await self._adopting.begin()
        cloud.start()
        self._start_tasks(tasks)

    def _make_parts(self, context: Context) -> None:
        self._cloud = Asker(context)
        self._damaged = DamagedRows(context)
        self._people = People(context)
        self._outbox = Outbox(context)
        self._adopting = Adopting(context)
        self._asks = ViewRequests(context)
        self._paths = Paths(context)
        self._copies = Copies(context, self._people, self._outbox, self._paths, self._adopting.looked)
        self._given = GivenGrants(context)
        self._confirming = Confirming(context, self._given)
        self._granting = Granting(context, self._people, self._outbox, self._copies, self._given, self._confirming)
        self._holding = Holding(context)
        self._notices = DirectNotices(context, self._people, self._paths, self._copies, self._holding)
        self._mailbox = Mailbox(context, self._people, self._copies, self._holding, self._asks, self._given)
        self._restoring = Restoring(context, self._outbox, self._given, self._confirming, self._mailbox, self._asks)
        self._viewing = Viewing(context, self._copies, self._holding, self._mailbox, self._outbox)
        self._offers = Offers(context, self._people, self._paths)
        self._encrypting = Encrypting(context, self._adopting.looked)
        self._wanting = Wanting(context, self._copies)
        self._images = ImageLists(
            context, self._damaged, self._holding, self._encrypting, self._adopting, self._restoring, self._paths
        )
        self._asking = Asking(context, self._damaged, self._outbox, self._asks, self._offers, self._restoring)
        self._account = AccountSession(
            context, self._outbox, self._mailbox, self._asks, self._restoring, self._encrypting, self._wanting
        )

    def _wire_parts(self, context: Context) -> None:
        """Say who is told of what: calls from a part to one that is made after it."""
        self._granting.on_changed = self._notices.changed
        self._copies.on_lacking = self._wanting.lacks
        self._copies.on_waiting = self._wanting.waits
        self._outbox.on_settled = self._settled
        cloud = context.cloud
        cloud.on_other_device = self._other_device
        cloud.on_meeting = self._paths.asked
        cloud.on_mail = self._mailbox.wake
        cloud.on_change = self._cloud_changed
        cloud.on_signed_out = self._account.lapsed
        cloud.on_epoch = self._epoch_heard

    def _start_tasks(self, tasks: TaskGroup) -> None:
        for what, task in (
            ("outbox", self._outbox.run),
            ("whereabouts", self._copies.whereabouts.run),
            ("mailbox", self._mailbox.run),
            ("encrypting", self._encrypting.run),
            ("restoring", self._restoring.run),
            ("keep-alive", self._account.keep_alive),
            ("sign-in", self._account.sign_in_again),
            ("adopting", self._adopting.run),
            ("wanting", self._wanting.run),
        ):
            tasks.start_soon(tend, what, task)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._stack is not None
        stack, self._stack = self._stack, None
        with anyio.CancelScope(shield=True):
            await self._account.sign_out()
        try:
            await stack.aclose()
        except BaseExceptionGroup as group:
            if (first := _only_error(group)) is not None:
                raise first from group
            raise

    async def _recall(self, context: Context) -> None:
        def read(store: Store) -> tuple[str | None, str | None, str | None]:
            for name, value in (("device", context.new_id()), ("cluster", context.cluster.cluster_id)):
                if store.fact(name) is None:
                    store.set_fact(name, value)
            if store.fact("cluster") != context.cluster.cluster_id:
                raise ProfileError("This profile belongs to another cluster; choose another profile or that cluster.")
            return store.fact("device"), store.fact("account"), store.fact("name")

        device, account, name = await context.store.run(read)
        context.device = device or ""
        context.account = None if account is None else int(account)
        context.name = name or ""

    # --- What happens by itself --------------------------------------------------------------------------------------
    async def _settled(self, row: OutboxRow, refused: bool) -> None:
        try:
            await self._asks.settled(row, refused=refused)
        except GlimpseError as error:
            # The lists are only as the cloud last told them; the next look at them mends that.
            log.warning("an answer is not noted here", extra={"reason": str(error)})

    def _other_device(self) -> None:
        """Another device of this account came after this one. Neither takes the other's place while both are there."""
        self._hub.emit(OtherDevice(newer=True))

    def _epoch_heard(self, epoch: int) -> None:
        if self._restoring.heard(epoch):
            self._wanting.ask_anew()  # the wish may have been in mail that the restored directory lacks

    def _cloud_changed(self) -> None:
        cloud = self._context.cloud
        self._hub.emit(CloudChanged(cloud.reachable, cloud.leader, cloud.term))
        if cloud.reachable:
            self._outbox.retry()
            self._encrypting.settle_soon()

    def _closed(self, session: Session, _reason: str) -> None:
        self._context.cloud.session_closed(session)
        self._paths.closed(session)

    def _receive(self, session: Session, data: bytes) -> None:
        if self._context.cloud.is_node(session):
            self._context.cloud.receive(session, data)
            return
        message: PeerToPeer = decode(data, PeerToPeer, cap_bytes=MAX_MESSAGE_BYTES)
        match message:
            case CopyHeld():
                self._copies.stored(message)
            case RightsNotice():
                self._notices.told(session, message)
            case RightsNoticed():
                self._notices.answered(session, message)

    def _offered(self, session: Session, offer: IncomingOffer) -> Incoming | None:
        label: Label = decode(offer.label, Label, cap_bytes=MAX_LABEL_BYTES)
        if self._context.cloud.is_node(session):
            return self._context.cloud.offered(session, label, offer)
        if isinstance(label, CopyObject):
            return self._copies.offered(session, label, offer)
        raise MalformedMessage("an object that peers do not take")


def _only_error(group: BaseExceptionGroup[BaseException]) -> GlimpseError | None:
    """Return the error of ours that is all there is in a group, None for anything else."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, GlimpseError) else None
