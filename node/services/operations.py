"""The services as the node sees them: one call that serves an operation for whoever view_requests.

Signatures are checked here, before a transaction begins, because a transaction may run in a group with others and
should hold it up for no longer than its statements take. Effects are made once per request through the directory's
stored answers, and once for ever by the natural keys that the transactions use.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from node.directory.interface import Directory, EffectKey, Step, Transaction, Tx
from node.services import accounts, confirming, copies, freezing, grants, holdings, images, mail, view_requests, views
from node.services.common import Effect, KnownCaller
from node.services.freezing import Frozen, GrantIsFrozen
from node.services.receipts import Receipts
from node.services.shares import ShareBox
from shared.config import Timing
from shared.errors import LocalError, Refused, RemoteError, Unavailable
from shared.identity import PublicIdentity, verify_signature
from shared.rights import seal_share_for_view, verify_spend
from shared.wire import operations as ops
from shared.wire.operations import Operation, Outcome
from shared.wire.refusals import REFUSAL_TEXTS, RefusalCode

_SHARE_BYTES: Final = 32
_RESTORED: Final = "The directory was restored from a backup and is being compared; your request waits."
_KNOWN_ACCOUNTS: Final = 8_192
"""Accounts whose keys a node remembers; the least recently seen go first."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the session proves it. `account` is None for a key that nobody has registered."""

    account: int | None
    session_key: bytes
    host: str


@dataclass(frozen=True, slots=True)
class Served:
    """The outcome of an operation, and the ids of the accounts that got mail by it."""

    outcome: Outcome
    nudges: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CloudView:
    """What a keep-alive tells: whether the account is present, how much mail waits, and database time.

    `other_device`: it is another device of the account that is present.
    """

    signed_in: bool
    mail_waiting: int
    now: float
    other_device: bool = False


class _Stored(msgspec.Struct, frozen=True):
    """The stored answer of an effect."""

    outcome: Outcome
    nudges: tuple[int, ...]


