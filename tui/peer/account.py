"""This profile's account at the cloud: registration, sign-in, presence, sign-out."""

import logging
from typing import Final

import anyio

from shared.errors import GlimpseError, Refused, StorageError, Unavailable
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.refusals import RefusalCode
from tui.peer.asker import Asker
from tui.peer.context import Context
from tui.peer.encrypting import Encrypting
from tui.peer.events import OtherDevice
from tui.peer.mailbox import Mailbox
from tui.peer.models import Me
from tui.peer.outbox import Outbox
from tui.peer.restoring import RECEIPT, Restoring
from tui.peer.store import Store
from tui.peer.view_requests import ViewRequests
from tui.peer.wanting import Wanting

log = logging.getLogger(__name__)

_SIGN_OUT_S: Final = 5.0
"""How long a cloud that was heard of lately may take to answer a sign-out; without an answer, presence lapses by
itself."""
_SIGN_OUT_AWAY_S: Final = 1.0
"""The same for a cloud that is away: somebody waits for the program to end."""
_NOT_REACHED_S: Final = 0.2
"""Pause between keep-alives until a node answers the first one."""
_NOT_REGISTERED: Final = frozenset({RefusalCode.UNKNOWN_ACCOUNT})


class AccountSession:
    """Registers the account, signs in and keeps its presence."""

    def __init__(
        self,
        context: Context,
        outbox: Outbox,
        mailbox: Mailbox,
        asks: ViewRequests,
        restoring: Restoring,
        encrypting: Encrypting,
        wanting: Wanting,
    ) -> None:
        self._context = context
        self._cloud = Asker(context)
        self._outbox = outbox
        self._mailbox = mailbox
        self._asks = asks
        self._restoring = restoring
        self._encrypting = encrypting
        self._wanting = wanting
        self._sign_in_wanted = anyio.Event()
        self._may_be_present = False
        """Whether the cloud may show this device as present: from when a sign-in is sent, whatever comes of it."""

    @property
    def me(self) -> Me | None:
        """This profile's account, None before registration."""
        context = self._context
        if context.account is None:
            return None
        return Me(context.account, context.name, context.identity.public.words)

    def _registered(self) -> Me:
        return Me(self._context.need_account(), self._context.name, self._context.identity.public.words)

    # --- Registration ------------------------------------------------------------------------------------------------
    async def register(self, name: str) -> Me:
        """Create the account of this profile's keys. Repeating it returns the account that exists."""
        await self._register(name)
        return self._registered()

    async def _register(self, name: str, *, account: int | None = None, receipt: bytes = b"") -> None:
        """Register, with the number that the nodes gave these keys before if there is one, and keep the answer."""
        context = self._context
        public = context.identity.public
        proof = context.identity.sign(
            "register", context.cluster.cluster_id.encode(), name.encode(), public.session_key
        )
        operation = ops.Register(
            name=name,
            signing_key=public.signing_key,
            session_key=public.session_key,
            session_signature=public.session_signature,
            proof=proof,
            account=account,
            receipt=receipt,
        )
        await self._keep_account(await self._cloud.query(operation, ops.Registered))

    async def _register_again(self) -> None:
        """Make this account known to a directory that was restored to before its registration."""
        before = self._context.need_account()
        receipt = await self._context.store.run(lambda s: s.fact(RECEIPT)) or ""
        await self._register(self._context.name, account=before if receipt else None, receipt=bytes.fromhex(receipt))
        if self._context.account != before:
            self._restoring.renumbered(self._context.need_account())
        self._restoring.registered_again()

    async def _keep_account(self, outcome: ops.Registered | ops.SignedIn) -> None:
        """Store the account's number, its name and the nodes' proof of both, and use them from now on."""
        number, name, receipt = outcome.account, clean(outcome.name), outcome.receipt.hex()

        def remember(store: Store) -> None:
            store.set_fact("account", str(number))
            store.set_fact("name", name)
            if receipt:
                store.set_fact(RECEIPT, receipt)

        await self._context.store.run(remember)
        self._context.account, self._context.name = number, name

    async def _take_number(self, outcome: ops.SignedIn) -> None:
        """Go on under another number: a restored directory gave it to another device with the same keys, or knows the
        number from another time. The keys are the account; the number is what the cloud calls it."""
        log.info("the account has another number", extra={"account": outcome.account})
        await self._keep_account(outcome)
        self._restoring.renumbered(outcome.account)
        self._restoring.registered_again()

    # --- Sign-in -----------------------------------------------------------------------------------------------------
    async def sign_in(self) -> Me:
        """Sign in, and apply the mail and the rights that came meanwhile. Raises as `Peer.sign_in` says."""
        context = self._context
        context.need_account()
        await self._prove()
        context.signed_in = True
        self._restoring.wake()
        context.cloud.keep_alive(context.device, context.endpoint.local_address[1])
        try:
            await self._mailbox.fetch()
            await self._mailbox.refresh_held()
            if await self._mailbox.catches_up():
                for incoming in (True, False):
                    await self._asks.refresh(incoming=incoming)
                await self._mailbox.caught_up()
        except StorageError as error:  # the mail stays in the cloud until there is room for it
            log.warning("what changed meanwhile could not be stored", extra={"reason": str(error)})
        self._encrypting.settle_soon()
        self._resume()
        return self._registered()

    def _resume(self) -> None:
        self._outbox.retry()
        self._wanting.ask_anew()

    async def _prove(self) -> None:
        """Prove to the cloud that this device has the account's keys, and take what it answers."""
        context = self._context
        try:
            outcome = await self._send_sign_in()
        except Refused as refusal:
            if refusal.code != RefusalCode.UNKNOWN_ACCOUNT or not context.name:
                raise  # without a name this profile was never registered
            await self._register_again()
            outcome = await self._send_sign_in()
        if outcome.account != context.account:
            await self._take_number(outcome)
        context.cloud.signed_in()
        try:
            await self._restoring.signed_in(outcome)
        except StorageError as error:  # compared at the next sign-in, when there is room to note what was found
            log.warning("what the cloud told at sign-in could not be stored", extra={"reason": str(error)})
        if outcome.other_device:
            context.events.emit(OtherDevice(newer=False))

    async def _send_sign_in(self) -> ops.SignedIn:
        context = self._context
        request = context.new_id()
        proof = context.identity.sign(
            "sign-in", context.cluster.cluster_id.encode(), context.device.encode(), request.encode()
        )
        operation = ops.SignIn(
            device=context.device,
            port=context.endpoint.local_address[1],
            proof=proof,
            hidden=context.relay_only,
        )
        self._may_be_present = True
        return await self._cloud.query(operation, ops.SignedIn, request=request, at_once=_NOT_REGISTERED)

    async def sign_out(self) -> None:
        """Tell the cloud that this peer goes; where it does not hear that, presence lapses by itself.

        Also after a sign-in of which no answer came yet: the cloud may have done it.
        """
        context = self._context
        context.signed_in = False
        if not self._may_be_present:
            return
        self._may_be_present = False
        wait_s = _SIGN_OUT_S if context.cloud.reachable else _SIGN_OUT_AWAY_S
        try:
            await context.cloud.ask(ops.SignOut(device=context.device), request=context.new_id(), wait_s=wait_s)
        except (Unavailable, Refused):
            return

    # --- Presence ----------------------------------------------------------------------------------------------------
    async def keep_alive(self) -> None:
        """Tell the nodes again and again that this device is there, until cancelled."""
        context = self._context
        while True:
            if context.cloud.keep_alive_is_due:
                context.cloud.keep_alive(context.device, context.endpoint.local_address[1])
            await anyio.sleep(context.timing.keep_alive_s if context.cloud.reachable else _NOT_REACHED_S)

    def lapsed(self) -> None:
        """Take a node's word that this device's presence has lapsed."""
        if self._context.signed_in:
            self._sign_in_wanted.set()

    async def sign_in_again(self) -> None:
        """Sign in anew whenever presence lapsed while the cloud was away, until cancelled."""
        while True:
            await self._sign_in_wanted.wait()
            self._sign_in_wanted = anyio.Event()
            if not self._context.signed_in:
                continue
            try:
                await self._prove()
            except GlimpseError as error:
                log.info("signing in again failed", extra={"reason": str(error)})
            else:
                self._resume()
