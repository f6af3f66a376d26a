"""The paths on which one session can go: which is in use, which are being tried, when the session goes over to another.

A session between two peers often begins on a path through a node. Both sides have told each other where they might be
reached directly (their candidates), and both send probes there at the same time, in the open session: so each opens
its own address translator for the other (the idea of RFC 8445, here with the session's PING and PONG in place of STUN).
A probe that is answered from where it went proves that address (RFC 9000 section 8.2), and the session goes over to it.

A direct path is not left because something comes in on another one. Only when it stays silent while something is
awaited are all paths tried anew, and the first that answers is taken; from one through a node the search for a direct
one begins again. All that is sent is small, goes to addresses of an authenticated peer only, and is bounded in number.

Pure: `now` is handed in, in seconds of any monotonic clock; what is due to be probed is taken out.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from shared.secure.datagrams import Address
from shared.secure.relayed import is_relayed

MAX_DIRECT: Final = 12
"""Direct candidates of one session: those that were told, and those that probes came from. The other side names
them."""
MAX_RELAYED: Final = 4
"""Paths through nodes; the one that was added last stays."""
PROBES_AT_ONCE: Final = 120
PROBES_PER_S: Final = 24.0
"""What a session sends to addresses of the other side's choice, in a search and in the long run: at 40 bytes a probe
less than four first messages, and a kilobyte a second."""
PACE_S: Final = 0.005
"""Least pause between two probes (RFC 8445 section 14.2 allows no less)."""
FIRST_ROUND_S: Final = 0.05
"""From the first round of probes to the second; each pause is twice as long as the one before, up to `LONGEST_ROUND_S`.
The first probes of both sides often cross and are lost at the other's translator, the second ones pass."""
LONGEST_ROUND_S: Final = 1.0
SEARCH_S: Final = 5.0
"""How long a search lasts."""
AGAIN_S: Final = 30.0
"""After how long another one begins while the session is in use."""
HEAD_START_S: Final = 0.1
HEAD_START_RTTS: Final = 2
"""How long the path in use may take to answer, when it is doubted, before the others are tried as well."""
RELAYS_LATER_S: Final = 0.1
"""By how much later than direct ones, paths through nodes are tried in place of a direct one that is silent."""
CHECK_PAUSE_S: Final = 0.5
"""Least time between two doubts."""
STRANDED_S: Final = 0.3
"""When none of the paths has answered for so long, the owner is asked for another one; at once where a session that
goes through a node knows no path through another."""
_REMEMBERED_PROBES: Final = 32
_ROUNDING_S: Final = 1e-6
"""So much later than computed there is a whole probe to be sent, however times are rounded."""


