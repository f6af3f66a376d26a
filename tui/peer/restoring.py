"""What a peer does when the directory was restored from a backup: it compares, and brings back what was forgotten.

A restored directory freezes every grant until its owner's peer has compared it. As an owner this peer confirms the
grants it gave, makes known again images that are missing, withdraws again, and repeats its answers to requests; as a
viewer it repeats the requests that are still open. All of it is found by comparing both sides as they stand, so an
interruption at any point, also by another restore, only means that the next attempt finds less, or more, to do.
"""

import logging
import math
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TypeVar

import anyio
import msgspec

from shared.config import MAX_NOTE_CHARS
from shared.errors import GlimpseError, MalformedMessage, Refused, RemoteError, Unavailable
from shared.records import decode_record, encode_record
from shared.rights import change_rights
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.codec import decode, encode
from shared.wire.refusals import RefusalCode
from tui.peer import files
from tui.peer.comparing import AskDeed, Deed, Left, Step, Tally, ask_deed, sentence, step_for, steps_for
from tui.peer.context import Context
from tui.peer.copies import COPY, CopyTask
from tui.peer.events import DirectoryRestored
from tui.peer.given import Given
from tui.peer.granting import GRANT, REVOCATION, RIGHTS, GiveIntent, RightsIntent
from tui.peer.mailbox import Mailbox
from tui.peer.outbox import OPERATION, Outbox, unpacked
from tui.peer.store import OutboxRow, Store

log = logging.getLogger(__name__)
M = TypeVar("M", bound=ops.Grants | ops.Images | ops.Asks)

NOTICE = "restored_notice"
"""Name of the fact that holds what the owner has not read yet."""
RECEIPT = "receipt"
"""Name of the fact that holds the nodes' proof of this account's number, in hexadecimal digits."""
_COMPARED = "compared_epoch"
_RESTORED_AT = "restored_at"
_TOLD_LEFT = "restored_left"
_WAIT_S = 10.0
_LANES_AT_ONCE = 4
_TRIES = 6
"""How often one grant is tried in a row where views or another device come in between."""
_PAGES = 5_000
"""A list of more pages than this is not read on: a node that never ends it must not hold a peer for ever."""
_PAUSE_S = (0.5, 60.0)
"""The first and the longest pause before a comparison that failed is tried again."""
_FAILURES = 3
"""After so many failures that are not the cloud's absence, changes of rights are let go on."""
_DOUBTED = 1_000
_STILL_COMES_S = 7 * 86_400.0
"""How long after a restore a request for a missing image is kept: its owner's peer makes the image known again."""
_ROW_CAP_BYTES = 65_536
_COMES_LATER = frozenset({RefusalCode.NOT_READY, RefusalCode.NOT_FOUND})
"""Refusals of a grant whose viewer, or whose image, the directory does not know again yet."""
_MENDED = frozenset({Deed.CONFIRM, Deed.REMAKE, Deed.REVOKE})


class _End(Enum):
    DONE = auto()
    ABSENT = auto()
    REFUSED = auto()


@dataclass(slots=True)
class _Want:
    """What the next comparison is to look at."""

    all: bool = False
    """Images, rights held and requests too, as after a restore."""
    grants: bool = False
    """The grants even where the sums agree."""


