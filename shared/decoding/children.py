"""Child processes that decode, and how their parent keeps them to their limits.

A child is warm: started once, with Pillow imported (50 ms), and given one picture after the other. What it may take is
set for each picture: computing time and memory by the kernel, time in all by the parent's deadline. A child that takes
more, dies, or answers what no child answers is killed and another takes its place; nobody else waits for it, and no
lock is held while a picture is decoded. It belongs to no terminal, sees nothing of the environment, and ends with its
parent.

Calls block, so they are for threads. `shared.decoding.cancelling` runs them so that they end at once when whoever waits
for them is cancelled.
"""

import atexit
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from shared.config import (
    DECODE_CPU_S,
    DECODE_WALL_S,
    DECODING_CHILDREN,
)
from shared.decoding.cancelling import current
from shared.decoding.checks import animated, damaged
from shared.decoding.task import ANSWER_BYTES, READY, Answer, Status, Task
from shared.errors import DecodedTooSlowly, Unavailable, UnusableImage

log = logging.getLogger(__name__)

_PROGRAM: Final = "import sys; sys.path[:] = sys.argv[1:]; from shared.decoding.child import main; main()"
_KEPT_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "SYSTEMROOT")
"""What a program may need to find its libraries; nothing else of the environment concerns a child."""
_DYING_S: Final = 5.0
"""A process that has ended by its limits closes its socket before it can be waited for."""
_NO_CHILD: Final = "No process can be started to decode pictures in; free some memory on this machine and try again."


@dataclass(frozen=True, slots=True)
class Decoded:
    """The answer to a task, and the pixels where they were asked for: three bytes each, row by row."""

    answer: Answer
    pixels: bytearray


@dataclass(frozen=True, slots=True)
class Limits:
    """How long decoding one picture may take: seconds of computing, seconds in all."""

    cpu_s: int = DECODE_CPU_S
    wall_s: float = DECODE_WALL_S


class _Gone(Exception):
    """The child has ended."""


class _Late(Exception):
    """The deadline has passed."""


class _Garbage(Exception):
    """The child answered what no child answers."""


