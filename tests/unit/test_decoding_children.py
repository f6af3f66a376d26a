"""The processes that decode: kept to their limits, replaced when they are over, ended with whoever waits for them.

Children that misbehave are little programs of the test's own; none of them depends on how fast the machine is.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest
from PIL import Image

from shared.decoding.cancelling import cancellable
from shared.decoding.children import Children, Limits
from shared.decoding.task import ANSWER_BYTES, Answer, Place, Status, Task
from shared.errors import DecodedTooSlowly, Unavailable, UnusableImage
from tests.hostile_pictures import repeated_scans
from tests.patience import PATIENCE_S

START = "import os, sys, time; sys.path[:] = sys.argv[1:]; from shared.decoding.task import *; os.write(0, READY); "
TAKE = "os.read(0, 1 << 20); "
SLEEPS = START + TAKE + "time.sleep(10_000)"
TASK = Task("PNG", 6, 4)
AGES_S = 10_000.0


def png(size: tuple[int, int] = (6, 4), mode: str = "RGB") -> bytes:
    out = BytesIO()
    Image.new(mode, size, 0).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def children() -> Iterator[Callable[..., Children]]:
    """Return a function that makes children of a program; those that are left in the end are closed."""
    made: list[Children] = []

    def make(most: int = 1, program: str | None = None, *, cpu_s: int = 60, wall_s: float = AGES_S) -> Children:
        options = {} if program is None else {"program": program}
        made.append(Children(most, limits=Limits(cpu_s, wall_s), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition, in a test without an event loop."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if holds():
            return
        waiting.wait(0.01)
    raise AssertionError("it never came")


def processes() -> set[int]:
    """Return the ids of this process's children."""
    return {process.pid for process in psutil.Process().children()}


# --- What is right ---------------------------------------------------------------------------------------------------
def test_one_child_decodes_one_picture_after_the_other(children: Callable[..., Children]) -> None:
    some = children()
    first = some.decode(png(), TASK, "It")
    assert (first.answer, first.pixels) == (Answer(Status.DONE, 6, 4), bytearray(6 * 4 * 3))
    pids = some.idle_pids
    assert len(pids) == 1
    again = some.decode(png((9, 2), "RGBA"), Task("PNG", 9, 2, pixels=False), "It")
    assert (again.answer, again.pixels) == (Answer(Status.DONE, 9, 2), bytearray())
    assert some.idle_pids == pids


def test_a_damaged_picture_costs_no_child(children: Callable[..., Children]) -> None:
    some = children()
    some.decode(png(), TASK, "It")
    pids = some.idle_pids
    for data, task in ((png()[:40], TASK), (png((6, 5)), TASK), (b"", TASK), (b"\0" * 99, Task("JPEG", 6, 4))):
        with pytest.raises(UnusableImage, match="It is damaged or cut short"):
            some.decode(data, task, "It")
    assert some.idle_pids == pids


