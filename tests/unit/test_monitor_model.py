"""The monitor's model over a fake cloud: what it concludes, when, and that an hour leaves it no larger."""

from __future__ import annotations

import pickle
from collections import Counter

import msgspec
import pytest

from shared.wire import feed_messages as feed
from shared.wire.feed_messages import Happening, RestoredNotice
from tests.tui.fake_feed import SCENARIOS, SCENE_S, FakeCloud
from tui.monitor.model import Model
from tui.monitor.model.cluster import ClusterState
from tui.monitor.model.elections import ElectionOutcome
from tui.monitor.model.events import MAX_EVENTS, EventFilter, EventHistory, Level, Topic, line_of
from tui.monitor.model.nodes import Badge, Presence
from tui.monitor.model.requests import MAX_REQUESTS, RequestFilter, RequestState, RequestTable

HEARTBEAT_S = 0.25
FEED_S = 0.2


def scene(name: str, seconds: float = SCENE_S) -> tuple[FakeCloud, Model]:
    cloud = SCENARIOS[name]()
    model = Model(cloud.node_index)
    cloud.feed(model, seconds)
    return cloud, model


def texts(model: Model, topic: Topic | None = None) -> list[str]:
    topics = frozenset() if topic is None else frozenset({topic})
    return [event.text for event in model.events.shown(EventFilter(Level.DEBUG, topics=topics))]


# --- The cluster -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "state", "leader", "term", "up", "badges"),
    [
        ("healthy", ClusterState.LED, "n1", 3, 3, ["leader", "follower", "follower"]),
        ("electing", ClusterState.LEADERLESS, "n1", 3, 2, ["down", "follower", "follower"]),
        ("one_down", ClusterState.LED, "n2", 4, 2, ["down", "leader", "follower"]),
        ("two_down", ClusterState.LED, "n2", 4, 1, ["down", "leader", "down"]),
        ("deaf", ClusterState.LED, "n2", 4, 2, ["deaf", "leader", "follower"]),
        ("directory_gone", ClusterState.LEADERLESS, "n1", 3, 3, ["follower"] * 3),
        ("draining", ClusterState.LED, "n1", 3, 3, ["leader", "follower", "follower draining"]),
        ("nothing", ClusterState.SILENT, "n1", 3, 0, ["down"] * 3),
        ("nine", ClusterState.LED, "n1", 3, 9, ["leader", *["follower"] * 8]),
    ],
)
def test_scenarios(name, state, leader, term, up, badges):
    cloud, model = scene(name)
    cluster, nodes = model.cluster(cloud.now), model.nodes(cloud.now)
    assert (cluster.state, cluster.leader_name, cluster.term, cluster.nodes_up) == (state, leader, term, up)
    assert [" ".join(node.badges) for node in nodes] == badges


def test_before_anybody_is_heard_the_monitor_looks_for_the_nodes():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    for step in range(50):
        model.observe(step * 0.2)
    cluster = model.cluster(10.0)
    assert cluster.state is ClusterState.LOOKING
    assert not cluster.directory.ok
    assert [node.badges for node in model.nodes(10.0)] == [(Badge.UNKNOWN,)] * 3
    assert model.table(10.0).lines == ()
    assert model.elections(10.0) == ()
    assert model.traffic(10.0).latency.p50_ms is None


def test_the_figures_of_a_healthy_cluster():
    cloud, model = scene("healthy")
    cluster = model.cluster(cloud.now)
    assert cluster.requests_per_s == pytest.approx(60, rel=0.1)
    assert cluster.requests_done == sum(node.done for node in cloud.nodes)
    assert cluster.refused == sum(node.telemetry.refused for node in cloud.nodes) > 0
    assert cluster.since == pytest.approx(0.0, abs=0.01)
    assert cluster.directory.engine == "sqlite"
    assert cluster.directory.reached_by == ("n1", "n2", "n3")
    assert cluster.directory.latency_ms == pytest.approx(0.5)
    assert cluster.clients == 4
    assert cluster.policy == "least-cost"


