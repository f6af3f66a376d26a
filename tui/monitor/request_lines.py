"""A request on its way through the cloud as the lines of a sequence chart, and as a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.wire.feed_messages import Happening
from tui.common.wording import plain
from tui.monitor.model.requests import RequestState
from tui.monitor.sequence import Arrow, ChartLine, Lane, Pieces, SequenceMark, Tone
from tui.monitor.wording import milliseconds, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.monitor.model.requests import RequestData, RequestStep

_STOPS = frozenset({Happening.SERVED, Happening.REFUSED, Happening.TAKEN_OVER, Happening.FAILED})
WAY_NODES = 3
"""More of a request's way is only seen in its details."""


def request_lines(request: RequestData, names: Sequence[str]) -> tuple[ChartLine, ...]:
    """Return a request's steps in order of time. `names` are the nodes' by place."""
    touched = {step.place for step in request.steps} | {step.node for step in request.steps}
    lanes = tuple(Lane.FOLLOWS if place in touched else Lane.SILENT for place in range(len(names)))
    lines = [_line(step, request, names, lanes) for step in request.steps]
    return (*lines, ChartLine(None, (), lanes=lanes))


def way(request: RequestData, names: Sequence[str]) -> Pieces:
    """Return which nodes had the request, one after another, the last `WAY_NODES` of them.

    `n2`: it was given to n2, or n2 served it; `n3!`: n3 took it over unasked; `n2×`: n2 could not serve it; `n2×5`:
    five times.
    """
    stops: list[_Stop] = []
    for step in request.steps:
        place = step.node if step.what is Happening.ASSIGNED else step.place if step.what in _STOPS else None
        if place is None:
            continue
        if not stops or stops[-1].place != place:
            stops.append(_Stop(place))
        stops[-1].taken_over |= step.what is Happening.TAKEN_OVER
        stops[-1].failures += step.what is Happening.FAILED
    shown = stops[-WAY_NODES:]
    pieces: list[tuple[str, Tone]] = [("… › ", Tone.MUTED)] if len(shown) < len(stops) else []
    for number, stop in enumerate(shown):
        pieces.append((f"{' › ' if number else ''}{name_of(stop.place, names)}{stop.sign}", stop.tone))
    return tuple(pieces)


@dataclass(slots=True)
class _Stop:
    """A node that had the request for a while."""

    place: int
    taken_over: bool = False
    failures: int = 0

    @property
    def sign(self) -> str:
        failed = "" if not self.failures else "×" if self.failures == 1 else f"×{self.failures}"
        return f"{'!' if self.taken_over else ''}{failed}"

    @property
    def tone(self) -> Tone:
        return Tone.BAD if self.failures else Tone.WARNING if self.taken_over else Tone.PLAIN


def state_tone(state: RequestState) -> Tone:
    """Return the tone that stands for a state."""
    match state:
        case RequestState.SERVED:
            return Tone.GOOD
        case RequestState.REFUSED | RequestState.LOST:
            return Tone.MUTED
        case RequestState.WAITING | RequestState.ASSIGNED:
            return Tone.PRIMARY
        case _:
            return Tone.WARNING


def _line(step: RequestStep, request: RequestData, names: Sequence[str], lanes: tuple[Lane, ...]) -> ChartLine:
    who, tone = name_of(step.place, names), _tone(step.what)
    marks = (SequenceMark(step.place, "◆" if step.what in (Happening.SERVED, Happening.REFUSED) else "●", tone),)
    if step.what in (Happening.ASSIGNED, Happening.REASSIGNED) and step.node is not None and step.node != step.place:
        reaches = step.what is Happening.ASSIGNED
        arrow = Arrow(step.place, (step.node,) if reaches else (), () if reaches else (step.node,), (), tone)
        return ChartLine(step.at, _pieces(step, request, who, names), arrow=arrow, lanes=lanes)
    return ChartLine(step.at, _pieces(step, request, who, names), marks, lanes=lanes)


def _pieces(step: RequestStep, request: RequestData, who: str, names: Sequence[str]) -> Pieces:
    tone = _tone(step.what)
    other = name_of(step.node, names)
    match step.what:
        case Happening.HELD:
            return ((f"{who} got it from its peer", Tone.PLAIN),)
        case Happening.REPEATED:
            return (f"{who} got it again ", Tone.PLAIN), ("after it was served", tone)
        case Happening.ASSIGNED:
            target = "itself" if step.node == step.place else other
            return (f"{who} gave it to ", Tone.PLAIN), (target, tone)
        case Happening.REASSIGNED:
            return (
                (f"{who} ", Tone.PLAIN),
                (f"took it from {other}", tone),
                (", which showed no sign of work", Tone.PLAIN),
            )
        case Happening.TAKEN_OVER:
            return (f"{who} ", Tone.PLAIN), ("took it over", tone), (", assigned by nobody", Tone.PLAIN)
        case Happening.FORWARDED:
            return ((f"{who} told the leader of it", Tone.PLAIN),)
        case Happening.SERVED:
            return (f"{who} ", Tone.PLAIN), ("served it", tone), (_after(request), Tone.MUTED)
        case Happening.REFUSED:
            code = f": {plain(request.code, 24)}" if request.code else ""
            return (f"{who} ", Tone.PLAIN), (f"refused it{code}", tone), (_after(request), Tone.MUTED)
        case Happening.FAILED:
            return (f"{who} ", Tone.PLAIN), ("gave it back", tone), (": it could not serve it", Tone.PLAIN)
        case Happening.BUSY:
            return (f"{who} ", Tone.PLAIN), ("did not take it", tone), (": too many are open", Tone.PLAIN)


def _after(request: RequestData) -> str:
    return "" if request.latency_ms is None else f", {milliseconds(request.latency_ms)} after it came"


def _tone(what: Happening) -> Tone:
    match what:
        case Happening.SERVED:
            return Tone.GOOD
        case Happening.ASSIGNED:
            return Tone.PRIMARY
        case Happening.HELD | Happening.FORWARDED:
            return Tone.MUTED
        case Happening.REFUSED:
            return Tone.BAD
        case _:
            return Tone.WARNING
