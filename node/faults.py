"""The failure simulation: a deaf node neither receives nor sends anything, but keeps running.

An operator makes one node deaf, or sends a token round: its holder is deaf until the token moves on to the next node in
address order. Only a leader with a trusted lease moves the token, and receivers drop one of a lower (term, hop), so
there is one token however leaders change; a new leader carries on from what everybody was told. The leader repeats the
token with the time that is left, so a lost datagram costs nothing, and a holder that crashed or restarted holds nothing
up. When the token makes the leader itself deaf, the others elect another one: that is what it is for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.config import Timing
from shared.wire.node_messages import FaultControl, FaultToken, NodeMessage

__all__ = ["DeafnessChanged", "Faults", "Token"]

GAP_HEARTBEATS = 12
"""Between one holder and the next, so that the cloud is whole for a moment and the failures do not run together."""


@dataclass(frozen=True, slots=True)
class DeafnessChanged:
    """This node became deaf or can hear again."""

    deaf: bool


@dataclass(frozen=True, slots=True)
class Token:
    """The token as this node last saw it; `until` is when its holder hears again, by this node's clock."""

    term: int
    hop: int
    holder: str | None
    until: float


class Faults:
    """One node's part in the failure simulation. The shell drops all traffic while `is_deaf`. Times in seconds."""

    def __init__(self, me: str, nodes: Sequence[str], *, timing: Timing, now: float) -> None:
        self.me = me
        self.nodes = tuple(nodes)
        self.timing = timing
        self.token: Token | None = None
        self._deaf_from = self._deaf_until = float("-inf")
        self._was_deaf = False
        self._leader: str | None = None
        self._term = 0
        self._i_lead = False
        self._repeat_at = now
        self._sends: list[tuple[str, NodeMessage]] = []
        self._events: list[DeafnessChanged] = []

    def is_deaf(self, now: float) -> bool:
        """Return whether this node is to drop everything that it gets and sends."""
        return self._deaf_from <= now < self._deaf_until

    def make_deaf(self, now: float, duration_s: float | None = None, *, notice_s: float = 0.0) -> None:
        """An operator makes this node deaf for `duration_s`, or for as long as the token would.

        It begins `notice_s` from now, so that the node can still say so, and ends as if it had begun at once.
        """
        self._deafen(now + notice_s, now + (self.timing.deaf_s if duration_s is None else duration_s))
        self.tick(now)

    def silence_left_s(self, now: float) -> float:
        """Return for how long this node is deaf from now on, or from a moment from now that was announced; else 0."""
        return max(0.0, self._deaf_until - now)

    def start_token(self, now: float) -> None:
        """Send the token round, starting after the leader; asked of the leader if that is another node."""
        if not self._i_lead:
            self._ask(running=True)
        elif self.token is None or self.token.holder is None:
            self._pass(self._after(self.me), now)

    def stop_token(self, now: float) -> None:
        """Take the token out of the game; the present holder can hear again as soon as its time is over."""
        if not self._i_lead:
            self._ask(running=False)
        elif self.token is not None and self.token.holder is not None:
            self._pass(None, now)

    def leadership(self, leader: str | None, term: int, i_am_leader: bool, now: float) -> None:
        """Feed who leads, and whether this node does and still trusts its lease."""
        if i_am_leader and not self._i_lead:
            self._repeat_at = now
        self._leader, self._term, self._i_lead = leader, max(self._term, term), i_am_leader

    def receive(self, sender: str, message: NodeMessage, now: float) -> None:
        """Feed a message from another node. Kinds that are not about the simulation are ignored."""
        if isinstance(message, FaultControl) and self._i_lead:
            (self.start_token if message.running else self.stop_token)(now)
        elif isinstance(message, FaultToken) and not self._i_lead and not self._stale(sender, message):
            self.token = Token(message.term, message.hop, message.holder, now + message.remaining_s)
            if message.holder == self.me:
                self._deafen(now, self.token.until)

    def tick(self, now: float) -> None:
        """Let time pass: call at `next_deadline` or later."""
        if self.is_deaf(now) != self._was_deaf:
            self._was_deaf = not self._was_deaf
            self._events.append(DeafnessChanged(self._was_deaf))
        if now >= self._deaf_until:
            self._deaf_from = self._deaf_until = float("-inf")
        if not self._repeats or self.token is None or now < self._repeat_at:
            return
        whole_again_at = self.token.until + GAP_HEARTBEATS * self.timing.heartbeat_s
        if now < whole_again_at:
            self._pass(self.token.holder, now, moved=False)
        elif self.token.holder is not None:
            self._pass(self._after(self.token.holder), now)
        else:
            self._repeat_at = float("inf")  # by now everybody has heard that the game is over

    def next_deadline(self) -> float:
        """Return when `tick` is to be called at the latest."""
        repeat_at = self._repeat_at if self._repeats else float("inf")
        return min(repeat_at, self._deaf_until if self._was_deaf else self._deaf_from_next)

    def take_sends(self) -> list[tuple[str, NodeMessage]]:
        """Return and forget the messages to be sent, each with the node it goes to."""
        sends, self._sends = self._sends, []
        return sends

    def take_events(self) -> list[DeafnessChanged]:
        """Return and forget what happened."""
        events, self._events = self._events, []
        return events

    def _stale(self, sender: str, message: FaultToken) -> bool:
        if message.holder is not None and message.holder not in self.nodes:
            return True
        if message.term < self._term or (message.term == self._term and self._leader not in (None, sender)):
            return True
        return self.token is not None and (message.term, message.hop) < (self.token.term, self.token.hop)

    def _pass(self, holder: str | None, now: float, *, moved: bool = True) -> None:
        """Tell everybody where the token is: a hop further, or where it was."""
        self._repeat_at = now + self.timing.heartbeat_s
        hop = 0 if self.token is None else self.token.hop
        if moved or self.token is None:
            self.token = Token(self._term, hop + 1, holder, now + (self.timing.deaf_s if holder else 0.0))
        else:
            self.token = Token(self._term, hop, holder, self.token.until)
        remaining_s = round(max(0.0, self.token.until - now), 3)
        message = FaultToken(term=self._term, hop=self.token.hop, holder=holder, remaining_s=remaining_s)
        self._sends.extend((node, message) for node in self.nodes if node != self.me)
        if holder == self.me and moved:
            # A moment later, so that the others hear where the token is before this node falls silent.
            self._deafen(now + self.timing.heartbeat_s / 4, self.token.until)

    def _deafen(self, start: float, until: float) -> None:
        if until > self._deaf_until:
            if start > self._deaf_until:
                self._deaf_from = start
            self._deaf_until = until

    @property
    def _repeats(self) -> bool:
        return self._i_lead and self.token is not None

    @property
    def _deaf_from_next(self) -> float:
        """When deafness that was announced sets in."""
        return self._deaf_from if self._deaf_from < self._deaf_until and not self._was_deaf else float("inf")

    def _ask(self, *, running: bool) -> None:
        if self._leader is not None and self._leader != self.me:
            self._sends.append((self._leader, FaultControl(running=running)))

    def _after(self, node: str) -> str:
        return self.nodes[(self.nodes.index(node) + 1) % len(self.nodes)]