def test_the_figures_of_a_node():
    cloud, model = scene("healthy")
    leader, successor, _ = model.nodes(cloud.now)
    assert (leader.rank, successor.rank, successor.next_in_line) == (0, 1, True)
    assert leader.state is not None
    assert leader.state.work.requests_done == cloud.nodes[0].done
    assert successor.rates.requests == pytest.approx(20, rel=0.4)
    assert successor.rates.sent_bytes == pytest.approx(successor.rates.requests * 14_000, rel=0.01)
    assert successor.leader_name == "n1"
    assert successor.heard_by == ("n1", "n3")
    assert successor.curves.load.last == cloud.nodes[1].load
    assert [row.other_name for row in leader.beats] == ["n2", "n3"]
    assert all(row.leads for row in leader.beats)
    assert [row.rtt_us for row in leader.beats] == [350, 390]
    assert [row.follows for row in successor.beats] == [True, False]
    assert [row.rtt_us for row in successor.beats] == [350, None]


def test_the_line_of_succession():
    _, model = scene("draining")
    lines = model.table(SCENE_S).lines
    assert [(line.name, line.rank, line.badge) for line in lines] == [
        ("n1", 0, Badge.LEADER),
        ("n2", 1, Badge.FOLLOWER),
        ("n3", None, Badge.FOLLOWER),
    ]
    _, model = scene("one_down")
    assert [(line.name, line.rank) for line in model.table(SCENE_S).lines] == [("n2", 0), ("n3", 1), ("n1", None)]
    _, model = scene("electing")
    assert [(line.name, line.rank) for line in model.table(SCENE_S).lines] == [("n2", 1), ("n3", 2), ("n1", None)]


def test_a_lost_directory_is_told_with_its_error():
    cloud, model = scene("directory_gone")
    directory = model.cluster(cloud.now).directory
    assert not directory.ok
    assert dict(directory.missed_by) == dict.fromkeys(("n1", "n2", "n3"), "The directory does not answer.")
    assert "does not reach the directory: The directory does not answer." in texts(model, Topic.DIRECTORY)
    cloud.directory(ok=True)
    cloud.feed(model, 4.0)
    assert model.cluster(cloud.now).directory.ok
    assert texts(model, Topic.DIRECTORY).count("reaches the directory again") == 3


# --- Silence ---------------------------------------------------------------------------------------------------------
def test_a_node_that_falls_silent_is_down_within_two_heartbeats():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    last_word = cloud.feed(model, 10.0)
    cloud.kill(2)
    while model.nodes(cloud.now)[2].presence is Presence.UP:
        cloud.feed(model, FEED_S)
        assert cloud.now < last_word + 5
    assert cloud.now - last_word <= FEED_S + 2 * HEARTBEAT_S + FEED_S  # the last is the monitor's own step
    assert "does not answer" in texts(model, Topic.FEED)
    assert model.nodes(cloud.now)[2].heard_by == ("n1", "n2")  # they heard it a moment ago
    cloud.feed(model, 2.0)
    assert model.nodes(cloud.now)[2].heard_by == ()
    assert model.nodes(cloud.now)[2].rates.requests == 0


def test_a_node_whose_frames_come_in_time_is_never_down():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    for step in range(300):
        told = list(cloud.run(FEED_S))
        if step % 3 != 2:  # one frame of three is lost
            for at, place, message in told:
                model.take(place, message, at)
        model.observe(cloud.now)
        if step:
            assert all(node.presence is Presence.UP for node in model.nodes(cloud.now))


def test_a_monitor_that_was_paused_does_not_take_the_nodes_for_silent():
    """Stopped by ctrl+z for half a minute, the monitor would otherwise report every node as down when it goes on."""
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 5.0)
    for _ in cloud.run(30.0):
        pass
    model.observe(cloud.now)
    assert [node.presence for node in model.nodes(cloud.now)] == [Presence.UP] * 3
    for node in cloud.nodes:
        node.alive = False
    for _ in range(8):
        cloud.feed(model, FEED_S)
    assert [node.presence for node in model.nodes(cloud.now)] == [Presence.DOWN] * 3


