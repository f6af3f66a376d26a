"""The registry of operations: which handler serves each class, who may ask for it, and what it costs.

A handler takes the call and its operation. Signatures are checked by it before a transaction begins, because a
transaction may run in a group with others and should hold it up for no longer than its statements take. Effects are
made once per request through the directory's stored answers, and once for ever by the natural keys that the
transactions use.
"""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import anyio
import msgspec

from node.directory.engine import Directory
from node.directory.interface import EffectKey, Step, Transaction, Tx
from node.fairness import FairShare
from node.services import (
    accounts,
    confirming,
    copies,
    freezing,
    grants,
    held,
    holdings,
    images,
    mail,
    uploads,
    view_requests,
    views,
)
from node.services.common import Call, Caller, Environment, Exchange, Served, refused
from node.services.freezing import Frozen, GrantIsFrozen
from node.services.receipts import Receipts
from node.services.shares import ShareBox, close_page_anew
from shared.config import REQUEST_LIMITS, RequestLimits, Timing
from shared.errors import LocalError, Unavailable
from shared.rates import network_of
from shared.wire import operations as ops
from shared.wire.base import Message
from shared.wire.node_messages import RequestKey
from shared.wire.operations import Operation, Outcome
from shared.wire.refusals import RefusalCode

log = logging.getLogger(__name__)

T = TypeVar("T")
M = TypeVar("M", bound=Message)

_RESTORED: Final = "The directory was restored from a backup and is being compared; your request waits."
_REMEMBERED_ACCOUNTS: Final = 8_192
"""Accounts whose keys a node remembers; the least recently seen go first."""
_HASH_IN_THREAD_BYTES: Final = 1_000_000
_MEETINGS_AT_ONCE: Final = 128
_MEETINGS_OF_ONE: Final = 8
"""Meetings of one account that a node waits for at a time: the peer that is asked may never answer."""


class Permission(Enum):
    """Who may ask for an operation."""

    ANYBODY = auto()
    """Whoever has a session, registered or not."""
    ACCOUNT = auto()
    """A registered account; the handler checks what it may do with the thing that it names."""


class Cost(Enum):
    """What serving an operation takes. All but READ and MEET wait while a restored directory is being compared."""

    READ = auto()
    """A snapshot of the directory."""
    WRITE = auto()
    """A commit."""
    MEET = auto()
    """A snapshot of the directory, and the word of another peer, which may take seconds."""
    ENCODE = auto()
    """An upload, a turn of the encoder, a commit, and the stego image on its way back: memory of the node."""


Handler: TypeAlias = Callable[["Services", Call, Any], Awaitable[Served]]


@dataclass(frozen=True, slots=True)
class Entry:
    """How the operations of one class are served."""

    kind: type[Message]
    handler: Handler
    cost: Cost
    permission: Permission = Permission.ACCOUNT


@dataclass(frozen=True, slots=True)
class CloudView:
    """What a keep-alive tells: whether the account is present, how much mail waits, and database time.

    `other_device`: it is another device of the account that is present.
    """

    signed_in: bool
    mail_waiting: int
    now: float
    other_device: bool = False


class Hides(Protocol):
    """What makes stego images, see `node.encoder.Encoder`."""

    async def hide(self, payload: bytes, record: bytes, image_id: bytes, cover: bytes | None) -> bytes:
        """Return the stego image. Raises `Refused` for what cannot be hidden."""


