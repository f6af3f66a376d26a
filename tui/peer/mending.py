"""Bringing a restored directory up to what its owner knows: grants are confirmed, images are made known again."""

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Iterable

import anyio

from shared.errors import GlimpseError, Refused, RemoteError, StorageError, Unavailable
from shared.text import clean
from shared.wire import operations as ops
from tui.peer.asker import Asker
from tui.peer.comparing import GrantAction, GrantStep, Left, Tally, steps_for
from tui.peer.confirming import Confirming, End
from tui.peer.context import Context
from tui.peer.given import GivenGrants
from tui.peer.previews import Previews
from tui.peer.store import Store

log = logging.getLogger(__name__)

_LANES_AT_ONCE = 4
_RECEIPT_BYTES = 32
MENDED = frozenset({GrantAction.CONFIRM, GrantAction.REMAKE, GrantAction.REVOKE})
"""Actions that send something."""


class Mending:
    """Carries out what a comparison of grants and images asks for, and adds it up in `tally`."""

    def __init__(
        self, context: Context, given: GivenGrants, confirming: Confirming, cloud: Asker, tally: Tally
    ) -> None:
        self._context = context
        self._given = given
        self._confirming = confirming
        self._cloud = cloud
        self._tally = tally

    async def steps(self) -> list[GrantStep]:
        """Compare all grants that this account gave; what the directory knows better is learned at once.

        What is known is read first: what happens while the cloud lists its grants is then never missing in the list.
        """
        known = await self._given.known()
        rows: list[ops.GrantRow] = []
        async for page in self._cloud.pages(lambda number: ops.ListGrants(given=True, page=number), ops.Grants):
            rows += page.rows
            self._confirming.on_epoch(page.epoch)
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
        ends: list[End] = []
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
                        ends.append(End.REFUSED)

        async with anyio.create_task_group() as group:
            for lane in lanes.values():
                group.start_soon(work_off, lane)
        if trouble:
            raise trouble[0]
        return Left(
            unknown=sum(step.action is GrantAction.UNKNOWN for step in steps),
            lost=sum(step.action is GrantAction.LOST for step in steps),
            absent=ends.count(End.ABSENT),
            refused=ends.count(End.REFUSED),
        )

    async def mend(self, step: GrantStep) -> End:
        """Bring one grant to where it must be, and count it. Raises `Unavailable` without the cloud."""
        end = await self._confirming.bring_up(step)
        if end is End.DONE:
            self._tally.count(step)
        return end

    async def thaw(self, grant: str) -> bool:
        """Compare one grant that the directory froze on its viewer's word, and confirm it.

        Returns whether more was forgotten, or this device cannot say: then all are to be compared.
        """
        try:
            state = await self._cloud.query(ops.GetGrant(grant=grant), ops.GrantState)
        except Refused:
            return True
        if self._confirming.on_epoch(state.epoch):  # a restore froze it, of which no keep-alive has told yet
            return True
        step = await self._confirming.met(state.grant)
        if step.forgot or step.action is GrantAction.UNKNOWN:
            return True
        if step.action is GrantAction.LEARN and step.found is not None:
            await self._given.learn([step.found])  # nothing waits, as after a revocation, and the count is news
        elif step.behind and await self.mend(step) is End.DONE:
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
                await self._mend_image(row, there.get(image))
            except Refused as refusal:
                log.warning("an image was not made known again", extra={"image": image, "reason": str(refusal)})
        if forgot or any(str(row["image"]) not in there for row in mine):
            for row in mine:
                image = str(row["image"])
                found = there.get(image)
                await self._mend_preview(previews, image, has_preview=found is not None and found.has_preview)

    async def _mend_image(self, mine: sqlite3.Row, found: ops.ImageRow | None) -> None:
        """Make one image known again, or withdraw it again; also where it was withdrawn since `mine` was read."""
        if found is None:
            await self._cloud.ask(_image_again(mine))
            self._tally.images += 1
        offered = not mine["withdrawn"] if found is None else found.offered
        now = await self._context.store.run(
            lambda s: s.one("SELECT withdrawn FROM own_images WHERE image = :image", image=mine["image"])
        )
        if offered and now is not None and now["withdrawn"]:
            await self._cloud.ask(ops.WithdrawImage(image=str(mine["image"])))
            self._tally.withdrawn += 1

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
