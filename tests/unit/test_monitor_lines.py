"""What the screens of elections, requests and events draw and write, before there is a screen."""

from __future__ import annotations

import gc
import os
import weakref
from collections import Counter
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest

from node.roles import TRANSITIONS, Role
from shared.errors import InvalidInput, StorageError
from shared.wire.feed_messages import (
    LATENCY_BOUNDS_MS,
    DeafNotice,
    ElectionNotice,
    Happening,
    LeaderNotice,
    LeaseNotice,
    RequestEvent,
)
from tests.tui.fake_feed import node_index
from tests.unit.test_monitor_elections import BEFORE, NEXT_IN_LINE, Watched, read, role, sent
from tui.monitor.election_lines import ON_ITS_WAY_S, chart_lines
from tui.monitor.event_export import event_line, events_text, filter_words, save_text, typed_path
from tui.monitor.model import Model
from tui.monitor.model.events import Event, EventFilter, EventHistory, Level, Topic
from tui.monitor.model.requests import RequestData, RequestTable
from tui.monitor.model.series import Latency
from tui.monitor.pane import Pace
from tui.monitor.panels.traffic import BUCKETS, TICKS, histogram_of
from tui.monitor.request_lines import WAY_NODES, request_lines, state_tone, way
from tui.monitor.role_drawing import COMPACT_LINES, FULL_LINES, LEAST_CELLS, drawing, edges, exits
from tui.monitor.sequence import ChartLine, Lane, Tone, with_gaps
from tui.monitor.widgets.histogram import SCALES, scale_of

NAMES = ("n1", "n2", "n3")
HOSTILE = "\x1b[2J\x1b]0;title\x07[red]x[/red]\u202e\n\t"


# --- The state machine -----------------------------------------------------------------------------------------------
STEPS = {"▶": (0, 1), "◀": (0, -1), "▼": (1, 0), "▲": (-1, 0)}
WIDTHS = (LEAST_CELLS, 45, 60, 80, 200)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_transition_of_the_table_is_drawn_as_one_arrow_from_box_to_box(width, full):
    rows = drawing(width, full=full)
    cells = {(y, x): cell for y, row in enumerate(rows) for x, cell in enumerate(row)}
    drawn = {edge for cell in cells.values() for edge in cell.edges}
    assert drawn == edges()
    assert drawn == {(source, target) for (source, _), target in TRANSITIONS.items() if source is not target}
    for source, target in drawn:
        heads = [place for place, cell in cells.items() if cell.char in STEPS and cell.edges == {(source, target)}]
        assert len(heads) == 1
        (y, x), (down, right) = heads[0], STEPS[cells[heads[0]].char]
        assert cells[y + down, x + right].role is target
        reached, todo = set(), [heads[0]]
        while todo:
            y, x = todo.pop()
            if (y, x) not in reached:
                reached.add((y, x))
                near = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
                line = [place for place in near if place in cells and _carries(cells[place], source, target)]
                todo += line
        touched = {
            cells[near].role
            for y, x in reached
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1))
            if near in cells
        }
        assert source in touched


def _carries(cell, source, target) -> bool:
    """Return whether a cell is part of the line between two roles: its own, or the other direction's head."""
    return (source, target) in cell.edges or (cell.edges == {(target, source)} and cell.char in STEPS)


@pytest.mark.parametrize(("full", "lines"), [(False, COMPACT_LINES), (True, FULL_LINES)])
def test_a_drawing_is_as_high_as_it_says_and_names_every_role_once(full, lines):
    rows = drawing(80, full=full)
    assert len(rows) == lines
    text = "\n".join("".join(cell.char for cell in row) for row in rows)
    assert all(text.count(role.name) == 1 for role in Role)
    again = {source for (source, _), target in TRANSITIONS.items() if source is target}
    assert text.count("↻") == (len(again) if full else 0)


@pytest.mark.parametrize("full", [False, True])
def test_a_drawing_is_cut_where_it_is_too_narrow(full):
    for width in range(LEAST_CELLS + 1):
        assert all(len(row) == width for row in drawing(width, full=full))


