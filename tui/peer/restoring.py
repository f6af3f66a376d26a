"""What a peer does when the directory was restored from a backup: it compares, and brings back what was forgotten.

A restored directory freezes every grant until its owner's peer has compared it. As an owner this peer confirms the
grants it gave, makes known again images that are missing, withdraws again, and repeats its answers to requests; as a
viewer it repeats the requests that are still open. All of it is found by comparing both sides as they stand, so an
interruption at any point, also by another restore, only means that the next attempt finds less, or more, to do.
"""

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import anyio

from shared.errors import RemoteError, Unavailable
from shared.wire import operations as ops
from tui.peer.asker import Asker
from tui.peer.comparing import Left, Tally, sentence
from tui.peer.confirming import Confirming
from tui.peer.context import Context
from tui.peer.events import DirectoryRestored
from tui.peer.given import GivenGrants
from tui.peer.granting import GRANT, RIGHTS
from tui.peer.mailbox import Mailbox
from tui.peer.mending import MENDED, Mending
from tui.peer.missing import RESTORED_AT
from tui.peer.outbox import Outbox
from tui.peer.previews import Previews
from tui.peer.repeating import Repeating
from tui.peer.store import OutboxRow, Store
from tui.peer.view_requests import ViewRequests

log = logging.getLogger(__name__)

NOTICE = "restored_notice"
"""Name of the fact that holds what the owner has not read yet."""
RECEIPT = "receipt"
"""Name of the fact that holds the nodes' proof of this account's number, in hexadecimal digits."""
_COMPARED = "compared_epoch"
_TOLD_LEFT = "restored_left"
_PAUSE_S = (0.5, 60.0)
"""The first and the longest pause before a comparison that failed is tried again."""
_FAILURES = 3
"""After so many failures that are not the cloud's absence, changes of rights are let go on."""
_DOUBTED = 1_000
"""Grants in doubt that are looked at one by one; what is beyond waits for the next sign-in."""


@dataclass(slots=True)
class Reasons:
    """What the next comparison is to look at."""

    all: bool = False
    """Images, rights held and requests too, as after a restore."""
    grants: bool = False
    """The grants even where the sums agree."""
    images: bool = False
    """One's own images, beside the grants."""
    asks: bool = False
    """Requests that had to wait the last time."""

    def add(self, other: "Reasons") -> None:
        """Look at what `other` wants too."""
        self.all |= other.all
        self.grants |= other.grants
        self.images |= other.images
        self.asks |= other.asks


