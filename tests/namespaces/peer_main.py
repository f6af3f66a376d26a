"""A peer in a process of its own that does what it is told on its standard input, a line of JSON each.

python -m tests.namespaces.peer_main PROFILE CLUSTER NAME
"""

import hashlib
import json
import sys
import time
from typing import Any

import anyio
import anyio.to_thread

from tui.peer import Peer
from tui.peer.events import CopyProgress, ImageReceived

_PATIENCE_S = 60.0


class Told:
    """One peer, and what it has seen of copies on their way."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.first: dict[str, float] = {}
        """When the first bytes of a grant's copy were here or there, in seconds since 1970."""
        self.last: dict[str, float] = {}
        """When the last ones were."""
        self.paths: dict[str, list[str]] = {}
        self.silent: dict[str, float] = {}
        """The longest time between two pieces of news of a copy, in seconds."""
        self.coming_now: CopyProgress | None = None
        self.here: set[str] = set()
        self._heard = 0.0
        self._news = anyio.Event()

    async def watch(self) -> None:
        async for event in self.peer.events():
            if isinstance(event, CopyProgress) and event.done:
                now = time.time()
                if event.grant in self.first:
                    self.silent[event.grant] = max(self.silent.get(event.grant, 0.0), now - self._heard)
                self._heard = now
                self.coming_now = event
                self.first.setdefault(event.grant, now)
                paths = self.paths.setdefault(event.grant, [])
                if event.path not in paths[-1:]:
                    paths.append(event.path)
                if event.done == event.total:
                    self.last[event.grant] = time.time()
            elif isinstance(event, ImageReceived):
                self.here.add(event.image)
            self._news.set()
            self._news = anyio.Event()

    async def encrypt(self, path: str, cover: str | None = None) -> dict[str, Any]:
        """Encrypt a picture."""
        return {"image": (await self.peer.encrypt(path, cover=cover)).image}

    async def grant(self, image: str, viewer: int) -> dict[str, Any]:
        """Give somebody a view; answer when the copy is there."""
        began = time.time()
        await self.peer.grant(image, viewer, 5)
        [grant] = [row.grant for row in await self.peer.viewers(image) if row.account == viewer]
        await self._until(lambda: grant in self.last)
        return {"began": began, "last": self.last[grant], "paths": self.paths[grant]}

    async def coming(self, share: float) -> dict[str, Any]:
        """Wait until so much of a copy is here that is still coming; return the path that it takes."""

        def is_so_far() -> bool:
            event = self.coming_now
            return event is not None and share <= event.done / event.total < 1

        await self._until(is_so_far)
        assert self.coming_now is not None
        return {"path": self.coming_now.path}

    async def open(self, image: str) -> dict[str, Any]:
        """Wait for a copy and look at it."""
        await self._until(lambda: image in self.here)
        [held] = [row for row in await self.peer.peer_images() if row.image == image]
        view = await self.peer.view(image)
        return {
            "first": self.first.get(held.grant),
            "silent": self.silent.get(held.grant),
            "sha256": hashlib.sha256(view.data).hexdigest(),
        }

    async def final(self, within_s: float) -> dict[str, Any]:
        """Wait until the youngest session with another peer goes directly, or for so long; tell how it goes."""
        context = self.peer._context
        others = [session for session in context.endpoint.sessions if not context.cloud.is_node(session)]
        youngest = max(others, key=lambda session: session.opened_at)
        end = time.time() + within_s
        while (path := self.peer._paths.shown(youngest)) != "direct" and time.time() < end:  # noqa: ASYNC110 - who asks waits
            await anyio.sleep(0.02)
        return {"path": path, "at": time.time()}

    async def _until(self, holds: Any) -> None:
        with anyio.fail_after(_PATIENCE_S):
            while not holds():
                await self._news.wait()


async def main(profile: str, cluster: str, name: str) -> None:
    # What a busy machine makes late is not left in the cloud: then it would take no path at all.
    async with Peer(profile, cluster, holds_copies=False) as peer:
        me = await peer.register(name)
        await peer.sign_in()
        told = Told(peer)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(told.watch)
            say({"account": me.account})
            while line := await anyio.to_thread.run_sync(sys.stdin.readline):
                command = json.loads(line)
                say(await getattr(told, command.pop("do"))(**command))
            tasks.cancel_scope.cancel()


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