def test_the_exits_of_a_role_are_those_of_the_table():
    told = {(source, reason, target) for source in Role for target, reasons in exits(source) for reason in reasons}
    assert told == {(source, happened.value, target) for (source, happened), target in TRANSITIONS.items()}
    assert exits(Role.WAIT)[-1][0] is Role.WAIT
    assert exits(Role.CLAIM)[0][0] is Role.FOLLOWER


# --- Elections as lines ----------------------------------------------------------------------------------------------
def said(line: ChartLine) -> str:
    return "".join(piece for piece, _ in line.pieces)


def told(election, now: float = 100.0, *, single: bool = False) -> list[str]:
    return [said(line) for line in chart_lines(election, NAMES, now, single=single) if line.at is not None]


def test_an_election_is_told_in_a_few_lines():
    (election,) = read(*NEXT_IN_LINE)
    lines = chart_lines(election, NAMES, 100.0)
    assert [said(line) for line in lines] == [
        "n2 knows of no leader",
        "n3 knows of no leader",
        "n2 claim: first in line",
        "n2 leader: lease won, term 4",
        "NEW_LEADER to n3, not heard by n1, term 4",
        "n3 follows n2, term 4",
        "",
    ]
    assert [line.at for line in lines[:-1]] == sorted(line.at for line in lines[:-1])
    assert lines[0].lanes == (Lane.SILENT, Lane.FOLLOWS, Lane.FOLLOWS)
    assert lines[2].lanes == (Lane.SILENT, Lane.LOST, Lane.LOST)
    assert lines[3].lanes == (Lane.SILENT, Lane.ELECTS, Lane.LOST)
    assert lines[-1].lanes == (Lane.SILENT, Lane.LEADS, Lane.FOLLOWS)
    arrow = lines[4].arrow
    assert (arrow.sender, arrow.arrived, arrow.lost, arrow.on_its_way) == (1, (2,), (0,), ())


def test_every_step_can_have_a_line_of_its_own():
    (election,) = read(*NEXT_IN_LINE)
    lines = told(election, single=True)
    assert len(lines) == len(election.steps)
    assert "n2 follower → claim: first in line" in lines
    assert {"n2 asks for the lease, term 4", "n2 won the lease, term 4", "n2 leads, term 4"} <= set(lines)
    assert "NEW_LEADER not heard by n1, term 4" in lines
    assert "NEW_LEADER to n3, term 4, there in 10 ms" in lines


def test_what_several_nodes_do_at_once_is_one_line():
    times = [(10.0, 1), (10.003, 2)]
    told_by_all = [*BEFORE, *((at, place, LeaderNotice(None, 3)) for at, place in times)]
    (election,) = read(*told_by_all, now=10.1)
    assert told(election, 10.1)[0] == "n2 n3 know of no leader"
    (line, *_) = chart_lines(election, NAMES, 10.1)
    assert [mark.place for mark in line.marks] == [1, 2]


def test_the_same_message_sent_twice_is_not_taken_for_one_to_two():
    (election,) = read(
        *BEFORE, (10.0, 1, sent("CRASH_LEADER", 2, 3)), (10.001, 1, sent("CRASH_LEADER", 2, 3)), now=10.1
    )
    lines = [line for line in chart_lines(election, NAMES, 10.1) if line.arrow is not None]
    assert len(lines) == 2


def test_a_message_is_on_its_way_until_its_receiver_should_have_told():
    (election,) = read(*BEFORE, (10.0, 1, sent("ELECTION", 2, 3)), now=10.1)
    (line, *_) = chart_lines(election, NAMES, 10.0 + ON_ITS_WAY_S - 0.1)
    assert (line.arrow.on_its_way, line.arrow.lost) == ((2,), ())
    (line, *_) = chart_lines(election, NAMES, 10.0 + ON_ITS_WAY_S + 0.1)
    assert (line.arrow.on_its_way, line.arrow.lost) == ((), (2,))


