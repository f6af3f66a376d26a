"""The monitor's model under news that are lost, repeated, shuffled, late, huge or about nobody: no error, no growth."""

from __future__ import annotations

import pickle
import random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.wire import feed_messages as feed
from tests.tui.fake_feed import FakeCloud, Told
from tests.unit.test_feed_messages import LARGEST
from tui.monitor.model import Model
from tui.monitor.model.events import MAX_EVENTS, EventFilter
from tui.monitor.model.requests import MAX_REQUESTS, RequestFilter

WILD = [message for message in LARGEST if isinstance(message, feed.FeedMessage)]
DEEDS = st.sampled_from(["kill", "restart", "deafen", "token", "directory", "back", "drain", "order", "log"])


def look(model: Model, now: float) -> None:
    """Ask a model everything that screens ask."""
    model.observe(now)
    cluster, nodes, table = model.cluster(now), model.nodes(now), model.table(now)
    assert 0 <= cluster.nodes_up <= len(nodes) == cluster.nodes
    assert sum(line.rank == 0 for line in table.lines) <= 1
    ranks = [line.rank for line in table.lines if line.rank]
    assert ranks == list(range(1, len(ranks) + 1))
    for node in nodes:
        assert node.badges
        assert node.rates.requests >= 0
        assert len(node.curves.load.values) == 240
        for row in node.beats:
            assert len(row.cells) == 240
    for election in model.elections(now):
        assert election.message_count >= 0
        assert [step.at for step in election.steps] == sorted(step.at for step in election.steps)
    model.traffic(now)
    model.requests.shown(now, RequestFilter.parse("#1 view"), at_most=1_000)
    events = model.events.shown(EventFilter())
    assert [event.at for event in events] == sorted(event.at for event in events)
    model.actions.newest_first()


def do(cloud: FakeCloud, deed: str, place: int) -> None:
    match deed:
        case "kill":
            cloud.kill(place)
        case "restart":
            cloud.restart(place)
        case "deafen":
            cloud.deafen(place, 3.0)
        case "token":
            cloud.send_token(place, 3.0)
        case "directory" | "back":
            cloud.directory(ok=deed == "back")
        case "drain":
            cloud.drain(place)
        case "order":
            cloud.order(place, "deaf", "3")
        case _:
            cloud.log(place, "error", "\x1b[2J" * 30)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    nodes=st.sampled_from([1, 2, 3, 9]),
    loss=st.sampled_from([0.0, 0.1, 0.6]),
    repeats=st.sampled_from([0.0, 0.3]),
    shuffled=st.sampled_from([0, 20, 10_000]),
    deeds=st.lists(st.tuples(DEEDS, st.integers(0, 14), st.sampled_from([0.2, 1.0, 3.0])), max_size=8),
)
def test_lost_repeated_and_shuffled_news_never_raise(seed, nodes, loss, repeats, shuffled, deeds):
    generator = random.Random(seed)
    cloud = FakeCloud(nodes, seed=seed, requests_per_s=8.0)
    told: list[Told] = []
    for deed, place, seconds in [*deeds, ("log", 0, 2.0)]:
        told.extend(cloud.run(seconds))
        do(cloud, deed, place % nodes)
    told.extend(cloud.run(1.0))
    news = [known for known in told if generator.random() >= loss for _ in range(1 + (generator.random() < repeats))]
    order = sorted(range(len(news)), key=lambda index: index + generator.uniform(0, shuffled))
    model = Model(cloud.node_index)
    now = 0.0
    for index in order:
        at, place, message = news[index]
        now = max(now, at)
        model.take(place, message, now)
        if generator.random() < 0.005:
            look(model, now)
    look(model, now)
    look(model, now + 100)
    assert len(model.events) <= MAX_EVENTS
    assert len(model.requests) <= MAX_REQUESTS


@settings(max_examples=60, deadline=None)
@given(
    moves=st.lists(
        st.tuples(
            st.integers(0, 20),
            st.sampled_from(WILD),
            st.integers(0, 2**53),
            st.floats(0, 1e12),
            st.floats(0, 50),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_wild_figures_never_raise(moves):
    """Every field at its largest, places that no cluster has, clocks that jump: the model takes it as it comes."""
    cloud = FakeCloud()
    model = Model(cloud.node_index)
    now = cloud.feed(model, 1.0)
    for place, message, seq, at_ms, passed, looks in moves:
        now += passed
        if not isinstance(message, feed.WatchRefused):
            message = msgspec.structs.replace(message, seq=seq, at_ms=round(at_ms, 1))
        model.take(place, message, now)
        if looks:
            look(model, now)
    look(model, now)
    assert len(pickle.dumps(model)) < 2_000_000


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_elections_do_not_depend_on_the_order_in_which_nodes_tell(seed):
    """All that a node told may come before, after, or among what the others told."""
    cloud = FakeCloud(seed=seed, requests_per_s=2.0)
    told = list(cloud.run(3.0))
    cloud.kill(0)
    told.extend(cloud.run(5.0))
    cloud.restart(0)
    cloud.deafen(1, 5.0)
    told.extend(cloud.run(12.0))
    notices = [known for known in told if isinstance(known[2], feed.FeedNotices)]
    others = [known for known in told if not isinstance(known[2], feed.FeedNotices)]
    generator = random.Random(seed)
    lines = {place: [known for known in notices if known[1] == place] for place in range(3)}
    shuffled = []
    while any(lines.values()):
        place = generator.choice([place for place in lines if lines[place]])
        shuffled.append(lines[place].pop(0))
    found = []
    for news in ([*others, *notices], [*others, *shuffled]):
        model = Model(cloud.node_index)
        for at, place, message in news:
            if isinstance(message, feed.FeedNotices):
                message = msgspec.structs.replace(message, seq=10**6 + message.seq)
            model.take(place, message, max(at, 20.0) if isinstance(message, feed.FeedNotices) else at)
        found.append([(known.term, known.leader, known.message_count) for known in model.elections(cloud.now)])
    assert found[0] == found[1]
    assert len(found[0]) >= 2