@pytest.mark.parametrize("late_s", [0.6, 0.8, 1.0])
def test_a_monitor_that_was_late_accuses_nobody(late_s):
    """On a busy machine the monitor read nothing for 0.6 s, looked before it read, and said that a node was silent."""
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 5.0)
    for _ in range(5):
        waiting = list(cloud.run(late_s))
        model.observe(cloud.now)
        for _, place, message in waiting:
            model.take(place, message, cloud.now)
            model.observe(cloud.now)
        cloud.feed(model, FEED_S)
    assert "does not answer" not in texts(model)


def test_a_node_that_falls_silent_is_seen_by_a_monitor_that_is_always_late():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    last_word = cloud.feed(model, 5.0)
    cloud.kill(2)
    while model.nodes(cloud.now)[2].presence is Presence.UP:
        for _, place, message in list(cloud.run(3 * FEED_S)):
            model.take(place, message, cloud.now)
        model.observe(cloud.now)
        assert cloud.now < last_word + 3
    assert [node.presence for node in model.nodes(cloud.now)] == [Presence.UP, Presence.UP, Presence.DOWN]


def test_the_last_node_that_answered_is_down_within_two_heartbeats_too():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 5.0)
    cloud.kill(0)
    cloud.kill(1)
    last_word = cloud.feed(model, 5.0)
    cloud.kill(2)
    while model.nodes(cloud.now)[2].presence is Presence.UP:
        cloud.feed(model, FEED_S)
        assert cloud.now <= last_word + FEED_S + 2 * HEARTBEAT_S + FEED_S
    assert model.cluster(cloud.now).state is ClusterState.SILENT


def test_a_deaf_node_is_deaf_and_not_down_until_its_time_is_over():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 5.0)
    cloud.deafen(1, 10.0)
    seen: Counter[Presence] = Counter()
    left = []
    for _ in range(60):
        cloud.feed(model, FEED_S)
        node = model.nodes(cloud.now)[1]
        seen[node.presence] += 1
        if node.presence is Presence.DEAF:
            left.append(node.deaf_s)
    assert set(seen) == {Presence.UP, Presence.DEAF}
    assert left == sorted(left, reverse=True)
    assert left[0] == pytest.approx(9.8, abs=0.2)
    assert texts(model, Topic.FAILURE) == ["is deaf from here on", "is deaf", "hears again"]


def test_a_deaf_node_that_does_not_come_back_is_down():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 5.0)
    cloud.deafen(1, 10.0)
    cloud.at(5.0, lambda: cloud.kill(1))
    cloud.feed(model, 10.0)
    assert model.nodes(cloud.now)[1].presence is Presence.DEAF
    cloud.feed(model, 1.0)
    assert model.nodes(cloud.now)[1].presence is Presence.DOWN


def test_the_holder_of_the_token_is_deaf_though_its_own_last_word_was_lost():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 5.0)
    cloud.send_token(2, 10.0)
    for step in range(20):
        for at, place, message in cloud.run(FEED_S):
            if place != 2 or step:
                model.take(place, message, at)
        model.observe(cloud.now)
    assert model.nodes(cloud.now)[2].presence is Presence.DEAF
    cluster = model.cluster(cloud.now)
    assert cluster.token == "n3"
    assert 5.5 < cluster.token_s < 6.5


def test_losing_everything_is_said_and_recovers_by_itself():
    cloud, model = scene("nothing")
    cluster = model.cluster(cloud.now)
    assert cluster.state is ClusterState.SILENT
    assert cluster.since == pytest.approx(9.8, abs=0.01)
    assert texts(model)[-1] == "nothing answers; trying again by itself"
    for place in range(3):
        cloud.restart(place)
    cloud.lead(cloud.nodes[1], term=9)
    cloud.feed(model, 2.0)
    cluster = model.cluster(cloud.now)
    assert (cluster.state, cluster.leader_name, cluster.nodes_up) == (ClusterState.LED, "n2", 3)
    said = texts(model, Topic.FEED)
    assert "the cluster answers again" in said
    assert sum(text.startswith("has started again") for text in said) == 3