def test_an_election_under_way_tells_for_how_long():
    (election,) = read(*NEXT_IN_LINE[:5], now=11.0)
    assert told(election, 11.0)[-1] == "1.0 s so far"
    (election,) = read(*NEXT_IN_LINE)
    assert not any("so far" in line for line in told(election))


def test_what_a_deaf_node_does_is_muted_and_reaches_nobody():
    (election,) = read(
        *BEFORE,
        (9.0, 0, DeafNotice(True)),
        (10.0, 1, LeaderNotice(None, 3)),
        (10.2, 0, role("leader", "follower", "CUT_OFF")),
        (10.3, 0, sent("ELECTION", 1, 3)),
        now=10.4,
    )
    lines = chart_lines(election, NAMES, 10.4)
    deaf = next(line for line in lines if "ELECTION" in said(line))
    assert said(deaf) == "ELECTION to n2: deaf, it reached nobody, term 3"
    assert (deaf.arrow.lost, deaf.arrow.tone) == ((1,), Tone.MUTED)
    assert deaf.lanes[0] is Lane.SILENT


def test_an_election_that_begins_with_deafness_shows_it_and_not_the_silence_as_well():
    (election,) = read(
        *BEFORE,
        (10.0, 1, LeaderNotice(None, 3)),
        (10.01, 0, DeafNotice(True)),
        (10.5, 2, LeaderNotice(None, 3)),
        (30.0, 0, DeafNotice(False)),
        now=10.6,
    )
    lines = told(election, 10.6)
    assert "n1 is deaf from here on" in lines
    assert not any("heard last" in line for line in lines)


def test_time_passes_between_lines_where_there_is_room():
    (election,) = read(*NEXT_IN_LINE)
    lines = chart_lines(election, NAMES, 100.0)
    spread = with_gaps(lines, 99)
    assert len(spread) == len(lines) + 1  # 0.49 s between missing the leader and the claim
    blank = next(number for number, line in enumerate(spread) if line.at is None)
    assert said(spread[blank + 1]) == "n2 claim: first in line"
    assert spread[blank].lanes == spread[blank + 1].lanes
    assert with_gaps(lines, len(spread)) == spread
    assert with_gaps(lines, len(spread) - 1) == lines
    assert with_gaps(lines, len(lines) - 1) == lines[:-1]
    assert with_gaps(lines, 0) == lines[:-1]


def test_places_that_the_cluster_does_not_have_are_named_with_a_question_mark():
    (election,) = read(*BEFORE, (10.0, 1, sent("ELECTION", 40, 3)), (10.1, 1, LeaderNotice(77, 4)), now=10.2)
    lines = told(election, 20.0)
    assert "ELECTION not heard by ?, term 3" in lines
    assert "n2 follows ?, term 4" in lines


def test_words_that_are_not_known_are_shown_as_they_are():
    (election,) = read(
        *BEFORE,
        (10.0, 1, role("follower", "elect", "NEVER_HEARD_OF")),
        (10.1, 1, LeaseNotice("WEIRD_THING", 4)),
        (10.2, 1, sent("NOVELTY", 2, 3)),
        now=10.3,
    )
    lines = told(election, 10.3)
    assert "n2 elect: never heard of" in lines
    assert "n2 weird thing, term 4" in lines
    assert any(line.startswith("NOVELTY to n3") for line in lines)


def test_names_of_nodes_are_made_harmless():
    (election,) = read(*NEXT_IN_LINE)
    for single in (False, True):
        for line in chart_lines(election, (HOSTILE, HOSTILE, "x" * 500), 100.0, single=single):
            assert not any(ord(char) < 32 or char in "\x1b\u202e" for char in said(line))
            assert len(said(line)) < 200


