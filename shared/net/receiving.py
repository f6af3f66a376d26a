"""Receiving objects: answer offers, queue them, run the transfer, keep what arrived in part."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.to_thread

from shared.errors import (
    DatagramRefused,
    GlimpseError,
    MalformedMessage,
    Refused,
    RemoteError,
    TransferCancelled,
    TransferFailed,
    Unavailable,
)
from shared.net.admission import Admission
from shared.net.control import MAX_RANGES_BYTES, Accept, Cancel, Complete, ControlMessage, OfferMessage, Queued, Refuse
from shared.net.driver import ReceivingDriver
from shared.net.handles import Incoming, IncomingOffer, Session
from shared.net.pace import Holder, Pace, pace_window_s, who_gives_way
from shared.net.partial_store import PartialKey
from shared.net.paths import LINGER_S, transfer_settings
from shared.net.port import Port
from shared.net.sending import MAX_OBJECT_BYTES
from shared.net.transfer_context import HASH_IN_THREAD_BYTES, TransferContext, TransferKey, session_is_over, sha256_of
from shared.transfer import PacketCipher, PartialObject, ReceivingTransfer, TransferState
from shared.wire.refusals import RefusalCode

log = logging.getLogger(__name__)

REMEMBERED_ANSWERS: Final = 1_024
"""Final answers to offers that are over, for those that are repeated; the oldest go first."""
IDLE_SHARE: Final = 4
"""While others wait, a transfer that stands still for this part of its time-out makes room."""
FAREWELL_S: Final = 5.0
"""How long a closing endpoint takes to keep what arrived in part."""

OnOffer = Callable[[Session, IncomingOffer], Incoming | None]


@dataclass(slots=True, eq=False)
class Arrival:
    """One object on its way in."""

    session: Session
    offer: IncomingOffer
    incoming: Incoming
    cipher: PacketCipher
    scope: anyio.CancelScope
    answer: ControlMessage
    """What a repeated offer is told."""
    driver: ReceivingDriver | None = None
    pace: Pace | None = None
    """How fast it comes, once it does."""
    failure: GlimpseError | None = None
    """Why it is over, where that came from outside the transfer itself."""
    over: anyio.Event = field(default_factory=anyio.Event)
    """Set when what is kept of it has been kept."""

    @property
    def is_ending(self) -> bool:
        """Whether nothing more arrives."""
        return self.failure is not None or (self.driver is not None and self.driver.ended.is_set())

    @property
    def partial_key(self) -> PartialKey:
        """Under what it is kept when it arrives in part."""
        return PartialKey(self.offer.sha256, self.offer.size, self.session.remote_key)


class Receiving:
    """All objects that come to an endpoint."""

    def __init__(self, context: TransferContext, on_offer: OnOffer) -> None:
        self._context = context
        self._on_offer = on_offer
        self._arrivals: dict[TransferKey, Arrival] = {}
        self._final_answers: OrderedDict[TransferKey, ControlMessage] = OrderedDict()
        limits = context.limits
        self._admission = Admission(
            total=limits.transfers, per_peer=limits.transfers_per_peer, queued=limits.queued_transfers
        )

    @property
    def running(self) -> int:
        """Objects under way or waiting."""
        return len(self._arrivals)

    @property
    def waiting(self) -> int:
        """Objects that wait for others to be through."""
        return self._admission.waiting + self._context.workers.waiting

    # --- What the other side says ------------------------------------------------------------------------------------

    def offered(self, session: Session, message: OfferMessage) -> None:
        """Answer an offer; a repeated one as before. Raises `RemoteError` for one that makes no sense."""
        key = (session.number, message.transfer)
        if (arrival := self._arrivals.get(key)) is not None:
            self._context.post(session, arrival.answer)
        elif (final_answer := self._final_answers.get(key)) is not None:
            self._context.post(session, final_answer)
        else:
            self._take_up(session, message)

    def cancelled(self, session: Session, cancel: Cancel) -> None:
        """The sender ended the transfer."""
        arrival = self._arrivals.get((session.number, cancel.transfer))
        if arrival is not None:
            error = TransferFailed if cancel.failed else TransferCancelled
            self._fail(arrival, error("The other side ended the transfer."))

    def moved(self, session: Session) -> None:
        """The other side of a session has another address: what comes from there belongs to its transfers."""
        for arrival in self._arrivals.values():
            if arrival.session is session and arrival.driver is not None:
                arrival.driver.moved(session.address)

    def session_closed(self, session: Session, reason: str) -> None:
        """End what was under way in a session; what has arrived of it is kept."""
        for arrival in [one for one in self._arrivals.values() if one.session is session]:
            self._fail(arrival, session_is_over(reason))

    def _take_up(self, session: Session, message: OfferMessage) -> None:
        transfer = message.transfer
        if (transfer % 2 == 0) == session.initiator:
            raise MalformedMessage("an offer under a number that is this side's to give")
        try:
            cipher = self._context.sessions.transfer_keys(session.number, transfer, sender_is_me=False)
        except DatagramRefused:  # was answered so long ago that the answer is forgotten
            self._refuse(session, transfer, RefusalCode.ID_REUSED, "This transfer is over.")
            return
        except Unavailable:
            return
        offer = IncomingOffer(message.label, message.size, message.sha256, transfer)
        try:
            incoming = self._ask_owner(session, offer)
        except Refused as refusal:
            self._refuse(session, transfer, refusal.code, str(refusal))
            return
        arrival = Arrival(session, offer, incoming, cipher, anyio.CancelScope(), Queued(transfer=transfer))
        self._arrivals[session.number, transfer] = arrival
        incoming.begin(offer.size, lambda: self._cancel_here(arrival))
        if message.rides_along and self._admission.try_take(session.remote_key):
            # Its data follow at once: whatever comes through the parent port must find the transfer in place.
            arrival.driver = self._driver(arrival, self._context.parent, None)
            arrival.answer = Accept(transfer=transfer, port=0, datagram_bytes=self._context.largest_datagram(session))
        else:
            self._supersede(arrival)
        self._context.tasks.start_soon(self._run, arrival)

    def _ask_owner(self, session: Session, offer: IncomingOffer) -> Incoming:
        """Return what the owner accepts the offer with. Raises `Refused`, `RemoteError`."""
        if offer.size > MAX_OBJECT_BYTES:
            raise Refused(RefusalCode.TOO_LARGE, "The object is too large.")
        if self._admission.is_queue_full(session.remote_key):
            raise Refused(RefusalCode.BUSY, "Too many transfers wait already; try again later.")
        try:
            incoming = self._on_offer(session, offer)
        except Refused:
            raise
        except RemoteError as error:
            self._context.dropped["bad offer"] += 1
            raise Refused(RefusalCode.INVALID, "The offer makes no sense here.") from error
        except Exception as error:
            self._context.dropped["owner failed"] += 1
            log.exception("an offer could not be judged")
            raise Refused(RefusalCode.NOT_READY, "The other side cannot take it now.") from error
        if incoming is None:
            raise Refused(RefusalCode.NOT_ALLOWED, "The other side does not want it.")
        if incoming.done:
            raise Refused(RefusalCode.NOT_ALLOWED, "The other side does not want it any more.")
        return incoming

    def _refuse(self, session: Session, transfer: int, code: str, text: str) -> None:
        self._answer_finally(session, Refuse(transfer=transfer, code=code[:32], text=text[:200]))

    def _answer_finally(self, session: Session, answer: Refuse | Complete | Cancel) -> None:
        """Send the final answer, and again whenever the offer is repeated."""
        self._remember(session, answer)
        self._context.post(session, answer)

    def _remember(self, session: Session, answer: Refuse | Complete | Cancel) -> None:
        self._final_answers[session.number, answer.transfer] = answer
        if len(self._final_answers) > REMEMBERED_ANSWERS:
            self._final_answers.popitem(last=False)

    # --- Ends that come from outside ---------------------------------------------------------------------------------

    def _fail(self, arrival: Arrival, failure: GlimpseError) -> None:
        if arrival.failure is not None:
            return
        arrival.failure = failure
        if arrival.driver is None:
            arrival.scope.cancel()
        else:
            arrival.driver.abandon(str(failure))

    def _cancel_here(self, arrival: Arrival) -> None:
        if arrival.failure is None:
            arrival.failure = TransferCancelled("The transfer was cancelled here.")
            if arrival.driver is None:
                arrival.scope.cancel()
            else:
                arrival.driver.cancel("the receiver cancelled it")

    def _supersede(self, arrival: Arrival) -> None:
        """The same object again, in a younger session: whoever sent it before is gone."""
        for older in list(self._arrivals.values()):
            if older.partial_key == arrival.partial_key and older.session is not arrival.session:
                still_s = 0.0 if older.driver is None else self._context.clock() - older.driver.moved_at
                if not older.session.alive or still_s >= self._patience_s:
                    self._fail(older, TransferFailed("The sender has begun anew."))

    async def keep_pace(self) -> None:
        """Measure how fast everything comes, again and again; runs until cancelled."""
        while True:
            await anyio.sleep(self._patience_s)
            self.measure()

    def measure(self) -> None:
        """Take how far everything is, end what is too slow, and make room for those who wait."""
        now, least = self._context.clock(), self._context.limits.least_transfer_bytes_per_s
        for arrival in list(self._arrivals.values()):
            if arrival.driver is None or arrival.pace is None:
                continue
            arrival.pace.note(now, arrival.driver.machine.progress[0], least_per_s=least)
            if arrival.pace.is_too_slow:
                self._fail(arrival, TransferFailed("The transfer is too slow; it can go on later."))
        for waiting in (self._admission.first_waiting, self._context.workers.first_waiting):
            if waiting is not None:
                self._make_room(waiting)

    def _make_room(self, waiting: bytes) -> None:
        """End the transfer that has to give way to the peer `waiting`, if there is one."""
        now = self._context.clock()
        holders = [
            Holder(
                arrival,
                arrival.session.remote_key,
                now - arrival.driver.moved_at,
                None if arrival.pace is None else arrival.pace.rate_per_s,
            )
            for arrival in self._arrivals.values()
            if arrival.driver is not None and arrival.failure is None
        ]
        gives_way = who_gives_way(holders, waiting, patience_s=self._patience_s, limits=self._context.limits)
        if gives_way is not None:
            self._fail(gives_way[0], TransferFailed(gives_way[1]))

    @property
    def _patience_s(self) -> float:
        return self._context.timing.transfer_idle_s / IDLE_SHARE

    # --- One object --------------------------------------------------------------------------------------------------

    async def _run(self, arrival: Arrival) -> None:
        outcome: bytes | GlimpseError = TransferFailed("The endpoint was closed; the transfer can go on later.")
        try:
            with arrival.scope:
                outcome = await self._receive(arrival)
            if arrival.failure is not None and not isinstance(outcome, bytes):
                outcome = arrival.failure
        except GlimpseError as error:
            outcome = arrival.failure or error
        except Exception:
            log.exception("an object could not be received by a fault of this side")
            outcome = TransferFailed("The transfer failed on this side; see its log.")
        finally:
            del self._arrivals[arrival.session.number, arrival.offer.transfer_id]
            arrival.over.set()
            if isinstance(outcome, GlimpseError):
                self._tell_failure(arrival, outcome)
            else:
                self._remember(arrival.session, Complete(transfer=arrival.offer.transfer_id))
            arrival.incoming.settle(outcome)

    def _tell_failure(self, arrival: Arrival, failure: GlimpseError) -> None:
        session, transfer = arrival.session, arrival.offer.transfer_id
        if isinstance(failure, Refused):
            self._refuse(session, transfer, failure.code, str(failure))
        else:
            failed = not isinstance(failure, TransferCancelled)
            self._answer_finally(
                session, Cancel(transfer=transfer, by_sender=False, failed=failed, text=str(failure)[:160])
            )

    async def _receive(self, arrival: Arrival) -> bytes:
        """Return the object. Raises `GlimpseError`; what has arrived is then kept."""
        session, offer, context = arrival.session, arrival.offer, self._context
        if arrival.driver is not None:
            try:
                return await self._follow(arrival, arrival.driver)
            finally:
                self._admission.give_back(session.remote_key)
        if offer.size == 0:
            return self._receive_nothing(arrival)
        if not self._admission.try_take(session.remote_key):
            self._make_room(session.remote_key)
            context.post(session, arrival.answer)
            await self._admission.take(session.remote_key)
        try:
            await self._earlier_ones_kept(arrival)
            partial = await context.partials.take(arrival.partial_key)
            if partial is not None and partial.have.total == offer.size:
                if (data := await self._complete(arrival, partial)) is not None:
                    return data
                partial = None
            return await self._follow(arrival, await self._start(arrival, partial))
        finally:
            self._admission.give_back(session.remote_key)

    async def _earlier_ones_kept(self, arrival: Arrival) -> None:
        """Wait for transfers of the same object that have ended: what they leave may still be being written."""
        for earlier in list(self._arrivals.values()):
            if earlier is not arrival and earlier.is_ending and earlier.partial_key == arrival.partial_key:
                await earlier.over.wait()

    async def _complete(self, arrival: Arrival, partial: PartialObject) -> bytes | None:
        """Return the object that is here already, None if it is not what was announced."""
        data = bytes(partial.data)
        await self._context.partials.discard(arrival.partial_key)
        if await sha256_of(data) != arrival.offer.sha256:
            return None
        arrival.incoming.report(len(data))
        self._answer_finally(arrival.session, Complete(transfer=arrival.offer.transfer_id))
        return data

    async def _start(self, arrival: Arrival, partial: PartialObject | None) -> ReceivingDriver:
        """Wait for a worker port and announce it."""
        session, context = arrival.session, self._context
        port = await self._worker_port(arrival)
        try:
            driver = arrival.driver = self._driver(arrival, port, partial)
        except BaseException:
            context.give_back(port, session.remote_key)
            raise
        arrival.incoming.report(driver.machine.progress[0])
        arrival.answer = Accept(
            transfer=arrival.offer.transfer_id,
            port=0 if port is context.parent else port.number,
            datagram_bytes=context.largest_datagram(session),
            have=partial.have.encode(MAX_RANGES_BYTES) if partial is not None else b"",
        )
        context.post(session, arrival.answer)
        driver.pump()
        return driver

    def _receive_nothing(self, arrival: Arrival) -> bytes:
        if arrival.offer.sha256 != EMPTY_SHA256:
            raise TransferFailed("An empty object was announced with the hash of another.")
        self._answer_finally(arrival.session, Complete(transfer=arrival.offer.transfer_id))
        return b""

    async def _worker_port(self, arrival: Arrival) -> Port:
        """Return a worker port, after a while in the queue if need be; the parent port where there are no sockets, the
        session roams, or others reach no other port."""
        context, peer = self._context, arrival.session.remote_key
        if arrival.session.roams or context.is_translated():
            return context.parent
        try:
            if (port := context.workers.try_acquire(peer)) is not None:
                return port
            self._make_room(peer)
            context.post(arrival.session, arrival.answer)
            return await context.workers.acquire(peer)
        except OSError:
            log.warning("no socket for a worker port; the parent port carries the transfer", exc_info=True)
            return context.parent

    def _driver(self, arrival: Arrival, port: Port, partial: PartialObject | None) -> ReceivingDriver:
        context, session, offer, cipher = self._context, arrival.session, arrival.offer, arrival.cipher
        size = context.largest_datagram(session)
        machine = ReceivingTransfer(
            size=offer.size,
            sha256=offer.sha256,
            cipher=cipher,
            settings=transfer_settings(context.timing, size),
            now=context.clock(),
            buffer_bytes=port.socket.receive_buffer_bytes,
            partial=partial,
        )
        driver = ReceivingDriver(
            machine,
            port=port,
            parent=context.parent,
            remote=None,
            clock=context.clock,
            datagram_bytes=size,
            release=context.release_to(session.remote_key),
            on_finished=lambda: self._finished(session, offer.transfer_id, cipher, driver),
        )
        driver.follow(session.address, roams=session.roams)
        window_s = pace_window_s(context.timing)
        arrival.pace = Pace(context.clock(), machine.progress[0], window_s=window_s)
        driver.on_progress = arrival.incoming.report
        context.routes[cipher.token] = driver
        return driver

    def _finished(self, session: Session, transfer: int, cipher: PacketCipher, driver: ReceivingDriver) -> None:
        """Nothing is left to say. A driver goes on for a second after its object is here; it knows no `Arrival`, which
        would keep the object for as long."""
        context, machine = self._context, driver.machine
        context.forget_route(cipher.token)
        if machine.state is TransferState.DONE and context.clock() - driver.ended_at >= LINGER_S / 2:
            # The sender never confirmed that it knows: it may still be sending to a port that is gone.
            context.post(session, Complete(transfer=transfer))

    async def _follow(self, arrival: Arrival, driver: ReceivingDriver) -> bytes:
        """Wait for the end of the transfer; keep what arrived if that is not all. The driver keeps nothing of it."""
        try:
            return await self._followed(arrival, driver)
        finally:
            driver.on_progress = None
            driver.machine.let_go()

    async def _followed(self, arrival: Arrival, driver: ReceivingDriver) -> bytes:
        context, machine = self._context, driver.machine
        store = context.partials
        kept_bytes = machine.progress[0]
        try:
            while not await context.watch(driver, arrival.session, store.checkpoint_s):
                if store.checkpoint_s is not None and machine.progress[0] > kept_bytes:
                    kept_bytes = machine.progress[0]
                    await store.keep(arrival.partial_key, machine.partial)
        except BaseException:
            driver.abandon("the endpoint was closed")
            await self._keep(arrival, machine)
            raise
        if machine.state is TransferState.DONE:
            large = arrival.offer.size > HASH_IN_THREAD_BYTES
            data = await anyio.to_thread.run_sync(machine.object) if large else machine.object()
            if kept_bytes:
                await store.discard(arrival.partial_key)
            return data
        await self._keep(arrival, machine)
        if arrival.failure is not None:
            raise arrival.failure
        if machine.state is TransferState.CANCELLED:
            raise TransferCancelled(f"The transfer was cancelled: {machine.failure}.")
        raise TransferFailed(f"The transfer failed: {driver.abandoned or machine.failure}.")

    async def _keep(self, arrival: Arrival, machine: ReceivingTransfer) -> None:
        """Keep what arrived in part, even while the endpoint closes; let go of what is not wanted or proved wrong."""
        partial, store = machine.partial, self._context.partials
        # The sender tells its end in the session and in the transfer; it must not matter which word comes first.
        unwanted = isinstance(arrival.failure, TransferCancelled) or machine.state is TransferState.CANCELLED
        with anyio.move_on_after(FAREWELL_S, shield=True):
            if partial.have.total and not unwanted:
                await store.keep(arrival.partial_key, partial)
            else:
                await store.discard(arrival.partial_key)


EMPTY_SHA256: Final = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
