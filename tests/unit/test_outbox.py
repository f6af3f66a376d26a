"""What the outbox lets go of, and what it keeps."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from shared.config import LOCAL
from shared.errors import (
    BadSignature,
    GlimpseError,
    InvalidInput,
    MalformedMessage,
    Refused,
    StorageError,
    TransferCancelled,
    Unavailable,
    ViewRefused,
)
from shared.wire.refusals import FINAL_CODES, RefusalCode
from tui.peer.events import Delivered, Undeliverable
from tui.peer.outbox import Outbox, OutboxRow, Unreadable, WaitsFor, is_passing
from tui.peer.store import Store

pytestmark = pytest.mark.anyio
REQUEST = f"{5:032x}"


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        *((Refused(code, "No."), code not in FINAL_CODES) for code in RefusalCode),
        (Refused("failed", "A node could not do this."), True),
        (Refused("of_a_later_version", "No."), True),
        (ViewRefused("frozen", "Restored."), True),
        (ViewRefused("revoked", "Taken back."), False),
        (Unavailable("The cloud did not answer."), True),
        (TransferCancelled("cancelled"), True),
        (StorageError("The disk is full."), True),
        (InvalidInput("No number."), False),
        (MalformedMessage("garbage"), True),
        (BadSignature("forged"), True),
        (OSError("no route"), True),
        (Unreadable("no JSON"), False),
        (KeyError("a fault of this program"), False),
    ],
)
async def test_only_a_closed_list_is_final(error: Exception, passing: bool) -> None:
    assert is_passing(error) == passing


@dataclass
class Events:
    seen: list[Any] = field(default_factory=list)

    def emit(self, event: object) -> None:
        self.seen.append(event)


@dataclass
class Bench:
    outbox: Outbox
    store: Store
    events: Events
    errors: list[GlimpseError]
    tried: list[str] = field(default_factory=list)

    async def until(self, kind: type) -> Any:
        while True:
            found = [event for event in self.events.seen if isinstance(event, kind)]
            if found:
                return found[0]
            await anyio.lowlevel.checkpoint()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An outbox over a real store whose deliveries raise what a test says, and then succeed."""
    store, events, errors = Store(tmp_path / "store.sqlite"), Events(), []
    async with anyio.create_task_group() as tasks:
        context = SimpleNamespace(
            store=store,
            events=events,
            tasks=tasks,
            timing=LOCAL,
            wall=lambda: 1.0,
            clock=lambda: 0.0,
            signed_in=True,
            cloud=None,
        )
        made = Bench(Outbox(cast("Any", context)), store, events, errors)

        async def deliver(row: OutboxRow, _wait_s: float) -> object:
            made.tried.append(row.request)
            if errors:
                raise errors.pop(0)
            return "done"

        made.outbox.handle("test", deliver)
        tasks.start_soon(made.outbox.run)
        yield made
        tasks.cancel_scope.cancel()
    store.close()


@pytest.mark.parametrize(
    "error",
    [
        Refused("failed", "The directory's disk is full: make room."),
        Refused("no_directory", "No directory."),
        Refused("unknown_account", "Register first."),
        Refused("mailbox_full", "Wait."),
        StorageError("Full."),
        Unavailable("Nobody there."),
    ],
)
async def test_what_fails_for_now_waits_with_its_reason_and_is_delivered_in_the_end(
    bench: Bench, error: GlimpseError
) -> None:
    """A queued revocation met a full disk of the cloud and was gone; the viewer kept five views."""
    bench.errors.append(error)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.outbox.submit, "test", "a revocation", b"", REQUEST)
            while not (entries := await bench.outbox.entries()) or not entries[0].trouble:
                await anyio.lowlevel.checkpoint()
            assert (entries[0].trouble, entries[0].attempts) == (str(error), 1)
            assert not bench.events.seen
            bench.outbox.retry()
            await bench.until(Delivered)
        assert await bench.outbox.entries() == []


async def test_what_repeating_cannot_change_is_given_up_with_its_reason(bench: Bench) -> None:
    bench.errors.append(Refused("not_found", "It was withdrawn."))
    with anyio.fail_after(60), pytest.raises(Refused, match="withdrawn"):
        await bench.outbox.submit("test", "a grant", b"", REQUEST)
    assert (await bench.until(Undeliverable)).reason == "It was withdrawn."
    assert await bench.outbox.entries() == []