@pytest.mark.parametrize("size", [3, 9])
@pytest.mark.parametrize("seed", range(6))
def test_of_real_machines_every_message_is_one_arrow_and_no_line_is_out_of_order(seed, size):
    """Whatever is put into one line: each message that was sent reaches, or misses, its lane exactly once."""
    watched = Watched(seed, size)
    cluster = watched.cluster
    former = cluster.run_to_leader()
    cluster.run(3.0)
    heirs = former.election.table.line(former.name)
    former.crash()
    if seed % 2:
        cluster.nodes[heirs[0]].crash()
    if seed % 3:
        cluster.run_to_leader()
    cluster.run(2.0)
    now = cluster.time.now
    names = tuple(cluster.names)
    for election in watched.elections(order=seed):
        wanted = Counter(
            (step.place, step.body.node, step.body.kind)
            for step in election.steps
            if isinstance(step.body, ElectionNotice)
        )
        for single in (False, True):
            lines = chart_lines(election, names, now + 60.0, single=single)
            drawn = Counter()
            for line in lines:
                assert len(line.lanes) == size
                if line.arrow is not None:
                    kind = line.pieces[0][0]
                    targets = (*line.arrow.arrived, *line.arrow.lost, *line.arrow.on_its_way)
                    drawn.update((line.arrow.sender, place, kind) for place in targets)
            assert drawn == wanted
            times = [line.at for line in lines if line.at is not None]
            assert times == sorted(times)
        if election.leader is not None and election.outcome == "won":
            assert lines[-1].lanes[election.leader] is Lane.LEADS
            assert all(lines[-1].lanes[place] in (Lane.LEADS, Lane.FOLLOWS) for place in election.agreed_by)


# --- Requests as lines -----------------------------------------------------------------------------------------------
def request(*steps: tuple[float, int, Happening, int | None], code: str = "", now: float = 5.0) -> RequestData:
    requests = RequestTable()
    for at, place, what, node in steps:
        latency_ms = 12.0 if what in (Happening.SERVED, Happening.REFUSED) else None
        event = RequestEvent(1000 * at, what, node, 110, 7, "0000abcd", "12345678", latency_ms, code)
        requests.take(event, place, at)
    return requests.shown(now)[0]


def joined(pieces) -> str:
    return "".join(piece for piece, _ in pieces)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(1.0, 1, Happening.HELD, None)], ""),
        ([(1.0, 1, Happening.HELD, None), (1.01, 0, Happening.ASSIGNED, 1)], "n2"),
        ([(1.0, 0, Happening.ASSIGNED, 1), (1.1, 1, Happening.SERVED, None)], "n2"),
        ([(1.0, 1, Happening.SERVED, None)], "n2"),
        (
            [
                (1.0, 0, Happening.ASSIGNED, 1),
                (1.5, 0, Happening.REASSIGNED, 1),
                (1.5, 0, Happening.ASSIGNED, 2),
                (1.6, 2, Happening.SERVED, None),
            ],
            "n2 › n3",
        ),
        ([(1.0, 0, Happening.ASSIGNED, 1), (2.0, 2, Happening.TAKEN_OVER, None)], "n2 › n3!"),
        ([(1.0, 0, Happening.ASSIGNED, 1), (1.1, 1, Happening.FAILED, None), (1.2, 1, Happening.FAILED, None)], "n2×2"),
        ([(1.0, 0, Happening.ASSIGNED, 40)], "?"),
        ([(1.0, 0, Happening.ASSIGNED, None)], ""),
    ],
)
def test_the_way_of_a_request_names_who_had_it(steps, expected):
    assert joined(way(request(*steps), NAMES)) == expected


def test_of_a_long_way_the_end_is_seen():
    steps = [(1.0 + number, 0, Happening.ASSIGNED, number % 3) for number in range(10)]
    shown = joined(way(request(*steps), NAMES))
    assert shown == "… › n2 › n3 › n1"
    assert shown.count("n") == WAY_NODES