class Services:
    """Serves operations against a directory. All calls from one event loop.

    `share_key` (32 bytes, the same on every node) encrypts cloud shares at rest; `entropy` gives random bytes.
    `must_wait` says that the directory was restored and is not safe to use yet: nothing takes effect then.
    `remembered_commits` is the highest count of commits that the node knows of. A transaction that finds fewer runs on
    a directory that was put back under the living node, and comes to nothing, before anybody has looked into it.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        cluster_id: str,
        share_key: bytes,
        entropy: Callable[[int], bytes],
        timing: Timing,
        node_name: str,
        must_wait: Callable[[], bool] = lambda: False,
        remembered_commits: Callable[[], int] = lambda: 0,
    ) -> None:
        self._directory = directory
        self._cluster_id = cluster_id
        self._box = ShareBox(share_key, entropy)
        self._receipts = Receipts(share_key, cluster_id)
        self._timing = timing
        self._node_name = node_name
        self._must_wait = must_wait
        self._remembered_commits = remembered_commits
        self._generation = 0
        self._known: OrderedDict[bytes, tuple[int, str, bytes]] = OrderedDict()

    # --- Who asks ----------------------------------------------------------------------------------------------------
    async def caller(self, session_key: bytes, host: str) -> Caller:
        """Return who is behind a session's key. Raises `Unavailable` without the directory."""
        known = await self._look_up(session_key)
        return Caller(None if known is None else known[0], session_key, host)

    async def _look_up(self, session_key: bytes) -> tuple[int, str, bytes] | None:
        """Return id, name and signing key of an account; none of them changes while the directory loses nothing, so
        that they may be remembered."""
        known = self._known.get(session_key)
        if known is not None:
            self._known.move_to_end(session_key)
            return known
        generation = self._generation
        row = await self._directory.read(accounts.by_session_key(session_key))
        if row is None:
            return None
        known = (int(row["id"]), str(row["name"]), bytes(row["signing_key"]))
        if generation == self._generation:
            self._known[session_key] = known
        while len(self._known) > _KNOWN_ACCOUNTS:
            self._known.popitem(last=False)
        return known

    def forget_accounts(self) -> None:
        """The directory was restored: it may lack accounts that were seen before, or know them by other numbers."""
        self._generation += 1
        self._known.clear()

    async def _registered(self, caller: Caller) -> KnownCaller:
        found = await self._look_up(caller.session_key)
        if found is None:
            raise _refused(RefusalCode.UNKNOWN_ACCOUNT)
        return KnownCaller(*found, session_key=caller.session_key, host=caller.host)

    # --- Serving -----------------------------------------------------------------------------------------------------
    async def serve(self, caller: Caller, request_id: str, operation: Operation) -> Served:
        """Do what an operation asks for. Effects happen once however often a request is served.

        Raises `Refused` or `ViewRefused` with a sentence for the user, `Unavailable` without the directory (whether
        the effect was made is then open, and a repeat finds out), and LocalError for `Encrypt`, which has its own way.
        """
        if isinstance(operation, ops.Register):
            return await self._register(caller, request_id, operation)
        known = await self._registered(caller)
        if isinstance(operation, ops.SpendView):
            return await self._spend(known, request_id, operation)
        if (reading := self._reading(known, operation)) is not None:
            return Served(await self._directory.read(reading))
        return await self._effect(known.session_key, request_id, operation, self._change(known, request_id, operation))

    def _reading(self, known: KnownCaller, operation: Operation) -> Transaction[Outcome] | None:
        """Return the transaction of an operation that changes nothing."""
        match operation:
            case ops.ListUsers():
                return accounts.list_users(operation, presence_s=self._timing.presence_s)
            case ops.FindAccount():
                return accounts.find(operation, presence_s=self._timing.presence_s)
            case ops.OfferedImages():
                return images.offered(operation)
            case ops.GetPreview():
                return images.preview(known, operation)
            case ops.MyImages():
                return images.mine(known, operation, self._receipts)
            case ops.ListAsks():
                return view_requests.listed(known, operation)
            case ops.ListGrants():
                return holdings.listed(known, operation)
            case ops.GetGrant():
                return holdings.one(known, operation)
            case ops.ViewsLog():
                return views.log(known, operation)
            case ops.FetchMail():
                return mail.fetch(known, operation)
        return None

    def _change(self, known: KnownCaller, request_id: str, operation: Operation) -> Transaction[Effect]:
        """Check what an operation claims, and return the transaction of its effect."""
        match operation:
            case ops.SignIn():
                self._check_sign_in(known, request_id, operation)
                presence_s = self._timing.presence_s
                return accounts.sign_in(
                    known, operation, node=self._node_name, presence_s=presence_s, receipts=self._receipts
                )
            case ops.SignOut():
                return accounts.sign_out(known, operation)
            case ops.SetPreview() | ops.WithdrawImage() | ops.RestoreImage():
                return self._image_change(known, operation)
            case ops.AskViews():
                return view_requests.make(known, request_id, operation, presence_s=self._timing.presence_s)
            case ops.WithdrawAsk() | ops.RejectAsk():
                return view_requests.close(known, operation)
            case ops.Grant() | ops.ChangeRights():
                return self._rights(known, operation)
            case ops.ConfirmGrant():
                return self._confirming(known, operation)
            case ops.TakenView():
                return views.take(known, request_id, operation)
            case ops.LookEnded():
                return views.ended(known, operation)
            case ops.KnownCount() | ops.WantCopy():
                return _viewers_word(known, request_id, operation)
            case ops.AckMail():
                return mail.acknowledge(known, operation)
        raise LocalError(f"{type(operation).__name__} is not served here.")

    def _image_change(
        self, known: KnownCaller, operation: ops.SetPreview | ops.WithdrawImage | ops.RestoreImage
    ) -> Transaction[Effect]:
        match operation:
            case ops.SetPreview():
                return images.set_preview(known, operation)
            case ops.WithdrawImage():
                return images.withdraw(known, operation)
            case ops.RestoreImage():
                return confirming.restore_image(known, operation, self._receipts)

    def _rights(self, known: KnownCaller, operation: ops.Grant | ops.ChangeRights) -> Transaction[Effect]:
        record = grants.checked_record(known, operation.grant, operation.record)
        if isinstance(operation, ops.ChangeRights):
            return grants.change(known, operation, record)
        grants.check_share(operation, record)
        return grants.give(known, operation, record, self._box.close(operation.grant, operation.cloud_share))

    def _confirming(self, known: KnownCaller, operation: ops.ConfirmGrant) -> Transaction[Effect]:
        claim = confirming.checked_claim(known, operation)
        share = operation.cloud_share
        return confirming.confirm(known, claim, None if share is None else self._box.close(operation.grant, share))

    async def _effect(
        self, session_key: bytes, request_id: str, operation: Operation, transaction: Transaction[Effect]
    ) -> Served:
        self._refuse_while_waiting()
        key = EffectKey(session_key, request_id, hashlib.sha256(msgspec.json.encode(operation)).digest())

        def run(tx: Tx) -> Step[bytes]:
            self._refuse_behind(tx)
            effect = yield from transaction(tx)
            return msgspec.json.encode(_Stored(effect.outcome, effect.nudges))

        made = await self._directory.effect(key, run)
        stored = msgspec.json.decode(made.answer, type=_Stored)
        return Served(stored.outcome, stored.nudges)

    def _refuse_while_waiting(self) -> None:
        if self._must_wait():
            raise Unavailable(_RESTORED)

    def _refuse_behind(self, tx: Tx) -> None:
        if tx.commits < self._remembered_commits():
            raise Unavailable(_RESTORED)

    # --- Accounts ----------------------------------------------------------------------------------------------------
    async def _register(self, caller: Caller, request_id: str, operation: ops.Register) -> Served:
        if operation.session_key != caller.session_key:
            raise Refused(RefusalCode.NOT_ALLOWED, "An account is registered from a session of its own key.")
        name = accounts.checked_name(operation.name)
        identity = PublicIdentity(operation.signing_key, operation.session_key, operation.session_signature)
        parts = (self._cluster_id.encode(), operation.name.encode(), operation.session_key)
        try:
            identity.verify()
            verify_signature(operation.signing_key, operation.proof, "register", *parts)
        except RemoteError:
            raise Refused(
                RefusalCode.NOT_ALLOWED, "The registration is not signed by the key that it names: make a new profile."
            ) from None
        registering = accounts.register(operation, name, self._receipts)
        return await self._effect(caller.session_key, request_id, operation, registering)

    def _check_sign_in(self, known: KnownCaller, request_id: str, operation: ops.SignIn) -> None:
        parts = (self._cluster_id.encode(), operation.device.encode(), request_id.encode())
        try:
            verify_signature(known.signing_key, operation.proof, "sign-in", *parts)
        except RemoteError:
            raise Refused(
                RefusalCode.NOT_ALLOWED, "Signing in needs the signature of the account's own key: check the profile."
            ) from None

    async def keep_alive(self, caller: Caller, device: str, port: int | None = None) -> CloudView:
        """Refresh the presence of a device, if it is where others are sent to, and return how the account stands.

        Reads only, until half an interval of keep-alives has gone: a peer tells every node that it is there, and one
        write does. A presence that has lapsed is not revived; the peer is asked to sign in again.
        """
        known = await self._registered(caller)
        found = await self._directory.read(accounts.standing(known, device, presence_s=self._timing.presence_s))
        present = found.present
        fresh_until = found.clock + self._timing.presence_s - self._timing.keep_alive_s / 2
        own = found.device == device and port in (None, found.port)
        if present and own and found.expires < fresh_until:
            present = await self._directory.write(
                accounts.refresh(known, device, found.port, presence_s=self._timing.presence_s)
            )
        other = present and not own
        return CloudView(signed_in=present, mail_waiting=found.mail_waiting, now=found.now, other_device=other)

    # --- Images ------------------------------------------------------------------------------------------------------
    async def image_ready(
        self, caller: Caller, request_id: str, operation: ops.Encrypt, stego_sha256: bytes, stego_size: int
    ) -> Served:
        """Record an image that a node has hidden. The row is made once per image id.

        The outcome names the stego image that was made now: hiding again gives the same payload, not always the same
        bytes. Raises as `serve` does; `Refused` where the id belongs to another picture.
        """
        known = await self._registered(caller)
        hidden = images.Hidden(stego_sha256, stego_size)
        making = images.ready(known, operation, hidden, self._receipts)
        served = await self._effect(known.session_key, request_id, operation, making)
        assert isinstance(served.outcome, ops.Encrypted)
        outcome = msgspec.structs.replace(served.outcome, stego_sha256=stego_sha256, stego_size=stego_size)
        return Served(outcome, served.nudges)

    # --- Views -------------------------------------------------------------------------------------------------------
    async def _spend(self, known: KnownCaller, request_id: str, operation: ops.SpendView) -> Served:
        """Count a view and seal the share to the asker's fresh key. The share is in no stored answer."""
        try:
            verify_spend(
                known.signing_key,
                operation.signature,
                self._cluster_id,
                operation.grant,
                request_id,
                operation.ephemeral_key,
            )
        except RemoteError:
            raise Refused(
                RefusalCode.NOT_ALLOWED, "A look needs the signature of the viewer's own key: check the profile."
            ) from None
        self._refuse_while_waiting()
        self._seal(bytes(_SHARE_BYTES), operation, request_id)  # a key that nothing can be sealed to costs no view
        spending = views.spend(known, request_id, operation, self._box)

        def run(tx: Tx) -> Step[views.Spent | Frozen]:
            self._refuse_behind(tx)
            return (yield from spending(tx))

        spent = await self._directory.write(run)
        if isinstance(spent, Frozen):
            raise GrantIsFrozen(spent.nudges)
        sealed = self._seal(spent.share, operation, request_id)
        outcome = ops.ViewSpent(
            view=request_id,
            grant=operation.grant,
            sealed_share=sealed,
            left=spent.left,
            at=spent.at,
            version=spent.version,
            consumed=spent.consumed,
        )
        return Served(outcome, spent.nudges)

    def _seal(self, share: bytes, operation: ops.SpendView, view: str) -> bytes:
        return seal_share_for_view(
            share, operation.ephemeral_key, cluster_id=self._cluster_id, grant_id=operation.grant, view_id=view
        )

    # --- Upkeep ------------------------------------------------------------------------------------------------------
    async def sweep(self) -> int:
        """Delete mail that was acknowledged long ago; return how many went. Called now and then by one node.

        Also closes what is still asked of images that were withdrawn.
        """
        while await self._directory.write(view_requests.close_withdrawn_batch) == view_requests.CLOSED_AT_ONCE:
            continue
        swept = 0
        while batch := await self._directory.write(mail.sweep_batch):
            swept += batch
            if batch < mail.SWEEP_ROWS:
                break
        return swept


def _viewers_word(known: KnownCaller, request_id: str, operation: ops.KnownCount | ops.WantCopy) -> Transaction[Effect]:
    match operation:
        case ops.KnownCount():
            return freezing.known(known, operation)
        case ops.WantCopy():
            return copies.want(known, request_id, operation)


def _refused(code: RefusalCode) -> Refused:
    return Refused(code, REFUSAL_TEXTS[code])
