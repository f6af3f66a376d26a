"""What an endpoint tells about itself."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EndpointStatistics:
    """A snapshot. Counts are since the endpoint was opened."""

    sessions: int
    """Open now."""
    sending: int
    """Objects under way to other sides now."""
    receiving: int
    """Objects under way from other sides now, waiting ones included."""
    queued: int
    """Of both directions, those that wait for a place or a worker port."""
    worker_ports: int
    """In use now."""
    received_datagrams: int
    received_bytes: int
    sent_datagrams: int
    sent_bytes: int
    send_errors: int
    """Datagrams that the kernel refused to send."""
    dropped: Mapping[str, int]
    """Datagrams and messages that were dropped, by reason."""
