"""Negative controls: fixes taken out of a node's or a peer's process of the harness, never out of the program.

A checker that finds nothing is worth only as much as its finding something where there is something to find. Each
control puts one old behaviour back by replacing a function in the processes that the harness itself starts.
"""

from collections.abc import Callable

from tests.chaos import without_more, without_nodes

CONTROLS: dict[str, tuple[Callable[[], None], str]] = {
    "locks": (
        without_nodes.locks,
        "nodes open and close the database's file beside SQLite, which drops the locks they hold on it",
    ),
    "restore": (without_nodes.restore, "nodes forget what they have seen, so that no restored directory is found out"),
    "taken": (without_nodes.taken, "every TAKEN of a view is answered with yes, not only the first"),
    "more": (without_more.more, "a change of rights whose answer was lost is signed anew instead of sent again"),
}
"""By name: what takes the fix out, and what is then wrong."""


def take_out(names: list[str]) -> None:
    """Take the named fixes out of this process."""
    for name in names:
        CONTROLS[name][0]()
