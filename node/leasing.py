"""Asks the directory for the lease on behalf of the election, and tells it the answer."""

import logging
from collections.abc import Callable

import anyio

from node.directory import Directory
from node.lease import (
    ClaimLease,
    LeaseAction,
    LeaseAnswer,
    LeaseLost,
    LeaseReleased,
    LeaseRenewed,
    LeaseUnknown,
    LeaseWon,
    RenewLease,
)  # fmt: skip
from shared.errors import GlimpseError

log = logging.getLogger(__name__)


class Leasing:
    """The lease as one life of a node asks for it. `answered` gets what the directory says."""

    def __init__(
        self, me: str, incarnation: int, directory: Directory, lease_s: float, answered: Callable[[LeaseAnswer], None]
    ) -> None:
        self._holder = f"{me}/{incarnation:x}"
        self._directory = directory
        self._lease_s = lease_s
        self._answered = answered

    async def ask(self, action: LeaseAction) -> None:
        """Do one action of the election; what the directory does not answer in time is unknown."""
        try:
            with anyio.fail_after(self._lease_s):
                answer = await self._answer(action)
        except (GlimpseError, TimeoutError) as error:
            log.warning("the directory does not answer for the lease", extra={"reason": str(error)})
            answer = LeaseUnknown(getattr(action, "sent_at", None))
        self._answered(answer)

    async def _answer(self, action: LeaseAction) -> LeaseAnswer:
        match action:
            case ClaimLease(seen_term, sent_at):
                won = await self._directory.claim_lease(self._holder, seen_term, self._lease_s)
                return await self._lost(sent_at) if won is None else LeaseWon(won, sent_at)
            case RenewLease(term, sent_at):
                if await self._directory.renew_lease(self._holder, term, self._lease_s):
                    return LeaseRenewed(term, sent_at)
                return await self._lost(sent_at)
            case _:
                await self._directory.release_lease(self._holder, action.term)
                return LeaseReleased(action.term)

    async def _lost(self, sent_at: float) -> LeaseLost:
        row = await self._directory.read_lease(self._lease_s)
        holder = row.holder.partition("/")[0] if row.holder and not row.is_free else None
        return LeaseLost(row.term, holder, max(0.0, row.expires - row.now) if holder else 0.0, sent_at)
