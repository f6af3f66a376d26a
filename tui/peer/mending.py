"""Bringing a restored directory up to what its owner knows: grants are confirmed, images are made known again."""

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import Enum, auto

import anyio

from shared.errors import GlimpseError, MalformedMessage, Refused, RemoteError, StorageError, Unavailable
from shared.records import decode_record, encode_record
from shared.rights import change_rights
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.refusals import RefusalCode
from tui.peer.asker import Asker
from tui.peer.comparing import GrantAction, GrantStep, Left, Tally, step_for, steps_for
from tui.peer.context import Context
from tui.peer.given import GivenGrants
from tui.peer.previews import Previews
from tui.peer.store import Store

log = logging.getLogger(__name__)

_LANES_AT_ONCE = 4
_TRIES = 6
"""How often one grant is tried in a row where views or another device come in between."""
_COMES_LATER = frozenset({RefusalCode.NOT_READY, RefusalCode.NOT_FOUND})
"""Refusals of a grant whose viewer, or whose image, the directory does not know again yet."""
_RECEIPT_BYTES = 32
MENDED = frozenset({GrantAction.CONFIRM, GrantAction.REMAKE, GrantAction.REVOKE})
"""Actions that send something."""


class _End(Enum):
    DONE = auto()
    ABSENT = auto()
    REFUSED = auto()


