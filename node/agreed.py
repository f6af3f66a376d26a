"""The placement policy of the cluster: chosen by an operator at any node, held by all, whoever leads.

A register in which the last choice wins: (version, node that was told). Whoever holds a choice tells each other node
until that one says that it holds it too, and again when that node begins a new life, since a choice is kept in memory
only. It is lost when all nodes are down at once; the nodes then start with the default.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from node.placement import Policy
from shared.config import Timing
from shared.wire.node_messages import ElectionMessage, NodeMessage, PolicyHeld, PolicyIs

_FOREVER = float("inf")
_LONGEST_HEARTBEATS = 16


@dataclass(slots=True)
class _Other:
    """What is known of another node: which choice it holds, and when it is told next."""

    incarnation: int = 0
    held: tuple[int, int] = (0, 0)
    tell_at: float = _FOREVER
    wait_s: float = 0.0


class AgreedPolicy:
    """One node's copy. Feed messages, choices and ticks; take sends. `nodes` in address order. Times in seconds."""

    def __init__(self, me: str, nodes: Sequence[str], *, timing: Timing, policy: Policy = Policy.LEAST_COST) -> None:
        self.policy = policy
        self._place = nodes.index(me)
        self._timing = timing
        self._stamp = (0, 0)
        self._others = {node: _Other() for node in nodes if node != me}
        self._sends: list[tuple[str, NodeMessage]] = []

    def choose(self, policy: Policy, now: float) -> None:
        """An operator chose a policy at this node."""
        self._take((self._stamp[0] + 1, self._place), policy, now)

    def receive(self, sender: str, message: NodeMessage, now: float) -> None:
        """Feed a message from another node; every message of an election tells whether it began a new life."""
        other = self._others.get(sender)
        if other is None:
            return
        if isinstance(message, ElectionMessage):
            if message.incarnation > other.incarnation:
                other.incarnation, other.held = message.incarnation, (0, 0)
                self._tell(other, now)
        elif isinstance(message, PolicyIs):
            self._on_choice(sender, other, message, now)
        elif isinstance(message, PolicyHeld):
            other.held = (message.version, message.setter)
            if other.held >= self._stamp:
                other.tell_at = _FOREVER

    def tick(self, now: float) -> None:
        """Let time pass: call at `next_deadline` or later."""
        for node, other in self._others.items():
            if now >= other.tell_at:
                version, setter = self._stamp
                self._sends.append((node, PolicyIs(version=version, setter=setter, policy=self.policy.value)))
                other.wait_s = min(2 * other.wait_s, _LONGEST_HEARTBEATS * self._timing.heartbeat_s)
                other.tell_at = now + other.wait_s

    def next_deadline(self) -> float:
        """Return when `tick` is to be called at the latest."""
        return min((other.tell_at for other in self._others.values()), default=_FOREVER)

    def take_sends(self) -> list[tuple[str, NodeMessage]]:
        """Return and forget the messages to be sent, each with the node it goes to."""
        sends, self._sends = self._sends, []
        return sends

    def _on_choice(self, sender: str, other: _Other, message: PolicyIs, now: float) -> None:
        stamp = (message.version, message.setter)
        if stamp > self._stamp:
            try:
                policy = Policy(message.policy)
            except ValueError:
                return  # of a newer version: this node cannot hold it and does not say so
            other.held = stamp
            self._take(stamp, policy, now)
        version, setter = self._stamp
        self._sends.append((sender, PolicyHeld(version=version, setter=setter)))
        if stamp < self._stamp:
            other.held = stamp
            self._tell(other, now)

    def _take(self, stamp: tuple[int, int], policy: Policy, now: float) -> None:
        self._stamp, self.policy = stamp, policy
        for other in self._others.values():
            self._tell(other, now)

    def _tell(self, other: _Other, now: float) -> None:
        if self._stamp > other.held:
            other.tell_at, other.wait_s = now, self._timing.heartbeat_s
        else:
            other.tell_at = _FOREVER
