"""Requests for views as this profile knows them: what the cloud told last, and at once what was answered here."""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any

import msgspec

from shared.config import MAX_NOTE_CHARS
from shared.errors import GlimpseError, RemoteError
from shared.wire import operations as ops
from shared.wire.codec import decode, encode
from tui.peer.asker import Asker
from tui.peer.comparing import later_ask
from tui.peer.context import Context
from tui.peer.store import OutboxRow, Store
from tui.peer.tending import attempt

log = logging.getLogger(__name__)

REJECTION = "rejection"
"""What a row of the outbox is called that rejects a request."""
_LETTER_CAP_BYTES = 16_384
_LOOK_S = 4.0
"""How long a person who answers waits for the request's present state."""


class ViewRequests:
    """Keeps requests, their own and those of others, in the store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cloud = Asker(context)
        self.on_listed: Callable[[Collection[str], Collection[str]], Awaitable[None]] = _ignore
        """Called with the ids of all requests that this account made, as the cloud lists them, and of those that were
        known here before it was asked."""

    # --- From the cloud ----------------------------------------------------------------------------------------------
    async def refresh(self, *, incoming: bool) -> None:
        """Read all requests to (`incoming`) or from this account. Raises `Unavailable`."""
        listed: set[str] = set()
        known = await self._own()
        pages = self._cloud.pages(lambda page: ops.ListAsks(incoming=incoming, page=page), ops.Asks)
        async for outcome in pages:
            await self._keep(outcome.rows, incoming=incoming)
            listed.update(row.ask for row in outcome.rows)
        if not incoming:
            await self.on_listed(listed, known)

    async def _own(self) -> set[str]:
        rows = await self._context.store.run(lambda s: s.all("SELECT ask FROM asks WHERE incoming = 0"))
        return {str(row["ask"]) for row in rows}

    async def _keep(self, rows: Sequence[ops.AskRow], *, incoming: bool) -> None:
        def put(store: Store) -> None:
            for ask in rows:
                _put(store, ask, incoming=incoming)

        await self._context.store.run(put)

    async def keep(self, ask: ops.AskRow, *, incoming: bool) -> ops.AskRow:
        """Keep a request as it is told, unless a later state of it is known; return what is kept."""
        return await self._context.store.run(lambda store: _put(store, ask, incoming=incoming))

    async def arrived(self, ask: ops.AskRow) -> ops.AskRow:
        """Keep a request that a mail told of, and return it as it is known now.

        The mail may be old, or of a cloud that was restored: a request that was closed is not opened by it.
        """
        return await self.keep(ask, incoming=True)

    async def answered(self, ask: ops.AskRow) -> None:
        """Keep a request of this account as its answer tells it."""
        await self._keep([ask], incoming=False)

    async def all(self, *, incoming: bool) -> list[ops.AskRow]:
        """Return the requests that this account got, or made, as far as they can be read."""
        rows = await self._context.store.run(
            lambda s: s.all("SELECT row FROM asks WHERE incoming = :incoming", incoming=int(incoming))
        )
        return [ask for row in rows if (ask := stored_ask(row["row"])) is not None]

    # --- One request -------------------------------------------------------------------------------------------------
    async def known(self, ask: str, *, incoming: bool) -> ops.AskRow | None:
        """Return a request as it was last known here. Asks nobody."""
        return await self._context.store.run(lambda s: _read(s, ask, incoming=incoming))

    async def present(self, ask: str) -> ops.AskRow | None:
        """Return a request to this account as it stands now; as it was last known where the cloud does not say."""
        if self._context.cloud.reachable:
            try:
                question = ops.ListAsks(incoming=True, ask=ask)
                found = await self._cloud.query(question, ops.Asks, wait_s=_LOOK_S)
                await self._keep(found.rows, incoming=True)
            except GlimpseError as error:
                # What is known here has to do; the directory decides when the answer arrives.
                log.info("a request is not read from the cloud", extra={"ask": ask, "reason": str(error)})
        return await self.known(ask, incoming=True)

    # --- Answered here -----------------------------------------------------------------------------------------------
    async def settled(self, row: OutboxRow, *, refused: bool) -> None:
        """Take note of an answer that left the outbox: delivered, or refused by the cloud, which then knows better."""
        if row.ask is None:
            return
        if refused:
            self._context.tasks.start_soon(attempt, "look at a request", partial(self.present, row.ask))
        else:
            await self.close(row.ask, "rejected" if row.what == REJECTION else "accepted")

    async def close(self, ask: str, state: str) -> None:
        """Note how a request to this account ended; nothing if it is closed or not known here.

        What the cloud took as accepted is accepted, also where the image was withdrawn meanwhile.
        """
        now = self._context.wall()
        before = {"pending", "rejected"} if state == "accepted" else {"pending"}
        await self._change(ask, before, incoming=True, state=state, answered=now)

    async def end(self, ask: str, state: str, reason: str, *, incoming: bool) -> bool:
        """Note that a request ended, and why; return whether it was known here as an open one."""
        reason = reason[:MAX_NOTE_CHARS]
        return await self._change(ask, {"pending"}, incoming=incoming, state=state, reason=reason)

    async def _change(self, ask: str, before: Collection[str], *, incoming: bool, **changes: Any) -> bool:
        def put(store: Store) -> bool:
            known = _read(store, ask, incoming=incoming)
            if known is None or known.state not in before:
                return False
            _put(store, msgspec.structs.replace(known, **changes), incoming=incoming)
            return True

        return await self._context.store.run(put)

    async def close_with_image(self, image: str) -> None:
        """Note that an image is no longer offered: requests for it are rejected, unless their answer waits already."""
        now = self._context.wall()

        def put(store: Store) -> None:
            answered = {row.ask for row in store.outbox()}
            for row in store.all("SELECT row FROM asks WHERE incoming = 1"):
                ask = stored_ask(row["row"])
                if ask is None or ask.ask in answered:
                    continue
                if ask.image == image and ask.state == "pending":
                    _put(store, msgspec.structs.replace(ask, state="rejected", answered=now), incoming=True)

        await self._context.store.run(put)


async def _ignore(_listed: Collection[str], _known: Collection[str]) -> None:
    return


def _put(store: Store, ask: ops.AskRow, *, incoming: bool) -> ops.AskRow:
    """Keep a request, unless a later state of it is known: one that was answered or taken back is never open again."""
    latest = later_ask(_read(store, ask.ask), ask)  # what cannot be read gives way to what the cloud tells
    body = encode(ops.AskArrived(ask=latest), cap_bytes=_LETTER_CAP_BYTES)
    store.put("asks", ask=ask.ask, incoming=int(incoming), row=body, created=latest.created)
    return latest


def _read(store: Store, ask: str, *, incoming: bool | None = None) -> ops.AskRow | None:
    row = store.one("SELECT incoming, row FROM asks WHERE ask = :ask", ask=ask)
    if row is None or (incoming is not None and bool(row["incoming"]) != incoming):
        return None
    return stored_ask(row["row"])


def stored_ask(body: Any) -> ops.AskRow | None:
    """Return what a row holds, None where it cannot be read: whoever lists requests sets it aside and says so."""
    try:
        letter: ops.AskArrived = decode(bytes(body), ops.AskArrived, cap_bytes=_LETTER_CAP_BYTES)
    except (RemoteError, TypeError):
        return None
    return letter.ask
