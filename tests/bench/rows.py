"""What every section of the bench gives: rows of a figure beside what it is compared to, and how it is timed."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

Sense = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is what a bar is about; where the figure itself is, it is that figure."""

    what: str
    measured: float | None
    """None where it was not measured here; `note` says why."""
    unit: str
    against: str = ""
    """What it is compared with."""
    compared: float | None = None
    ratio: float | None = None
    sense: Sense = "at least"
    bar: float | None = None
    """None for a figure that nothing is promised about."""
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bar holds; None where there is none or nothing was measured."""
        if self.bar is None or self.ratio is None:
            return None
        return self.ratio >= self.bar if self.sense == "at least" else self.ratio <= self.bar

    def as_json(self) -> dict[str, object]:
        """Return all of it, for the file of figures."""
        fields = ("what", "measured", "unit", "against", "compared", "ratio", "sense", "bar", "holds", "note")
        return {name: getattr(self, name) for name in fields}


def speed_up(
    what: str, ours_ms: float, against: str, theirs_ms: float, bar: float | None = None, note: str = ""
) -> Row:
    """Return a row for two times: how many times faster ours is."""
    return Row(what, ours_ms, "ms", against, theirs_ms, theirs_ms / ours_ms, "at least", bar, note)


def not_measured(what: str, against: str, bar: float | None, why: str, sense: Sense = "at least") -> Row:
    """Return a row for a bar that this run says nothing about."""
    return Row(what, None, "", against, None, None, sense, bar, f"not measured here: {why}")


def medians_ms(calls: Mapping[str, Callable[[], object]], rounds: int, *, warm_up: bool = True) -> dict[str, float]:
    """Return the median time of each call, in milliseconds.

    The calls take turns, so that whatever else the machine does hits them alike; a first turn of each is not counted
    unless `warm_up` is false.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + warm_up):
        for name, call in calls.items():
            began = perf_counter()
            call()
            if number >= warm_up:
                times[name].append(1000 * (perf_counter() - began))
    return {name: statistics.median(values) for name, values in times.items()}


def median_ms(call: Callable[[], object], rounds: int) -> float:
    """Return the median time of one call, in milliseconds, after a first one that is not counted."""
    return medians_ms({"": call}, rounds)[""]
