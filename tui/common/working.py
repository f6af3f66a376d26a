"""Starting workers. They are handed over as functions, so that one dropped before its start leaves no coroutine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.dom import DOMNode
    from textual.worker import Worker


def work(
    node: DOMNode, call: Callable[[], Coroutine[Any, Any, None]], *, group: str = "default", exclusive: bool = False
) -> None:
    """Run `call` in a worker of `node`; with `exclusive` it takes the place of what runs in the same group."""
    function = cast("Callable[[], Coroutine[None, None, None]]", call)
    _: Worker[None] = node.run_worker(function, group=group, exclusive=exclusive)
