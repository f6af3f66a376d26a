"""Sending objects: offer, wait for the answer, run the transfer, find out how it went."""

from dataclasses import dataclass, field

import anyio

from shared.config import MAX_STEGO_BYTES
from shared.errors import GlimpseError, LocalError, MalformedMessage, Refused, TransferCancelled, TransferFailed
from shared.net.admission import Admission
from shared.net.control import Accept, Answer, Cancel, Complete, OfferMessage, Queued, Refuse
from shared.net.driver import SendingDriver
from shared.net.handles import Progress, Session
from shared.net.pace import Pace, pace_window_s
from shared.net.paths import transfer_settings
from shared.net.transfer_context import (
    BEGUN_ANEW,
    STANDS_STILL_S,
    TransferContext,
    TransferKey,
    session_is_over,
    sha256_of,
)
from shared.net.udp import Address
from shared.transfer import Ranges, SendingTransfer, TransferState
from shared.wire.labels import MAX_LABEL_BYTES

FIRST_REPEAT_S = 0.1
"""First repeat of an unanswered offer, beside three round trips; doubles."""
LONGEST_REPEAT_S = 1.0
FALL_BACK_S = 0.5
FALL_BACK_RTTS = 5
"""Silence of the worker port, beside so many initial round trips, after which the parent ports carry a transfer: some
probe time-outs."""
MAX_OBJECT_BYTES = MAX_STEGO_BYTES
"""Largest object; a hostile side could otherwise make the receiver promise any amount of memory."""


@dataclass(slots=True)
class Outgoing:
    """One object on its way out."""

    session: Session
    offer: OfferMessage
    answer: Answer | None = None
    answered: anyio.Event = field(default_factory=anyio.Event)
    """Set when there is an answer to act on; replaced when a mere sign of life came."""
    heard_at: float = 0.0
    driver: SendingDriver | None = None
    failure: GlimpseError | None = None
    """Why it is over, where that came from outside the transfer itself."""
    goes_on: bool = False
    """The object will be offered again, whatever ends this transfer here."""
    must_wait: bool = False
    """It left together with its offer, and the receiver has no place for it yet."""

    @property
    def is_complete(self) -> bool:
        """Whether the receiver has told that it has everything."""
        done = self.driver is not None and self.driver.machine.state is TransferState.DONE
        return done or isinstance(self.answer, Complete)


