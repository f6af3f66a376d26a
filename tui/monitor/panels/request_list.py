"""The requests that are followed, those heard of last first: whose, of which kind, where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from tui.common.rowlist import Column, RowList
from tui.common.wording import plain
from tui.monitor.request_lines import state_tone, way
from tui.monitor.widgets.palette import Palette
from tui.monitor.wording import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tui.monitor.model.requests import RequestData


def request_key(request: RequestData) -> str:
    """Return what names a request."""
    return f"{request.key}-{request.request}"


class RequestList(RowList["RequestData"]):
    """One row for each request."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Details", id="requests.open", tooltip="The request's way, step by step"),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(
            (
                Column("began", "Came", 8, hide_below=66),
                Column("request", "Request", 8, hide_below=90),
                Column("account", "Account", 7, align="right"),
                Column("kind", "Kind", 13),
                Column("state", "State", 13),
                Column("way", "Dispatched to"),
                Column("repeats", "Again", 5, align="right", hide_below=90),
                Column("took", "Took", 7, align="right"),
            ),
            key=request_key,
            cells=self._row_cells,
            id=id,
        )
        self._names: Sequence[str] = ()
        self._time_of_day: Callable[[float], str] = str

    def paint(self, requests: Sequence[RequestData], names: Sequence[str], time_of_day: Callable[[float], str]) -> None:
        """Show requests. Whoever looks at the first one goes on to look at the first one; any other cursor stays."""
        self._names, self._time_of_day = names, time_of_day
        if tuple(requests) == tuple(self.rows):
            return
        first = self.cursor == 0
        self.set_rows(requests)
        if first:
            self.action_first()

    def _row_cells(self, request: RequestData) -> Sequence[Text | str]:
        palette = Palette.of(self.app)
        account = Text("–", palette.muted) if request.account is None else f"#{request.account}"
        state = Text(request.state.value, palette.tone(state_tone(request.state)))
        if request.code:
            state.append(f" {plain(request.code, 24)}", palette.muted)
        path = Text()
        for piece, tone in way(request, self._names):
            path.append(piece, palette.tone(tone))
        return (
            self._time_of_day(request.began),
            Text(request.request, palette.muted),
            account,
            plain(request.kind, 24),
            state,
            path,
            str(request.repeats) if request.repeats else "",
            milliseconds(request.latency_ms) if request.latency_ms is not None else "",
        )