def test_a_child_knows_nothing_of_its_surroundings(
    children: Callable[..., Children], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password in the environment is none of a decoder's business, nor is the terminal."""
    monkeypatch.setenv("GLIMPSE_PASSPHRASE", "secret")
    some = children()
    some.decode(png(), TASK, "It")
    process = psutil.Process(some.idle_pids[0])
    assert "secret" not in process.environ().values()
    assert process.cwd() == "/"
    assert os.getsid(process.pid) == process.pid


def test_a_child_does_not_take_numpy_along() -> None:
    """It would take three times as long to start, and twice the memory."""
    script = "import shared.decoding.child, sys; print(*{'numpy', 'anyio', 'msgspec', 'asyncio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.strip() == ""


def test_nothing_but_a_child_decodes_a_picture_file() -> None:
    """What opens a file of somebody else's with Pillow in a node or a client has no limits."""
    root = Path(__file__).parents[2]
    decodes = re.compile(r"Image\.open|ImagePlugin|ImageFile|ImageOps")
    found = {
        str(path.relative_to(root))
        for package in ("shared", "node", "tui")
        for path in (root / package).rglob("*.py")
        if decodes.search(path.read_text())
    }
    glimpses_own_samples = {"tui/commands/samples.py", "tui/commands/demo.py", "tui/commands/load.py"}
    assert found - glimpses_own_samples == {"shared/decoding/child.py"}


# --- Limits ----------------------------------------------------------------------------------------------------------
def test_what_takes_too_much_computing_is_ended_and_the_next_picture_is_decoded(
    children: Callable[..., Children],
) -> None:
    """The picture that stopped the cluster, past all checks."""
    some = children(cpu_s=1)
    some.decode(png(), TASK, "It")
    pids = some.idle_pids
    with pytest.raises(UnusableImage, match=r"It takes more than 1 s of computing to decode; .* anew") as caught:
        some.decode(repeated_scans(6_000), Task("JPEG", 4000, 3000), "It")
    assert not isinstance(caught.value, DecodedTooSlowly)
    assert len(some.idle_pids) == 1, "another has taken its place"
    assert some.idle_pids != pids
    assert some.decode(png(), TASK, "It").answer.status is Status.DONE


@pytest.mark.skipif(sys.platform != "linux", reason="only here is address space limited for certain")
def test_what_takes_too_much_memory_is_told_as_that(children: Callable[..., Children]) -> None:
    some = children()
    large = png((5000, 4000))
    with pytest.raises(UnusableImage, match="It takes more memory to decode than a picture may; make it smaller"):
        some.decode(large, Task("PNG", 5000, 4000, pixels=False, memory_bytes=1_000_000), "It")
    found = some.decode(large, Task("PNG", 5000, 4000, pixels=False, memory_bytes=80_000_000), "It")
    assert found.answer.status is Status.DONE


def test_a_deadline_ends_it_and_says_that_it_may_be_the_machine(children: Callable[..., Children]) -> None:
    before = processes()
    some = children(program=SLEEPS, wall_s=0.05)
    with pytest.raises(DecodedTooSlowly, match=r"It was not decoded within .* less busy"):
        some.decode(png(), TASK, "It")
    assert len(processes() - before) == 1, "the one that slept is gone, another has taken its place"
    assert processes() - before == set(some.idle_pids)


# --- What a hostile child may answer ---------------------------------------------------------------------------------
ANSWERS = {
    "no status": bytes([9]) + bytes(ANSWER_BYTES - 1),
    "no place": bytes([0, 9]) + bytes(ANSWER_BYTES - 2),
    "more pixels than were asked for": Answer(Status.DONE, 60_000, 60_000).pack(),
    "another size": Answer(Status.DONE, 4, 6).pack() + bytes(72),
}
DEATHS = {
    "ends": "pass",
    "is killed": "os.kill(os.getpid(), 9)",
    "crashes": "os.kill(os.getpid(), 11)",
    "ends in the middle": f"os.write(0, {Answer(Status.DONE, 6, 4).pack()!r} + bytes(71))",
}


@pytest.mark.parametrize("what", [*ANSWERS, *DEATHS])
def test_what_no_child_answers_is_a_failure_of_the_picture(children: Callable[..., Children], what: str) -> None:
    last = DEATHS[what] if what in DEATHS else f"os.write(0, {ANSWERS[what]!r}); time.sleep(10_000)"
    some = children(program=START + TAKE + last)
    with pytest.raises(UnusableImage, match=r"It made the process that decodes it fail; .* save it anew"):
        some.decode(png(), TASK, "It")


@pytest.mark.parametrize(
    ("task", "size", "allowed"),
    [
        (Task("PNG", 60, 40), (60, 40), True),
        (Task("PNG", 60, 40), (40, 60), False),
        (Task("PNG", 60, 40, upright=True), (40, 60), True),
        (Task("PNG", 60, 40, size=(7, 9)), (7, 9), True),
        (Task("PNG", 60, 40, size=(7, 9)), (9, 7), False),
        (Task("PNG", 60, 40, box=(30, 30)), (30, 20), True),
        (Task("PNG", 60, 40, box=(30, 30)), (31, 20), False),
        (Task("PNG", 60, 40, box=(30, 30)), (0, 20), False),
        (Task("PNG", 60, 40, box=(900, 900)), (61, 40), False),
        (Task("PNG", 60, 40, box=(900, 900)), (60, 41), False),
        (Task("PNG", 60, 40, pixels=False), (9, 9), True),
    ],
)
def test_the_size_of_an_answer_follows_from_the_task(task: Task, size: tuple[int, int], allowed: bool) -> None:
    assert task.allows(*size) is allowed


@pytest.mark.parametrize(
    "task",
    [
        Task("WEBP", 5_000, 4_000, box=(7, 9), upright=True, place=True, cpu_s=3, memory_bytes=5_000_000_000),
        Task("PNG", 1, 2, size=(3, 4), solid=True, pixels=False),
        Task("JPEG", 1, 2),
    ],
)
def test_a_task_and_an_answer_arrive_as_they_were_sent(task: Task) -> None:
    assert Task.unpack(task.pack(77)) == (task, 77)
    answer = Answer(Status.DONE, 7, 9, Place.UNREAD)
    assert Answer.unpack(answer.pack()) == answer


def test_a_child_that_never_starts_is_not_the_fault_of_the_picture(children: Callable[..., Children]) -> None:
    with pytest.raises(Unavailable, match="No process can be started"):
        children(program="import sys; sys.exit(1)").decode(png(), TASK, "It")


def test_no_room_for_a_process_is_not_the_fault_of_the_picture(
    children: Callable[..., Children], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(Unavailable, match="No process can be started"):
        children().decode(png(), TASK, "It")


@pytest.mark.parametrize("how", ["ends", "talks"])
def test_a_child_that_ends_or_talks_while_it_waits_is_replaced(children: Callable[..., Children], how: str) -> None:
    answer = f"os.write(0, {Answer(Status.DONE, 6, 4).pack()!r} + bytes(72)"
    some = children(program=START + TAKE + answer + (" + b'!'); time.sleep(10_000)" if how == "talks" else ")"))
    for _ in range(2):
        assert some.decode(png(), TASK, "It").answer.status is Status.DONE
        [pid] = some.idle_pids
        if how == "ends":
            until(lambda pid=pid: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_nothing_is_left_of_children_that_were_replaced(children: Callable[..., Children]) -> None:
    some = children(program=START + TAKE)
    open_files = len(list(Path("/dev/fd").iterdir()))
    before = processes()
    for _ in range(5):
        with pytest.raises(UnusableImage):
            some.decode(png(), TASK, "It")
    some.close()
    assert processes() == before
    assert len(list(Path("/dev/fd").iterdir())) == open_files


# --- At the same time ------------------------------------------------------------------------------------------------
def test_a_picture_that_takes_long_holds_nobody_up(children: Callable[..., Children]) -> None:
    """One lock for all decoding made everybody wait for the slowest picture."""
    some = children(most=2)
    failed: list[Exception] = []

    def hog() -> None:
        try:
            some.decode(repeated_scans(6_000), Task("JPEG", 4000, 3000), "It")
        except UnusableImage as error:
            failed.append(error)

    before = processes()
    thread = threading.Thread(target=hog)
    thread.start()
    until(lambda: bool(processes() - before))
    [pid] = processes() - before
    until(lambda: psutil.Process(pid).cpu_times().user > 0.3)
    for _ in range(3):
        assert some.decode(png(), TASK, "It").answer.status is Status.DONE
    assert thread.is_alive()
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert len(failed) == 1


@pytest.mark.anyio
async def test_a_decoding_that_nobody_waits_for_ends_at_once(children: Callable[..., Children]) -> None:
    """Cancelling a seal waited for 37 s, quitting the client for a minute."""
    before = processes()
    some = children(program=SLEEPS)
    ended = anyio.Event()

    async def wait() -> None:
        try:
            await cancellable(some.decode, png(), TASK, "It")
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.to_thread.run_sync(until, lambda: bool(processes() - before))
        tasks.cancel_scope.cancel()
    assert ended.is_set()
    await anyio.to_thread.run_sync(until, lambda: not processes() - before)
    await anyio.to_thread.run_sync(until, lambda: some._busy == 0)


@pytest.mark.anyio
async def test_one_that_waits_for_its_turn_is_cancelled_as_well(children: Callable[..., Children]) -> None:
    before = processes()
    some = children(program=SLEEPS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancellable, some.decode, png(), TASK, "It")
        await anyio.to_thread.run_sync(until, lambda: some._busy == 1)
        with anyio.move_on_after(0.05) as waiting:
            await cancellable(some.decode, png(), TASK, "It")
        assert waiting.cancelled_caught
        assert some._busy == 1
        tasks.cancel_scope.cancel()
    await anyio.to_thread.run_sync(until, lambda: some._busy == 0)
    await anyio.to_thread.run_sync(until, lambda: not processes() - before)


PARENT = """
import sys, threading
from shared.decoding.children import Children, Limits
from shared.decoding.task import Task
from tests.hostile_pictures import repeated_scans
some = Children(limits=Limits(100_000, 100_000.0))
some.decode(repeated_scans(1), Task("JPEG", 4000, 3000), "It")
print(*some.idle_pids, flush=True)
some.decode(repeated_scans(6_000), Task("JPEG", 4000, 3000), "It")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends when it has come to its end")
def test_a_child_ends_with_its_parent_in_the_middle_of_a_picture() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.cpu_times().user > 0.3)
        parent.kill()
        until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
