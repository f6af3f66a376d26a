"""What a notice says, as a line of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.roles import Input
from shared.wire import feed_messages as feed
from tui.monitor.model.events import Level, Topic

if TYPE_CHECKING:
    from shared.wire.node_messages import AuditRecord
    from tui.monitor.node_index import NodeIndex

_LEASE = {
    "CLAIM": (Level.DEBUG, "asks the directory for the lease"),
    "WON": (Level.INFO, "won the lease"),
    "LOST": (Level.INFO, "did not get the lease"),
    "UNKNOWN": (Level.WARNING, "got no answer about the lease"),
    "RELEASE": (Level.DEBUG, "gives the lease back"),
    "RELEASED": (Level.INFO, "gave the lease back"),
}


def line_of(body: feed.AnyNotice, place: int, roster: NodeIndex) -> tuple[Level, Topic, str]:
    """Return how much a notice of the node at `place` matters, what it is about, and what it says."""
    match body:
        case feed.RoleNotice(previous, role, why, term):
            return Level.INFO, Topic.ROLE, f"{previous} → {role} ({reason(why)}), term {term}"
        case feed.LeaderNotice(leader, term):
            return _leader(leader, term, place, roster)
        case feed.ElectionNotice(sent, kind, node, term):
            direction = "to" if sent else "from"
            return Level.DEBUG, Topic.ELECTION, f"{kind} {direction} {roster.name(node)}, term {term}"
        case feed.LeaseNotice(what, term):
            level, text = _LEASE.get(what, (Level.INFO, f"lease: {what}"))
            return level, Topic.LEASE, f"{text}, term {term}"
        case feed.DeafNotice(deaf):
            text = "is deaf from here on" if deaf else "hears again"
            return Level.WARNING if deaf else Level.INFO, Topic.FAILURE, text
        case feed.TokenNotice(holder, hop):
            text = "the token is out of the game" if holder is None else f"{roster.name(holder)} holds the token"
            return Level.INFO, Topic.FAILURE, f"{text} (hop {hop})"
        case feed.LogNotice(level, source, text):
            return Level.of_log(level), Topic.LOG, f"{source}: {text}"
        case feed.RestoredNotice(epoch, frozen):
            return Level.WARNING, Topic.DIRECTORY, restored_line(epoch, frozen)
        case feed.AuditNotice(record):
            return (Level.INFO if record.obeyed else Level.WARNING), Topic.ACTION, order_line(record)


def reason(why: str) -> str:
    """Return the name of an input of the election in words."""
    try:
        return Input[why].value
    except KeyError:
        return why.replace("_", " ").lower()


def restored_line(epoch: int, frozen: int) -> str:
    """Return what a restored directory means, as a line that is read whole in 120 columns."""
    few = {0: "no grant waits for its owner", 1: "1 grant waits for its owner"}
    return f"the directory was restored (epoch {epoch}): {few.get(frozen, f'{frozen} grants wait for their owners')}"


def order_line(record: AuditRecord) -> str:
    """Return an operator's order as a line; its texts come from elsewhere and are not clean yet."""
    value = f" {record.value}" if record.value else ""
    refused = "" if record.obeyed else f": refused, {record.text}"
    words = "-".join(record.operator.split()[:3])
    return f"order {record.order}{value} to {record.node} by {words or 'an operator'}{refused}"


def _leader(leader: int | None, term: int, place: int, roster: NodeIndex) -> tuple[Level, Topic, str]:
    if leader is None:
        return Level.WARNING, Topic.LEADER, f"knows of no leader, term {term}"
    if leader == place:
        return Level.INFO, Topic.LEADER, f"leads, term {term}"
    return Level.INFO, Topic.LEADER, f"follows {roster.name(leader)}, term {term}"
