"""Which rows of the outbox are delivered next: pure, so that every order can be tried without a cloud.

Rows of one lane are about one thing (one viewer's rights on one image, one request) and go one after the other, oldest
first, because each was meant to follow the one before. Rows without a lane, and rows of different lanes, are
independent. An urgent row (a revocation) goes before the others of its lane: what was queued before it may wait for
something else than the cloud, such as room in a mailbox.
"""

from collections.abc import Collection, Iterable, Mapping

from tui.peer.store import OutboxRow


def lane_of_ask(request: str) -> str:
    """Return the lane in which a request for views and its withdrawal follow each other."""
    return f"request/{request}"


def due(rows: Iterable[OutboxRow], under_way: Mapping[str, str], urgent_kinds: Collection[str]) -> list[OutboxRow]:
    """Return the rows whose turn it is. `under_way` maps the requests that are being delivered to their lanes.

    `rows` come oldest first.
    """
    busy = {lane for lane in under_way.values() if lane}
    free: list[OutboxRow] = []
    heads: dict[str, OutboxRow] = {}
    for row in rows:
        if row.request in under_way or row.lane in busy:
            continue
        if not row.lane:
            free.append(row)
        elif row.lane not in heads or (row.kind in urgent_kinds and heads[row.lane].kind not in urgent_kinds):
            heads[row.lane] = row
    return free + list(heads.values())
