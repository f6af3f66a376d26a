"""An election as the lines of a sequence chart: a lane for each node, time going down, one line for what is one thing.

Only what the model says of an election comes in, and nothing of a screen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from shared.wire.feed_messages import DeafNotice, ElectionNotice, LeaderNotice, LeaseNotice, RoleNotice
from tui.common.wording import plain
from tui.monitor.model.election_reading import ElectionOutcome
from tui.monitor.model.events import reason
from tui.monitor.sequence import Arrow, ChartLine, Lane, Pieces, SequenceMark, Tone
from tui.monitor.wording import lasting, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tui.monitor.model.elections import ElectionData, ElectionStep

TOGETHER_S: Final = 0.005
"""What several nodes do alike within this stands in one line: a message to all, all following the new leader."""
MOST_AT_ONCE: Final = 64
"""No more lines than these are looked through for what belongs together: nodes' clocks can be wrong or stand still."""
ON_ITS_WAY_S: Final = 1.5
"""A message is lost when its receiver has not told of it for so long; the feed needs some of that."""
NAMED_AT_MOST: Final = 3
"""More nodes than these are only counted in words: their lanes show which they are."""
_NAME_CELLS: Final = 16
_ELECTING: Final = ("probe", "elect", "wait", "claim")
KIND_TONES: Final = {
    "NEW_LEADER": Tone.GOOD,
    "CRASH_LEADER": Tone.WARNING,
    "ELECTION": Tone.WARNING,
    "RESIGN": Tone.WARNING,
    "HAND_OVER": Tone.WARNING,
    "OK": Tone.PRIMARY,
    "YIELD": Tone.PRIMARY,
    "LEADER_IS": Tone.PRIMARY,
    "DECLINE": Tone.SECONDARY,
    "JOIN": Tone.SECONDARY,
}
_LEASE_WORDS: Final = {
    "CLAIM": "asks for the lease",
    "WON": "won the lease",
    "LOST": "did not get the lease",
    "UNKNOWN": "got no answer about the lease",
    "RELEASE": "gives the lease back",
    "RELEASED": "gave the lease back",
}
_ROLES_OF_LEASE: Final = {"CLAIM": "claim", "WON": "leader", "LOST": "follower"}


def chart_lines(
    election: ElectionData, names: Sequence[str], now: float, *, single: bool = False
) -> tuple[ChartLine, ...]:
    """Return an election's lines in order of time; `single` leaves every notice a line of its own.

    The last one says nothing: it only shows what the nodes are then.

    `names` are the nodes' by place. `now` is the present: for how long one under way has lasted, and what may still be
    on its way.
    """
    folded = _folded(election, now, single=single)
    if not single:
        folded = [line for number, line in enumerate(folded) if not _said_twice(number, folded)]
    writer = _Writer(election, names, single=single)
    lines: list[ChartLine] = []
    last_word = _last_word(election)
    for entry in folded:
        if last_word is not None and entry.at >= last_word:
            lines.append(writer.last_word(last_word))
            last_word = None
        lines.append(writer.line(entry))
    if election.outcome is ElectionOutcome.UNDER_WAY:
        text = f"{lasting(now - election.began)} so far"
        lines.append(ChartLine(now, ((text, Tone.ACCENT),), lanes=writer.lanes))
    lines.append(ChartLine(None, (), lanes=writer.lanes))
    return tuple(lines)


def _last_word(election: ElectionData) -> float | None:
    """Return when the former leader was heard last, if nothing in the election says why it fell silent."""
    for step in election.steps:
        if step.place == election.former and isinstance(step.body, DeafNotice) and step.body.deaf:
            return None
    return election.former_last_word


# --- Putting together ------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Folded:
    """Steps that are one line: of one kind, at nearly one time."""

    at: float
    step: ElectionStep
    places: list[int] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    on_its_way: list[int] = field(default_factory=list)

    def takes(self, step: ElectionStep) -> bool:
        """Return whether a step of the same key belongs to this line."""
        if isinstance(step.body, ElectionNotice):
            return step.body.node not in (*self.arrived, *self.lost, *self.on_its_way)
        return step.place not in self.places

    def add(self, step: ElectionStep, now: float) -> None:
        """Add a step."""
        if step.place not in self.places:
            self.places.append(step.place)
        if isinstance(step.body, ElectionNotice):
            self._targets(step, now).append(step.body.node)

    def _targets(self, step: ElectionStep, now: float) -> list[int]:
        if step.arrived_at is not None:
            return self.arrived
        return self.on_its_way if now - step.at < ON_ITS_WAY_S and not step.deaf else self.lost


