"""`glimpse agent`: a peer without a screen that shares a folder and answers requests by rule."""

import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from shared.errors import GlimpseError, UserError
from shared.parent_watch import until_orphaned
from tui.peer import Peer
from tui.peer.events import DirectoryRestored, OtherDevice, RequestArrived

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})


async def until_stopped(run: Callable[[], Coroutine[Any, Any, None]], *, parent: int | None = None) -> None:
    """Run something until SIGTERM or SIGINT, so that what it holds is closed in order.

    The end of the process `parent`, which started this one, ends it as well.
    """
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as group:

            async def end_with(parent: int) -> None:
                await until_orphaned(parent)
                group.cancel_scope.cancel()

            group.start_soon(run)
            if parent is not None:
                group.start_soon(end_with, parent)
            async for _ in signals:
                group.cancel_scope.cancel()
                return


async def agent(
    peer: Peer,
    name: str,
    *,
    accept: bool,
    views: int | None,
    share: Path | None,
    after_s: float,
    previews: bool,
    say: Callable[[str], None],
) -> None:
    """Register, share the pictures of a folder, and answer every request, until cancelled.

    With `accept` requests are granted after `after_s` seconds, with `views` instead of the number asked if given;
    without, they are left for a person to answer.
    """
    with peer.subscribe() as events:
        me = peer.me or await peer.register(name)
        await peer.sign_in()
        say(f"{me.name} is account {me.account}: {me.words}")
        if share is not None:
            await _share(peer, share, say, previews=previews)
        if accept:
            for request in (await peer.requests()).incoming:
                if request.state == "pending":
                    await _accept(peer, request.request_id, views, say)
        async for event in events:
            if isinstance(event, DirectoryRestored):
                say(event.text)
            if isinstance(event, OtherDevice):
                say(
                    "this account is signed in on another device as well"
                    + (", which others reach from now on" if event.newer else "")
                )
            if accept and isinstance(event, RequestArrived):
                await anyio.sleep(after_s)
                await _accept(peer, event.request_id, views, say)


async def _share(peer: Peer, folder: Path, say: Callable[[str], None], *, previews: bool) -> None:
    known = {image.title for image in await peer.my_images()}
    for path in await anyio.to_thread.run_sync(lambda: sorted(folder.iterdir())):
        if path.suffix.lower() not in _SUFFIXES or path.stem in known:
            continue
        try:
            image = await peer.encrypt(path)
            if previews:
                await peer.set_preview(image.image, path)
        except UserError as error:
            say(f"{path.name} is not shared: {error}")
        else:
            say(f"{path.name} is shared as {image.image}")


async def _accept(peer: Peer, request_id: str, views: int | None, say: Callable[[str], None]) -> None:
    try:
        await peer.accept(request_id, views=views)
    except GlimpseError as error:
        say(f"request {request_id} was not accepted: {error}")
    else:
        say(f"request {request_id} was accepted")
