"""A picture in a terminal's cells, with lines of text over it, and a word where there is none yet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.geometry import Region, Spacing
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from shared.text import clean
from tui.client.widgets.cells import CELL_ASPECT, BetweenStrip, Mode, Painting, fit
from tui.client.widgets.painting import look_of, paint

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from tui.client.widgets.viewport import Box

_SHARPEST: Final = Mode.QUADRANT.pixels[0]
"""Pixels that the finest mode shows in the width of a cell."""


class Picture(Widget):
    """Shows one picture as large as it fits, centred, its aspect kept.

    Strips are built in a thread for the size that the widget has, again when that changes. The widget keeps the picture
    for that until it is shown another or None. Texts are shown as they are, without markup and cut to the width.
    """

    DEFAULT_CSS = """
    Picture { width: 1fr; height: 1fr; color: $text-muted; }
    Picture > .picture--placeholder { color: $text-muted; }
    Picture > .picture--overlay { color: $foreground; background: $background; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"picture--placeholder", "picture--overlay"}
    ALLOW_SELECT = False
    TEXT_BELOW: ClassVar[bool] = False
    """Whether the overlay takes rows of its own below the picture, instead of standing over it."""

    placeholder: reactive[str] = reactive("no preview")
    """Shown while there is no picture; what is too long goes on in the next line."""
    overlay: reactive[tuple[str, ...]] = reactive[tuple[str, ...]]((), repaint=False)
    """Lines over the lower edge of the picture. Other lines of the same number build no strips."""

    @dataclass
    class Painted(Message):
        """The strips of a picture stand and will be drawn."""

        picture: Picture

        @property
        def control(self) -> Picture:
            """The widget."""
            return self.picture

    @dataclass
    class Ready(Message, bubble=False):
        """From the thread to its widget: the strips asked for by the number given."""

        number: int
        painting: Painting

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the name that every widget of Textual takes
    ) -> None:
        super().__init__(id=id)
        self.dimmed = False
        self._image: Image.Image | None = None
        self._painting: Painting | None = None
        self._asked = 0
        self._at_work = False

    # --- What others call --------------------------------------------------------------------------------------------
    def show(self, image: Image.Image | None, *, dim: bool = False) -> None:
        """Show a picture, or with None nothing; `dim` for one that cannot be opened now. What was shown is dropped."""
        self._image = image
        self.dimmed = dim
        self.drop_painting()
        self.build()

    def clear(self) -> None:
        """Drop the picture and all that was made of it."""
        self.show(None)

    @property
    def image(self) -> Image.Image | None:
        """What is shown."""
        return self._image

    @property
    def box_px(self) -> tuple[int, int]:
        """Width and height in pixels beyond which a picture shows no more detail at the present size."""
        columns, rows = self.room
        return max(1, columns * _SHARPEST), max(1, round(rows * CELL_ASPECT * _SHARPEST))

    # --- Building ----------------------------------------------------------------------------------------------------
    @property
    def room(self) -> tuple[int, int]:
        """Columns and rows of cells that the picture may take."""
        return self.size.width, max(0, self.size.height - len(self._below()))

    def view(self, image: Image.Image) -> tuple[Box, tuple[int, int]]:
        """Return which part of the picture is shown and in how many (columns, rows) of cells."""
        return (0, 0, image.width, image.height), fit(image.size, self.room)

    def painter(self, image: Image.Image) -> Callable[[], Painting]:
        """Return what the thread is to do."""
        part, cells = self.view(image)
        return partial(paint, image, part, cells, look_of(self.app, dim=self.dimmed))

    def build(self) -> None:
        """Have the strips built for the present size and part; one thread at a time, for the last call only."""
        self._asked += 1
        if not self._at_work:
            self._start()

    def drop_painting(self) -> None:
        """Show nothing until other strips stand."""
        if self._painting is not None:
            self._painting.release()
        self._painting = None
        self.refresh()

    def _start(self) -> None:
        if self._image is None or not self.is_attached or 0 in self.room:
            return
        self._at_work = True
        # The thread takes the task out, because Textual keeps finished workers, and a picture is to be forgotten.
        tasks = [self.painter(self._image)]
        self.run_worker(partial(self._work, self._asked, tasks), thread=True, group="picture", description="strips")

    def _work(self, number: int, tasks: list[Callable[[], Painting]]) -> None:
        painting = tasks.pop()()
        if not self.post_message(self.Ready(number, painting)):
            painting.release()

    def on_picture_ready(self, message: Ready) -> None:
        """Show the strips, unless others were asked for meanwhile."""
        self._at_work = False
        if message.number != self._asked or not self.is_attached:
            message.painting.release()
            self._start()
            return
        before, self._painting = self._painting, message.painting
        self.refresh()
        if before is not None:
            self.call_after_refresh(before.release)
        self.post_message(self.Painted(self))

    def on_resize(self, _event: events.Resize) -> None:
        """Build for the new size; until then the old strips are shown, if they fit."""
        columns, rows = self.room
        if self._painting is not None and (self._painting.columns > columns or self._painting.rows > rows):
            self.drop_painting()
        self.build()

    def on_unmount(self) -> None:
        """Drop everything with the widget."""
        self.clear()

    # --- Drawing -----------------------------------------------------------------------------------------------------
    def watch_overlay(self, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        """Draw the lines again that are or were covered."""
        if self.TEXT_BELOW and len(before) != len(after):
            self.refresh()
            self.build()
            return
        width, rows = self.room
        if self.TEXT_BELOW:
            self.refresh(Region(0, rows, width, self.size.height - rows))
            return
        top, bottom = self._span()
        lines = max(len(before), len(after))
        self.refresh(Region(0, max(top, bottom - lines), width, lines))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of a region of the widget.

        Where no border or effect is to be drawn, the strips are handed on untouched: a filter of styles would take
        each of thousands of colours in hand at every painting, here in the event loop, and change none.
        """
        if not self._is_plain():
            return super().render_lines(crop)
        first, last = crop.column_span
        return [self.render_line(y).crop(first, last) for y in crop.line_range]

    def _is_plain(self) -> bool:
        styles = self.styles
        return (
            self.gutter == Spacing()
            and not any(edge for edge, _ in styles.outline)
            and self.opacity == styles.text_opacity == 1.0
            and not styles.tint.a
            and not styles.has_rule("hatch")
        )

    def render_line(self, y: int) -> Strip:
        """Return a line: of the strips that were built, with what is to be seen over them."""
        width, rows = self.room
        if y >= rows:
            return self._line_below(y - rows)
        if self._painting is None:
            return self._placeholder_line(y)
        top, bottom = self._span()
        index = y - (rows - self._painting.rows) // 2
        if not 0 <= index < self._painting.rows:
            return self._blank(width)
        line = self._centred(self._painting.strips[index])
        if self.TEXT_BELOW:
            return line
        number = y - max(top, bottom - len(self.overlay))
        if 0 <= number < len(self.overlay):
            return _over(line, self._label("picture--overlay", self.overlay[number]))
        return line

    def _line_below(self, number: int) -> Strip:
        below = self._below()
        # While a widget comes or goes it is asked for more lines than its size has.
        if number >= len(below):
            return self._blank(self.size.width)
        return self._centred(self._label("picture--overlay", below[number]))

    def _placeholder_line(self, y: int) -> Strip:
        width, rows = self.room
        if self._image is not None or not self.placeholder:
            return self._blank(width)
        lines = Text(clean(self.placeholder)).wrap(self.app.console, max(1, width - 2))[:rows]
        number = y - (rows - len(lines)) // 2
        shown = lines[number].plain.strip() if 0 <= number < len(lines) else ""
        return self._centred(self._label("picture--placeholder", shown))

    def _below(self) -> tuple[str, ...]:
        """Return the text of each row below the picture."""
        return self.overlay if self.TEXT_BELOW else ()

    def _span(self) -> tuple[int, int]:
        """Return the first row of the picture and the one below its last."""
        _, rows = self.room
        taken = min(rows, self._painting.rows) if self._painting is not None else rows
        top = (rows - taken) // 2
        return top, top + taken

    def _label(self, component: str, text: str) -> Strip:
        shown = Text(clean(text))
        shown.truncate(max(0, self.size.width - 2), overflow="ellipsis")
        return self._filtered(Strip([Segment(f" {shown.plain} ", self.get_component_rich_style(component))]))

    def _blank(self, width: int) -> Strip:
        """Return a rendered blank; a row of the picture stays rendered when it is laid between two."""
        blank = self._filtered(Strip.blank(width, self.visual_style.rich_style))
        blank.render(self.app.console)
        return blank

    def _filtered(self, strip: Strip) -> Strip:
        for line_filter in self.app.get_line_filters():
            strip = strip.apply_filter(line_filter, self.background_colors[1])
        return strip

    def _centred(self, strip: Strip) -> Strip:
        spare = self.size.width - strip.cell_length
        if spare < 0:
            return strip.crop(0, self.size.width)
        left, right = self._blank(spare // 2), self._blank(spare - spare // 2)
        return strip.between(left, right) if isinstance(strip, BetweenStrip) else Strip.join([left, strip, right])


def _over(line: Strip, label: Strip) -> Strip:
    """Return a line with a label over its middle."""
    left = max(0, (line.cell_length - label.cell_length) // 2)
    return Strip.join([line.crop(0, left), label, line.crop(left + label.cell_length)]).crop(0, line.cell_length)
