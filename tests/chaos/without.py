"""Negative controls: fixes taken out of a node's or a peer's process of the harness, never out of the program.

A checker that finds nothing is worth only as much as its finding something where there is something to find. Each
control puts one old behaviour back by replacing a function in the processes that the harness itself starts.
"""

from importlib import import_module

CONTROLS = {
    "locks": (
        "tests.chaos.without_nodes",
        "nodes open and close the database's file beside SQLite, which drops the locks they hold on it",
    ),
    "restore": (
        "tests.chaos.without_nodes",
        "nodes forget what they have seen, so that no restored directory is found out",
    ),
    "taken": ("tests.chaos.without_nodes", "every TAKEN of a view is answered with yes, not only the first"),
    "more": (
        "tests.chaos.without_more",
        "a change of rights whose answer was lost is signed anew, as another one, not sent again",
    ),
}
"""By name of the control: the module whose function of that name takes the fix out, and what is then wrong."""


def take_out(names: list[str]) -> None:
    """Take the named fixes out of this process."""
    for name in names:
        getattr(import_module(CONTROLS[name][0]), name)()