class Restoring:
    """Compares with the directory whenever there is a reason to, in the background."""

    def __init__(
        self,
        context: Context,
        outbox: Outbox,
        given: GivenGrants,
        confirming: Confirming,
        mailbox: Mailbox,
        asks: ViewRequests,
    ) -> None:
        self._context = context
        self._outbox = outbox
        self._given = given
        self._mailbox = mailbox
        self._wanted = anyio.Event()
        self._reasons = Reasons()
        self._doubted: dict[str, None] = {}
        self._told_epoch = 0
        self._sums: ops.GivenSums | None = None
        self._busy = False
        self._comparing = False
        self._tally = Tally()
        cloud = Asker(context)
        self._previews = Previews(context)
        self._mending = Mending(context, given, confirming, cloud, self._tally)
        self._repeating = Repeating(context, outbox, given, asks, cloud, confirming, self._tally)
        given.on_doubt = self.suspect
        confirming.on_epoch = self.heard
        self._repeating.on_doubt = self.missed
        mailbox.on_frozen, mailbox.on_reopened = self.doubted, self.reopened
        outbox.holds_back = self.holds_back
        asks.on_listed = self.saw_asks

    # --- Reasons to compare ------------------------------------------------------------------------------------------
    async def signed_in(self, outcome: ops.SignedIn) -> None:
        """Take what the cloud says at sign-in: its epoch, and the sums of the grants that this account gave."""
        receipt = outcome.receipt.hex()

        def note(store: Store) -> str | None:
            if receipt:
                store.set_fact(RECEIPT, receipt)
            return store.fact(_COMPARED)

        compared = await self._context.store.run(note)
        self._told_epoch = outcome.epoch
        self._sums = outcome.given
        frozen = outcome.given is not None and outcome.given.frozen > 0
        if compared is not None and int(compared) != outcome.epoch:
            self._restored()
        elif frozen:
            self.suspect()
        elif outcome.given is not None and (compared is None or outcome.given != await self._given.sums()):
            self._wanted.set()

    def wake(self) -> None:
        """This peer is signed in: begin with what there is to do."""
        self._wanted.set()

    def heard(self, epoch: int) -> bool:
        """Take the epoch that a node told with a keep-alive or an answer; return whether it is a new one."""
        if epoch <= self._told_epoch or not self._context.signed_in:
            return False
        self._told_epoch = epoch
        self._restored()
        return True

    def renumbered(self, account: int) -> None:
        """This account was registered again after a restore, and has another number now."""
        self._tally.account = account

    def _restored(self) -> None:
        self._reasons.all = True
        self._busy = True
        self._wanted.set()

    def suspect(self) -> None:
        """The directory was seen to know less than this peer: compare all grants."""
        self._reasons.grants = True
        self._wanted.set()

    def missed(self) -> None:
        """The directory lacks something that it had: compare all grants, and one's own images.

        That may be what the last restore forgot: the time of it stays, by which what waits is given up.
        """
        self._reasons.images = True
        self.suspect()

    def doubted(self, grant: str) -> None:
        """The directory froze one grant, because its viewer's peer knew more: compare that one."""
        if len(self._doubted) < _DOUBTED:
            self._doubted[grant] = None
        self._wanted.set()

    def registered_again(self) -> None:
        """The directory did not know this account: it was restored to a time before."""
        self._restored()

    def reopened(self) -> None:
        """A request that was answered here is open in the directory."""
        self._reasons.all = True
        self._wanted.set()

    async def own_images(self) -> dict[str, str]:
        """Return the images of one's own that are here, each with the mark of what is kept of its preview: to be asked
        for before the cloud lists them."""
        rows = await self._context.store.run(lambda s: s.all("SELECT image FROM own_images WHERE ready = 1"))
        marks = await self._previews.marks()
        return {(image := str(row["image"])): marks.get(image, "") for row in rows}

    async def withdrew(self, image: str) -> bool:
        """Note that an image is to be withdrawn that the directory lacks; return whether it is one's own, and comes
        back as a withdrawn one."""
        known = await self._context.store.run(
            lambda s: s.do("UPDATE own_images SET withdrawn = 1 WHERE image = :image AND ready = 1", image=image)
        )
        if known:
            self.missed()
        return known > 0

    async def saw_images(self, rows: Collection[ops.ImageRow], known: Mapping[str, str]) -> None:
        """Take a whole list of this account's images: what was withdrawn stays so, and what is missing was forgotten.

        `known` are those that were here before the cloud was asked; later ones may well be missing in its list.

        Without nodes that remember, as after a snapshot of the whole machine, only this tells of a forgotten image.
        """
        offered = {row.image: row.offered for row in rows}

        def note(store: Store) -> None:
            for image, still in offered.items():
                if not still:
                    store.do("UPDATE own_images SET withdrawn = 1 WHERE image = :image", image=image)

        await self._context.store.run(note)
        await self._mending.store_receipts(rows)
        forgotten = any(image not in offered for image in known)
        self._look_at_all_if(forgotten)
        if not forgotten and await self._has_compared():
            await self._previews.saw(rows, known)

    async def _has_compared(self) -> bool:
        """Whether the directory is the one that was compared last, as far as the nodes have told."""
        if self._reasons.all or self._comparing or not self._told_epoch:
            return False
        return not await self._epoch_is_new()

    async def _epoch_is_new(self) -> bool:
        compared = await self._context.store.run(lambda store: store.fact(_COMPARED))
        return compared is not None and int(compared) != self._told_epoch

    async def saw_asks(self, asks: Collection[str], known: Collection[str]) -> None:
        """Take a whole list of requests that this account made: one that is open here and not in it was forgotten.

        `known` are those that were here before the cloud was asked.
        """
        self._look_at_all_if(await self._repeating.forgotten(asks, known))

    async def took_back(self, ask: str, *, is_missing: bool = False) -> bool:
        """Note that this account took a request back; return whether it was known here as an open one.

        A comparison may be about to repeat one that the directory lacks (`is_missing`): another one looks after it.
        """
        known = await self._repeating.end_own(ask, "withdrawn", "")
        if known and is_missing:
            self._reasons.asks = True
            self._wanted.set()
        return known

    def _look_at_all_if(self, forgotten: bool) -> None:
        if forgotten and not self._reasons.all:
            self._reasons.all = True
            self._wanted.set()

    # --- What must wait meanwhile ------------------------------------------------------------------------------------
    def holds_back(self, row: OutboxRow) -> bool:
        """Return whether an outbox row has to wait: rights must not change on top of what the directory forgot."""
        return self._busy and row.kind in (GRANT, RIGHTS)

    # --- The background task -----------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Compare whenever there is a reason, until cancelled."""
        pause, failures, waits = _PAUSE_S[0], 0, False
        while True:
            with anyio.move_on_after(pause if waits else math.inf):
                await self._wanted.wait()
            self._wanted = anyio.Event()
            if not self._context.signed_in:
                waits = False  # signing in is a reason to look again
                continue
            want, self._reasons = self._reasons, Reasons()
            self._comparing = True
            try:
                left_over = await self._compare(want)
            except Exception as error:  # noqa: BLE001 - whatever it is, grants must not stay frozen for good
                self._reasons.add(want)
                failures += not isinstance(error, Unavailable)
                log.warning("the comparison with the cloud goes on later", extra={"reason": str(error)})
                self._busy = self._busy and failures < _FAILURES
                waits, pause = True, min(2 * pause, _PAUSE_S[1])
                continue
            finally:
                self._comparing = False
            failures = 0
            self._busy = self._reasons.all
            self._outbox.retry()
            waits = left_over.grants or left_over.asks
            pause = min(2 * pause, _PAUSE_S[1]) if waits else _PAUSE_S[0]
            self._reasons.add(left_over)

    async def _compare(self, want: Reasons) -> Reasons:
        """Compare once; return what waits: grants for viewers whom the directory does not know yet, requests for grants
        that are not confirmed yet."""
        epoch = self._told_epoch
        want.grants |= await self._thaw_doubted()
        if self._is_overtaken():
            return want
        await self._mending.keep_receipts()
        if not want.all and not want.grants and not want.asks and not await self._sums_differ():
            await self._note_compared(epoch)
            return Reasons()
        if want.all:
            await self._note_restored()
        steps = await self._mending.steps()
        if any(step.forgot and step.action in MENDED for step in steps) and not want.all:
            await self._note_restored()
            want.all = True
        if want.all or want.images:
            forgot = await self._epoch_is_new() or any(step.forgot for step in steps)
            await self._mending.mend_images(self._previews, forgot=forgot)
        if want.all:
            await self._mailbox.refresh_held()
        left = await self._mending.mend_all(steps)
        asks_wait = False
        if want.all or want.asks:
            asks_wait = await self._repeating.mend_asks()
        if self._is_overtaken():
            return want
        if not want.all and not want.asks and not want.images:
            self._tally.clear()  # frozen by a viewer's word alone: confirmed, and nothing was forgotten
        await self._tell(left)
        if not asks_wait:  # a process that is killed before has to look at the requests again
            await self._note_compared(epoch)
        self._sums = None
        return Reasons(grants=left.absent > 0, asks=asks_wait)

    async def _thaw_doubted(self) -> bool:
        """Compare the grants that the directory froze one by one; return whether all grants are to be compared."""
        all_of_them = False
        while self._doubted:
            grant = next(iter(self._doubted))
            try:
                all_of_them |= await self._mending.thaw(grant)
            except RemoteError as error:  # this one is not put right by asking again, and the others must not wait
                log.warning("a frozen grant cannot be compared", extra={"grant": grant, "reason": str(error)})
                all_of_them = True
            self._doubted.pop(grant, None)
        return all_of_them

    def _is_overtaken(self) -> bool:
        """Whether a restore was heard of since: all is compared again, and what was mended already is told then."""
        return self._reasons.all

    async def _sums_differ(self) -> bool:
        if self._sums is None:
            return False
        if self._sums == await self._given.sums():
            return False
        await self._mailbox.fetch()  # views that mail has not told yet are no reason to list everything
        return self._sums != await self._given.sums()

    async def _note_compared(self, epoch: int) -> None:
        await self._context.store.run(lambda store: store.set_fact(_COMPARED, str(epoch)))

    async def _note_restored(self) -> None:
        at = repr(self._context.wall())
        await self._context.store.run(lambda store: store.set_fact(RESTORED_AT, at))

    async def _tell(self, left: Left) -> None:
        """Tell the owner what was brought back, once; what still waits is told again only when that changes."""
        waits = f"{left.unknown} {left.lost} {left.absent} {left.refused}"
        told = await self._context.store.run(lambda store: store.fact(_TOLD_LEFT)) or "0 0 0 0"
        if not self._tally and (waits == told or not left):
            if waits != told:
                await self._context.store.run(lambda store: store.set_fact(_TOLD_LEFT, waits))
            return
        text = sentence(self._tally, left)

        def note(store: Store) -> None:
            store.set_fact(_TOLD_LEFT, waits)
            store.set_fact(NOTICE, text)

        await self._context.store.run(note)
        self._tally.clear()
        self._context.events.emit(DirectoryRestored(text))
