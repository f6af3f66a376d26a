"""The negative controls of a node: old behaviour put back, in this process only."""

import os
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path

from node.directory import sqlite_file
from node.directory.interface import Query, Row, Step, Transaction, Tx, Value
from node.directory.marks import AcknowledgedCommits, Marks, OwnMarks
from node.memory import Memory
from node.services import views
from node.services.common import Call, Caller, Served, not_found
from node.services.operations import REGISTRY, Services
from shared.wire.operations import Done, KnownCount, TakenView


def locks() -> None:
    """Open and close the database's file beside SQLite, as often as a connection is made."""

    def careless(path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    _replace(sqlite_file, "_create_private", careless)


def taken() -> None:
    """Say yes to every TAKEN of a view."""

    def take(call: Call, operation: TakenView) -> Transaction[Served]:
        def run(tx: Tx) -> Step[Served]:
            mine: dict[str, Value] = {"view": operation.view, "viewer": call.caller.account}
            marked = yield Query(
                "UPDATE views SET taken = COALESCE(taken, :now) WHERE id = :view AND viewer_id = :viewer",
                {**mine, "now": tx.now},
            )
            if not marked.rowcount:
                raise not_found("view")
            return Served(Done())

        return run

    async def handler(services: Services, call: Call, operation: TakenView) -> Served:
        return await services.effect(call, operation, take(call, operation))

    REGISTRY[TakenView] = replace(REGISTRY[TakenView], handler=handler)


def restore() -> None:
    """Never find out that the directory was restored."""

    def read(self: Memory, asked_with: Marks, found: Marks, *, lost: bool = False) -> None:
        self.highest, self._latest = found, found

    def read_own(self: AcknowledgedCommits, found: OwnMarks, asked_with: OwnMarks) -> bool:
        return False

    def freeze_if_behind(tx: Tx, caller: Caller, grant: Row, reported: KnownCount) -> Step[None]:
        yield from ()

    _replace(Memory, "read", read)
    _replace(AcknowledgedCommits, "read", read_own)
    _replace(views, "freeze_if_behind", freeze_if_behind)


def _replace(owner: object, name: str, new: Callable[..., object]) -> None:
    """Replace a function that must be there as it is called: a control of a fix that has moved would prove nothing."""
    old = getattr(owner, name)
    assert list(signature(old).parameters) == list(signature(new).parameters), f"{name} is called otherwise now"
    setattr(owner, name, new)
