"""A program in a terminal of its own: a pseudo-terminal, and an emulator that says what a person would see in it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from types import TracebackType

import pyte

from tests.patience import PATIENCE_S

_ALTERNATE_SCREEN = 1049
_BETWEEN_FRAMES_S = 0.1
LONE_ESCAPE = "\x1b"
"""What most terminals send for the escape key. With what comes right after it, it is another key, held with Alt."""
KEYS = {  # each unmistakable, however many come at once
    "enter": "\r",
    "escape": "\x1b[27u",  # as terminals with the keyboard protocol of Kitty send it
    "tab": "\t",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "ctrl+q": "\x11",
    "ctrl+c": "\x03",
    "ctrl+u": "\x15",
    "backspace": "\x7f",
    "f5": "\x1b[15~",
}


class _Screen(pyte.Screen):
    """An emulated screen that is empty again when a program leaves the alternate one."""

    def reset_mode(self, *modes: int, **options: bool) -> None:
        """Clear the screen when a program leaves the alternate one; the emulator does not keep the other."""
        super().reset_mode(*modes, **options)
        if options.get("private") and _ALTERNATE_SCREEN in modes:
            self.erase_in_display(2)
            self.cursor_position()


def _take_terminal() -> None:
    """Make standard input the terminal that controls the new session: closing it then hangs up, as a window does."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """Runs a command in a pseudo-terminal of `columns` x `rows`. Use it with `with`: at its end the program is killed.

    Reading happens while something is waited for, so the screen is as it was when the last wait ended.
    """

    def __init__(self, command: Sequence[str], *, env: dict[str, str], columns: int = 100, rows: int = 30) -> None:
        self._screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._master = master
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env={**env, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"},
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        if self._master >= 0:
            os.close(self._master)

    def hang_up(self) -> None:
        """Close the terminal under the program, as a window that is closed does."""
        os.close(self._master)
        self._master = -1

    # --- What is seen ------------------------------------------------------------------------------------------------
    @property
    def lines(self) -> list[str]:
        """The screen's lines, without trailing blanks."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.lines)

    @property
    def colours(self) -> int:
        """How many different colours the screen shows: a picture has many, text a few."""
        return len({(cell.fg, cell.bg) for row in self._screen.buffer.values() for cell in row.values()})

    def wait_for(self, holds: str | Callable[[Terminal], bool], *, patience_s: float = PATIENCE_S) -> None:
        """Read until the screen shows a text, or a condition holds; fail with the screen where it never does."""
        condition = (lambda terminal: holds in terminal.text) if isinstance(holds, str) else holds
        deadline = time.monotonic() + patience_s
        while not condition(self):
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                if condition(self):
                    return
                raise AssertionError(f"the terminal never showed {holds!r}; it shows\n{self.text}")

    def read_for(self, seconds: float) -> None:
        """Keep the terminal's screen up to date for a while; for measuring, never for waiting in a test."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def wait_until_over(self, *, patience_s: float = PATIENCE_S) -> int:
        """Read until the program ends; return its exit code."""
        deadline = time.monotonic() + patience_s
        while self._read(max(0.0, deadline - time.monotonic())):
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def _read(self, patience_s: float) -> bool:
        """Read some bytes; False when the time is over or the program has gone."""
        if not self._arrives(min(patience_s, 0.2)):
            return patience_s > 0.2
        return self._feed()

    def _arrives(self, patience_s: float) -> bool:
        return bool(select.select([self._master], [], [], patience_s)[0])

    def _feed(self) -> bool:
        try:
            data = os.read(self._master, 65_536)
        except OSError:
            return False
        self._stream.feed(data)
        return bool(data)

    # --- What is typed -----------------------------------------------------------------------------------------------
    def press(self, *keys: str) -> None:
        """Press keys by name, or single characters."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._master, text.encode())

    def click(self, text: str, *, beside: str = "") -> None:
        """Click the first place where the screen shows a text (in a line with `beside`), once it does.

        A frame may still be coming when the text is there already, so it is looked for again when that has come.
        """
        while True:
            self.wait_for(lambda screen: screen.find(text, beside) is not None)
            while self._arrives(_BETWEEN_FRAMES_S):
                self._feed()
            if (place := self.find(text, beside)) is not None:
                break
        where = f"{place[0] + 1};{place[1] + 1}"
        os.write(self._master, f"\x1b[<0;{where}M\x1b[<0;{where}m".encode())

    def find(self, text: str, beside: str = "") -> tuple[int, int] | None:
        """Return column and row of the middle of a text, in the first line that shows it and `beside`."""
        for row, line in enumerate(self.lines):
            if text in line and beside in line:
                return line.rfind(text) + len(text) // 2, row
        return None