async def test_what_is_missing_only_for_now_waits_with_its_reason_and_is_delivered_in_the_end(bench: Bench) -> None:
    """A grant met a restored directory that lacked its viewer, and was given up as "There is no such account"."""
    bench.errors += [Refused("not_found", "There is no such account.")] * 2
    asked: list[tuple[str, str]] = []

    async def reprieve(row: OutboxRow, error: GlimpseError) -> str | None:
        asked.append((row.request, str(error)))
        return "It is not back yet."

    bench.outbox.reprieve = reprieve
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.outbox.submit, "test", "a grant", b"", REQUEST)
            for attempt in (1, 2):
                while [entry.attempts for entry in await bench.outbox.entries()] != [attempt]:
                    await anyio.lowlevel.checkpoint()
                [entry] = await bench.outbox.entries()
                assert (entry.trouble, bench.events.seen) == ("It is not back yet.", [])
                bench.outbox.retry()
            await bench.until(Delivered)
    assert asked == [(REQUEST, "There is no such account.")] * 2
    assert await bench.outbox.entries() == []


async def test_a_no_that_comes_before_the_row_is_known_to_be_stored_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that ran already could deliver a row between its commit and its caller's next step. Nobody told the
    caller then: after four seconds it said that what had been refused was queued."""
    real, stored = bench.store.run, []

    async def run(call: Any) -> Any:
        result = await real(call)
        if not stored:  # the row is in the store, and its caller does not know yet
            stored.append(result)
            bench.outbox.retry()
            await bench.until(Undeliverable)
        return result

    bench.errors.append(Refused("not_found", "It was withdrawn."))
    await anyio.wait_all_tasks_blocked()
    monkeypatch.setattr(bench.store, "run", run)
    with anyio.fail_after(60), pytest.raises(Refused, match="withdrawn"):
        await bench.outbox.submit("test", "a grant", b"", REQUEST)


async def test_a_new_row_has_none_of_those_tried_that_failed_just_before(bench: Bench) -> None:
    """With 700 rows that waited for somebody, each new one had all of them tried again."""
    failing = [f"{number:032x}" for number in range(40)]
    bench.errors += [Unavailable("Nobody there.")] * len(failing)
    with anyio.fail_after(60):
        for request in failing:
            await bench.outbox.put("test", "a row", b"", request)
        while sum(entry.attempts for entry in await bench.outbox.entries()) < len(failing):
            await anyio.lowlevel.checkpoint()
        tries = len(bench.tried)
        await bench.outbox.submit("test", "another", b"", REQUEST.replace("5", "f"))
    assert bench.tried[tries:].count(REQUEST.replace("5", "f")) == 1
    assert len(bench.tried) < tries + len(failing)


async def test_what_waits_for_something_is_not_tried_before_it_has_come(bench: Bench) -> None:
    bench.errors += [WaitsFor("ben", "Ben is away."), WaitsFor("ann", "Ann is away.")]
    requests = [f"{number:032x}" for number in (1, 2)]
    with anyio.fail_after(60):
        for request in requests:
            await bench.outbox.put("test", "a copy", b"", request)
        while [entry.trouble for entry in await bench.outbox.entries()] != ["Ben is away.", "Ann is away."]:
            await anyio.lowlevel.checkpoint()
        assert bench.outbox.is_awaited("ben")
        bench.outbox.release("carl")
        await anyio.wait_all_tasks_blocked()
        assert bench.tried == requests
        bench.outbox.release("ann")
        assert (await bench.until(Delivered)).request_id == requests[1]
        assert not bench.outbox.is_awaited("ann")
        assert bench.tried == [*requests, requests[1]]
        bench.outbox.retry()
        while await bench.outbox.entries():
            await anyio.lowlevel.checkpoint()


async def test_a_row_that_is_asked_for_again_is_tried_at_once(bench: Bench) -> None:
    """The device of its viewer came, and says that it lacks the copy."""
    bench.errors.append(WaitsFor("ben", "Ben is away."))
    with anyio.fail_after(60):
        await bench.outbox.put("test", "a copy", b"", REQUEST)
        while not (await bench.outbox.entries())[0].trouble:
            await anyio.lowlevel.checkpoint()
        assert not await bench.outbox.put("test", "a copy", b"", REQUEST)
        await bench.until(Delivered)