def test_a_restarted_node_keeps_its_totals_and_begins_its_rates_anew():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 5.0)
    before = model.cluster(cloud.now).requests_done
    done = cloud.nodes[2].done
    cloud.restart(2)
    cloud.feed(model, 0.4)
    assert model.cluster(cloud.now).requests_done >= before
    cloud.feed(model, 4.6)
    assert model.cluster(cloud.now).requests_done == done + sum(node.done for node in cloud.nodes)
    assert 5 < model.nodes(cloud.now)[2].rates.requests < 40


def test_what_an_earlier_life_still_has_on_its_way_is_ignored():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 5.0)
    late = [told for told in cloud.run(FEED_S) if told[1] == 2]
    cloud.restart(2)
    cloud.feed(model, 2.0)
    state = model.nodes(cloud.now)[2].state
    for _, place, message in late:
        model.take(place, message, cloud.now)
    assert model.nodes(cloud.now)[2].state == state


def test_a_node_that_reads_its_directory_but_cannot_write_it_is_told_apart():
    """A full disk and a server without quorum both looked well everywhere."""
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 3.0)
    model.observe(cloud.now)
    for at, place, message in cloud.run(2 * 1.0):
        if place == 1 and isinstance(message, feed.FeedDirectory):
            message = msgspec.structs.replace(message, ok=False, writable=False, error="The disk is full.")
        model.take(place, message, at)
    model.observe(cloud.now)
    directory = model.cluster(cloud.now).directory
    assert directory.ok
    assert (directory.missed_by, directory.unwritable) == ((("n2", "The disk is full."),), ("n2",))
    assert [node.directory_trouble for node in model.nodes(cloud.now)] == ["", "cannot write its directory", ""]
    assert texts(model, Topic.DIRECTORY)[-1] == "cannot write the directory: The disk is full."
    cloud.feed(model, 4.0)
    model.observe(cloud.now)
    assert texts(model, Topic.DIRECTORY)[-1] == "can write the directory again"


def test_a_later_life_with_a_lower_incarnation_is_a_new_life():
    """A node whose clock was set back, as incarnations were once taken from it, or that lost its files and whose
    directory was restored: the monitor showed its last stats of before for ever."""
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 5.0)
    late = [told for told in cloud.run(FEED_S) if told[1] == 2]
    cloud.restart(2)
    cloud.nodes[2].incarnation = 1
    began = cloud.now

    def lived(message):
        if not isinstance(message, feed.FeedState) or message.life.incarnation != 1:
            return message
        uptime_ms = int(1000 * (cloud.now - began))
        return msgspec.structs.replace(message, life=msgspec.structs.replace(message.life, uptime_ms=uptime_ms))

    for _ in range(10):
        for at, place, message in cloud.run(FEED_S):
            model.take(place, lived(message), at)
    assert sum(text.startswith("has started again") for text in texts(model, Topic.FEED)) == 1
    state = model.nodes(cloud.now)[2].state
    assert state is not None
    assert (state.life.incarnation, state.life.uptime_ms) == (1, pytest.approx(1000 * (cloud.now - began), abs=500))
    for _, place, message in late:
        model.take(place, message, cloud.now)
    assert model.nodes(cloud.now)[2].state == state


def test_a_node_that_takes_no_more_monitors_says_why():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    model.take(0, feed.WatchRefused(request="0" * 32, reason="Four monitors\x1b[31m already."), 1.0)
    model.observe(1.0)
    assert model.nodes(1.0)[0].trouble == "Four monitors\ufffd[31m already."
    cloud.feed(model, 2.0)
    assert model.nodes(cloud.now)[0].trouble == ""