class Services:
    """Serves operations against a directory. All calls from one event loop.

    `share_key` (32 bytes, the same on every node) encrypts cloud shares at rest; what is encrypted under one of
    `former_share_keys` is encrypted anew, and `next_share_key` is the one that other nodes may use already. `entropy`
    gives random bytes.
    `must_wait` says that the directory was restored and is not safe to use yet: nothing takes effect then.
    `remembered_commits` is the highest count of commits that the node knows of. A transaction that finds fewer runs on
    a directory that was put back under the living node, and comes to nothing, before anybody has looked into it.
    """

    def __init__(
        self,
        directory: Directory,
        encoder: Hides,
        *,
        cluster_id: str,
        share_key: bytes,
        entropy: Callable[[int], bytes],
        timing: Timing,
        node_name: str,
        former_share_keys: Sequence[bytes] = (),
        next_share_key: bytes | None = None,
        limits: RequestLimits = REQUEST_LIMITS,
        must_wait: Callable[[], bool] = lambda: False,
        remembered_commits: Callable[[], int] = lambda: 0,
    ) -> None:
        self._directory = directory
        self._encoder = encoder
        self._timing = timing
        others = (*former_share_keys, *([] if next_share_key is None else [next_share_key]))
        self._closes_anew = bool(former_share_keys)
        self._environment = Environment(
            cluster_id,
            node_name,
            timing.presence_s,
            timing.longest_presence_s,
            limits,
            ShareBox(share_key, entropy, others),
            Receipts(share_key, cluster_id, others),
        )
        self._turns = {
            Cost.READ: FairShare[Hashable](limits.reads_at_once, per_owner=limits.reads_at_once),
            Cost.WRITE: FairShare[Hashable](limits.writes_at_once, per_owner=limits.writes_at_once),
            Cost.MEET: FairShare[Hashable](_MEETINGS_AT_ONCE, per_owner=_MEETINGS_OF_ONE),
        }
        self._uploads = FairShare[Hashable](limits.upload_bytes, per_owner=limits.upload_bytes_per_account)
        self._least_upload = max(limits.upload_bytes // limits.writes_at_once, 1)
        """The smallest counts as so much, which bounds how many there are at a time."""
        self._must_wait = must_wait
        self._remembered_commits = remembered_commits
        self._generation = 0
        self._accounts: OrderedDict[bytes, tuple[int, str, bytes]] = OrderedDict()
        """Number, name and signing key by session key. None of them changes while the directory loses nothing."""

    # --- Who asks ----------------------------------------------------------------------------------------------------
    async def caller(self, session_key: bytes, host: str) -> Caller:
        """Return who is behind a session's key. Raises `Unavailable` without the directory."""
        account = self._accounts.get(session_key)
        if account is None:
            generation = self._generation
            row = await self._directory.read(accounts.by_session_key(session_key))
            if row is None:
                return Caller(session_key, host)
            account = (int(row["id"]), str(row["name"]), bytes(row["signing_key"]))
            if generation != self._generation:
                return Caller(session_key, host, *account)
            self._accounts[session_key] = account
            if len(self._accounts) > _REMEMBERED_ACCOUNTS:
                self._accounts.popitem(last=False)
        self._accounts.move_to_end(session_key)
        return Caller(session_key, host, *account)

    async def _registered(self, caller: Caller) -> Caller:
        """Return a caller as the account stands now: it may have been registered, or the directory restored, since."""
        caller = await self.caller(caller.session_key, caller.host)
        if not caller.is_registered:
            raise refused(RefusalCode.UNKNOWN_ACCOUNT)
        return caller

    def forget_accounts(self) -> None:
        """The directory was restored: it may lack accounts that were seen before, or know them by other numbers."""
        self._generation += 1
        self._accounts.clear()

    # --- Serving -----------------------------------------------------------------------------------------------------
    async def serve(
        self, caller: Caller, request_id: str, operation: Operation, exchange: Exchange | None = None
    ) -> Served:
        """Do what an operation asks for. Effects happen once however often a request is served.

        Raises `Refused` or `ViewRefused` with a sentence for the user, `Unavailable` without the directory (whether
        the effect was made is then open, and a repeat finds out), and what the `exchange` raises.
        """
        entry = REGISTRY[type(operation)]
        if entry.cost not in (Cost.READ, Cost.MEET):
            self._refuse_while_waiting()
        async with self._turn(entry.cost, caller, operation):
            if entry.permission is Permission.ACCOUNT:
                caller = await self._registered(caller)
            return await entry.handler(self, Call(caller, request_id, self._environment, exchange), operation)

    def _turn(self, cost: Cost, caller: Caller, operation: Operation) -> AbstractAsyncContextManager[None]:
        """Wait for what serving an operation takes, and hold it while the block runs: a turn, or for an encryption the
        bytes of the node's memory. Raises `Refused` for an upload that cannot be one."""
        owner: Hashable = caller.account if caller.is_registered else network_of(caller.host)
        if isinstance(operation, ops.Encrypt):
            return self._uploads.held(owner, max(uploads.most_bytes(operation), self._least_upload))
        return self._turns[cost].held(owner)

    async def read(self, transaction: Transaction[T]) -> T:
        """Run a transaction that changes nothing."""
        return await self._directory.read(transaction)

    async def write(self, transaction: Transaction[T]) -> T:
        """Run a transaction whose effect can happen once by its natural key alone."""
        return await self._directory.write(self._guarded(transaction))

    async def effect(self, call: Call, operation: Operation, transaction: Transaction[Served]) -> Served:
        """Run a transaction once per request, or return what was stored of it."""
        request = RequestKey(call.caller.session_key, call.request_id)
        key = EffectKey(request, hashlib.sha256(msgspec.json.encode(operation)).digest())
        guarded = self._guarded(transaction)

        def run(tx: Tx) -> Step[bytes]:
            return msgspec.json.encode((yield from guarded(tx)))

        stored = await self._directory.effect(key, run)
        return msgspec.json.decode(stored.answer, type=Served)

    async def hide(self, upload: bytes, operation: ops.Encrypt) -> bytes:
        """Return the stego image of an upload. Raises `Refused` for one that is damaged or cannot be hidden."""
        parts = uploads.opened(upload, operation)
        hiding = self._encoder.hide(parts.sealed, parts.record, bytes.fromhex(operation.image), parts.cover)
        del upload, parts  # up to 22 MB; the encoder lets go of each part as soon as it has done with it
        return await hiding

    async def still_allowed(self, call: Call) -> Call:
        """Check again, for a call that took long, what `serve` checks; return the call with its caller as it is now."""
        self._refuse_while_waiting()
        return replace(call, caller=await self._registered(call.caller))

    def _refuse_while_waiting(self) -> None:
        if self._must_wait():
            raise Unavailable(_RESTORED)

    def _guarded(self, transaction: Transaction[T]) -> Transaction[T]:
        def run(tx: Tx) -> Step[T]:
            if tx.lost_commits or tx.commits < self._remembered_commits():
                raise Unavailable(_RESTORED)
            return (yield from transaction(tx))

        return run

    # --- Besides requests --------------------------------------------------------------------------------------------
    async def keep_alive(
        self, caller: Caller, device: str, port: int | None = None, *, lasts_s: float | None = None
    ) -> CloudView:
        """Refresh the presence of a device, if it is where others are sent to, and return how the account stands.

        Reads only, until half an interval of keep-alives has gone: a peer tells every node that it is there, and one
        write does. A presence that has lapsed is not revived; the peer is asked to sign in again. It lasts for
        `lasts_s` seconds, within what is allowed.
        """
        caller = await self._registered(caller)
        timing = self._timing
        found = await self._directory.read(accounts.standing(caller, device, longest_s=timing.longest_presence_s))
        present = found.present
        least_s, longest_s = timing.presence_s, timing.longest_presence_s
        ahead_s = min(longest_s, max(least_s, least_s if lasts_s is None else lasts_s))
        fresh_until = found.clock + ahead_s - timing.keep_alive_s / 2
        own = found.device == device and port in (None, found.port)
        if present and own and found.expires < fresh_until:
            present = await self._directory.write(
                accounts.refresh(caller, device, found.port, presence_s=ahead_s, longest_s=longest_s)
            )
        other = present and not own
        return CloudView(signed_in=present, mail_waiting=found.mail_waiting, now=found.now, other_device=other)

    async def sweep(self) -> int:
        """Delete mail that was acknowledged long ago; return how many went. Called now and then by one node.

        Also closes what is still asked of images that were withdrawn, and ends copies that were held long enough. Once
        it encrypts shares anew that are encrypted under a former key.
        """
        while await self._directory.write(view_requests.close_withdrawn_batch) == view_requests.CLOSED_AT_ONCE:
            continue
        swept = 0
        while batch := await self._directory.write(mail.sweep_batch):
            swept += batch
            if batch < mail.SWEEP_ROWS:
                break
        while await self._directory.write(held.sweep) == held.SWEEP_PARTS:
            continue
        if self._closes_anew:
            after: str | None = ""
            while after is not None:
                after = await self._directory.write(close_page_anew(self._environment.box, after))
            self._closes_anew = False
            log.info("all shares are closed under the present key")
        return swept


# --- Handlers of their own -------------------------------------------------------------------------------------------


async def _encrypt(services: Services, call: Call, operation: ops.Encrypt) -> Served:
    """Pull the upload, hide it, record the image, send the stego image back: the peer has it when this returns.

    The row is made once per image id. The outcome names the stego image that was made now: hiding again gives the same
    payload, not always the same bytes.
    """
    exchange = call.exchange
    if exchange is None:
        raise LocalError("A picture is encrypted over a session.")
    # Nothing here keeps the upload while it is hidden: it has up to 22 MB.
    stego = await services.hide(await exchange.pull_upload(operation.upload_size, operation.upload_sha256), operation)
    hidden = images.Hidden(await _sha256(stego), len(stego))
    call = await services.still_allowed(call)
    served = await services.effect(call, operation, images.ready(call, operation, hidden))
    assert isinstance(served.outcome, ops.Encrypted)
    await exchange.send_stego(stego)
    outcome = msgspec.structs.replace(served.outcome, stego_sha256=hidden.sha256, stego_size=hidden.size)
    return Served(outcome, served.nudges)


async def _sha256(data: bytes) -> bytes:
    if len(data) < _HASH_IN_THREAD_BYTES:
        return hashlib.sha256(data).digest()
    return await anyio.to_thread.run_sync(lambda: hashlib.sha256(data).digest())


async def _spend(services: Services, call: Call, operation: ops.SpendView) -> Served:
    """Count a view and seal the share to the asker's fresh key. The share is in no stored answer."""
    spent = await services.write(views.spend(call, operation))
    if isinstance(spent, Frozen):
        raise GrantIsFrozen(spent.nudges)
    return Served(views.answer(call, operation, spent), spent.nudges)


async def _meet(services: Services, call: Call, operation: ops.Meet) -> Served:
    """Bring owner and viewer of a living grant together. Nothing is stored; a repeat makes one more path."""
    if call.exchange is None:
        raise LocalError("Peers meet over sessions.")
    other = await services.read(copies.other_party(call, operation.grant))
    return Served(await call.exchange.meet(call.caller, other, operation.grant, operation.candidates))


# --- The registry ----------------------------------------------------------------------------------------------------


def _read(kind: type[M], transaction: Callable[[Call, M], Transaction[Outcome]]) -> Entry:
    """Register an operation that changes nothing."""

    async def handler(services: Services, call: Call, operation: M) -> Served:
        return Served(await services.read(transaction(call, operation)))

    return Entry(kind, handler, Cost.READ)


def _effect(
    kind: type[M],
    transaction: Callable[[Call, M], Transaction[Served]],
    permission: Permission = Permission.ACCOUNT,
) -> Entry:
    """Register an operation whose effect is made once per request and whose outcome is stored with it."""

    async def handler(services: Services, call: Call, operation: Any) -> Served:
        return await services.effect(call, operation, transaction(call, operation))

    return Entry(kind, handler, Cost.WRITE, permission)


def _write(kind: type[M], transaction: Callable[[Call, M], Transaction[Served]]) -> Entry:
    """Register an operation that comes to the same however often it is done: nothing is stored of it but its effect."""

    async def handler(services: Services, call: Call, operation: M) -> Served:
        return await services.write(transaction(call, operation))

    return Entry(kind, handler, Cost.WRITE)


REGISTRY: Final[dict[type[Message], Entry]] = {
    entry.kind: entry
    for entry in (
        _effect(ops.Register, accounts.register, Permission.ANYBODY),
        _effect(ops.SignIn, accounts.sign_in),
        _effect(ops.SignOut, accounts.sign_out),
        _read(ops.ListUsers, accounts.list_users),
        _read(ops.FindAccount, accounts.find),
        _read(ops.OfferedImages, images.offered),
        Entry(ops.Encrypt, _encrypt, Cost.ENCODE),
        _effect(ops.SetPreview, images.set_preview),
        _read(ops.GetPreview, images.preview),
        _effect(ops.WithdrawImage, images.withdraw),
        _read(ops.MyImages, images.mine),
        _effect(ops.RestoreImage, images.restore),
        _effect(ops.AskViews, view_requests.make),
        _effect(ops.WithdrawAsk, view_requests.withdraw),
        _effect(ops.RejectAsk, view_requests.reject),
        _read(ops.ListAsks, view_requests.listed),
        _effect(ops.Grant, grants.give),
        _effect(ops.ChangeRights, grants.change),
        _read(ops.ListGrants, holdings.listed),
        _read(ops.GetGrant, holdings.one),
        _effect(ops.ConfirmGrant, confirming.confirm),
        Entry(ops.SpendView, _spend, Cost.WRITE),
        _effect(ops.TakenView, views.take),
        _effect(ops.LookEnded, views.ended),
        _effect(ops.WantCopy, copies.want),
        _write(ops.HoldCopy, held.hold),
        _write(ops.HoldPart, held.hold_part),
        _read(ops.FindHeld, held.find),
        _read(ops.FetchPart, held.fetch),
        _write(ops.DropHeld, held.drop),
        Entry(ops.Meet, _meet, Cost.MEET),
        _effect(ops.KnownCount, freezing.compare),
        _read(ops.ViewsLog, views.log),
        _read(ops.FetchMail, mail.fetch),
        _effect(ops.AckMail, mail.acknowledge),
    )
}
