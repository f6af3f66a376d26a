"""One grant of this owner, brought to where the directory and this peer agree about it."""

import logging
from collections.abc import Callable
from enum import Enum, auto

from shared.errors import MalformedMessage, Refused, Unavailable
from shared.records import decode_record, encode_record
from shared.rights import change_rights
from shared.wire import operations as ops
from shared.wire.refusals import RefusalCode
from tui.peer.asker import Asker
from tui.peer.comparing import GrantAction, GrantStep, step_for
from tui.peer.context import Context
from tui.peer.given import GivenGrants

log = logging.getLogger(__name__)

_TRIES = 6
"""How often one grant is tried in a row where views or another device come in between."""
_COMES_LATER = frozenset({RefusalCode.NOT_READY, RefusalCode.NOT_FOUND})
"""Refusals of a grant whose viewer, or whose image, the directory does not know again yet."""


class End(Enum):
    """How it ended for one grant. `ABSENT`: its viewer or its image is not known to the directory yet."""

    DONE = auto()
    ABSENT = auto()
    REFUSED = auto()


class Confirming:
    """Tells the directory what this peer knows of a grant, until both know the same."""

    def __init__(self, context: Context, given: GivenGrants) -> None:
        self._context = context
        self._given = given
        self._cloud = Asker(context)
        self.on_epoch: Callable[[int], bool] = lambda _epoch: False
        """Called with the epoch that an answer tells; returns whether it is a new one."""

    async def bring_up(self, step: GrantStep) -> End:
        """Bring one grant to where it must be. Raises `Unavailable` without the cloud.

        What is known is read again at every try: the step may be older than a revocation.
        """
        for _ in range(_TRIES):
            if (known := await self._given.find(step.grant)) is not None:
                step = step_for(known, step.found)
            if not step.behind:
                return End.DONE
            operation = await self._operation(step)
            if operation is None:
                return End.REFUSED
            try:
                state = await self._cloud.query(operation, ops.GrantState, at_once=_COMES_LATER)
            except Refused as refusal:
                if refusal.code == RefusalCode.CONFLICT and (again := await self._read_again(step)) is not None:
                    step = again
                    continue
                if refusal.code in _COMES_LATER:
                    return End.ABSENT
                log.warning("a grant was not confirmed", extra={"grant": step.grant, "reason": str(refusal)})
                return End.REFUSED
            self.on_epoch(state.epoch)
            await self._given.remember(state.grant)
            step = await self.met(state.grant)
        if step.behind:
            raise Unavailable("A grant changes so often that it could not be confirmed; it goes on later.")
        return End.DONE

    async def met(self, row: ops.GrantRow) -> GrantStep:
        """Return what is to be done about one grant as the directory tells it. Raises `RemoteError` for a false one."""
        found = await self._given.checked([row])
        if not found:
            raise MalformedMessage("a grant that is not this account's word")
        return step_for(await self._given.find(row.grant), found[0])

    async def end(self, image: str, viewer: int, ended: str) -> None:
        """Have whatever was given to `viewer` on an image end in the directory, after it has revoked the grant `ended`.

        A restored directory may lack the grant that the owner meant, and have the one before it. A comparison that has
        begun may be about to make the missing one anew, so it must stand as revoked before the revocation is
        acknowledged: nothing undoes that. Raises `Unavailable` until it does.
        """
        others = await self._given.end_others(image, viewer, ended)
        if not others:
            return
        pages = self._cloud.pages(lambda page: ops.ListGrants(image=image, page=page), ops.Grants)
        found = await self._given.checked([row async for page in pages for row in page.rows])
        theirs = {side.grant: side for side in found}
        for side in others:
            step = step_for(side, theirs.get(side.grant))
            if step.revokes and step.behind and await self.bring_up(step) is End.ABSENT:
                raise Unavailable("Rights that a restored cloud lacks are not ended yet; the revocation goes on later.")

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

    async def _read_again(self, step: GrantStep) -> GrantStep | None:
        """Return what is to be done after a conflict, None where the directory has another grant instead."""
        try:
            row = await self._cloud.grant(step.grant)
        except Refused:
            return None
        return await self.met(row)