def test_the_lines_of_a_request_tell_every_step():
    done = request(
        (1.0, 0, Happening.HELD, None),
        (1.001, 0, Happening.FORWARDED, None),
        (1.002, 1, Happening.ASSIGNED, 1),
        (1.003, 1, Happening.ASSIGNED, 2),
        (1.5, 1, Happening.REASSIGNED, 2),
        (1.6, 2, Happening.FAILED, None),
        (1.7, 0, Happening.TAKEN_OVER, None),
        (1.8, 0, Happening.BUSY, None),
        (1.9, 0, Happening.REFUSED, None),
        (2.0, 1, Happening.REPEATED, None),
        code="no_views_left",
    )
    lines = request_lines(done, NAMES)
    assert [said(line) for line in lines] == [
        "n1 got it from its peer",
        "n1 told the leader of it",
        "n2 gave it to itself",
        "n2 gave it to n3",
        "n2 took it from n3, which showed no sign of work",
        "n3 gave it back: it could not serve it",
        "n1 took it over, assigned by nobody",
        "n1 did not take it: too many are open",
        "n1 refused it: no_views_left, 12 ms after it came",
        "n2 got it again after it was served",
        "",
    ]
    assert (lines[3].arrow.sender, lines[3].arrow.arrived) == (1, (2,))
    assert (lines[4].arrow.sender, lines[4].arrow.lost) == (1, (2,))
    assert lines[2].arrow is None
    assert lines[0].lanes == (Lane.FOLLOWS,) * 3
    alone = request((1.0, 1, Happening.SERVED, None))
    assert request_lines(alone, NAMES)[0].lanes == (Lane.SILENT, Lane.FOLLOWS, Lane.SILENT)


def test_what_a_request_says_is_made_harmless():
    refused = request((1.0, 9, Happening.REFUSED, None), code="\x1b[2J\u202e[b]x[/b]")
    (line, _) = request_lines(refused, (HOSTILE,))
    assert "\x1b" not in said(line)
    assert said(line).startswith("? refused it: ")


@pytest.mark.parametrize("what", list(Happening))
def test_everything_that_can_happen_to_a_request_has_words_and_a_tone(what):
    one = request((1.0, 0, what, 1))
    (line, _) = request_lines(one, NAMES)
    assert said(line).startswith("n1 ")
    assert state_tone(one.state) in Tone


# --- Histograms ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("counts", "scale"),
    [((), 0.25), ((1,) * 10, 0.25), ((5, 5, 5, 5), 0.25), ((3, 5, 2), 0.5), ((9, 1), 1.0), ((0, 0), 0.25)],
)
def test_a_histogram_is_drawn_on_one_of_a_few_scales(counts, scale):
    assert scale_of(counts) == scale
    assert scale in SCALES


def test_latencies_keep_their_places_and_are_parted_at_the_percentiles():
    counts = tuple(10 if 8 <= bucket < 18 else 0 for bucket in range(BUCKETS))
    data = histogram_of(Latency(100, LATENCY_BOUNDS_MS[12], LATENCY_BOUNDS_MS[16], LATENCY_BOUNDS_MS[17], counts))
    assert data.counts == counts
    assert data.bounds == (13, 17, 18)
    nothing = histogram_of(Latency(0, None, None, None))
    assert len(nothing.counts) == BUCKETS
    assert nothing.ticks == data.ticks == TICKS
    assert [LATENCY_BOUNDS_MS[bucket] for bucket, _ in TICKS] == pytest.approx([1.0, 11.3, 128, 1024, 11585], rel=0.01)


# --- Events as text --------------------------------------------------------------------------------------------------
EVENT = Event(3, 9.512, Level.WARNING, Topic.LEADER, 1, "knows of no leader, term 3")


def test_an_event_is_written_with_date_milliseconds_and_offset():
    line = event_line(EVENT, NAMES, 1_800_000_000.0, UTC)
    assert line == "2027-01-15 08:00:09.512+00:00  WARNING  leader     n2  knows of no leader, term 3"
    east = event_line(EVENT, NAMES, 1_800_000_000.0, timezone(timedelta(hours=5, minutes=30)))
    assert east.startswith("2027-01-15 13:30:09.512+05:30  ")
    local = event_line(EVENT, NAMES, 1_800_000_000.0, None)
    assert local[23] in "+-"


