"""Asking the terminal what it can show. Only before the screens run: later they read what it answers, as keys.

All questions go out at once, and last the one that every terminal answers (its attributes): when that answer is here,
no other comes any more, and nothing is waited for.
"""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty
from dataclasses import dataclass
from typing import Final

WAIT_S: Final = 0.3
"""How long a terminal may take that answers nothing at all, or over a slow line."""
_KITTY_QUESTION: Final = b"\x1b_Gi=1,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_CELL_QUESTION: Final = b"\x1b[16t"
_ATTRIBUTES_QUESTION: Final = b"\x1b[c"
_KITTY: Final = re.compile(rb"\x1b_Gi=1[^\x1b]*;OK\x1b\\")
_CELL: Final = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_ATTRIBUTES: Final = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXEL: Final = b"4"
_MAX_ANSWER_BYTES: Final = 4_096
"""A terminal that babbles is not listened to for good."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a terminal said: whether it has Kitty's graphics and Sixel, and the (width, height) of a cell in pixels."""

    kitty: bool
    sixel: bool
    cell_px: tuple[int, int] | None


def ask(wait_s: float = WAIT_S) -> Answers | None:
    """Ask the terminal at standard input and output; None where it does not answer in time.

    What is typed meanwhile is lost. Raises `OSError` or `termios.error` where there is no terminal.
    """
    assert sys.__stdin__ is not None
    assert sys.__stdout__ is not None
    keyboard, screen = sys.__stdin__.fileno(), sys.__stdout__.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard, termios.TCSANOW)
    try:
        os.write(screen, _KITTY_QUESTION + _CELL_QUESTION + _ATTRIBUTES_QUESTION)
        said = _listen(keyboard, time.monotonic() + wait_s)
    finally:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)
    return None if said is None else understood(said)


def understood(said: bytes) -> Answers | None:
    """Return what a terminal's answers mean; None while the last one is not among them."""
    attributes = _ATTRIBUTES.search(said)
    if attributes is None:
        return None
    cell = _CELL.search(said)
    size = (int(cell[2]), int(cell[1])) if cell else (0, 0)
    return Answers(_KITTY.search(said) is not None, _SIXEL in attributes[1].split(b";"), size if all(size) else None)


def _listen(keyboard: int, until: float) -> bytes | None:
    said = b""
    while _ATTRIBUTES.search(said) is None:
        ready, _, _ = select.select([keyboard], [], [], max(0.0, until - time.monotonic()))
        data = os.read(keyboard, 1_024) if ready else b""
        said += data
        if not data or len(said) > _MAX_ANSWER_BYTES:
            return None
    return said
