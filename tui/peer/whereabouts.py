"""Whether people can be reached, found out once for each of them however many copies wait.

Hundreds of pictures may wait for one person. Trying each of them again and again would ask the cloud hundreds of times
where that person is; so they wait for the person, who is looked up from time to time.
"""

from collections.abc import Callable

import anyio

from shared.errors import GlimpseError
from shared.wire.operations import Account
from tui.peer.context import Context
from tui.peer.people import People
from tui.peer.retries import Retries
from tui.peer.single_flight import SingleFlight

_LONGEST_PAUSE_S = 30.0
_WAIT_S = 5.0


class Whereabouts:
    """Looks people up, and goes on with those who were away or out of reach until they are there."""

    def __init__(
        self, context: Context, people: People, *, is_awaited: Callable[[int], bool], on_there: Callable[[int], None]
    ) -> None:
        """`is_awaited` says whether anything waits for a person, `on_there` is told that it is worth trying again."""
        self._context = context
        self._people = people
        self._is_awaited = is_awaited
        self._on_there = on_there
        self._look_ups: SingleFlight[int, Account] = SingleFlight()
        self._missed: Retries[int] = Retries(context.timing.request_retry_s, _LONGEST_PAUSE_S)
        self._news = anyio.Event()

    async def find(self, account: int, *, wait_s: float) -> Account:
        """Return a person as `People.find` does; who asks meanwhile gets the same answer."""
        return await self._look_ups.ask(account, lambda: self._people.find(account, wait_s=wait_s))

    def missed(self, account: int) -> None:
        """Note that a person is away or out of reach; told for each copy, it counts once until the next look."""
        now = self._context.clock()
        if self._missed.due_at(account) <= now:
            self._missed.failed(account, now)
            self._news.set()

    def reached(self, account: int) -> None:
        """Note that a person was reached."""
        self._missed.forget(account)

    async def run(self) -> None:
        """Look for those who were missed, for ever."""
        while True:
            self._news = anyio.Event()
            with anyio.move_on_after(max(0.0, self._missed.next() - self._context.clock())):
                await self._news.wait()
            for account in self._missed.due(self._context.clock()):
                await self._look_for(account)

    async def _look_for(self, account: int) -> None:
        if not self._is_awaited(account):
            self._missed.forget(account)
            return
        self._missed.failed(account, self._context.clock())
        if not self._context.signed_in:
            return
        try:
            found = await self.find(account, wait_s=_WAIT_S)
        except GlimpseError:
            return
        if found.is_there:
            self._on_there(account)
