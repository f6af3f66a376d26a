"""The fields in which an owner says how many views, until when and how long each look: in three dialogs the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from textual.containers import Horizontal
from textual.widgets import Label

from tui.client.widgets.expiry import ExpiryField
from tui.client.widgets.look_field import LookField
from tui.client.widgets.views_field import ViewsField

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

    from textual.screen import Screen
    from textual.widget import Widget

_LABELS: Final = ("Views", "Expires", "Each look")


@dataclass(frozen=True, slots=True)
class RightsForm:
    """So many views, until a moment in seconds since 1970 (None: no expiry), each look for so many seconds (no limit).

    Where views are added to rights that stand, None leaves expiry and length as they are.
    """

    views: int
    expires: float | None
    look_s: float | None = None


def rights_fields(
    prefix: str, standing: RightsForm, zone: tzinfo | None, *, least: int = 1, labels: tuple[str, str, str] = _LABELS
) -> Iterable[Widget]:
    """Return the three fields with what stands in them at first, named `<prefix>-views`, `-expiry` and `-look`."""
    fields = (
        ViewsField(standing.views, least=least, id=f"{prefix}-views"),
        ExpiryField(standing.expires, zone=zone, id=f"{prefix}-expiry"),
        LookField(standing.look_s, id=f"{prefix}-look"),
    )
    for label, field in zip(labels, fields, strict=True):
        yield Horizontal(Label(label), field, classes="rights-field -close" if field is fields[-1] else "rights-field")


def read_rights(screen: Screen[Any], now: float, zone: tzinfo | None) -> RightsForm:
    """Return what stands in the fields of a screen. Raises `ValueError` that says which field is not fit, and why."""
    return RightsForm(
        screen.query_one(ViewsField).value(),
        screen.query_one(ExpiryField).value(now, zone),
        screen.query_one(LookField).value(),
    )