def _folded(election: ElectionData, now: float, *, single: bool) -> list[_Folded]:
    lines: list[_Folded] = []
    newest: dict[tuple[object, ...], _Folded] = {}
    for step in election.steps:
        key = _key(step)
        line = newest.get(key)
        if single or line is None or step.at - line.at > TOGETHER_S or not line.takes(step):
            line = newest[key] = _Folded(step.at, step)
            lines.append(line)
        line.add(step, now)
    return lines


def _key(step: ElectionStep) -> tuple[object, ...]:
    body = step.body
    match body:
        case ElectionNotice(_, kind, _, term):
            return "sent", step.place, kind, term, step.deaf
        case LeaderNotice(leader, term):
            return "leader", leader, term, leader == step.place, step.deaf
        case _:
            return type(body).__name__, body, step.deaf


def _said_twice(number: int, lines: Sequence[_Folded]) -> bool:
    """Return whether a change of role says what this line says: that one asks for the lease, has it, leads."""
    line = lines[number]
    body, place = line.step.body, line.step.place
    role = None
    if isinstance(body, LeaseNotice):
        role = _ROLES_OF_LEASE.get(body.what)
    elif isinstance(body, LeaderNotice) and body.leader == place:
        role = "leader"
    if role is None:
        return False
    return any(
        isinstance(other.step.body, RoleNotice) and other.step.body.role == role and place in other.places
        for other in _around(number, lines)
    )


def _around(number: int, lines: Sequence[_Folded]) -> Iterator[_Folded]:
    """Yield the lines at nearly the same time as one, before it and after it."""
    at = lines[number].at
    for other in reversed(lines[max(0, number - MOST_AT_ONCE) : number]):
        if at - other.at > TOGETHER_S:
            break
        yield other
    for other in lines[number + 1 : number + 1 + MOST_AT_ONCE]:
        if other.at - at > TOGETHER_S:
            break
        yield other


