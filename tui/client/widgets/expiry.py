"""Until when a right lasts: for ever, for one of a few spans, or until a moment that is typed."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from shared.records import MAX_EXPIRES_S
from tui.client.widgets.chips import Chips
from tui.common.wording import moment

if TYPE_CHECKING:
    from datetime import tzinfo

    from textual.app import ComposeResult

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_SPANS: Final = {"hour": _HOUR, "day": _DAY, "week": 7 * _DAY, "month": 30 * _DAY}
_CHOICES: Final = (
    ("never", "never"),
    ("hour", "1 h"),
    ("day", "1 day"),
    ("week", "1 week"),
    ("month", "30 days"),
    ("date", "date"),
)
_LAST_OF_DAY: Final = time(23, 59)
_MINUTE: Final = timedelta(minutes=1)


def moment_of(text: str, zone: tzinfo | None) -> float:
    """Return a moment in seconds since 1970 from `2027-01-22` (the end of that day) or `2027-01-22 18:00`.

    `zone` is the clock that the person reads, None the machine's. Raises `ValueError` with what to type instead.
    """
    words = text.replace("T", " ").split()
    try:
        day = datetime.strptime(words[0], "%Y-%m-%d").replace(tzinfo=zone)
        if len(words) == 1:
            return (datetime.combine(day, _LAST_OF_DAY, zone) + _MINUTE).timestamp()
        if len(words) == 2:
            clock = datetime.strptime(words[1], "%H:%M").time()  # noqa: DTZ007 - a time of day, joined with the zone
            return datetime.combine(day, clock, zone).timestamp()
    except (IndexError, ValueError, OverflowError, OSError):
        pass
    raise ValueError("Type the date as 2027-01-31, or with the hour as 2027-01-31 18:00.")


class ExpiryField(Vertical):
    """Asks until when a right lasts. One line, two with a date; at least 47 cells wide.

    `expires` is the moment that stands already, in seconds since 1970; shown by the clock of `zone`. Enter in the date
    is an `Input.Submitted`, as in every input.
    """

    DEFAULT_CSS = """
    ExpiryField { width: auto; min-width: 47; height: auto; }
    ExpiryField > Horizontal { width: 47; height: 1; display: none; }
    ExpiryField.-date > Horizontal { display: block; }
    ExpiryField Input { width: 20; padding: 0 1 !important; background: $panel; }
    ExpiryField Static { width: 1fr; margin-left: 2; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "to_date", "To the date", id="expiry.date", show=False, tooltip="From the word date to its field"
        )
    ]

    def __init__(
        self,
        expires: float | None = None,
        *,
        zone: tzinfo | None = None,
        id: str | None = None,  # noqa: A002 - the name that every widget has for it
    ) -> None:
        super().__init__(id=id)
        self._expires = expires
        self._text = "" if expires is None else moment(expires, zone)

    def compose(self) -> ComposeResult:
        """Compose the spans and the date."""
        chips = Chips(_CHOICES, value="never" if self._expires is None else "date")
        chips.tooltip = "Until when the views can be used"
        yield chips
        with Horizontal():
            yield Input(self._text, placeholder="2027-01-31 18:00", max_length=16, compact=True)
            yield Static("year-month-day hour:min", markup=False)

    def on_mount(self) -> None:
        """Show the date where one stands."""
        self._show_date()

    def value(self, now: float, zone: tzinfo | None = None) -> float | None:
        """Return the moment in seconds since 1970, None for no expiry.

        `now` in seconds since 1970; `zone` is the clock that the person reads, None the machine's. Raises `ValueError`
        with what to do about it, also for a moment that has passed.
        """
        chosen = self.query_one(Chips).value
        if chosen == "never":
            return None
        if chosen in _SPANS:
            return now + _SPANS[chosen]
        text = self.query_one(Input).value.strip()
        # What was not touched stays as it is, to the second.
        until = self._expires if self._expires is not None and text == self._text else moment_of(text, zone)
        if until <= now:
            raise ValueError("That moment has passed; choose one that is still to come.")
        if until > MAX_EXPIRES_S:
            raise ValueError("That moment is too far away; choose an earlier one, or never.")
        return until

    def action_to_date(self) -> None:
        """Go to the date, if a date it shall be."""
        if self.query_one(Chips).value != "date":
            raise SkipAction  # then Enter means what it means elsewhere in the dialog
        self.query_one(Input).focus()

    @on(Chips.Chosen)
    def _chosen(self, event: Chips.Chosen) -> None:
        event.stop()
        self._show_date()
        if event.clicked and event.value == "date":
            self.query_one(Input).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()

    def _show_date(self) -> None:
        self.set_class(self.query_one(Chips).value == "date", "-date")
