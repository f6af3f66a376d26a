"""One cell of a list: text of any origin, made harmless, cut to a width in terminal cells, and padded to it.

Widths are those that Rich and Textual count with. What terminals disagree about is not let through: variation selectors
are dropped (an emoji presentation is one cell here and two there), and what `shared.text.clean` replaces is replaced.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.cells import get_character_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from shared.text import MAX_MARKS, clean
from tui.common.columns import Align

ELLIPSIS = "…"
BASE_OF_STRAY_MARKS = "◌"
"""What carries a combining character that stands first and would otherwise fall on the column before."""
_VARIATION_SELECTORS = frozenset(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
_LONGEST_CLUSTER = 16
"""Characters read for each cell of the width, so that a text of any length costs the same."""


class _Cluster(NamedTuple):
    """A base character with its combining ones."""

    text: str
    width: int
    style: Style | None


def fit(value: Text | str, width: int, align: Align, console: Console) -> list[Segment]:
    """Return the value as segments that cover exactly `width` cells, with an ellipsis where it had to be cut."""
    if isinstance(value, str) and len(value) <= width and value.isascii() and value.isprintable():
        return _padded([Segment(value)], width - len(value), align)
    clusters, whole = _read(_pieces(value, width, console), width)
    if not whole:
        clusters = _cut(clusters, width)
    text = Segment.simplify(Segment(cluster.text, cluster.style) for cluster in clusters)
    return _padded(text, width - sum(cluster.width for cluster in clusters), align)


def _padded(text: Iterable[Segment], blanks: int, align: Align) -> list[Segment]:
    """Return the text with blanks before or after it, in a segment of their own: so it stands right wherever drawn."""
    padding = Segment(" " * blanks)
    segments = [padding, *text] if align == "right" else [*text, padding]
    return [segment for segment in segments if segment.text]


def _pieces(value: Text | str, width: int, console: Console) -> Iterator[tuple[str, Style | None]]:
    """Yield runs of one style, of which the last may be shorter than it was."""
    longest = _LONGEST_CLUSTER * (width + 1)
    if isinstance(value, str):
        yield clean(value, max_chars=longest), None
        return
    base = console.get_style(value.style, default=Style.null())
    for text, style, _ in value[:longest].render(console, end=""):
        yield clean(text, max_chars=longest), base + style
    if len(value) > longest:
        yield ELLIPSIS, None


def _read(pieces: Iterable[tuple[str, Style | None]], width: int) -> tuple[list[_Cluster], bool]:
    """Return clusters until they cover more than a width, and whether the text ended before."""
    clusters: list[_Cluster] = []
    covered = marks = 0
    for char, style in ((char, style) for text, style in pieces for char in text if char not in _VARIATION_SELECTORS):
        cells = get_character_cell_size(char)
        if cells:
            clusters.append(_Cluster(char, cells, style))
            covered, marks = covered + cells, 0
            if covered > width:
                return clusters, False
            continue
        marks += 1
        if not clusters:
            clusters.append(_Cluster(BASE_OF_STRAY_MARKS, 1, style))
            covered = 1
        if marks <= MAX_MARKS:
            clusters[-1] = clusters[-1]._replace(text=clusters[-1].text + char)
    return clusters, covered <= width


def _cut(clusters: list[_Cluster], width: int) -> list[_Cluster]:
    """Return as many clusters as leave a cell for the ellipsis, and the ellipsis in the style of the last."""
    kept: list[_Cluster] = []
    covered = 0
    for cluster in clusters:
        if covered + cluster.width >= width:
            break
        kept.append(cluster)
        covered += cluster.width
    style = kept[-1].style if kept else clusters[0].style
    return [*kept, _Cluster(ELLIPSIS, 1, style)]
