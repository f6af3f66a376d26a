"""A picture in Kitty's graphics protocol: sent to the terminal once, then shown by placeholders among the text.

https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders
"""

from __future__ import annotations

import itertools
import random
import sys
from base64 import b64encode
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

if TYPE_CHECKING:
    from PIL import Image

_PLACEHOLDER: Final = "\U0010eeee"
_CHUNK: Final = 4096
"""Characters of Base64 that one command may carry."""
_DIACRITIC_RANGES: Final = """
    305 30d-30e 310 312 33d-33f 346 34a-34c 350-352 357 35b 363-36f 483-487 592-595 597-599 59c-5a1 5a8-5a9 5ab-5ac
    5af 5c4 610-617 657-65b 65d-65e 6d6-6dc 6df-6e2 6e4 6e7-6e8 6eb-6ec 730 732-733 735-736 73a 73d 73f-741 743 745
    747 749-74a 7eb-7f1 7f3 816-819 81b-823 825-827 829-82d 951 953-954 f82-f83 f86-f87 135d-135f 17dd 193a 1a17
    1a75-1a7c 1b6b 1b6d-1b73 1cd0-1cd2 1cda-1cdb 1ce0 1dc0-1dc1 1dc3-1dc9 1dcb-1dcc 1dd1-1de6 1dfe 20d0-20d1
    20d4-20d7 20db-20dc 20e1 20e7 20e9 20f0 2cef-2cf1 2de0-2dff a66f a67c-a67d a6f0-a6f1 a8e0-a8f1 aab0 aab2-aab3
    aab7-aab8 aabe-aabf aac1 fe20-fe26 10a0f 10a38 1d185-1d189 1d1aa-1d1ad 1d242-1d244
"""
"""Combining characters that number the rows and columns, from kitty's rowcolumn-diacritics.txt."""


def _characters(ranges: str) -> str:
    bounds = [each.partition("-") for each in ranges.split()]
    return "".join(chr(code) for first, _, last in bounds for code in range(int(first, 16), int(last or first, 16) + 1))


_NUMBERS: Final = _characters(_DIACRITIC_RANGES)
MAX_CELLS: Final = len(_NUMBERS)
"""Columns or rows that the protocol can number."""
# A random start, so that two programs in one terminal do not take the same numbers.
_ids: Final = itertools.count(random.randrange(1 << 31))


class KittyPicture:
    """A picture that the terminal holds until `forget`, and the strips that show it in (columns, rows) of cells."""

    def __init__(self, image: Image.Image, cells: tuple[int, int]) -> None:
        """Send the picture. Slow for large ones; for threads."""
        self._id = next(_ids) % 0xFFFF_FFFF + 1
        columns, rows = cells
        png = BytesIO()
        image.save(png, "PNG")
        show = _command(f"a=p,U=1,i={self._id},c={columns},r={rows},q=2")
        _write("".join(_transmission(self._id, png.getvalue())) + show)
        self.strips = tuple(self._strip(row, columns) for row in range(rows))

    def forget(self) -> None:
        """Have the terminal delete the picture and free its data."""
        _write(_command(f"a=d,d=I,i={self._id},q=2"))

    def _strip(self, row: int, columns: int) -> Strip:
        number = self._id
        style = Style(color=f"rgb({number >> 16 & 255},{number >> 8 & 255},{number & 255})")
        places = (_NUMBERS[row] + _NUMBERS[column] + _NUMBERS[number >> 24] for column in range(columns))
        strip = Strip([Segment("".join(_PLACEHOLDER + place for place in places), style)], columns)
        # The low bytes of the picture's number are in the colour of its placeholders. A strip keeps its first
        # rendering, so that a screen of fewer colours does not take the nearest of its own.
        strip.render(Console(file=StringIO(), color_system="truecolor", legacy_windows=False))
        return strip


def _transmission(number: int, png: bytes) -> list[str]:
    """Return the commands that send a PNG: all but the last say that more follows, and only the first names it."""
    data = b64encode(png).decode()
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    more = [1] * (len(chunks) - 1) + [0]
    first = f"a=t,f=100,i={number},q=2,m={more[0]}"
    keys = [first, *(f"m={each},q=2" for each in more[1:])]
    return [_command(key, chunk) for key, chunk in zip(keys, chunks, strict=True)]


def _command(keys: str, payload: str = "") -> str:
    return f"\x1b_G{keys}{';' if payload else ''}{payload}\x1b\\"


def _write(codes: str) -> None:
    if sys.__stdout__ is not None:
        sys.__stdout__.write(codes)
        sys.__stdout__.flush()