class _Child:
    """One process. It is used by one thread at a time; `kill` may come from any."""

    def __init__(self, program: str = _PROGRAM) -> None:
        """Raises `OSError` where the system has no room for another process."""
        their_lifeline, self._lifeline = os.pipe()
        try:
            self._socket, theirs = socket.socketpair()
        except BaseException:
            os.close(their_lifeline)
            os.close(self._lifeline)
            raise
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own program
                [sys.executable, "-I", "-S", "-c", program, *_import_path()],
                stdin=theirs.fileno(),
                stdout=their_lifeline,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env=_environment(),
            )
        except BaseException:
            self._socket.close()
            os.close(self._lifeline)
            raise
        finally:
            theirs.close()
            os.close(their_lifeline)
        self.ready = False

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it lives, and has said nothing that it was not asked."""
        if self._process.poll() is not None:
            return False
        self._socket.setblocking(False)
        try:
            return self._socket.recv(1, socket.MSG_PEEK) == READY and not self.ready
        except BlockingIOError:
            return True
        except OSError:
            return False

    def do(self, task: Task, data: bytes, deadline: float) -> Decoded:
        """Have a picture decoded. Raises `_Gone`, `_Late` or `_Garbage`, after which the child is of no use."""
        try:
            if not self.ready:
                if self._received(bytearray(1), deadline) != READY:
                    raise _Garbage
                self.ready = True
            self._send(task.pack(len(data)), deadline)
            self._send(data, deadline)
            answer = self._answer(deadline)
            wanted = task.pixels and answer.status is Status.DONE
            if wanted and not task.allows(answer.width, answer.height):
                raise _Garbage
            room = bytearray(3 * answer.width * answer.height if wanted else 0)
            return Decoded(answer, self._received(room, deadline))
        except TimeoutError as error:
            raise _Late from error
        except OSError as error:
            raise _Gone from error

    def _answer(self, deadline: float) -> Answer:
        try:
            return Answer.unpack(bytes(self._received(bytearray(ANSWER_BYTES), deadline)))
        except ValueError as error:
            raise _Garbage from error

    def _send(self, data: bytes, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(data)

    def _received(self, room: bytearray, deadline: float) -> bytearray:
        """Fill `room` with what comes, and return it."""
        view = memoryview(room)
        while view:
            self._socket.settimeout(_left(deadline))
            count = self._socket.recv_into(view)
            if not count:
                raise _Gone
            view = view[count:]
        return room

    def kill(self) -> None:
        """End it at once. Whoever waits for it finds it gone."""
        with suppress(OSError):
            self._process.kill()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def bury(self) -> int:
        """End it, let go of everything, and return its exit code, negative for the signal that ended it."""
        self.kill()
        self._socket.close()
        os.close(self._lifeline)
        return self._process.wait()

    def cause_of_death(self) -> int | None:
        """Return the exit code of a child that has closed its socket, None if it lives on."""
        try:
            return self._process.wait(_DYING_S)
        except subprocess.TimeoutExpired:
            return None


class Children:
    """At most `most` children, started when they are needed and kept for the next picture. Safe to use from threads."""

    def __init__(self, most: int = DECODING_CHILDREN, *, limits: Limits | None = None, program: str = _PROGRAM) -> None:
        self._most = most
        self._limits = limits or Limits()
        self._program = program
        self._free = threading.Condition()
        self._idle: list[_Child] = []
        self._busy = 0

    @property
    def idle_pids(self) -> list[int]:
        """The ids of the processes that wait for a picture."""
        with self._free:
            return [child.pid for child in self._idle]

    def decode(self, data: bytes, task: Task, name: str) -> Decoded:
        """Have a picture decoded, when its turn has come, within the limits. Blocks: for threads.

        Raises `UnusableImage` with what to do about it, `DecodedTooSlowly` (which is one) where a busy machine may be
        the cause, and `Unavailable` where no child could be started, or the call was cancelled.
        """
        task = replace(task, cpu_s=self._limits.cpu_s)
        with self._turn():
            found = self._decoded(self._child(), data, task, name)
        match found.answer.status:
            case Status.DONE:
                return found
            case Status.ANIMATED:
                raise animated(name, found.answer.width)
            case Status.TOO_MUCH_MEMORY:
                raise too_hungry(name)
            case _:
                raise damaged(name)

    def close(self) -> None:
        """End the children that wait. Those at work end with their pictures, or with this process."""
        with self._free:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()
            child.bury()

    # --- Turns -------------------------------------------------------------------------------------------------------
    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until fewer than `most` pictures are being decoded."""
        call = current()
        with call.ending_by(self._wake), self._free:
            while self._busy >= self._most and not call.cancelled:
                self._free.wait()
            call.check()
            self._busy += 1
        try:
            yield
        finally:
            with self._free:
                self._busy -= 1
                self._free.notify()

    def _wake(self) -> None:
        with self._free:
            self._free.notify_all()

    # --- Children ----------------------------------------------------------------------------------------------------
    def _child(self) -> _Child:
        """Return a child that waits, or a new one."""
        while True:
            with self._free:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return self._started()
            if child.usable:
                return child
            log.warning("a decoding process had ended", extra={"pid": child.pid, "code": child.bury()})

    def _started(self) -> _Child:
        try:
            return _Child(self._program)
        except OSError as error:
            log.warning("no decoding process could be started", extra={"reason": str(error)})
            raise Unavailable(_NO_CHILD) from error

    def _start_another(self) -> None:
        """Start a child to take the place of one that was killed."""
        with suppress(Unavailable):
            self._keep(self._started())

    def _keep(self, child: _Child) -> None:
        with self._free:
            kept = len(self._idle) < self._most
            if kept:
                self._idle.append(child)
        if not kept:
            child.kill()
            child.bury()

    def _decoded(self, child: _Child, data: bytes, task: Task, name: str) -> Decoded:
        call = current()
        try:
            with call.ending_by(child.kill):
                found = child.do(task, data, time.monotonic() + self._limits.wall_s)
        except BaseException as error:
            code = child.cause_of_death() if isinstance(error, _Gone) else None
            child.bury()
            call.check()
            self._start_another()
            if not isinstance(error, _Gone | _Late | _Garbage):
                raise
            log.warning("a decoding process was replaced", extra={"why": type(error).__name__, "code": code})
            raise self._reason(child, error, code, name) from error
        self._keep(child)
        return found

    def _reason(self, child: _Child, error: Exception, code: int | None, name: str) -> Exception:
        if isinstance(error, _Late):
            return DecodedTooSlowly(
                f"{name} was not decoded within {self._limits.wall_s:.0f} s; try again when this machine is less busy, "
                "or save it anew as an ordinary PNG or JPEG."
            )
        if not child.ready:
            return Unavailable(_NO_CHILD)
        if code is not None and code == -getattr(signal, "SIGXCPU", 0):
            return UnusableImage(
                f"{name} takes more than {self._limits.cpu_s} s of computing to decode; open it elsewhere and save it "
                "anew as an ordinary PNG or JPEG."
            )
        return UnusableImage(
            f"{name} made the process that decodes it fail; open it elsewhere and save it anew as an ordinary PNG or "
            "JPEG."
        )


def too_hungry(name: str) -> UnusableImage:
    """Return the error for a picture that takes more memory than it may."""
    return UnusableImage(
        f"{name} takes more memory to decode than a picture may; make it smaller, or save it anew as an ordinary JPEG."
    )


def _left(deadline: float) -> float:
    """Return the seconds until a deadline. Raises `TimeoutError` when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _import_path() -> list[str]:
    """Return where a child finds this package and Pillow: where this process finds them."""
    own = str(Path(__file__).resolve().parents[2])
    return [own, *(str(Path(place).absolute()) for place in sys.path if place)]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return {**kept, "MALLOC_ARENA_MAX": "1"}  # a thread of a decoder would otherwise reserve 64 MB


CHILDREN: Final = Children()
"""The children of this process."""
atexit.register(CHILDREN.close)
