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
)
from shared.errors import GlimpseError

log = logging.getLogger(__name__)


class Leasing:
    """The lease as a node asks for it. `answered` gets what the directory says.

    The holder is the node and its incarnation. A term is renewed and released under the name that it was claimed by,
    also when the node has taken a higher incarnation since.
    """

    def __init__(
        self, me: str, incarnation: int, directory: Directory, lease_s: float, answered: Callable[[LeaseAnswer], None]
    ) -> None:
        self._me = me
        self.incarnation = incarnation
        self._claimed_as: tuple[int, str] = (0, "")
        self._directory = directory
        self._lease_s = lease_s
        self._answered = answered
        self._answers = True

    async def ask(self, action: LeaseAction) -> None:
        """Do one action of the election; what the directory does not answer in time is unknown."""
        try:
            with anyio.fail_after(self._lease_s):
                answer = await self._answer(action)
        except (GlimpseError, TimeoutError) as error:
            if self._answers:  # told once; status, metrics and the feed say how it is
                log.info("the directory does not answer for the lease", extra={"reason": str(error)})
            self._answers = False
            answer = LeaseUnknown(getattr(action, "sent_at", None))
        else:
            if not self._answers:
                log.info("the directory answers for the lease again")
            self._answers = True
        self._answered(answer)

    async def _answer(self, action: LeaseAction) -> LeaseAnswer:
        match action:
            case ClaimLease(seen_term, sent_at):
                holder = self._holder
                won = await self._directory.claim_lease(holder, seen_term, self._lease_s)
                if won is None:
                    return await self._lost(sent_at)
                self._claimed_as = (won, holder)
                return LeaseWon(won, sent_at)
            case RenewLease(term, sent_at):
                if await self._directory.renew_lease(self._name_in(term), term, self._lease_s):
                    return LeaseRenewed(term, sent_at)
                return await self._lost(sent_at)
            case _:
                await self._directory.release_lease(self._name_in(action.term), action.term)
                return LeaseReleased(action.term)

    @property
    def _holder(self) -> str:
        return f"{self._me}/{self.incarnation:x}"

    def _name_in(self, term: int) -> str:
        claimed, holder = self._claimed_as
        return holder if claimed == term else self._holder

    async def _lost(self, sent_at: float) -> LeaseLost:
        row = await self._directory.read_lease(self._lease_s)
        holder = row.holder.partition("/")[0] if row.holder and not row.is_free else None
        return LeaseLost(row.term, holder, max(0.0, row.expires - row.now) if holder else 0.0, sent_at)
