"""One request: what is known of it, and its way through the cloud as a sequence chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from tui.common.wording import plain
from tui.monitor.dialogs.details import Details
from tui.monitor.panels.request_list import request_key
from tui.monitor.panels.sequence_chart import SequenceChart, SequenceData
from tui.monitor.panels.tones import tone_style
from tui.monitor.request_lines import request_lines, state_tone
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from textual.widget import Widget

    from tui.monitor.model.requests import RequestData


class RequestDetails(Details):
    """Shows a request, and goes on showing it while it is under way."""

    DEFAULT_CSS = "RequestDetails .facts { height: 4; margin-bottom: 1; }"

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        """Of the request that is shown."""

    def body(self) -> Iterable[Widget]:
        """Return facts and chart."""
        yield TextLines(classes="facts")
        yield SequenceChart(id="details-sequence")

    def on_mount(self) -> None:
        """Let the arrow keys move the chart."""
        self.query_one(SequenceChart).focus()

    def paint(self, request: RequestData, names: Sequence[str], time_of_day: Callable[..., str]) -> None:
        """Show the request as it stands. `names` are the nodes' by place."""
        palette = Palette.of(self.app)
        head = Text(f"{plain(request.kind, 24)} ")
        head.append(request.state.value, tone_style(state_tone(request.state), palette))
        self.head(head, Text(time_of_day(request.began, tenths=True), palette.muted))
        account = "an account not known yet" if request.account is None else f"account #{request.account}"
        facts = [
            ("asked by", f"{account}, session key {plain(request.key, 8)}…"),
            ("request", f"{plain(request.request, 8)}…"),
            ("went", f"{_times(request.moves)} to another node, {_times(request.repeats)} asked again once served"),
            ("took", f"{milliseconds(request.latency_ms)} {plain(request.code, 24)}"),
        ]
        lines = [Text.assemble((f"{label:<9}", palette.muted), text) for label, text in facts]
        self.query_one(".facts", TextLines).show(lines)
        data = SequenceData(
            request_key(request),
            tuple(names),
            request.began,
            request_lines(request, names),
            request.place,
            growing=not request.state.done,
        )
        self.query_one(SequenceChart).paint(data)


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