# --- Writing ---------------------------------------------------------------------------------------------------------
class _Writer:
    """Puts lines into words, and keeps what each node is from line to line."""

    def __init__(self, election: ElectionData, names: Sequence[str], *, single: bool) -> None:
        self._names = [plain(name, _NAME_CELLS) for name in names]
        self._single = single
        told = {step.place for step in election.steps if not step.deaf} | election.agreed_by
        told |= {
            step.body.node
            for step in election.steps
            if isinstance(step.body, ElectionNotice) and step.arrived_at is not None
        }
        begin = Lane.LOST if election.former is None else Lane.FOLLOWS
        self.lanes = tuple(begin if place in told else Lane.SILENT for place in range(len(names)))
        self._former = election.former
        if election.former is not None and (election.former in told or election.former_last_word is not None):
            self._set([election.former], Lane.LEADS)

    def last_word(self, at: float) -> ChartLine:
        """Return the line of the former leader falling silent."""
        place = self._former if self._former is not None else -1
        pieces = (f"{self._name(place)} ", Tone.PLAIN), ("was heard last", Tone.BAD)
        line = ChartLine(at, pieces, (SequenceMark(place, "×", Tone.BAD),), lanes=self.lanes)
        self._set([place], Lane.SILENT)
        return line

    def line(self, entry: _Folded) -> ChartLine:
        """Return the line of some steps."""
        line = ChartLine(entry.at, self._pieces(entry), lanes=self.lanes)
        body = entry.step.body
        if isinstance(body, ElectionNotice):
            arrow = Arrow(
                entry.step.place,
                tuple(entry.arrived),
                tuple(entry.lost),
                tuple(entry.on_its_way),
                Tone.MUTED if entry.step.deaf else KIND_TONES.get(body.kind, Tone.PLAIN),
            )
            return replace(line, arrow=arrow)
        glyph, tone, lane = self._change(entry)
        if lane is not None:
            self._set(entry.places, lane)
        return replace(line, marks=tuple(SequenceMark(place, glyph, tone) for place in entry.places))

    def _set(self, places: Sequence[int], lane: Lane) -> None:
        self.lanes = tuple(lane if place in places else known for place, known in enumerate(self.lanes))

    def _change(self, entry: _Folded) -> tuple[str, Tone, Lane | None]:
        """Return the mark of a line that is no message, and what the nodes are from then on."""
        body = entry.step.body
        if entry.step.deaf and not isinstance(body, DeafNotice):
            return "◇", Tone.MUTED, None
        match body:
            case RoleNotice(_, role, why, _):
                return "◆", _role_tone(role), _lane_of(role, why)
            case LeaderNotice(None, _):
                electing = all(self._lane(place) is Lane.ELECTS for place in entry.places)
                return "○", Tone.WARNING, None if electing else Lane.LOST
            case LeaderNotice(leader, _):
                leads = leader == entry.step.place
                return "●", Tone.GOOD, Lane.LEADS if leads else Lane.FOLLOWS
            case DeafNotice(deaf):
                return "○", Tone.SECONDARY, Lane.DEAF if deaf else Lane.LOST
            case _:
                return "◇", Tone.MUTED, None

    def _lane(self, place: int) -> Lane:
        return self.lanes[place] if place < len(self.lanes) else Lane.SILENT

    def _pieces(self, entry: _Folded) -> Pieces:
        body, deaf = entry.step.body, entry.step.deaf
        who = self._listed(entry.places)
        match body:
            case ElectionNotice():
                return self._message(entry, body)
            case RoleNotice(previous, role, why, _):
                before = f"{previous} → " if self._single else ""
                term = f", term {body.term}" if role == "leader" else ""
                tone = Tone.MUTED if deaf else _role_tone(role)
                return (f"{who} ", Tone.PLAIN), (f"{before}{role}", tone), (f": {reason(why)}{term}", Tone.PLAIN)
            case LeaderNotice(None, _):
                misses = "knows" if len(entry.places) == 1 else "know"
                return (f"{who} ", Tone.PLAIN), (f"{misses} of no leader", Tone.MUTED if deaf else Tone.WARNING)
            case LeaderNotice(leader, term) if leader == entry.step.place:
                return (f"{who} ", Tone.PLAIN), ("leads", Tone.GOOD), (f", term {term}", Tone.MUTED)
            case LeaderNotice(leader, term):
                follow = "follows" if len(entry.places) == 1 else "follow"
                return (f"{who} {follow} {self._name(leader)}", Tone.PLAIN), (f", term {term}", Tone.MUTED)
            case LeaseNotice(what, term):
                words = _LEASE_WORDS.get(what, what.replace("_", " ").lower())
                return (f"{who} {words}", Tone.PLAIN), (f", term {term}", Tone.MUTED)
            case DeafNotice(is_deaf):
                return (f"{who} ", Tone.PLAIN), ("is deaf from here on" if is_deaf else "hears again", Tone.SECONDARY)

    def _message(self, entry: _Folded, body: ElectionNotice) -> Pieces:
        pieces = [(body.kind, Tone.MUTED if entry.step.deaf else KIND_TONES.get(body.kind, Tone.PLAIN))]
        reached = self._listed(sorted((*entry.arrived, *entry.on_its_way)))
        if reached:
            pieces.append((f" to {reached}", Tone.PLAIN))
        if entry.step.deaf:
            pieces.append((f" to {self._listed(entry.lost)}: deaf, it reached nobody", Tone.MUTED))
        elif entry.lost:
            pieces.append((f"{',' if reached else ''} not heard by {self._listed(entry.lost)}", Tone.BAD))
        pieces.append((f", term {body.term}", Tone.MUTED))
        step = entry.step
        if self._single and step.arrived_at is not None:
            pieces.append((f", there in {milliseconds(1000 * max(0.0, step.arrived_at - step.at))}", Tone.MUTED))
        return tuple(pieces)

    def _listed(self, places: Sequence[int]) -> str:
        if len(places) > NAMED_AT_MOST:
            return f"{len(places)} nodes"
        return " ".join(self._name(place) for place in sorted(places))

    def _name(self, place: int | None) -> str:
        return self._names[place] if place is not None and 0 <= place < len(self._names) else "?"


def _role_tone(role: str) -> Tone:
    return Tone.GOOD if role == "leader" else Tone.ACCENT if role in _ELECTING else Tone.PRIMARY


def _lane_of(role: str, why: str) -> Lane:
    if role == "leader":
        return Lane.LEADS
    if role in _ELECTING:
        return Lane.ELECTS
    return Lane.FOLLOWS if why in ("LEADER_HEARD", "LEADER_NAMED") else Lane.LOST
