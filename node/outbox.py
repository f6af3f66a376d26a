"""Dispatch messages on their way out, gathered so that many requests share a datagram.

What somebody waits for goes out at the end of the wake-up; what others only need to know waits a little for company.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.wire import node_messages as wire
from shared.wire.node_messages import KeyBatch, NodeMessage, RequestKey, pack_keys


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of message with everything but its keys; keys of one kind to one node are sent together."""

    name: str
    term: int = 0
    node: str = ""

    def build(self, keys: tuple[KeyBatch, ...]) -> NodeMessage:
        """Return the message that carries `keys`."""
        match self.name:
            case "assign":
                return wire.Assign(term=self.term, node=self.node, keys=keys)
            case "accepted":
                return wire.AssignAck(term=self.term, accepted=keys)
            case "unheld":
                return wire.AssignAck(term=self.term, unheld=keys)
            case "done":
                return wire.Done(keys=keys)
            case "forward":
                return wire.Forward(keys=keys)
            case "working":
                return wire.Working(keys=keys)
            case _:
                return wire.Unserved(keys=keys)


DONE = Kind("done")
FORWARD = Kind("forward")
WORKING = Kind("working")
UNSERVED = Kind("unserved")


@dataclass(slots=True)
class NodeOutbox:
    """Keys waiting to be sent, by node and kind."""

    patience_s: float
    _waiting: dict[str, dict[Kind, dict[RequestKey, None]]] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)

    def put(self, node: str, kind: Kind, key: RequestKey, now: float, *, urgent: bool) -> None:
        """Queue `key` for `node`; an urgent one takes everything that waits for that node along."""
        self._waiting.setdefault(node, {}).setdefault(kind, {})[key] = None
        due = now if urgent else now + self.patience_s
        self._due[node] = min(due, self._due.get(node, due))

    def next_deadline(self) -> float:
        """Return when the next message is due."""
        return min(self._due.values(), default=float("inf"))

    def take(self, now: float) -> Iterator[tuple[str, NodeMessage]]:
        """Yield and forget the messages that are due, each of which fits a datagram."""
        for node in [node for node, due in self._due.items() if due <= now]:
            del self._due[node]
            for kind, keys in self._waiting.pop(node).items():
                for portion in pack_keys(keys):
                    yield node, kind.build(portion)