class Restoring:
    """Compares with the directory whenever there is a reason to, in the background."""

    def __init__(self, context: Context, outbox: Outbox, given: Given, mailbox: Mailbox) -> None:
        self._context = context
        self._outbox = outbox
        self._given = given
        self._mailbox = mailbox
        self._wanted = anyio.Event()
        self._want = _Want()
        self._doubted: dict[str, None] = {}
        self._told_epoch = 0
        self._sums: ops.GivenSums | None = None
        self._busy = False
        self._comparing = False
        self._tally = Tally()
        self.refresh_held: Callable[[], Awaitable[None]] = _nothing
        given.on_doubt = self.suspect
        outbox.holds_back = self.holds_back
        outbox.reprieve = self.reprieve
        outbox.answered = self.answered

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

    def heard(self, epoch: int) -> None:
        """Take the epoch that a node told with a keep-alive."""
        if epoch > self._told_epoch and self._context.signed_in:
            self._told_epoch = epoch
            self._restored()

    def renumbered(self, account: int) -> None:
        """This account was registered again after a restore, and has another number now."""
        self._tally.account = account

    def _restored(self) -> None:
        self._want.all = True
        self._busy = True
        self._wanted.set()

    def suspect(self) -> None:
        """The directory was seen to know less than this peer: compare all grants."""
        self._want.grants = True
        self._wanted.set()

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
        self._want.all = True
        self._wanted.set()

    async def saw_images(self, rows: Iterable[ops.ImageRow]) -> None:
        """Take a whole list of this account's images: what was withdrawn stays so, and what is missing was forgotten.

        Without nodes that remember, as after a snapshot of the whole machine, only this tells of a forgotten image.
        """
        offered = {row.image: row.offered for row in rows}

        def compare(store: Store) -> bool:
            for image, still in offered.items():
                if not still:
                    store.do("UPDATE own_images SET withdrawn = 1 WHERE image = :image", image=image)
            mine = store.all("SELECT image FROM own_images WHERE ready = 1")
            return any(row["image"] not in offered for row in mine)

        self._look_at_all_if(await self._context.store.run(compare))

    async def saw_asks(self, asks: Collection[str]) -> None:
        """Take a whole list of requests that this account made: one that is open here and not in it was forgotten."""
        mine = await self._asks(incoming=False)
        queued = {row.request for row in await self._context.store.run(lambda store: store.outbox())}
        known = queued.union(asks)
        self._look_at_all_if(any(ask.state == "pending" and ask.ask not in known for ask in mine))

    def _look_at_all_if(self, forgotten: bool) -> None:
        if forgotten and not self._want.all:
            self._want.all = True
            self._wanted.set()

    # --- What must wait meanwhile ------------------------------------------------------------------------------------
    def holds_back(self, row: OutboxRow) -> bool:
        """Return whether an outbox row has to wait: rights must not change on top of what the directory forgot."""
        return self._busy and row.kind in (GRANT, RIGHTS)

    async def reprieve(self, row: OutboxRow, error: GlimpseError) -> str | None:
        """Return why a refused outbox row is kept, None where the refusal stands.

        What this peer knows to have existed can be missing only in a directory that forgot it; it comes back.
        """
        is_missing = isinstance(error, Refused) and error.code == RefusalCode.NOT_FOUND
        if not is_missing or not await self._comes_back(row):
            await self._end_ask(row.request, str(error))
            return None
        self.suspect()
        return "The cloud was restored from a backup and does not know this yet; it goes as soon as it does."

    async def _end_ask(self, request: str, reason: str) -> None:
        """Close a request of one's own that was asked again and refused for good: it is not asked a third time."""
        row = await self._local_ask(request)
        ask = None if row is None else _ask_in(row)
        if ask is not None and ask.state == "pending":
            ended = msgspec.structs.replace(ask, state="rejected", reason=reason[:MAX_NOTE_CHARS])
            await self._mailbox.remember_ask(ended, incoming=False)

    async def _comes_back(self, row: OutboxRow) -> bool:
        if row.kind == GRANT:
            return await self._is_known(unpacked(row, GiveIntent).viewer)
        if row.kind in (RIGHTS, REVOCATION):
            change = unpacked(row, RightsIntent)
            return await self._given.gave(change.image, change.viewer)
        if row.kind == COPY:
            task = unpacked(row, CopyTask)
            path = files.own_path(self._context.profile.images, task.image)
            is_here = await anyio.to_thread.run_sync(path.exists)
            return is_here and await self._is_known(task.viewer)
        if row.kind != OPERATION:
            return False
        operation: ops.Operation = decode(row.body, ops.Operation, cap_bytes=_ROW_CAP_BYTES)
        if isinstance(operation, ops.AskViews | ops.RejectAsk):
            return await self._may_still_come(row)
        return False

    async def _is_known(self, account: int) -> bool:
        row = await self._context.store.run(
            lambda store: store.one("SELECT 1 FROM accounts WHERE account = :account", account=account)
        )
        return row is not None

    async def _may_still_come(self, row: OutboxRow) -> bool:
        """Whether a request or its answer may be missing only because the other side has not been back yet."""

        def read(store: Store) -> tuple[str | None, bool]:
            known = store.one("SELECT 1 FROM asks WHERE ask = :ask", ask=row.request) is not None
            return store.fact(_RESTORED_AT), known

        text, known = await self._context.store.run(read)
        if text is None:
            return False
        restored_at = float(text)
        return (known or row.since <= restored_at) and self._context.wall() < restored_at + _STILL_COMES_S

    async def answered(self, operation: ops.Operation, request: str, outcome: ops.Outcome) -> None:
        """Keep a request of one's own when the cloud has it: a restored directory may have to be asked again."""
        if not isinstance(operation, ops.AskViews) or not isinstance(outcome, ops.AskMade):
            return
        context, account = self._context, self._context.need_account()
        offer = await context.store.run(
            lambda s: s.one("SELECT title, owner_name FROM offers WHERE image = :image", image=operation.image)
        )
        row = ops.AskRow(
            ask=request, image=operation.image, title="" if offer is None else str(offer["title"]),
            owner=outcome.owner, viewer=account, viewer_name=context.name,
            viewer_key=context.identity.public.signing_key, views=operation.views, note=operation.note,
            state="pending", reason="", created=context.wall(),
            owner_name="" if offer is None else str(offer["owner_name"]),
        )  # fmt: skip
        if await self._local_ask(request) is None:
            await self._mailbox.remember_ask(row, incoming=False)

    async def _local_ask(self, ask: str) -> sqlite3.Row | None:
        return await self._context.store.run(
            lambda s: s.one("SELECT row FROM asks WHERE ask = :ask AND incoming = 0", ask=ask)
        )

    @property
    def has_work(self) -> bool:
        """Whether there is still a reason to compare that was not looked into."""
        return self._comparing or self._wanted.is_set()

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
            want, self._want = self._want, _Want()
            self._comparing = True
            try:
                absent = await self._compare(want)
            except Exception as error:  # noqa: BLE001 - whatever it is, grants must not stay frozen for good
                self._want.all |= want.all
                self._want.grants |= want.grants
                failures += not isinstance(error, Unavailable)
                log.warning("the comparison with the cloud goes on later", extra={"reason": str(error)})
                self._busy = self._busy and failures < _FAILURES
                waits, pause = True, min(2 * pause, _PAUSE_S[1])
                continue
            finally:
                self._comparing = False
            failures = 0
            self._busy = self._want.all
            self._outbox.wake()
            waits, pause = absent, (min(2 * pause, _PAUSE_S[1]) if absent else _PAUSE_S[0])
            self._want.grants |= absent

    async def _compare(self, want: _Want) -> bool:
        """Compare once; return whether grants wait for viewers whom the directory does not know yet."""
        epoch = self._told_epoch
        await self._look_at_doubted(epoch)
        if not want.all and not want.grants and not await self._sums_differ():
            await self._note_compared(epoch)
            return False
        if want.all:
            await self._note_restored()
        steps = await self._steps()
        if any(step.forgot and step.deed in _MENDED for step in steps) and not want.all:
            await self._note_restored()
            want.all = True
        if want.all:
            await self._mend_images()
            await self.refresh_held()
        left = await self._mend_grants(steps, epoch)
        if want.all:
            await self._mend_asks()
        else:
            self._tally = Tally()  # frozen by a viewer's word alone: confirmed, and nothing was forgotten
        await self._note_compared(epoch)
        await self._tell(left)
        return left.absent > 0

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
        await self._context.store.run(lambda store: store.set_fact(_RESTORED_AT, at))

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
        self._tally = Tally()
        self._context.events.emit(DirectoryRestored(text))

    # --- Grants ------------------------------------------------------------------------------------------------------
    async def _steps(self) -> list[Step]:
        rows = [
            row
            async for page in self._pages(lambda number: ops.ListGrants(given=True, page=number), ops.Grants)
            for row in page.rows
        ]
        found = await self._given.checked(rows)
        steps = steps_for(await self._given.known(), found)
        await self._given.learn(step.found for step in steps if step.deed is Deed.LEARN and step.found is not None)
        return steps

    async def _mend_grants(self, steps: list[Step], epoch: int) -> Left:
        lanes: defaultdict[tuple[str, int], list[Step]] = defaultdict(list)
        for step in steps:
            if step.deed in _MENDED:
                lanes[step.lane].append(step)
        ends: list[_End] = []
        slots = anyio.CapacityLimiter(_LANES_AT_ONCE)
        trouble: list[Unavailable] = []

        async def work_off(lane: list[Step]) -> None:
            async with slots:
                for step in lane:
                    if trouble:
                        return
                    try:
                        ends.append(await self._mend(step, epoch))
                    except Unavailable as error:
                        trouble.append(error)
                    except GlimpseError as error:
                        log.warning("a grant was not confirmed", extra={"grant": step.grant, "reason": str(error)})
                        ends.append(_End.REFUSED)

        async with anyio.create_task_group() as group:
            for lane in lanes.values():
                group.start_soon(work_off, lane)
        if trouble:
            raise trouble[0]
        return Left(
            unknown=sum(step.deed is Deed.UNKNOWN for step in steps),
            lost=sum(step.deed is Deed.LOST for step in steps),
            absent=ends.count(_End.ABSENT),
            refused=ends.count(_End.REFUSED),
        )

    async def _mend(self, step: Step, epoch: int) -> _End:
        """Bring one grant to where it must be. Raises `Unavailable` without the cloud."""
        first = step
        for _ in range(_TRIES):
            operation = await self._operation(step)
            if operation is None:
                return _End.REFUSED
            try:
                outcome, _ = await self._ask(operation, told=_COMES_LATER)
            except Refused as refusal:
                if refusal.code == RefusalCode.CONFLICT and (again := await self._read_again(step)) is not None:
                    step = again
                elif refusal.code in _COMES_LATER:
                    return _End.ABSENT
                else:
                    log.warning("a grant was not confirmed", extra={"grant": step.grant, "reason": str(refusal)})
                    return _End.REFUSED
            else:
                if not isinstance(outcome, ops.GrantState):
                    raise RemoteError("the cloud answered the confirmation of a grant with something else")
                await self._given.remember(outcome.grant)
                step = await self._met(outcome.grant)
            if not step.behind:
                await self._given.confirmed(step.grant, epoch)
                self._tally.count(first)
                return _End.DONE
        raise Unavailable("A grant changes so often that it could not be confirmed; it goes on later.")

    async def _operation(self, step: Step) -> ops.Operation | None:
        """Return what is to be sent for a grant, None where nothing can be."""
        known, found = step.known, step.found
        if step.deed is Deed.REVOKE:
            assert found is not None
            record = change_rights(self._context.identity, decode_record(found.record), revoked=True)
            return ops.ChangeRights(
                grant=step.grant, record=encode_record(record), met_version=found.version, met_consumed=found.consumed
            )
        if known is None:
            return None
        made_from = await self._given.made_from(step.grant)
        if found is None and made_from is None:
            return None
        share, signature = made_from or (None, None)
        return ops.ConfirmGrant(
            grant=step.grant, image=known.image, viewer=known.viewer, record=step.record(), consumed=known.consumed,
            cloud_share=share if found is None else None, share_signature=signature if found is None else None,
        )  # fmt: skip

    async def _met(self, row: ops.GrantRow) -> Step:
        found = await self._given.checked([row])
        if not found:
            raise MalformedMessage("a grant that is not this account's word")
        return step_for(await self._given.find(row.grant), found[0])

    async def _read_again(self, step: Step) -> Step | None:
        """Return what is to be done after a conflict, None where the directory has another grant instead."""
        try:
            outcome, _ = await self._ask(ops.GetGrant(grant=step.grant))
        except Refused:
            return None
        return await self._met(outcome.grant) if isinstance(outcome, ops.GrantState) else None

    async def _look_at_doubted(self, epoch: int) -> None:
        """Compare grants that the directory froze one by one. What is forgotten there asks for a look at all."""
        while self._doubted:
            grant = next(iter(self._doubted))
            try:
                outcome, _ = await self._ask(ops.GetGrant(grant=grant))
            except Refused:
                self.suspect()
            else:
                if not isinstance(outcome, ops.GrantState):
                    raise RemoteError("the cloud answered a look at a grant with something else")
                await self._thaw(await self._met(outcome.grant), epoch)
            self._doubted.pop(grant, None)

    async def _thaw(self, step: Step, epoch: int) -> None:
        if step.forgot or step.deed is Deed.UNKNOWN:
            self.suspect()
        elif step.behind and await self._mend(step, epoch) is _End.DONE:
            # Nothing was forgotten that this peer knows of: a viewer's peer was ahead, or claimed to be.
            self._tally.confirmed -= 1
            log.info("a frozen grant was confirmed", extra={"grant": step.grant})

    # --- Images ------------------------------------------------------------------------------------------------------
    async def _mend_images(self) -> None:
        there = {
            row.image: row.offered
            async for page in self._pages(lambda number: ops.MyImages(page=number), ops.Images)
            for row in page.rows
        }
        mine = await self._context.store.run(lambda s: s.all("SELECT * FROM own_images WHERE ready = 1"))
        for row in mine:
            image = str(row["image"])
            try:
                if image not in there:
                    await self._ask(_image_again(row))
                    self._tally.images += 1
                elif row["withdrawn"] and there[image]:
                    await self._ask(ops.WithdrawImage(image=image))
                    self._tally.withdrawn += 1
            except Refused as refusal:
                log.warning("an image was not made known again", extra={"image": image, "reason": str(refusal)})

    # --- Requests ----------------------------------------------------------------------------------------------------
    async def _mend_asks(self) -> None:
        for incoming in (True, False):
            mine = await self._asks(incoming=incoming)
            if not mine:
                continue
            there = {
                row.ask: row async for page in self._pages(partial(_asks_page, incoming), ops.Asks) for row in page.rows
            }
            for ask in mine:
                if (deed := ask_deed(ask, there.get(ask.ask), incoming=incoming)) is not None:
                    await self._mend_ask(ask, deed)

    async def _asks(self, *, incoming: bool) -> list[ops.AskRow]:
        rows = await self._context.store.run(
            lambda s: s.all("SELECT row FROM asks WHERE incoming = :incoming", incoming=int(incoming))
        )
        return [ask for ask in map(_ask_in, rows) if ask is not None]

    async def _mend_ask(self, ask: ops.AskRow, deed: AskDeed) -> None:
        try:
            match deed:
                case AskDeed.ASK:
                    if not await self._ask_again(ask):
                        return
                case AskDeed.WITHDRAW:
                    await self._ask(ops.WithdrawAsk(ask=ask.ask))
                case AskDeed.REJECT:
                    await self._ask(ops.RejectAsk(ask=ask.ask, reason=ask.reason))
                case AskDeed.CLOSE:
                    await self._close(ask)
        except Refused as refusal:
            log.info("a request was not sent again", extra={"ask": ask.ask, "reason": str(refusal)})
            return
        self._tally.asks += 1

    async def _ask_again(self, ask: ops.AskRow) -> bool:
        """Put a request that is still open into the outbox, under its own id; return whether it was not there yet."""
        operation = ops.AskViews(image=ask.image, views=ask.views, note=ask.note)
        body, since = encode(operation, cap_bytes=_ROW_CAP_BYTES), self._context.wall()
        added = await self._context.store.run(
            lambda store: store.do(
                "INSERT OR IGNORE INTO outbox (request, kind, what, body, since)"
                " VALUES (:request, 'operation', 'request', :body, :since)",
                request=ask.ask, body=body, since=since,
            )
        )  # fmt: skip
        self._outbox.wake()
        return added > 0

    async def _close(self, ask: ops.AskRow) -> None:
        """Close a request that was accepted: the next version of the grant's record, with the same rights, does it.

        Otherwise it would look open, and accepting it once more would give its views a second time.
        """
        assert ask.grant is not None
        outcome, _ = await self._ask(ops.GetGrant(grant=ask.grant))
        if not isinstance(outcome, ops.GrantState):
            raise RemoteError("the cloud answered a look at a grant with something else")
        found = (await self._met(outcome.grant)).found
        assert found is not None
        if found.frozen or found.revoked:
            raise Refused(RefusalCode.NOT_READY, "The grant that the request led to is not confirmed.")
        record = change_rights(self._context.identity, decode_record(found.record))
        changed, _ = await self._ask(
            ops.ChangeRights(
                grant=ask.grant, record=encode_record(record), met_version=found.version, met_consumed=found.consumed,
                ask=ask.ask,
            )
        )  # fmt: skip
        if isinstance(changed, ops.GrantState):
            await self._given.remember(changed.grant)

    # --- Asking ------------------------------------------------------------------------------------------------------
    async def _ask(
        self, operation: ops.Operation, *, told: Collection[str] = ()
    ) -> tuple[ops.Outcome, bytes | None]:  # fmt: skip
        return await self._context.cloud.ask(operation, request=self._context.new_id(), wait_s=_WAIT_S, told=told)

    async def _pages(self, make: Callable[[int], ops.Operation], expected: type[M]) -> AsyncIterator[M]:
        """Yield the pages of a list until all of it is there, bounded whatever the cloud answers."""
        fetched = 0
        for number in range(_PAGES):
            outcome, _ = await self._ask(make(number))
            if not isinstance(outcome, expected):
                raise RemoteError("the cloud answered a list with something else")
            yield outcome
            fetched += len(outcome.rows)
            if not outcome.rows or fetched >= outcome.total:
                return


def _ask_in(row: sqlite3.Row) -> ops.AskRow | None:
    """Return a stored request, None for one that cannot be read: the list of requests says so and sets it aside."""
    try:
        letter: ops.AskArrived = decode(bytes(row["row"]), ops.AskArrived, cap_bytes=_ROW_CAP_BYTES)
    except (RemoteError, TypeError):
        return None
    return letter.ask


def _asks_page(incoming: bool, number: int) -> ops.Operation:
    return ops.ListAsks(incoming=incoming, page=number)


async def _nothing() -> None:
    return


def _image_again(row: sqlite3.Row) -> ops.RestoreImage:
    digest = row["upload_sha256"]
    return ops.RestoreImage(
        image=str(row["image"]), title=clean(str(row["title"])), format=str(row["format"]), width=int(row["width"]),
        height=int(row["height"]), original_size=int(row["size"]), created=float(row["created"]),
        offered=not row["withdrawn"], upload_size=int(row["upload_size"]) if digest else 0,
        upload_sha256=bytes(digest) if digest else bytes(32),
    )  # fmt: skip