# --- Elections -------------------------------------------------------------------------------------------------------
def test_the_loss_of_the_leader_the_election_and_the_new_leader_each_in_its_time():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    killed_at = cloud.feed(model, 8.0)
    cloud.kill(0)
    states = []
    for _ in range(20):
        cloud.feed(model, FEED_S)
        states.append((round(cloud.now - killed_at, 1), model.cluster(cloud.now).state))
    leaderless = [passed for passed, state in states if state is ClusterState.LEADERLESS]
    assert leaderless[0] <= 0.8
    assert leaderless[-1] <= 1.6
    assert states[-1][1] is ClusterState.LED
    (election,) = model.elections(cloud.now)
    assert election.outcome is ElectionOutcome.WON
    assert (election.former, election.former_term, election.leader, election.term) == (0, 3, 1, 4)
    assert election.took_s == pytest.approx(0.512, abs=0.001)
    assert election.outage_s == pytest.approx(1.512, abs=0.201)
    assert election.messages == (("NEW_LEADER", 2),)
    assert (election.bully_best, election.bully_worst) == (2, 5)
    assert any("n2 leads term 4: found in 512 ms with 2 messages" in text for text in texts(model, Topic.ELECTION))


# --- Requests --------------------------------------------------------------------------------------------------------
def event(what: Happening, *, at_ms: float = 0.0, request: str = "aaaaaaaa", **fields: object) -> feed.RequestEvent:
    known = {"node": None, "operation": 110, "account": 7, "key": "12345678", **fields}
    return feed.RequestEvent(at_ms, what, request=request, **known)


H = Happening


@pytest.mark.parametrize(
    ("steps", "state", "place", "moves"),
    [
        ([(0.0, 0, H.HELD, None)], RequestState.WAITING, None, 0),
        ([(0.0, 0, H.HELD, None), (0.1, 0, H.ASSIGNED, 2)], RequestState.ASSIGNED, 2, 0),
        ([(0.0, 0, H.HELD, None), (0.1, 0, H.ASSIGNED, 2), (0.3, 2, H.SERVED, None)], RequestState.SERVED, 2, 0),
        ([(0.1, 0, H.ASSIGNED, 2), (0.3, 2, H.REFUSED, None)], RequestState.REFUSED, 2, 0),
        (
            [(0.1, 0, H.ASSIGNED, 2), (0.9, 0, H.REASSIGNED, 2), (1.0, 0, H.ASSIGNED, 1), (1.3, 1, H.SERVED, None)],
            RequestState.SERVED,
            1,
            1,
        ),
        ([(0.1, 0, H.ASSIGNED, 2), (0.9, 1, H.TAKEN_OVER, None)], RequestState.TAKEN_OVER, 1, 1),
        ([(0.1, 0, H.ASSIGNED, 2), (0.2, 2, H.FAILED, None)], RequestState.FAILED, 2, 0),
        ([(0.1, 0, H.BUSY, None)], RequestState.BUSY, 0, 0),
    ],
)
def test_where_a_request_is_in_whatever_order_the_news_come(steps, state, place, moves):
    for order in (steps, steps[::-1]):
        requests = RequestTable()
        for at, teller, what, node in order:
            requests.take(event(what, node=node, latency_ms=12.0 if what is H.SERVED else None), teller, at)
        (request,) = requests.shown(2.0)
        assert (request.state, request.place, request.moves) == (state, place, moves)
        assert [step.at for step in request.steps] == sorted(step.at for step in request.steps)
        assert (request.account, request.kind) == (7, "encrypt")
        assert request.latency_ms == (12.0 if state is RequestState.SERVED else None)


def test_a_request_of_which_nothing_is_heard_is_lost_sight_of():
    requests = RequestTable()
    requests.take(event(H.HELD), 0, 1.0)
    assert requests.shown(60.0)[0].state is RequestState.WAITING
    assert requests.shown(61.5)[0].state is RequestState.LOST
    requests.take(event(H.SERVED, latency_ms=1.0), 0, 70.0)
    assert requests.shown(500.0)[0].state is RequestState.SERVED


