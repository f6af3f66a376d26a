"""What operators did, from the audit logs of all nodes: each order once, with the nodes that have it in their log."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shared.wire.node_messages import AuditRecord

MAX_ACTIONS: Final = 256


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One order. `at` is the moment when the monitor's clock stood where the first node told of it."""

    record: AuditRecord
    at: float
    logged_by: frozenset[int]
    """Places of the nodes that have it in their audit log, as far as they said so to this monitor."""


class Actions:
    """The last `MAX_ACTIONS` orders."""

    def __init__(self) -> None:
        self._actions: OrderedDict[tuple[str, int, int], OperatorAction] = OrderedDict()

    def take(self, record: AuditRecord, place: int, at: float) -> bool:
        """Take it that the node's log has this record; True if nobody told of it before."""
        key = (record.node, record.incarnation, record.number)
        known = self._actions.get(key)
        if known is not None:
            self._actions[key] = OperatorAction(known.record, min(known.at, at), known.logged_by | {place})
            return False
        self._actions[key] = OperatorAction(record, at, frozenset({place}))
        if len(self._actions) > MAX_ACTIONS:
            self._actions.popitem(last=False)
        return True

    def newest_first(self) -> tuple[OperatorAction, ...]:
        """Return all that are kept."""
        return tuple(sorted(self._actions.values(), key=lambda action: action.at, reverse=True))