class PathChoice:
    """The paths of one session, seen from one of its sides."""

    def __init__(self, current: Address, now: float) -> None:
        self.current = current
        """Where the session's datagrams go."""
        self._direct: OrderedDict[Address, None] = OrderedDict()
        self._relayed: OrderedDict[Address, None] = OrderedDict()
        self._probes: OrderedDict[int, Address] = OrderedDict()
        """Probes that may still be answered, by number."""
        self._queue: deque[Address] = deque()
        """What is to be probed in this round."""
        self._probe_at = now
        self._round_at = now
        self._round_pause_s = FIRST_ROUND_S
        self._search_until: float | None = None
        self._search_again_at: float | None = None
        self._left = float(PROBES_AT_ONCE)
        """Probes that may be sent, at `_left_at`."""
        self._left_at = now
        self._trigger_after = now
        self._heard_at = now
        """When anything was heard last, on any path."""
        self._doubted_at: float | None = None
        """Since when the path in use is doubted."""
        self._others_at: float | None = None
        """When the others are tried as well."""
        self._relays_at = now
        """When, while there is doubt, paths through nodes are."""
        self._next_doubt_at = now
        self._stranded_at: float | None = None
        self._stranded = False
        (self._relayed if is_relayed(current) else self._direct)[current] = None

    @property
    def is_direct(self) -> bool:
        """Whether no node is in between."""
        return not is_relayed(self.current)

    # --- What is known ---------------------------------------------------------------------------------------------

    def add(self, addresses: Iterable[Address], now: float) -> None:
        """Take candidates of the other side and paths through nodes; begin to try them."""
        known = {*self._direct, *self._relayed}
        for address in addresses:
            self._note(address)
        if not known.issuperset((*self._direct, *self._relayed)):
            self._search_until = None  # rounds begin anew for what is new
        if self._doubted_at is not None:
            self._try_others(now)
        elif not self.is_direct:
            self._search(now)

    def _note(self, address: Address) -> bool:
        known, most = (self._relayed, MAX_RELAYED) if is_relayed(address) else (self._direct, MAX_DIRECT)
        if address in known:
            return True
        if len(known) >= most:
            if known is self._direct:
                return False
            known.pop(next(one for one in known if one != self.current))
        known[address] = None
        return True

    def heard(self, address: Address, now: float, *, rtt_s: float = 0.0) -> None:
        """A genuine datagram came from this address; `rtt_s` is the round trip on the way in use."""
        self._heard_at = now
        if address == self.current:
            return
        if not self._note(address):
            return
        if self._doubted_at is not None or (not self.is_direct and not is_relayed(address)):
            self._trigger(address, now)
        else:
            self.doubt(now, rtt_s=rtt_s)

    def _trigger(self, address: Address, now: float) -> None:
        """Probe an address that the other side was just heard from: its translator lets answers in now."""
        if self._search_until is None:
            self._search(now)
        if now >= self._trigger_after and address not in self._queue:
            self._trigger_after = now + FIRST_ROUND_S
            self._queue.appendleft(address)

    # --- Doubts ----------------------------------------------------------------------------------------------------

    def doubt(self, now: float, *, rtt_s: float = 0.0) -> None:
        """Something is awaited and does not come: see whether the path in use still leads there."""
        if self._doubted_at is not None or now < self._next_doubt_at:
            return
        self._doubted_at = now
        self._others_at = now + max(HEAD_START_S, HEAD_START_RTTS * rtt_s)
        self._relays_at = self._others_at + (RELAYS_LATER_S if self.is_direct else 0.0)
        has_another = self.is_direct or len(self._relayed) > 1
        self._stranded_at = self._others_at + (STRANDED_S if has_another else 0.0)
        self._queue.appendleft(self.current)
        self._probe_at = min(self._probe_at, now)

    def lost(self, address: Address, now: float) -> None:
        """A path through a node is gone for good."""
        self._relayed.pop(address, None)
        if address == self.current and self._doubted_at is None:
            self._doubted_at = self._relays_at = self._stranded_at = now
            self._try_others(now)

    def _try_others(self, now: float) -> None:
        self._others_at = None
        self._search_until = None
        self._search(now)

    def _settled(self, now: float) -> None:
        self._doubted_at = self._others_at = self._stranded_at = None
        self._next_doubt_at = now + CHECK_PAUSE_S
        if self.is_direct:
            self._end_search()

    def take_stranded(self) -> bool:
        """Whether no known path leads to the other side; told once for each doubt."""
        stranded, self._stranded = self._stranded, False
        return stranded

    # --- Searches --------------------------------------------------------------------------------------------------

    def _search(self, now: float) -> None:
        """Begin to probe everything that is better than, or may have to stand in for, the path in use."""
        if self._search_until is not None:
            self._queue.extend(address for address in self._targets(now) if address not in self._queue)
            return
        self._search_until = now + SEARCH_S
        self._search_again_at = None
        self._round_pause_s = FIRST_ROUND_S
        self._round_at = now
        self._probe_at = min(self._probe_at, now)

    def _targets(self, now: float) -> list[Address]:
        if self._doubted_at is None:
            return [] if self.is_direct else list(self._direct)
        return [*self._direct, *(self._relayed if now >= self._relays_at else ())]

    def _end_search(self) -> None:
        self._search_until = self._search_again_at = None
        self._queue.clear()

    def take_due(self, now: float) -> list[Address]:
        """Return the addresses to be probed now; `probed` must follow for each."""
        self._let_time_pass(now)
        self._left = min(PROBES_AT_ONCE, self._left + (now - self._left_at) * PROBES_PER_S)
        self._left_at = now
        due = []
        while self._queue and self._left >= 1.0 and self._probe_at <= now:
            due.append(self._queue.popleft())
            self._left -= 1
            self._probe_at = max(self._probe_at, now - PACE_S) + PACE_S
        return due

    def _let_time_pass(self, now: float) -> None:
        if self._others_at is not None and now >= self._others_at:
            self._try_others(now)
        if self._stranded_at is not None and now >= self._stranded_at:
            self._stranded_at = None
            self._stranded = True
        if self._search_until is not None and now >= self._search_until:
            self._end_search()
            self._doubted_at = self._others_at = self._stranded_at = None
            if not self.is_direct and now - self._heard_at < AGAIN_S:
                self._search_again_at = now + AGAIN_S
        if self._search_again_at is not None and now >= self._search_again_at:
            self._search_again_at = None
            if now - self._heard_at < AGAIN_S:
                self._search(now)
        if self._search_until is not None and now >= self._round_at:
            self._queue.extend(address for address in self._targets(now) if address not in self._queue)
            self._round_at = now + self._round_pause_s
            self._round_pause_s = min(2 * self._round_pause_s, LONGEST_ROUND_S)

    def probed(self, number: int, address: Address) -> None:
        """A probe with this number has gone to this address."""
        self._probes[number] = address
        while len(self._probes) > _REMEMBERED_PROBES:
            self._probes.popitem(last=False)

    def answered(self, number: int, address: Address, now: float) -> bool:
        """The answer to a probe came from this address; return whether the session goes over to it."""
        if self._probes.pop(number, None) != address:
            return False
        if address == self.current:
            self._settled(now)
            return False
        is_better = not self.is_direct and not is_relayed(address)
        if not is_better and self._doubted_at is None:
            return False
        self.current = address
        self._settled(now)
        if not self.is_direct:
            self._search_until = None
            self._search(now)
        return True

    def next_deadline(self) -> float | None:
        """When `take_due` has something to return or to look after."""
        times = [self._others_at, self._stranded_at, self._search_again_at]
        if self._search_until is not None:
            times += [self._search_until, self._round_at]
        if self._queue:
            lacking_s = max(0.0, 1.0 - self._left) / PROBES_PER_S
            times.append(max(self._probe_at, self._left_at + lacking_s + _ROUNDING_S) if lacking_s else self._probe_at)
        return min((at for at in times if at is not None), default=None)