def test_followed_requests_are_bounded_and_those_under_way_stay():
    requests = RequestTable()
    requests.take(event(H.HELD, request="ffffffff"), 0, 0.0)
    for number in range(5 * MAX_REQUESTS):
        requests.take(event(H.SERVED, request=f"{number:08x}", latency_ms=1.0), 1, 1.0 + number)
    assert len(requests) <= MAX_REQUESTS
    assert any(request.request == "ffffffff" for request in requests.shown(10.0, at_most=MAX_REQUESTS))
    for number in range(5 * MAX_REQUESTS):
        requests.take(event(H.HELD, request=f"{2**24 + number:08x}"), 1, 1.0 + number)
    assert len(requests) <= MAX_REQUESTS
    for step in range(200):
        requests.take(event(H.REPEATED, request="ffffffff"), 0, float(step))
    assert len(requests.shown(200.0)[0].steps) <= 16
    assert requests.shown(200.0)[0].repeats == 200


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("", 3),
        ("#7", 2),
        ("#70", 0),
        ("encrypt", 2),
        ("spend view", 1),
        ("view", 1),
        ("#7 encrypt", 1),
        ("refused", 1),
        ("bbbb", 1),
        ("served ENCRYPT", 1),
        ("nothing", 0),
        ("#", 3),
        ("#x", 0),
        ("#" + "9" * 4_000, 0),
    ],
)
def test_filtering_requests_by_account_kind_and_words(typed, shown):
    requests = RequestTable()
    requests.take(event(H.SERVED, request="aaaaaaaa", latency_ms=1.0), 0, 1.0)
    requests.take(event(H.HELD, request="bbbbbbbb", operation=130), 0, 2.0)
    requests.take(event(H.REFUSED, request="cccccccc", account=8, code="conflict"), 0, 3.0)
    assert len(requests.shown(4.0, RequestFilter.parse(typed))) == shown


def test_the_numbers_of_requests():
    cloud, model = scene("healthy")
    traffic = model.traffic(cloud.now)
    served = sum(node.count(H.SERVED) for node in cloud.nodes)
    assert traffic.count(H.SERVED).total == served
    assert traffic.count(H.SERVED).per_s == pytest.approx(60, rel=0.1)
    assert [node.count(H.SERVED).total for node in traffic.nodes] == [node.count(H.SERVED) for node in cloud.nodes]
    assert sum(kind.served for kind in traffic.kinds) == pytest.approx(served, rel=0.1)
    most = [node.telemetry.kinds[traffic.kinds[0].operation] for node in cloud.nodes]
    spent_ms, answered = sum(kind.latency_sum_ms for kind in most), sum(kind.served + kind.refused for kind in most)
    assert traffic.kinds[0].mean_ms == pytest.approx(spent_ms / answered, rel=0.05)
    assert 2 < traffic.latency.p50_ms < traffic.latency.p90_ms < traffic.latency.p99_ms < 100
    assert len(model.requests) > 50
    assert model.requests.one_in == {node.place: node.telemetry.samples.one_in for node in cloud.nodes}


# --- Events and actions ----------------------------------------------------------------------------------------------
def test_an_order_is_shown_once_with_all_who_have_it_in_their_log():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 2.0)
    cloud.kill(2)
    cloud.order(1, "deaf", "20")
    cloud.order(0, "drain", obeyed=False, text="the last one\x07")
    cloud.feed(model, 1.0)
    refused, obeyed = sorted(model.actions.newest_first(), key=lambda action: action.record.order, reverse=True)
    assert (obeyed.record.order, obeyed.record.node, obeyed.logged_by) == ("deaf", "n2", {0, 1})
    assert refused.record.obeyed is False
    assert texts(model, Topic.ACTION) == [
        "order deaf 20 to n2 by amber-basil-cedar",
        "order drain to n1 by amber-basil-cedar: refused, the last one\ufffd",
    ]