def test_saved_events_say_what_they_are_a_part_of():
    log = EventHistory()
    for number in range(4):
        log.add(float(number), Level.INFO, Topic.LOG, None if number else 9, HOSTILE)
    chosen = EventFilter(Level.WARNING, 1, frozenset({Topic.ROLE}), "lease")
    text = events_text(log.shown(), 40, chosen, NAMES, 0.0, UTC)
    head, *lines = text.splitlines()
    assert head == "# Glimpse monitor: 4 of 40 events, warning and above, n2, role, with “lease”"
    assert len(lines) == 4
    assert "  ?  " in lines[0]
    assert "  cluster  " in lines[1]
    assert not any(ord(char) < 32 for line in lines for char in line)


def test_a_filter_is_put_into_words():
    assert filter_words(EventFilter(), NAMES) == "info and above"
    assert filter_words(EventFilter(Level.DEBUG), NAMES) == "all levels"
    assert filter_words(EventFilter(text=" \x1b[2J "), NAMES) == "info and above, with “�[2J”"


# --- Pace ------------------------------------------------------------------------------------------------------------
def test_what_is_to_be_read_changes_at_a_pace_of_its_own_but_at_once_when_something_else_is_wanted():
    pace, model, other = Pace(0.4), Model(node_index()), Model(node_index())
    told = [
        (model, 10.0, "all", True),
        (model, 10.0, "all", False),
        (model, 10.39, "all", False),
        (model, 10.41, "all", True),
        (model, 10.5, "n1", True),
        (model, 10.6, "n1", False),
        (model, 3.0, "n1", True),  # a recording went back, to a model that is the same by chance
        (other, 3.0, "n1", True),
        (other, 3.1, "n1", False),
    ]
    assert [pace.due(*asked) for *asked, _ in told] == [expected for *_, expected in told]
    pace.forget()
    assert pace.due(other, 3.1, "n1")
    assert not pace.due(other, 3.1, "n1")


def test_a_pace_tells_whether_the_model_is_another_and_keeps_none_alive():
    pace, model = Pace(0.4), Model(node_index())
    assert pace.due(model, 0.0, None)
    assert pace.another_model
    assert pace.due(model, 1.0, None)
    assert not pace.another_model
    kept = weakref.ref(model)
    del model
    gc.collect()
    assert kept() is None
    assert pace.due(Model(node_index()), 1.0, None)
    assert pace.another_model


# --- Files -----------------------------------------------------------------------------------------------------------
def test_a_text_goes_to_a_new_private_file(tmp_path: Path):
    path = tmp_path / "events.txt"
    save_text(path, "één\n")
    assert path.read_text(encoding="utf-8") == "één\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten_not_even_through_a_link(tmp_path: Path):
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_text("old")
    link.symlink_to(tmp_path / "elsewhere")
    for path in (there, link):
        with pytest.raises(InvalidInput, match="exists already and is not overwritten; choose another name"):
            save_text(path, "new")
    assert there.read_text() == "old"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("place", ["missing/events.txt", ".", "nul\x00byte", "x" * 300])
def test_a_place_that_takes_no_file_is_named(tmp_path: Path, place):
    with pytest.raises((StorageError, InvalidInput), match="choose another"):
        save_text(tmp_path / place, "text")


def test_of_a_file_that_could_not_be_finished_nothing_is_left(tmp_path: Path, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device; choose another place"):
        save_text(tmp_path / "events.txt", "text")
    assert not list(tmp_path.iterdir())


def test_a_typed_path_may_begin_at_home(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert typed_path(" ~/a.txt ") == tmp_path / "a.txt"
    assert typed_path("b.txt") == tmp_path / "b.txt"
    assert typed_path("/c") == Path("/c")
    with pytest.raises(InvalidInput, match="Name the file"):
        typed_path("  ")
    with pytest.raises(InvalidInput, match="no such user"):
        typed_path("~nobody-of-this-name/x")
