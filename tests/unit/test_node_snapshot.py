"""What status and feed tell of one snapshot: the same figures, each in its own units."""

from dataclasses import replace

import pytest

from node import feed_frames
from node.reports import directory_status, node_status
from shared.config import MAX_MESSAGE_BYTES
from shared.wire import feed_messages as feed
from shared.wire.codec import decode, encode
from tests.unit.node_snapshots import taken_snapshot

TAKEN = taken_snapshot()


def test_the_feed_and_the_status_tell_the_same() -> None:
    state, status = feed_frames.state(TAKEN, 1, watchers=2), node_status(TAKEN)
    assert (state.life.name, state.life.pid, state.standing.role) == (status.name, status.pid, status.role)
    assert (state.standing.term, TAKEN.nodes[state.standing.leader or 0]) == (status.term, status.leader)
    assert state.work.cost == pytest.approx(status.cost, abs=0.001)
    assert (state.work.load1, state.work.priority, state.work.rss_mb) == (status.load1, status.priority, status.rss_mb)
    assert (state.work.in_flight, state.work.requests_done) == (status.in_flight, status.requests_done)
    assert (state.traffic.worker_ports, state.traffic.sessions) == (status.worker_ports, status.sessions)
    assert (state.traffic.relay_pairs, state.traffic.relayed_bytes) == (status.relay_pairs, status.relayed_bytes)
    assert state.traffic.relay_refused == sum(status.relay_refused.values()) == 5
    assert state.traffic.dropped == sum(status.dropped.values()) == 5
    assert state.life.uptime_ms == 1000 * status.uptime_s
    assert (status.rtt_ms, status.heartbeat_age_ms, status.deaf) == (pytest.approx(0.35), 0.0, False)
    found, pushed = directory_status(TAKEN), feed_frames.directory(TAKEN, 1)
    assert (found.engine, found.ok, found.writable, found.error) == (
        pushed.engine,
        pushed.ok,
        pushed.writable,
        pushed.error,
    )
    assert (found.latency_ms, found.ahead_s, found.epoch) == (pushed.latency_ms, pushed.ahead_s, 2)


def test_a_frame_of_the_feed_is_in_its_units_and_fits_its_datagrams() -> None:
    [rows] = feed_frames.beats(TAKEN)
    messages = [
        feed_frames.state(TAKEN, 1, watchers=2),
        feed.FeedBeats(seq=2, at_ms=feed_frames.at_ms(TAKEN), beats=rows),
        feed_frames.table(TAKEN, 3),
        feed_frames.dispatch(TAKEN, 4),
        feed_frames.kinds(TAKEN, 5),
        feed_frames.directory(TAKEN, 6),
    ]
    for number, message in enumerate(messages, 1):
        assert (message.seq, message.at_ms) == (number, 100_000.0)
        assert decode(encode(message, cap_bytes=MAX_MESSAGE_BYTES), feed.FeedMessage, cap_bytes=9_999) == message
    assert [(row.place, row.heard_ms, row.rtt_us) for row in rows] == [(1, 20, 350), (2, None, None)]
    standing = messages[0].standing
    assert (standing.leader, standing.leader_since_ms, standing.token, standing.token_ms) == (0, 60_000.0, 2, 12_500)
    assert (messages[2].age_ms, [row.place for row in messages[2].rows]) == (250, [0, 1])
    assert messages[4].kinds[0].served == 3, "the most frequent first"


def test_a_node_without_a_leader_and_a_token() -> None:
    alone = replace(TAKEN, leader=None, leader_since=None, leader_heard_age_s=None, token_holder=None, token_s=0.0)
    standing = feed_frames.state(alone, 1, watchers=0).standing
    assert (standing.leader, standing.leader_since_ms, standing.token, standing.token_ms) == (None, None, None, 0)
    assert node_status(alone).heartbeat_age_ms is None


def test_no_status_tells_more_reasons_for_drops_than_a_message_takes() -> None:
    flooded = replace(TAKEN, dropped={f"reason {number:03}": 1 for number in range(100)})
    assert len(node_status(flooded).dropped) == 64