def test_events_stand_in_order_of_time_and_the_oldest_make_room():
    log = EventHistory()
    for number in range(3 * MAX_EVENTS):
        level = Level.ERROR if number % 500 == 0 else Level.INFO
        log.add(float(number), level, Topic.LOG, 0, f"line {number}")
    log.add(5_000.5, Level.INFO, Topic.LOG, 1, "late")
    events = log.shown()
    assert len(events) <= MAX_EVENTS
    assert [known.at for known in events] == sorted(known.at for known in events)
    assert events[-1].text == f"line {3 * MAX_EVENTS - 1}"
    assert any(known.text == "line 0" for known in events)  # an error outlives what matters less
    assert log.dropped == 3 * MAX_EVENTS + 1 - len(events)


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        (EventFilter(), ["b", "c", "d"]),
        (EventFilter(Level.DEBUG), ["a", "b", "c", "d"]),
        (EventFilter(Level.ERROR), ["d"]),
        (EventFilter(place=1), ["c", "d"]),
        (EventFilter(topics=frozenset({Topic.LEASE})), ["c"]),
        (EventFilter(text="ERROR"), ["d"]),
        (EventFilter(text="B"), ["b"]),
        (EventFilter(text="lease c"), ["c"]),
    ],
)
def test_filtering_events(chosen, shown):
    log = EventHistory()
    log.add(1.0, Level.DEBUG, Topic.LOG, 0, "a")
    log.add(2.0, Level.INFO, Topic.LOG, None, "b")
    log.add(3.0, Level.WARNING, Topic.LEASE, 1, "c")
    log.add(4.0, Level.ERROR, Topic.FEED, 1, "d")
    assert [known.text for known in log.shown(chosen)] == shown


def test_hostile_texts_become_one_harmless_line():
    log = EventHistory()
    log.add(1.0, Level.INFO, Topic.LOG, 0, "a\nb\x1b[2J\u202ec " + "x" * 5_000)
    (event,) = log.shown()
    assert "\n" not in event.text
    assert "\x1b" not in event.text
    assert "\u202e" not in event.text
    assert len(event.text) <= 200


def test_a_restored_directory_is_an_event_that_says_what_waits():
    node_index = FakeCloud().node_index
    for frozen, words in ((0, "no grant waits"), (1, "1 grant waits for its owner"), (12, "12 grants wait for their")):
        level, topic, text = line_of(RestoredNotice(3, frozen), 0, node_index)
        assert (level, topic) == (Level.WARNING, Topic.DIRECTORY)
        assert text.startswith("the directory was restored (epoch 3): ")
        assert words in text
        assert len(text) <= 80, "it was cut where the number stands"


def test_gone_notices_are_said():
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    cloud.feed(model, 1.0)
    for number in range(feed.KEPT_NOTICES + 17):
        cloud.log(1, "info", f"line {number}")
    cloud.feed(model, 3.0)
    assert "17 notices of this node are gone for good" in texts(model, Topic.FEED)


# --- An hour ---------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_monitor_left_open_for_an_hour_does_not_grow():
    """Leaders change, nodes restart, requests run: after twenty minutes the model is as large as it gets."""
    cloud = FakeCloud(requests_per_s=12.0, frame_s=0.5)
    model = Model(cloud.node_index, interval_s=0.5)
    sizes = []
    for minute in range(60):
        cloud.feed(model, 20.0)
        cloud.deafen(cloud.leader.place if cloud.leader else 0, 10.0)
        cloud.feed(model, 15.0)
        place = minute % 3
        cloud.kill(place)
        cloud.feed(model, 5.0)
        cloud.restart(place)
        for number in range(40):
            cloud.log(
                minute % 3, "warning" if number % 8 == 0 else "info", f"minute {minute}, line {number} of the log"
            )
        for _ in range(20):
            cloud.order(minute % 3, "deaf", "10")
            cloud.nodes[minute % 3].done += 1
        cloud.feed(model, 20.0)
        sizes.append(len(pickle.dumps(model, pickle.HIGHEST_PROTOCOL)))
    assert len(model.elections(cloud.now)) == 32
    assert max(sizes[30:]) <= 1.05 * max(sizes[20:30])
    assert max(sizes) < 600_000
