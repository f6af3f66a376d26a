"""Lines, charts and strips on a screen: what they show, in which colours, and what they paint again."""

from __future__ import annotations

import pytest
from rich.style import Style
from rich.text import Text
from textual.app import App, ComposeResult
from textual.geometry import Region

from tests.tui.quiet import running
from tui.common.themes import LIGHT, begin_in
from tui.monitor.model.heartbeats import Beat
from tui.monitor.widgets.charts import HeartbeatStrip, LoadChart
from tui.monitor.widgets.palette import Palette, on_ground_of
from tui.monitor.widgets.text_lines import TextLines


class Bench(App[None]):
    """One of each."""

    CSS = "TextLines { height: 3; width: 20; } LoadChart { height: 2; width: 12; } HeartbeatStrip { width: 24; }"

    def __init__(self) -> None:
        super().__init__()
        begin_in(self, "glimpse-dark")

    def compose(self) -> ComposeResult:
        yield TextLines()
        yield LoadChart()
        yield HeartbeatStrip()


def looks(widget, y: int = 0) -> list[tuple[str, Style]]:
    """Return the runs of a line with their styles, blank ones left out."""
    return [(segment.text, segment.style) for segment in widget.render_line(y) if segment.text.strip()]


def text_of(widget, y: int = 0) -> str:
    return widget.render_line(y).text


RED = Style.parse("#ff0000")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (Text("left"), "left                "),
        ((Text("left"), Text("right")), "left           right"),
        (Text("x" * 30), "x" * 19 + "…"),
        ((Text("x" * 30), Text("right")), "x" * 13 + "… right"),
        ((Text("l"), Text("r" * 30)), "… " + "r" * 18 + "…"),
        (Text("漢字" * 8), "漢字" * 4 + "漢… "),
        (Text("a\x1b[2Jb"), "a\ufffd[2Jb" + " " * 14),
    ],
)
async def test_lines_fill_their_width_and_are_harmless(line, shown):
    app = Bench()
    async with running(app, size=(40, 10)):
        lines = app.query_one(TextLines)
        lines.show([line])
        assert text_of(lines) == shown
        assert lines.render_line(0).cell_length == 20
        assert text_of(lines, 2) == " " * 20


@pytest.mark.anyio
@pytest.mark.parametrize("words", ["all of it", "all of it, and far more than there is room for"])
async def test_lines_keep_the_colours_of_their_texts(words):
    """Once, a text that fitted lost the colour that it had as a whole."""
    app = Bench()
    async with running(app, size=(40, 10)):
        lines = app.query_one(TextLines)
        lines.show([Text(words, RED), (Text("l"), Text("r", "dim")), Text.assemble("a ", ("b", RED))])
        assert all(style.color == RED.color for _, style in looks(lines))
        assert looks(lines, 1)[-1][1].dim
        assert [style.color == RED.color for _, style in looks(lines, 2)] == [False, True]
        assert all(style.bgcolor is not None for _, style in looks(lines))


@pytest.mark.anyio
async def test_only_lines_that_look_otherwise_are_painted_again(monkeypatch):
    app = Bench()
    async with running(app, size=(40, 10)):
        lines = app.query_one(TextLines)
        lines.show([Text("a"), Text("b"), Text("c")])
        painted: list[Region] = []
        monkeypatch.setattr(lines, "refresh", lambda *regions: painted.extend(regions))
        lines.show([Text("a"), Text("b"), Text("c")])
        assert painted == []
        lines.show([Text("a"), Text("B"), Text("c", "dim")])
        assert [region.y for region in painted] == [1, 2]


@pytest.mark.anyio
async def test_a_chart_shows_heights_gaps_and_what_is_too_much():
    app = Bench()
    async with running(app, size=(40, 10)):
        chart = app.query_one(LoadChart)
        chart.paint([None, 0.0, 0.01, 0.25, 0.5, 0.75, 1.0, 2.0], first=0, scale=1.0, alarm=0.9)
        assert text_of(chart, 0) == "         ▄██"
        assert text_of(chart, 1) == "····· ▁▄████"
        bar, area, alarm = (
            on_ground_of(chart, *look).color for look in (("primary", 1.0), ("primary", 0.45), ("warning", 1.0))
        )
        assert len({bar, area, alarm}) == 3
        assert looks(chart, 0)[-1][1].color == alarm
        assert bar in {style.color for _, style in looks(chart, 1)}
        chart.paint([1.0] * 12, first=0, scale=1.0)
        assert [{style.color for _, style in looks(chart, y)} for y in (0, 1)] == [{bar}, {area}]


@pytest.mark.anyio
async def test_a_chart_paints_the_rows_that_changed(monkeypatch):
    app = Bench()
    async with running(app, size=(40, 10)):
        chart = app.query_one(LoadChart)
        chart.paint([0.3] * 12, first=0, scale=1.0)
        painted: list[Region] = []
        monkeypatch.setattr(chart, "refresh", lambda *regions: painted.extend(regions))
        chart.paint([0.3] * 12, first=1, scale=1.0)
        assert painted == []
        chart.paint([0.3] * 11 + [0.4], first=1, scale=1.0)
        assert [region.y for region in painted] == [1]


@pytest.mark.anyio
async def test_a_strip_tells_beats_apart_by_glyph_and_colour():
    app = Bench()
    async with running(app, size=(40, 10)):
        strip = app.query_one(HeartbeatStrip)
        marks = bytes([Beat.NOTHING, Beat.PULSE, Beat.SENT, Beat.ACKED, Beat.HEARD, Beat.MISSED])
        strip.paint(marks, first=0, label="→ n2", note=" 2 missed", alarm=True)
        assert text_of(strip) == "→ n2 " + "    " + " ·╎││×" + " 2 missed"
        colours = {text: style.color for text, style in looks(strip)}
        assert len({colours["·"], colours["╎"], colours["│"], colours["×"]}) == 4
        assert colours[" 2 missed"] == colours["×"]


@pytest.mark.anyio
async def test_a_worse_mark_hides_a_better_one():
    app = Bench()
    async with running(app, size=(40, 10)):
        strip = app.query_one(HeartbeatStrip)
        strip.paint(bytes([Beat.HEARD, Beat.MISSED] * 38), first=0, label="", note="")
        assert set(text_of(strip).strip()) == {"×"}


@pytest.mark.anyio
async def test_colours_follow_the_theme():
    app = Bench()
    async with running(app, size=(40, 10)) as pilot:
        chart, strip, lines = app.query_one(LoadChart), app.query_one(HeartbeatStrip), app.query_one(TextLines)
        chart.paint([1.0] * 12, first=0, scale=1.0)
        strip.paint(bytes([Beat.HEARD] * 19), first=0, label="", note="")
        lines.show([Text("x")])
        before = [looks(widget)[0][1] for widget in (chart, strip, lines)]
        palette = Palette.of(app)
        app.theme = LIGHT.name
        await pilot.pause()
        after = [looks(widget)[0][1] for widget in (chart, strip, lines)]
        assert all(new.color != old.color for new, old in zip(after, before, strict=True))
        assert Palette.of(app).good != palette.good
