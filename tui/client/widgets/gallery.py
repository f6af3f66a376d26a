"""Pictures in rows of tiles, of which only those in sight are ever loaded, painted or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import anyio.to_thread
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.client.widgets.cells import CELL_ASPECT, Look, Painting
from tui.client.widgets.face import Face, Styles, draw_face
from tui.client.widgets.painting import look_of, paint
from tui.client.widgets.tiling import Tiling
from tui.common.lines import centred
from tui.common.ordering import row_keys, successor
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from PIL import Image

    from tui.client.widgets.viewport import Box

_SPARE_ROWS: Final = 1
"""Rows of tiles above and below what is in sight that stay painted, so that a step of scrolling shows no blank."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What a picture is painted for: another size or look needs another painting."""

    key: str
    cells: tuple[int, int]
    look: Look


class Gallery(ScrollView, can_focus=True):
    """Tiles with a cursor that stays on its tile when tiles come, go or change places.

    `cover` gives the picture of a key, None for none; it is asked in a worker, for tiles in sight only. Its picture is
    cut to the tile's shape, painted in a thread, and not kept.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "gallery--tile",
        "gallery--muted",
        "gallery--cursor",
        "gallery--badge",
        "gallery--bar",
        "gallery--blank",
        "gallery--empty",
        "gallery--lock",
    }
    DEFAULT_CSS = """
    Gallery {
        background: $background; color: $foreground;
        height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; scrollbar-gutter: stable;

        & > .gallery--tile { color: $foreground; background: $background; text-style: bold; }
        & > .gallery--muted { color: $text-muted; background: $background; }
        & > .gallery--badge { color: $background; background: $warning; text-style: bold; }
        & > .gallery--lock { color: $foreground; background: $panel; }
        & > .gallery--bar { color: $primary; background: $background; }
        & > .gallery--blank { color: $text-muted; background: $surface; }
        & > .gallery--empty { color: $text-muted; background: $background; }
        & > .gallery--cursor {
            background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
            text-style: $block-cursor-blurred-text-style;
        }
        &:focus > .gallery--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "cursor(-1)", "Left", id="gallery.left", show=False),
        Binding("right,l", "cursor(1)", "Right", id="gallery.right", show=False),
        *row_keys("gallery", step="row"),
    ]

    cursor: reactive[int] = reactive(0, init=False)
    """Index of the current tile."""
    empty: reactive[str] = reactive("", init=False)
    """What is said where there are no tiles."""

    @dataclass
    class Highlighted(Message):
        """Another tile is the current one; `key` is None when the last one went."""

        gallery: Gallery
        key: str | None

        @property
        def control(self) -> Gallery:
            """The gallery, for `@on` with a selector."""
            return self.gallery

    @dataclass
    class Selected(Message):
        """A tile was clicked when it was the current one, or twice."""

        gallery: Gallery
        key: str

        @property
        def control(self) -> Gallery:
            """The gallery, for `@on` with a selector."""
            return self.gallery

    @dataclass
    class Painted(Message, bubble=False):
        """From the worker: a picture in cells, None where there is no picture."""

        job: _Job
        painting: Painting | None

    def __init__(
        self,
        cover: Callable[[str], Awaitable[Image.Image | None]],
        *,
        empty: str = "",
        id: str | None = None,  # noqa: A002 - the name that every widget has for it
    ) -> None:
        super().__init__(id=id)
        self._picture_of = cover
        self._faces: tuple[Face, ...] = ()
        self._places: dict[str, int] = {}
        self._paintings: dict[_Job, Painting | None] = {}
        self._wanted: tuple[_Job, ...] = ()
        self._drawn: dict[int, Strip] = {}
        self._announced: str | None = None
        self._styles: Styles | None = None
        self._chosen_by_click = False
        self.set_reactive(Gallery.empty, empty)

    # --- What is shown -----------------------------------------------------------------------------------------------
    @property
    def faces(self) -> Sequence[Face]:
        """The tiles, in order."""
        return self._faces

    @property
    def current(self) -> str | None:
        """The key of the tile under the cursor; None where there are none."""
        return self._faces[self.cursor].key if self.cursor < len(self._faces) else None

    @property
    def painted(self) -> frozenset[str]:
        """Keys of the tiles whose pictures are in memory."""
        return frozenset(job.key for job in self._paintings)

    @property
    def tiling(self) -> Tiling:
        """Where the tiles stand at the present size."""
        return Tiling(self.scrollable_content_region.width, len(self._faces))

    def set_faces(self, faces: Sequence[Face]) -> None:
        """Show these tiles. The cursor stays on its tile, or goes to the next one that is left."""
        if tuple(faces) == self._faces:
            return
        index = successor(self._faces, self.cursor, faces, lambda face: face.key)
        stays = self.current is not None and index < len(faces) and faces[index].key == self.current
        self._faces = tuple(faces)
        self._places = {face.key: place for place, face in enumerate(self._faces)}
        self.set_reactive(Gallery.cursor, index)
        self._lay_out()
        if not stays:
            self._show_cursor()
        self._announce()

    def set_face(self, face: Face) -> None:
        """Show one tile anew, if there is one of its key."""
        place = self._places.get(face.key)
        if place is None or self._faces[place] == face:
            return
        self._faces = (*self._faces[:place], face, *self._faces[place + 1 :])
        self._refresh_tile(place)
        self._paint_soon()

    def select_key(self, key: str) -> bool:
        """Move the cursor to the tile of this key; False if there is none."""
        place = self._places.get(key)
        if place is not None:
            self._go(place)
        return place is not None

    def forget(self, key: str) -> None:
        """Load and paint the picture of a tile again, because it is another one now."""
        self._paintings = {job: painting for job, painting in self._paintings.items() if job.key != key}
        self._wanted = ()
        self._paint_soon()

    # --- Pictures ----------------------------------------------------------------------------------------------------
    def _lay_out(self) -> None:
        self.virtual_size = Size(0, self.tiling.height)
        self._drawn.clear()
        self.refresh()
        self._paint_soon()

    def _paint_soon(self) -> None:
        """Drop pictures that went out of sight; have those painted that are in sight now and are not yet."""
        if not self.is_attached or not self.size.area:
            return
        tiling = self.tiling
        spare = _SPARE_ROWS * tiling.pitch
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        jobs = [self._job(self._faces[index], tiling) for index in tiling.seen(top, height)]
        lines = range(max(0, top - spare), top + height + spare)
        near = {self._job(self._faces[index], tiling) for index in tiling.seen(lines.start, len(lines))}
        self._paintings = {job: painting for job, painting in self._paintings.items() if job in near}
        self._drawn = {line: strip for line, strip in self._drawn.items() if line in lines}
        wanted = tuple(job for job in jobs if job not in self._paintings)
        if wanted != self._wanted:
            self._wanted = wanted
            if wanted:
                work(self, self._paint_wanted, group="covers", exclusive=True)

    def _job(self, face: Face, tiling: Tiling) -> _Job:
        return _Job(face.key, (tiling.tile_width, tiling.picture_rows), look_of(self.app, dim=face.dim))

    async def _paint_wanted(self) -> None:
        for job in self._wanted:
            image = await self._picture_of(job.key)
            painting = None if image is None else await anyio.to_thread.run_sync(_painted, image, job.cells, job.look)
            del image
            self.post_message(self.Painted(job, painting))

    def on_gallery_painted(self, message: Painted) -> None:
        """Draw a picture, if its tile is still there and of that size."""
        place = self._places.get(message.job.key)
        if place is None or self._job(self._faces[place], self.tiling) != message.job:
            return
        self._paintings[message.job] = message.painting
        self._wanted = tuple(job for job in self._wanted if job != message.job)
        self._refresh_tile(place)

    # --- Cursor ------------------------------------------------------------------------------------------------------
    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a tile."""
        return max(0, min(cursor, len(self._faces) - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Paint the two tiles that look different now."""
        self._refresh_tile(before)
        self._refresh_tile(now)
        self._announce()

    def _announce(self) -> None:
        if self.is_running and self.current != self._announced:
            self._announced = self.current
            self.post_message(self.Highlighted(self, self.current))

    def _go(self, index: int) -> None:
        self.cursor = index
        self._show_cursor()

    def _show_cursor(self) -> None:
        """Scroll as little as shows the whole tile under the cursor, or its upper part where it is too high."""
        height = self.scrollable_content_region.height
        if not height or not self._faces:
            return
        tiling, top = self.tiling, self.scroll_offset.y
        first = tiling.top(self.cursor)
        last = first + tiling.pitch - 1
        if last > top + height:
            top = last - height
        self.scroll_to(y=min(top, first), animate=False)

    def action_cursor(self, by: int) -> None:
        """Move by so many tiles, on into the next row at the end of one."""
        self._go(self.cursor + by)

    def action_row(self, by: int) -> None:
        """Move by so many rows, staying in the column; to the last tile where the last row is too short."""
        columns = self.tiling.columns
        row = self.cursor // columns + by
        if 0 <= row < self.tiling.rows:
            self._go(row * columns + self.cursor % columns)

    def action_page(self, by: int) -> None:
        """Move by as many rows as fit."""
        rows = max(1, self.scrollable_content_region.height // self.tiling.pitch)
        columns = self.tiling.columns
        row = min(max(0, self.cursor // columns + by * rows), max(0, self.tiling.rows - 1))
        self._go(row * columns + self.cursor % columns)

    def action_first(self) -> None:
        """Go to the first tile."""
        self._go(0)

    def action_last(self) -> None:
        """Go to the last tile."""
        self._go(len(self._faces) - 1)

    # --- Events ------------------------------------------------------------------------------------------------------
    def on_mount(self) -> None:
        """Look after tiles that came before."""
        self._announce()
        self._lay_out()

    def on_resize(self) -> None:
        """Share out the new width, and keep the cursor in view."""
        self._lay_out()
        self._show_cursor()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Have what came into sight painted."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._paint_soon()

    def notify_style_update(self) -> None:
        """Forget the colours of before."""
        super().notify_style_update()
        self._styles = None
        self._drawn.clear()
        self._paint_soon()

    def watch_empty(self) -> None:
        """Show another text where there are no tiles."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Move to a tile, or choose it if it is the current one."""
        place = event.get_content_offset(self)
        if place is None or event.button != 1:
            return
        event.stop()
        index = self.tiling.at(place.x, place.y + self.scroll_offset.y)
        if index is None:
            return
        # Of a row of clicks only one chooses, however many there are.
        chosen_before = event.chain > 1 and self._chosen_by_click
        chosen = index == self.cursor and not chosen_before
        self._go(index)
        if chosen:
            self.post_message(self.Selected(self, self._faces[index].key))
        self._chosen_by_click = chosen or chosen_before

    # --- Drawing -----------------------------------------------------------------------------------------------------
    def _refresh_tile(self, index: int) -> None:
        if index < len(self._faces):
            tiling = self.tiling
            for line in range(tiling.top(index), tiling.top(index) + tiling.pitch):
                self._drawn.pop(line, None)
            self.refresh(Region(0, tiling.top(index) - self.scroll_offset.y, self.size.width, tiling.pitch))

    def render_line(self, y: int) -> Strip:
        """Return one line: through a row of tiles, between two, or of what is said where there are none."""
        width = self.scrollable_content_region.width
        if not self._faces:
            return self._nothing(y, width)
        line = y + self.scroll_offset.y
        if (strip := self._drawn.get(line)) is None:
            strip = self._drawn[line] = self._row_line(line, width)
        return strip

    def _row_line(self, line: int, width: int) -> Strip:
        tiling = self.tiling
        inner = tiling.inner(line)
        parts: list[Strip] = []
        blank = self._look_up().blank
        end = 0
        for column, index in enumerate(tiling.row(line)):
            face = self._faces[index]
            job = self._job(face, tiling)
            part = draw_face(
                face,
                inner,
                tiling,
                painting=self._paintings.get(job),
                at_work=job in self._wanted,
                current=index == self.cursor,
                styles=self._look_up(),
                console=self.app.console,
            )
            start = tiling.left(column) - 1
            parts += [Strip.blank(start - end, blank), part]
            end = start + part.cell_length
        return Strip.join(parts).adjust_cell_length(width, blank)

    def _nothing(self, y: int, width: int) -> Strip:
        style = self.get_component_rich_style("gallery--empty")
        lines = centred(self.empty, width - 4, self.scrollable_content_region.height, self.app.console)
        return Strip(lines.get(y, [])).apply_style(style).adjust_cell_length(width, style)

    def _look_up(self) -> Styles:
        if self._styles is None:
            of = self.get_component_rich_style
            self._styles = Styles(
                blank=self.rich_style,
                title=of("gallery--tile"),
                muted=of("gallery--muted"),
                cursor=of("gallery--cursor"),
                badge=of("gallery--badge"),
                bar=of("gallery--bar"),
                empty=of("gallery--blank"),
                lock=of("gallery--lock"),
            )
        return self._styles


def _painted(image: Image.Image, cells: tuple[int, int], look: Look) -> Painting:
    """Return the middle of a picture in the shape of a tile. For threads."""
    return paint(image, _middle(image.size, cells), cells, look)


def _middle(size: tuple[int, int], cells: tuple[int, int]) -> Box:
    """Return the largest part in the middle of a picture that has the shape of so many cells."""
    width, height = size
    aspect = cells[0] / (cells[1] * CELL_ASPECT)
    across, down = min(width, height * aspect), min(height, width / aspect)
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down