class Mending:
    """Carries out what a comparison of grants and images asks for, and adds it up in `tally`.

    `heard` is called with the epoch that each answer tells, and returns whether it is a new one.
    """

    def __init__(
        self, context: Context, given: GivenGrants, cloud: Asker, tally: Tally, heard: Callable[[int], bool]
    ) -> None:
        self._context = context
        self._given = given
        self._cloud = cloud
        self._tally = tally
        self._heard = heard

    async def steps(self) -> list[GrantStep]:
        """Compare all grants that this account gave; what the directory knows better is learned at once.

        What is known is read first: what happens while the cloud lists its grants is then never missing in the list.
        """
        known = await self._given.known()
        rows: list[ops.GrantRow] = []
        async for page in self._cloud.pages(lambda number: ops.ListGrants(given=True, page=number), ops.Grants):
            rows += page.rows
            self._heard(page.epoch)
        found = await self._given.checked(rows)
        steps = steps_for(known, found)
        await self._given.learn(
            step.found for step in steps if step.action is GrantAction.LEARN and step.found is not None
        )
        return steps

    async def mend_all(self, steps: list[GrantStep]) -> Left:
        """Carry out steps, some lanes at a time; return what is left. Raises `Unavailable` without the cloud."""
        lanes: defaultdict[tuple[str, int], list[GrantStep]] = defaultdict(list)
        for step in steps:
            if step.action in MENDED:
                lanes[step.lane].append(step)
        ends: list[_End] = []
        slots = anyio.CapacityLimiter(_LANES_AT_ONCE)
        trouble: list[Unavailable] = []

        async def work_off(lane: list[GrantStep]) -> None:
            async with slots:
                for step in lane:
                    if trouble:
                        return
                    try:
                        ends.append(await self.mend(step))
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
            unknown=sum(step.action is GrantAction.UNKNOWN for step in steps),
            lost=sum(step.action is GrantAction.LOST for step in steps),
            absent=ends.count(_End.ABSENT),
            refused=ends.count(_End.REFUSED),
        )

    async def mend(self, step: GrantStep) -> _End:
        """Bring one grant to where it must be. Raises `Unavailable` without the cloud."""
        first = step
        for _ in range(_TRIES):
            operation = await self._operation(step)
            if operation is None:
                return _End.REFUSED
            try:
                state = await self._cloud.query(operation, ops.GrantState, at_once=_COMES_LATER)
            except Refused as refusal:
                if refusal.code == RefusalCode.CONFLICT and (again := await self._read_again(step)) is not None:
                    step = again
                elif refusal.code in _COMES_LATER:
                    return _End.ABSENT
                else:
                    log.warning("a grant was not confirmed", extra={"grant": step.grant, "reason": str(refusal)})
                    return _End.REFUSED
            else:
                self._heard(state.epoch)
                await self._given.remember(state.grant)
                step = await self.met(state.grant)
            if not step.behind:
                self._tally.count(first)
                return _End.DONE
        raise Unavailable("A grant changes so often that it could not be confirmed; it goes on later.")

    async def _operation(self, step: GrantStep) -> ops.Operation | None:
        """Return what is to be sent for a grant, None where nothing can be."""
        known, found = step.known, step.found
        if step.action is GrantAction.REVOKE:
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
            grant=step.grant,
            image=known.image,
            viewer=known.viewer,
            record=step.record(),
            consumed=known.consumed,
            cloud_share=share if found is None else None,
            share_signature=signature if found is None else None,
            wishes=step.wishes(),
        )

    async def met(self, row: ops.GrantRow) -> GrantStep:
        """Return what is to be done about one grant as the directory tells it. Raises `RemoteError` for a false one."""
        found = await self._given.checked([row])
        if not found:
            raise MalformedMessage("a grant that is not this account's word")
        return step_for(await self._given.find(row.grant), found[0])

    async def _read_again(self, step: GrantStep) -> GrantStep | None:
        """Return what is to be done after a conflict, None where the directory has another grant instead."""
        try:
            row = await self._cloud.grant(step.grant)
        except Refused:
            return None
        return await self.met(row)

    async def thaw(self, grant: str) -> bool:
        """Compare one grant that the directory froze on its viewer's word, and confirm it.

        Returns whether more was forgotten, or this device cannot say: then all are to be compared.
        """
        try:
            state = await self._cloud.query(ops.GetGrant(grant=grant), ops.GrantState)
        except Refused:
            return True
        if self._heard(state.epoch):  # a restore froze it, of which no keep-alive has told yet
            return True
        step = await self.met(state.grant)
        if step.forgot or step.action is GrantAction.UNKNOWN:
            return True
        if step.action is GrantAction.LEARN and step.found is not None:
            await self._given.learn([step.found])  # nothing waits, as after a revocation, and the count is news
        elif step.behind and await self.mend(step) is _End.DONE:
            # Nothing was forgotten that this peer knows of: a viewer's peer was ahead, or claimed to be.
            self._tally.confirmed -= 1
            log.info("a frozen grant was confirmed", extra={"grant": grant})
        return False

    async def keep_receipts(self) -> None:
        """Get the nodes' receipts for images that are here without one, while the directory still knows them.

        They were made before nodes gave receipts, or on another device.
        """
        if not await self._without_receipt():
            return
        try:
            await self._listed_images()
        except RemoteError as error:  # the grants must not wait for it
            log.warning("the receipts of images were not got", extra={"reason": str(error)})

    async def store_receipts(self, rows: Iterable[ops.ImageRow]) -> None:
        """Keep the receipts of images of one's own that are here without one; a full disk only puts it off."""
        without = await self._without_receipt()
        found = [(row.image, row.receipt) for row in rows if row.image in without and sound_receipt(row.receipt)]

        def write(store: Store) -> None:
            for image, receipt in found:
                store.do("UPDATE own_images SET receipt = :receipt WHERE image = :image", receipt=receipt, image=image)

        if not found:
            return
        try:
            await self._context.store.run(write)
        except StorageError as error:
            log.warning("the receipts of images are not kept", extra={"reason": str(error)})

    async def _without_receipt(self) -> set[str]:
        rows = await self._context.store.run(
            lambda s: s.all("SELECT image FROM own_images WHERE ready = 1 AND receipt IS NULL")
        )
        return {str(row["image"]) for row in rows}

    async def _listed_images(self) -> list[ops.ImageRow]:
        """Return this account's images as the cloud has them; their receipts are kept."""
        rows = [
            row
            async for page in self._cloud.pages(lambda number: ops.MyImages(page=number), ops.Images)
            for row in page.rows
        ]
        await self.store_receipts(rows)
        return rows

    async def mend_images(self, previews: Previews, *, forgot: bool) -> None:
        """Make images of one's own known again, and withdraw again those that were withdrawn; then their previews.

        One's own are read first, as in `steps`. `forgot` says that the directory is known to have forgotten something:
        otherwise a preview that it lacks may be one that another device took back.
        """
        mine = await self._context.store.run(lambda s: s.all("SELECT * FROM own_images WHERE ready = 1"))
        there = {row.image: row for row in await self._listed_images()}
        for row in mine:
            image = str(row["image"])
            try:
                if image not in there:
                    await self._cloud.ask(_image_again(row))
                    self._tally.images += 1
                elif row["withdrawn"] and there[image].offered:
                    await self._cloud.ask(ops.WithdrawImage(image=image))
                    self._tally.withdrawn += 1
            except Refused as refusal:
                log.warning("an image was not made known again", extra={"image": image, "reason": str(refusal)})
        if forgot or any(str(row["image"]) not in there for row in mine):
            for row in mine:
                image = str(row["image"])
                found = there.get(image)
                await self._mend_preview(previews, image, has_preview=found is not None and found.has_preview)

    async def _mend_preview(self, previews: Previews, image: str, *, has_preview: bool) -> None:
        try:
            mended = await previews.mend(image, has_preview=has_preview)
        except Refused as refusal:
            log.warning("a preview was not put right", extra={"image": image, "reason": str(refusal)})
            return
        if mended is not None:
            self._tally.previews += 1


def _image_again(row: sqlite3.Row) -> ops.RestoreImage:
    digest = row["upload_sha256"]
    return ops.RestoreImage(
        image=str(row["image"]),
        title=clean(str(row["title"])),
        format=str(row["format"]),
        width=int(row["width"]),
        height=int(row["height"]),
        original_size=int(row["size"]),
        created=float(row["created"]),
        offered=not row["withdrawn"],
        upload_size=int(row["upload_size"]) if digest else 0,
        upload_sha256=bytes(digest) if digest else bytes(32),
        receipt=bytes(row["receipt"] or b""),
    )


def sound_receipt(receipt: bytes) -> bytes | None:
    """Return a receipt that can be one, None for any other."""
    return receipt if len(receipt) == _RECEIPT_BYTES else None