class Sending:
    """All objects that leave an endpoint."""

    def __init__(self, context: TransferContext) -> None:
        self._context = context
        self._outgoing: dict[TransferKey, Outgoing] = {}
        limits = context.limits
        self._admission = Admission(
            total=limits.transfers, per_peer=limits.transfers_per_peer, queued=limits.queued_transfers
        )

    @property
    def running(self) -> int:
        """Objects under way."""
        return len(self._outgoing)

    @property
    def waiting(self) -> int:
        """Objects that wait for others to be through."""
        return self._admission.waiting

    async def send(
        self,
        session: Session,
        label: bytes,
        data: bytes,
        progress: Progress | None,
        sha256: bytes | None,
        *,
        goes_on: bool,
    ) -> None:
        """See `Endpoint.send_object`."""
        if len(label) > MAX_LABEL_BYTES:
            raise LocalError(f"a label of {len(label)} bytes, the cap is {MAX_LABEL_BYTES}")
        if len(data) > MAX_OBJECT_BYTES:
            raise LocalError(f"an object of {len(data)} bytes, the cap is {MAX_OBJECT_BYTES}")
        digest = sha256 or await sha256_of(data)
        await self._admission.take(session.remote_key)
        try:
            if not session.alive:
                raise session_is_over("it was over before")
            rides = 0 < len(data) <= self._context.ride_along_bytes
            while True:
                offer = self._offer_for(session, label, len(data), digest, rides)
                outgoing = Outgoing(session, offer, goes_on=goes_on)
                if await self._run(outgoing, data, progress):
                    return
                rides = False
        finally:
            self._admission.give_back(session.remote_key)

    def _offer_for(self, session: Session, label: bytes, size: int, digest: bytes, rides: bool) -> OfferMessage:
        number = self._context.sessions.next_transfer_id(session.number)
        return OfferMessage(transfer=number, label=label, size=size, sha256=digest, rides_along=rides)

    def answered(self, session: Session, answer: Answer) -> None:
        """Take the receiver's answer to an offer."""
        outgoing = self._outgoing.get((session.number, answer.transfer))
        if outgoing is None:
            if isinstance(answer, Accept | Queued):  # it waits for something that is over here
                self._context.post(session, Cancel(transfer=answer.transfer, by_sender=True))
            return
        outgoing.heard_at = self._context.clock()
        if isinstance(answer, Complete):
            if outgoing.driver is not None:
                outgoing.driver.confirm()
        elif outgoing.offer.rides_along:
            self._answered_under_way(outgoing, answer)
        if outgoing.answer is None and not isinstance(answer, Queued):
            outgoing.answer = answer
        outgoing.answered.set()

    def _answered_under_way(self, outgoing: Outgoing, answer: Answer) -> None:
        """The object is on its way already; an acceptance changes nothing."""
        if isinstance(answer, Refuse):
            self._fail(outgoing, Refused(answer.code, answer.text))
        elif isinstance(answer, Queued) and outgoing.driver is not None:
            outgoing.must_wait = True
            outgoing.driver.abandon("the receiver has no place for it yet")

    def cancelled(self, session: Session, cancel: Cancel) -> None:
        """The receiver ended the transfer."""
        outgoing = self._outgoing.get((session.number, cancel.transfer))
        if outgoing is not None:
            self._fail(outgoing, _failure_of(cancel))

    def moved(self, session: Session) -> None:
        """The other side of a session has another address: what is under way to it goes on there."""
        for outgoing in self._outgoing.values():
            if outgoing.session is session and outgoing.driver is not None:
                outgoing.driver.moved(session.address)

    def session_closed(self, session: Session, reason: str) -> None:
        """End what was under way in a session."""
        for outgoing in [one for one in self._outgoing.values() if one.session is session]:
            self._fail(outgoing, session_is_over(reason))

    def _fail(self, outgoing: Outgoing, failure: GlimpseError) -> None:
        if outgoing.failure is None and not outgoing.is_complete:
            outgoing.failure = failure
            outgoing.answered.set()
            if outgoing.driver is not None:
                outgoing.driver.abandon(str(failure))

    async def keep_pace(self) -> None:
        """Measure how fast everything is taken, and end what is too slow; runs until cancelled."""
        window_s = pace_window_s(self._context.timing)
        least = self._context.limits.least_transfer_bytes_per_s
        paces: dict[SendingDriver, Pace] = {}
        while True:
            await anyio.sleep(window_s / 2)
            now = self._context.clock()
            running = {outgoing.driver: outgoing for outgoing in self._outgoing.values() if outgoing.driver is not None}
            paces = {
                driver: paces.get(driver) or Pace(now, driver.machine.progress[0], window_s=window_s)
                for driver in running
            }
            for driver, pace in paces.items():
                pace.note(now, driver.machine.progress[0], least_per_s=least)
                if pace.is_too_slow:
                    self._fail(running[driver], TransferFailed("The other side takes it too slowly."))

    # --- One object --------------------------------------------------------------------------------------------------

    async def _run(self, outgoing: Outgoing, data: bytes, progress: Progress | None) -> bool:
        """Send the object. False where it rode along with its offer and must be offered anew to wait for its turn."""
        key = (outgoing.session.number, outgoing.offer.transfer)
        self._outgoing[key] = outgoing
        try:
            if outgoing.offer.rides_along:
                await self._ride_along(outgoing, data, progress)
            elif isinstance(accept := await self._offer(outgoing), Accept):
                await self._transfer(outgoing, accept, data, progress)
            elif progress is not None:
                progress(len(data), len(data))
        except BaseException as error:
            self._abort(outgoing, error)
            raise
        finally:
            del self._outgoing[key]
        if outgoing.must_wait:
            self._context.post(outgoing.session, Cancel(transfer=key[1], by_sender=True, failed=True))
        return not outgoing.must_wait

    def _abort(self, outgoing: Outgoing, error: BaseException) -> None:
        """Tell the receiver, unless it is the receiver who told."""
        if isinstance(error, Refused) or outgoing.failure is not None:
            return
        failed = isinstance(error, TransferFailed)
        if outgoing.driver is not None and not failed:
            if outgoing.goes_on:
                outgoing.driver.give_up("the sender was interrupted")
            else:
                outgoing.driver.cancel("the sender cancelled it")
        may_go_on = failed or outgoing.goes_on
        self._context.post(outgoing.session, Cancel(transfer=outgoing.offer.transfer, by_sender=True, failed=may_go_on))

    async def _offer(self, outgoing: Outgoing) -> Answer:
        """Repeat the offer until there is an answer to act on."""
        context, session = self._context, outgoing.session
        rtt_s = context.sessions.session_info(session.number).rtt_s or context.timing.initial_rtt_s
        pause_s = max(FIRST_REPEAT_S, 3 * rtt_s)
        outgoing.heard_at = context.clock()
        while True:
            context.post(session, outgoing.offer)
            with anyio.move_on_after(pause_s):
                await outgoing.answered.wait()
            if outgoing.failure is not None:
                raise outgoing.failure
            if isinstance(outgoing.answer, Refuse):
                raise Refused(outgoing.answer.code, outgoing.answer.text)
            if outgoing.answer is not None:
                return outgoing.answer
            if outgoing.answered.is_set():  # queued at the receiver, which accepts it later
                outgoing.answered = anyio.Event()
            if context.clock() - outgoing.heard_at >= STANDS_STILL_S:
                context.doubt_path(session)
            if context.is_left_behind(session, outgoing.heard_at):
                raise TransferFailed(f"The transfer failed: {BEGUN_ANEW}.")
            pause_s = min(2 * pause_s, max(LONGEST_REPEAT_S, 3 * rtt_s))
            if context.clock() - outgoing.heard_at >= context.timing.transfer_idle_s:
                raise TransferFailed("The other side does not answer; the transfer can be tried again later.")

    async def _transfer(self, outgoing: Outgoing, accept: Accept, data: bytes, progress: Progress | None) -> None:
        context, session = self._context, outgoing.session
        try:
            have = Ranges.decode(accept.have, limit=len(data), cap_bytes=len(accept.have))
        except MalformedMessage:
            context.dropped["malformed"] += 1
            have = Ranges()
        size = min(accept.datagram_bytes, context.largest_datagram(session))
        remote = (session.address[0], accept.port) if accept.port else session.address
        driver = self._driver(outgoing, data, size=size, remote=remote, have=have, progress=progress)
        driver.pump()
        while not await context.watch(driver, session):
            pass
        self._conclude(outgoing, driver)

    async def _ride_along(self, outgoing: Outgoing, data: bytes, progress: Progress | None) -> None:
        """Send offer and object at once; the offer again as long as nothing comes back."""
        context, session = self._context, outgoing.session
        size = context.largest_datagram(session)
        driver = self._driver(outgoing, data, size=size, remote=session.address, have=Ranges(), progress=progress)
        context.post(session, outgoing.offer)
        context.flush()
        driver.pump()
        pause_s = max(FIRST_REPEAT_S, 3 * context.timing.initial_rtt_s)
        while not await context.watch(driver, session, pause_s):
            if not driver.machine.progress[0]:
                context.post(session, outgoing.offer)
            pause_s = min(2 * pause_s, LONGEST_REPEAT_S)
        self._conclude(outgoing, driver)

    def _conclude(self, outgoing: Outgoing, driver: SendingDriver) -> None:
        """Return if the object has arrived, or must wait; raise what prevented it otherwise."""
        machine = driver.machine
        if machine.state is TransferState.DONE or outgoing.must_wait:
            return
        if outgoing.failure is not None:
            raise outgoing.failure
        if machine.state is TransferState.CANCELLED:
            raise TransferCancelled(f"The transfer was cancelled: {machine.failure}.")
        raise TransferFailed(f"The transfer failed: {driver.abandoned or machine.failure}.")

    def _driver(
        self,
        outgoing: Outgoing,
        data: bytes,
        *,
        size: int,
        remote: Address,
        have: Ranges,
        progress: Progress | None,
    ) -> SendingDriver:
        context, session, transfer = self._context, outgoing.session, outgoing.offer.transfer
        cipher = context.sessions.transfer_keys(session.number, transfer, sender_is_me=True)
        machine = SendingTransfer(
            data, cipher=cipher, settings=transfer_settings(context.timing, size), now=context.clock(), have=have
        )
        peer, parent = session.remote_key, context.parent
        driver = SendingDriver(
            machine,
            port=context.acquire_worker_now(session, unasked=outgoing.offer.rides_along)
            if remote != session.address or outgoing.offer.rides_along
            else parent,
            parent=parent,
            remote=remote,
            clock=context.clock,
            datagram_bytes=size,
            release=context.release_to(peer),
            on_finished=lambda: context.forget_route(cipher.token),
        )
        driver.fall_back(session.address, FALL_BACK_S + FALL_BACK_RTTS * context.timing.initial_rtt_s)
        if progress is not None:
            total = len(data)  # not `data` itself: the driver outlives the transfer
            driver.on_progress = lambda done: progress(done, total)
        outgoing.driver = driver
        context.routes[cipher.token] = driver
        return driver


def _failure_of(cancel: Cancel) -> GlimpseError:
    text = "".join(character if character.isprintable() else "?" for character in cancel.text)
    if cancel.failed:
        return TransferFailed(f"The other side could not finish the transfer: {text or 'no reason given'}.")
    return TransferCancelled(f"The other side cancelled the transfer{f': {text}' if text else ''}.")
