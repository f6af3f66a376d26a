"""Lists in pages: a node that tells one without end is left out, whichever list it is, and holds up nobody."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import msgspec
import pytest

from shared.errors import RemoteError, Unavailable
from shared.wire import operations as ops
from tests.patience import PATIENCE_S
from tests.unit.profiles_made import ask_row
from tui.peer import asker as asker_module
from tui.peer import mailbox as mailbox_module
from tui.peer.asker import Asker
from tui.peer.mailbox import Mailbox
from tui.peer.store import Store
from tui.peer.view_requests import ViewRequests

pytestmark = pytest.mark.anyio
NO_END = 2**53


def images(*numbers: int, total: int) -> ops.Images:
    rows = [
        ops.ImageRow(
            image=f"{number:032x}", title="", format="JPEG", width=1, height=1, size=1, created=1.0, has_preview=False
        )
        for number in numbers
    ]
    return ops.Images(owner=1, rows=rows, total=total)


def page_of_images(number: int) -> ops.Operation:
    return ops.MyImages(page=number)


class Node:
    """The cloud as an asker meets it: each page by its number, and what was held against whoever told it."""

    reachable = True

    def __init__(self, page: Callable[[int], ops.Outcome]) -> None:
        self._page = page
        self.requests: list[str] = []
        self.left_out: list[str] = []

    async def ask(self, _operation: ops.Operation, *, request: str, **_more: Any) -> tuple[ops.Outcome, None]:
        self.requests.append(request)
        return self._page(len(self.requests) - 1), None

    def leave_out(self, request: str, _why: str) -> None:
        self.left_out.append(request)


def context(node: Node, **more: Any) -> Any:
    ids = iter(f"{number:032x}" for number in range(1_000))
    return SimpleNamespace(cloud=node, new_id=lambda: next(ids), **more)


async def read(node: Node) -> list[str]:
    pages = Asker(context(node)).pages(page_of_images, ops.Images)
    return [row.image async for page in pages for row in page.rows]


async def test_a_list_is_read_to_its_end_in_any_number_of_pages() -> None:
    whole = Node(lambda page: images(2 * page, 2 * page + 1, total=6))
    assert await read(whole) == [f"{number:032x}" for number in range(6)]
    # Between two pages one row was added before the others, or all that were left went away.
    moved = Node(lambda page: (images(1, 2, total=4), images(2, 3, total=5), images(4, total=5))[page])
    assert [int(image, 16) for image in await read(moved)] == [1, 2, 2, 3, 4]
    repeated = Node(lambda page: (images(1, 2, total=3), images(2, total=3))[page])
    assert len(await read(repeated)) == 3
    shrunk = Node(lambda page: (images(1, 2, total=4), images(total=2))[page])
    assert len(await read(shrunk)) == 2
    assert [node.left_out for node in (whole, moved, repeated, shrunk)] == [[]] * 4
    with pytest.raises(RemoteError):
        await read(Node(lambda _page: ops.Done()))


@pytest.mark.parametrize("total", [3, 100, NO_END])
async def test_a_page_without_anything_new_ends_the_list_and_the_node(total: int) -> None:
    node = Node(lambda page: images(1, total=total) if page else images(1, total=100))
    with pytest.raises(Unavailable, match="has no end"):
        await read(node)
    assert node.left_out == [node.requests[-1]]
    assert len(node.requests) == 2


async def test_a_list_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = Node(lambda page: images(page, total=NO_END))
    with pytest.raises(Unavailable):
        await read(claims)
    assert claims.left_out == claims.requests == claims.requests[:1]
    monkeypatch.setattr(asker_module, "MAX_LIST_ROWS", 10)
    grows = Node(lambda page: images(page, total=10 if page < 9 else 11))
    with pytest.raises(Unavailable):
        await read(grows)
    assert len(grows.requests) == 10


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(tmp_path / "store.sqlite")
    yield opened
    await opened.aclose()


async def test_requests_are_read_by_the_same_rule(store: Store) -> None:
    ask = msgspec.json.decode(ask_row(), type=ops.AskArrived).ask
    node = Node(lambda _page: ops.Asks(rows=[ask], total=NO_END))
    with pytest.raises(Unavailable), anyio.fail_after(PATIENCE_S):
        await ViewRequests(context(node, store=store)).refresh(incoming=True)
    assert node.left_out == node.requests[:1]


@pytest.mark.parametrize("fresh", [True, False])
async def test_mail_without_end_is_not_fetched_on_and_on(
    store: Store, fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same letter again after it was acknowledged, or always another one."""
    monkeypatch.setattr(mailbox_module, "_MAX_MAILS", 20)

    def page(number: int) -> ops.Outcome:
        mail = ops.MailItem(mail=f"{number if fresh else 0:032x}", created=1.0, body=b"no letter")
        return ops.Mails(rows=[mail], waiting=NO_END)

    node = Node(page)
    here = context(node, store=store, device="e4" * 16, catching_up=False, wall=lambda: 1.0)
    mailbox = Mailbox(here, *(cast("Any", None),) * 5)
    node_ask = node.ask

    async def ask(operation: ops.Operation, **more: Any) -> tuple[ops.Outcome, None]:
        return (ops.Done(), None) if isinstance(operation, ops.AckMail) else await node_ask(operation, **more)

    monkeypatch.setattr(node, "ask", ask)
    with pytest.raises(Unavailable, match="has no end"), anyio.fail_after(PATIENCE_S):
        await mailbox.fetch()
    assert node.left_out == [node.requests[-1]]
    assert len(node.requests) == (21 if fresh else 2)
