"""One tile of a gallery, line by line: a picture with a lock and a badge, then three lines of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.segment import Segment
from textual.strip import Strip

from tui.common.celltext import fit

if TYPE_CHECKING:
    from rich.console import Console
    from rich.style import Style

    from tui.client.widgets.cells import Painting
    from tui.client.widgets.tiling import Tiling

LOCK: Final = (" ╭─╮ ", " ▐█▌ ")
"""A padlock, in the left upper corner: what is seen is a cover, and not what is under it."""
_BAR_FULL: Final = "━"
_BAR_REST: Final = "─"


@dataclass(frozen=True, slots=True)
class Face:
    """What a tile shows. Texts may come from anybody; they are made harmless and cut where they are drawn."""

    key: str
    title: str
    owner: str
    state: str
    badge: str = ""
    dim: bool = False
    """The picture cannot be opened now."""
    share: float | None = None
    """How much of something under way is done, 0 to 1: drawn as a bar in the place of the owner."""


@dataclass(frozen=True, slots=True)
class Styles:
    """The colours of tiles."""

    blank: Style
    title: Style
    muted: Style
    cursor: Style
    badge: Style
    bar: Style
    empty: Style
    lock: Style


def draw_face(
    face: Face,
    inner: int,
    tiling: Tiling,
    *,
    painting: Painting | None,
    at_work: bool,
    current: bool,
    styles: Styles,
    console: Console,
) -> Strip:
    """Return line number `inner` of a tile, with the margin of a cell on either side of it that shows the cursor."""
    width = tiling.tile_width
    text_line = inner - tiling.picture_rows
    if text_line < 0:
        body = _picture_line(face, inner, width, tiling.picture_rows, painting, at_work, styles, console)
    elif text_line == 0:
        body = _text(face.title or "untitled", width, styles.cursor if current else styles.title, console)
    elif text_line == 1 and face.share is not None:
        body = _bar(face.share, width, styles.cursor if current else styles.bar)
    elif text_line == 1:
        body = _text(face.owner, width, styles.cursor if current else styles.muted, console)
    elif text_line == 2:
        body = _text(face.state, width, styles.cursor if current else styles.muted, console)
    else:
        return Strip.blank(width + 2, styles.blank)
    margin = Strip([Segment(" ", styles.cursor if current else styles.blank)], 1)
    return Strip.join([margin, body, margin])


def _text(text: str, width: int, style: Style, console: Console) -> Strip:
    return Strip(fit(text, width, "left", console)).apply_style(style).adjust_cell_length(width, style)


def _bar(share: float, width: int, style: Style) -> Strip:
    full = round(min(max(share, 0.0), 1.0) * width)
    return Strip([Segment(_BAR_FULL * full + _BAR_REST * (width - full), style)], width)


def _picture_line(
    face: Face,
    inner: int,
    width: int,
    rows: int,
    painting: Painting | None,
    at_work: bool,
    styles: Styles,
    console: Console,
) -> Strip:
    if painting is not None and inner < painting.rows:
        line = painting.strips[inner].adjust_cell_length(width, styles.empty)
    elif inner == rows // 2 and not at_work:
        line = _text("no preview".center(width), width, styles.empty, console)
    else:
        line = Strip.blank(width, styles.empty)
    if inner < len(LOCK):
        line = _over(line, Strip([Segment(LOCK[inner], styles.lock)]), 0)
    if face.badge and inner == 0:
        label = Strip([Segment(" ", styles.badge), *_styled(face.badge, width - 2, styles, console)])
        line = _over(line, label, max(0, width - label.cell_length))
    return line


def _styled(text: str, width: int, styles: Styles, console: Console) -> list[Segment]:
    segments = Strip(fit(text, min(width, len(text)), "left", console)).apply_style(styles.badge)
    return [*segments, Segment(" ", styles.badge)]


def _over(line: Strip, label: Strip, left: int) -> Strip:
    return Strip.join([line.crop(0, left), label, line.crop(left + label.cell_length)]).crop(0, line.cell_length)
