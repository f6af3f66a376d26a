"""The store of a peer: what happens at its end while others still use it."""

import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from shared.errors import ProfileError
from tui.peer.store import Store

pytestmark = pytest.mark.anyio


async def test_closing_waits_for_what_is_under_way(tmp_path: Path) -> None:
    """A screen's worker may be in the middle of a transaction when the client is left. Closing the connection under it
    ended the whole process with a segmentation fault."""
    store = Store(tmp_path / "store.sqlite")
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def slow(store: Store) -> None:
        begun.set()
        go_on.wait(10)
        store.set_fact("late", "but whole")
        order.append("transaction")

    async def use() -> None:
        await store.run(slow)

    async def close() -> None:
        await store.aclose()
        order.append("closed")

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        await anyio.to_thread.run_sync(begun.wait)
        group.start_soon(close)
        await anyio.wait_all_tasks_blocked()
        assert order == []
        go_on.set()
    assert order == ["transaction", "closed"]
    again = Store(tmp_path / "store.sqlite")
    assert await again.run(lambda s: s.fact("late")) == "but whole"
    await again.aclose()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    await store.aclose()
    with pytest.raises(ProfileError, match="closed"):
        await store.run(lambda s: s.fact("name"))
