"""Sessions over a network that loses, repeats, delays and forges."""

import itertools
from dataclasses import replace

import pytest

from shared.config import LIMITS, LOCAL
from shared.errors import LocalError, Unavailable
from shared.secure.datagrams import DatagramType, peek, routing_header
from shared.secure.events import CloseReason, SessionOpened
from shared.secure.noise import InitiatorHandshake, KeyPair, ResponderHandshake
from tests.sim.secure_world import Host, SecureWorld
from tests.sim.world import Weather

ROUGH = Weather(loss=0.15, duplication=0.1, reordering=0.2)


def test_a_session_opens_and_carries_messages_both_ways():
    world = SecureWorld(1)
    a, b = world.host(1), world.host(2)
    session = a.connect(b)
    a.send(session, b"early")
    assert a.mux.connect(b.address, b.key, a.now) == session
    world.run(1)
    assert a.events[0] == SessionOpened(session, b.key, b.address, initiator=True)
    (at_b,) = b.opened()
    assert (at_b.remote_key, at_b.address, at_b.initiator) == (a.key, a.address, False)
    assert b.messages() == [b"early"]
    assert b.mux.connect(a.address, a.key, b.now) == at_b.session
    b.send(at_b.session, b"reply")
    world.run(1)
    assert a.messages() == [b"reply"]
    info = a.mux.session_info(session)
    assert info.rtt_s is not None
    assert 0.001 <= info.rtt_s <= 0.004
    assert b.mux.session_info(at_b.session).rtt_s is not None
    assert not a.mux.dropped
    assert not b.mux.dropped


@pytest.mark.parametrize("seed", range(150))
def test_messages_arrive_at_most_once_in_rough_weather(seed):
    world = SecureWorld(seed, ROUGH)
    a, b = world.host(1), world.host(2)
    session = a.connect(b)
    for index in range(20):
        world.time.call_at(index * 0.1, lambda index=index: a.send(session, b"m%d" % index))
    world.run(8)
    assert [event.session for event in a.opened()] == [session]
    assert len(b.opened()) == 1
    received = b.messages()
    assert len(received) == len(set(received))
    assert set(received) <= {b"m%d" % index for index in range(20)}
    assert len(received) >= 8
    assert not a.closed()


@pytest.mark.parametrize("seed", range(60))
def test_rekeying_under_load_and_loss_loses_nothing_that_arrives(seed):
    world = SecureWorld(seed, ROUGH)
    limits = replace(LIMITS, rekey_packets=25)
    a, b = world.host(1, limits=limits), world.host(2, limits=limits)
    session = a.connect(b)
    world.run(4)
    (at_b,) = b.opened()
    for index in range(300):
        world.time.call_later(index * 0.01, lambda index=index: a.send(session, b"a%d" % index))
        world.time.call_later(index * 0.01, lambda index=index: b.send(at_b.session, b"b%d" % index))
    world.run(10)
    assert a.mux.session_info(session).sending_epoch >= 3
    assert b.mux.session_info(at_b.session).sending_epoch >= 3
    for host in (a, b):
        assert host.mux.dropped.keys() <= {"replayed", "unexpected"}
        assert len(host.messages()) == len(set(host.messages()))
        assert len(host.messages()) > 300 * 0.75
        assert not host.closed()


def test_rekeying_by_age_and_more_epochs_than_a_byte_counts():
    world = SecureWorld(5)
    timing = replace(LOCAL, rekey_age_s=0.5)
    a, b = world.host(1, timing=timing), world.host(2, timing=timing)
    session = a.connect(b)
    for index in range(600):
        world.time.call_at(index * 0.6, lambda: a.send(session, b"tick"))
    world.run(370)
    assert a.mux.session_info(session).sending_epoch > 256
    assert len(b.messages()) == 600


def test_no_second_epoch_before_the_first_is_confirmed():
    """A one-way outage longer than two key ages must not leave the receiver behind for good."""
    world = SecureWorld(6)
    timing = replace(LOCAL, rekey_age_s=1.0)
    a, b = world.host(1, timing=timing), world.host(2, timing=timing)
    session = a.connect(b)
    world.run(0.5)
    world.network.cut(a.address, b.address)
    for index in range(20):
        world.time.call_later(index * 1.0, lambda: a.send(session, b"lost"))
    world.run(20)
    assert a.mux.session_info(session).sending_epoch == 1
    world.network.heal()
    a.send(session, b"heard again")
    world.run(1)
    assert b.messages() == [b"heard again"]


@pytest.mark.parametrize("seed", range(60))
def test_both_sides_connecting_at_once_end_with_a_working_session(seed):
    world = SecureWorld(seed, Weather(loss=0.1, duplication=0.05, reordering=0.2))
    a, b = world.host(1), world.host(2)
    from_a, from_b = a.connect(b), b.connect(a)
    world.run(5)
    world.network.weather.loss = 0.0
    a.send(from_a, b"from a")
    b.send(from_b, b"from b")
    a.send(a.mux.connect(b.address, b.key, a.now), b"from a, either")
    world.run(2)
    assert b"from a" in b.messages()
    assert b"from a, either" in b.messages()
    assert b"from b" in a.messages()


def test_every_datagram_recorded_and_replayed_changes_nothing():
    world = SecureWorld(8)
    a, b = world.host(1), world.host(2)
    recorded = []
    real_send = world.network.send
    world.network.send = lambda source, target, payload: (
        recorded.append((source, target, payload)),
        real_send(source, target, payload),
    )
    session = a.connect(b)
    world.run(1)
    for index in range(5):
        a.send(session, b"%d" % index)
    world.run(1)
    events = (list(a.events), list(b.events))
    sessions = (a.mux.sessions(), b.mux.sessions())
    for source, target, payload in list(recorded):
        real_send(source, target, payload)
        real_send(("10.9.9.9", 9), target, payload)
    world.run(30)
    assert (a.events, b.events) == events
    assert (a.mux.sessions(), b.mux.sessions()) == sessions
    assert b.mux.dropped["replayed"] >= 6
    assert a.mux.session_info(session).address == b.address
    a.send(session, b"still here")
    world.run(1)
    assert b.messages()[-1] == b"still here"


def test_every_flipped_bit_of_a_data_datagram_is_dropped_and_counted():
    world = SecureWorld(9)
    a, b = world.host(1), world.host(2)
    session = a.connect(b)
    world.run(1)
    a.mux.send(session, b"payload", a.now)
    ((_, datagram),) = a.mux.take_datagrams()
    for bit in range(8 * len(datagram)):
        forged = bytearray(datagram)
        forged[bit // 8] ^= 1 << bit % 8
        b.mux.receive(a.address, bytes(forged), b.now)
    assert b.mux.dropped.total() == 8 * len(datagram)
    b.flush()
    assert b.messages() == []
    b.mux.receive(a.address, datagram, b.now)
    b.flush()
    assert b.messages() == [b"payload"]


@pytest.mark.parametrize("seed", range(80))
def test_a_restarted_side_is_back_through_hints(seed):
    world = SecureWorld(seed, Weather(loss=0.05, duplication=0.05, reordering=0.1))
    peer, node = world.host(1), world.host(2)
    session = peer.connect(node)
    world.run(3)
    node.crash()
    restarted = world.host(2)
    for index in range(40):
        # The peer knows its session by the last event, as its owner would.
        world.time.call_later(index * 0.1, lambda index=index: peer.send(peer.opened()[-1].session, b"k%d" % index))
    world.run(8)
    assert len(restarted.opened()) >= 1
    assert peer.opened()[-1].session != session
    assert (session, CloseReason.REPLACED) in [(event.session, event.reason) for event in peer.closed()]
    assert b"k39" in restarted.messages() or b"k38" in restarted.messages()
    assert len(restarted.messages()) >= 15  # the rest went out before anyone could know


def test_recovery_takes_some_round_trips():
    world = SecureWorld(3)
    peer, node = world.host(1), world.host(2)
    session = peer.connect(node)
    world.run(1)
    node.crash()
    restarted = world.host(2)
    at = world.time.now
    peer.send(session, b"anyone there")
    while len(peer.opened()) < 2:
        assert world.time.step(at + 1)
    assert world.time.now - at < 0.1
    world.run(0.1)
    assert len(restarted.opened()) == 1


def test_a_false_hint_costs_one_probe():
    world = SecureWorld(4)
    a, b = world.host(1), world.host(2)
    session = a.connect(b)
    world.run(1)
    sent_before = world.network.sent
    a.mux.send(session, b"x", a.now)
    ((_, datagram),) = a.mux.take_datagrams()
    hint = bytes((1, DatagramType.HINT)) + datagram[2:10]
    for _ in range(1000):
        a.mux.receive(b.address, hint, a.now)
        a.mux.receive(("10.9.9.9", 1), hint, a.now)
    a.flush()
    world.run(3)
    assert world.network.sent - sent_before == 2
    assert a.mux.sessions() == [session]
    assert not a.closed()


def flood(world: SecureWorld, victim: Host, count: int, *, same_key: bool = False) -> list[bytes]:
    """First messages from so many forged addresses that never answer."""
    messages = []
    for index in range(count):
        forger = world.host(200, key_seed=77 if same_key else 1000 + index)
        forger.mux.connect(victim.address, victim.key, world.time.now)
        ((_, datagram),) = forger.mux.take_datagrams()
        forger.crash()
        messages.append(datagram)
        victim._on_datagram((f"10.1.{index // 250}.{index % 250}", 5), datagram)
    return messages


def test_under_a_flood_cookies_are_asked_and_honest_peers_get_through():
    world = SecureWorld(10)
    node = world.host(2)
    flood(world, node, 200)
    assert node.mux.dropped["cookie asked"] == 200 - LIMITS.cookie_threshold
    peer = world.host(1)
    session = peer.connect(node)
    peer.send(session, b"through")
    world.run(0.1)
    assert node.messages() == [b"through"]
    assert not [event for event in node.opened() if event.remote_key != peer.key]
    for address, sent in node.bytes_to.items():
        assert sent <= node.bytes_from[address]
    world.run(10)
    assert node.mux.next_deadline() is not None


@pytest.mark.parametrize("forged", [False, True])
def test_first_messages_that_cannot_be_read_are_counted_and_ask_for_cookies(forged: bool, monkeypatch):
    """They never became half-open, so no number of them asked for a cookie, and each cost a Diffie-Hellman: 10 000 per
    second took a whole core. Each port of one host had a share of its own."""
    world = SecureWorld(12)
    node = world.host(2)
    tries = []
    read_first = ResponderHandshake.read_first
    monkeypatch.setattr(
        ResponderHandshake, "read_first", lambda self, message: tries.append(1) or read_first(self, message)
    )
    for number in range(10_000):
        host = f"10.{number % 100}.1.1" if forged else "10.9.9.9"
        junk = routing_header(DatagramType.INIT, number.to_bytes(8, "big")) + node.random.randbytes(1200 - 10)
        node._on_datagram((host, 1000 + number), junk)
    assert len(tries) <= LIMITS.first_messages_per_s
    peer = world.host(1)
    peer.send(peer.connect(node), b"through")
    neighbour = world.host(3)
    neighbour.move(("10.9.9.9", 70))
    neighbour.send(neighbour.connect(node), b"from next door")
    world.run(1.0)
    assert sorted(node.messages()) == [b"from next door", b"through"]
    for address, sent in node.bytes_to.items():
        assert sent <= node.bytes_from[address]


def test_one_key_replayed_from_forged_addresses_does_not_shut_its_owner_out():
    world = SecureWorld(11)
    node = world.host(2)
    flood(world, node, 40, same_key=True)
    assert node.mux.dropped["cookie asked"] == 40 - LIMITS.sessions_per_key
    owner = world.host(1, key_seed=77)
    session = owner.connect(node)
    world.run(0.1)
    assert owner.mux.sessions() == [session]
    assert len(node.opened()) == 1


def test_an_unproven_address_never_gets_more_bytes_than_it_sent():
    """Everything that can be sent from an address that hears nothing: first messages, their repeats, stray data."""
    world = SecureWorld(12)
    node, peer = world.host(2), world.host(1)
    session = peer.connect(node)
    world.run(1)
    peer.mux.send(session, b"to be stolen", peer.now)
    ((_, data),) = peer.mux.take_datagrams()
    first = flood(world, node, 100)
    victim = ("10.9.9.9", 99)
    stray = data[:2] + bytes(8) + data[10:]
    for step in range(400):
        for datagram in (first[step % 100], stray, data, first[0][:300], data[:20], first[0][:10]):
            node._on_datagram(victim, datagram)
        world.run(0.01)
        assert node.bytes_to[victim] <= node.bytes_from[victim]
    assert node.bytes_to[victim] > 0


def test_a_single_stolen_datagram_gets_no_more_than_it_brought():
    world = SecureWorld(13)
    node, peer = world.host(2), world.host(1)
    session = peer.connect(node)
    world.run(1)
    victim = ("10.9.9.9", 99)
    for size in range(40):
        peer.mux.send(session, bytes(size), peer.now)
        for _, datagram in peer.mux.take_datagrams():
            node._on_datagram(victim, datagram)
        world.run(1.2)
        assert node.bytes_to[victim] <= node.bytes_from[victim]
    assert node.bytes_to[victim] > 0


def test_a_new_address_is_taken_over_only_after_it_has_answered():
    world = SecureWorld(14)
    node, peer = world.host(2), world.host(1)
    session = peer.connect(node)
    world.run(1)
    (at_node,) = node.opened()
    old = peer.address
    peer.move(("10.0.0.9", 4444))
    peer.send(session, b"from elsewhere")
    assert node.mux.session_info(at_node.session).address == old
    world.run(1)
    assert node.mux.session_info(at_node.session).address == peer.address
    node.send(at_node.session, b"found you")
    world.run(1)
    assert peer.messages() == [b"found you"]


def test_caps_on_sessions_hold_and_the_longest_silent_goes_first():
    world = SecureWorld(15)
    limits = replace(LIMITS, sessions=5, sessions_per_key=3)
    node = world.host(2, limits=limits)
    peers = [world.host(10 + index) for index in range(8)]
    for peer in peers:
        session = peer.connect(node)
        world.run(0.1)
        if peer is not peers[0]:
            peers[0].send(peers[0].opened()[0].session, b"busy")
            world.run(0.1)
        del session
    assert len(node.mux.sessions()) == 5
    keys = {node.mux.session_info(number).remote_key for number in node.mux.sessions()}
    assert keys == {peers[index].key for index in (0, 4, 5, 6, 7)}
    assert [event.reason for event in node.closed()] == [CloseReason.EVICTED] * 3
    assert [event.reason for event in peers[1].closed()] == [CloseReason.REMOTE]
    doubles = [world.host(30 + index, key_seed=500) for index in range(5)]
    for double in doubles:
        double.connect(node)
        world.run(0.1)
    held = [node.mux.session_info(number).remote_key for number in node.mux.sessions()]
    assert held.count(doubles[0].key) == 3
    assert len(held) <= 5


def test_half_open_handshakes_are_capped_and_lapse():
    world = SecureWorld(16)
    limits = replace(LIMITS, half_open_handshakes=20, cookie_threshold=30)
    node = world.host(2, limits=limits)
    flood(world, node, 50)
    assert len(node.mux._responder) == 20
    world.run(LOCAL.handshake_timeout_s + 0.01)
    assert len(node.mux._responder) == 0
    assert not node.events


def test_nobody_answers():
    world = SecureWorld(17)
    a = world.host(1)
    stranger = world.host(3)
    stranger.crash()
    session = a.connect(stranger)
    a.send(session, b"never")
    world.run(LOCAL.handshake_timeout_s - 0.1)
    assert not a.events
    assert 4 <= world.network.sent <= 6
    world.run(0.2)
    assert [(event.session, event.reason) for event in a.closed()] == [(session, CloseReason.TIMED_OUT)]
    with pytest.raises(Unavailable):
        a.send(session, b"late")
    assert a.mux.next_deadline() is None


def test_the_confirmation_that_never_arrives_ends_the_session():
    world = SecureWorld(18)
    a, b = world.host(1), world.host(2)
    a.connect(b)
    while not a.opened():
        world.time.step(10)
    world.network.cut(a.address, b.address)
    world.run(20)
    assert not b.events
    assert [event.reason for event in a.closed()] == [CloseReason.TIMED_OUT]


def test_closing_is_heard_even_if_its_datagram_was_lost():
    world = SecureWorld(19)
    a, b = world.host(1), world.host(2)
    session = a.connect(b)
    world.run(1)
    world.network.cut(a.address, b.address)
    a.close(session)
    world.run(1)
    world.network.heal()
    assert not b.closed()
    b.send(b.opened()[0].session, b"are you there")
    world.run(1)
    assert [event.reason for event in b.closed()] == [CloseReason.REMOTE]
    assert [event.reason for event in a.closed()] == [CloseReason.LOCAL]
    assert not b.mux.sessions()
    a.close(session)
    assert len(a.closed()) == 1


def test_idle_sessions_end_on_both_sides_and_used_ones_do_not():
    world = SecureWorld(20)
    a, b, c = world.host(1), world.host(2), world.host(3)
    idle, used = a.connect(b), a.connect(c)
    for index in range(40):
        world.time.call_at(index * 5.0, lambda: a.send(used, b"one way only"))
    world.run(200)
    assert [event.session for event in a.closed()] == [idle]
    assert {event.reason for event in a.closed() + b.closed()} == {CloseReason.IDLE, CloseReason.REMOTE}
    assert len(b.closed()) == 1
    assert not c.closed()
    assert len(c.messages()) == 40
    world.run(100)
    assert len(a.closed()) == 2
    assert a.mux.next_deadline() is None
    assert c.mux.next_deadline() is None


def test_bounds_on_what_the_owner_may_ask():
    world = SecureWorld(21)
    a, b = world.host(1), world.host(2)
    session = a.connect(b)
    with pytest.raises(LocalError):
        a.send(session, bytes(1165))
    a.mux.send(session, bytes(5000), a.now, max_datagram_bytes=8192)
    for _ in range(LIMITS.queued_messages - 1):
        a.send(session, bytes(1164))
    with pytest.raises(Unavailable):
        a.send(session, b"one too many")
    with pytest.raises(Unavailable):
        a.mux.next_transfer_id(session)
    world.run(1)
    assert len(b.messages()) == LIMITS.queued_messages
    a.send(session, bytes(1164))
    with pytest.raises(LocalError):
        a.send(session, bytes(1165))
    for bad in (bytes(32), bytes(31)):
        with pytest.raises(LocalError):
            a.mux.connect(b.address, bad, a.now)


def test_transfer_ids_and_keys_meet_and_are_given_once():
    world = SecureWorld(22)
    a, b = world.host(1), world.host(2)
    at_a = a.connect(b)
    world.run(1)
    at_b = b.opened()[0].session
    ids = [a.mux.next_transfer_id(at_a) for _ in range(3)] + [b.mux.next_transfer_id(at_b) for _ in range(3)]
    assert ids == [0, 2, 4, 1, 3, 5]
    tokens = set()
    for number, a_sends in itertools.product((0, 1), (True,)):
        ours = a.mux.transfer_keys(at_a, number, sender_is_me=a_sends)
        theirs = b.mux.transfer_keys(at_b, number, sender_is_me=not a_sends)
        assert ours.token == theirs.token
        tokens.add(ours.token)
        assert theirs.open(7, b"header", ours.seal(7, b"header", b"data")) == b"data"
        assert ours.open(7, b"header", theirs.seal(7, b"header", b"acks")) == b"acks"
        for mux, session in ((a.mux, at_a), (b.mux, at_b)):
            with pytest.raises(Exception, match="replayed"):
                mux.transfer_keys(session, number, sender_is_me=a_sends)
    assert len(tokens) == 2
    with pytest.raises(Exception, match="malformed"):
        a.mux.transfer_keys(at_a, 100, sender_is_me=False)


def test_a_handshake_is_confirmed_and_answered_only_from_its_own_address():
    world = SecureWorld(25)
    a, b = world.host(1), world.host(2)
    elsewhere = ("10.9.9.9", 9)
    a.mux.connect(b.address, b.key, 0.0)
    ((_, first),) = a.mux.take_datagrams()
    b.mux.receive(a.address, first, 0.0)
    ((_, answer),) = b.mux.take_datagrams()
    a.mux.receive(elsewhere, answer, 0.0)
    assert a.mux.dropped == {"address": 1}
    a.mux.receive(b.address, answer, 0.0)
    ((_, confirmation),) = a.mux.take_datagrams()
    b.mux.receive(elsewhere, confirmation, 0.0)
    assert b.mux.dropped == {"address": 1}
    assert not b.mux.take_datagrams()
    assert not b.mux.take_events()
    b.mux.receive(a.address, confirmation, 0.0)
    assert len(b.mux.take_events()) == 1


def test_a_first_message_shorter_than_its_padding_is_refused():
    world = SecureWorld(26)
    b = world.host(2)
    header = routing_header(DatagramType.INIT, b"whatever")
    prologue = b"glimpse session 1\0\0" + header
    for payload_bytes, answers in ((1077, 0), (1078, 1), (1079, 0), (0, 0)):
        handshake = InitiatorHandshake(KeyPair(b"a" * 32), b.key, ephemeral=b"e" * 32, prologue=prologue)
        b.mux.receive(("10.9.9.9", 9), header + bytes(16) + handshake.write_first(bytes(payload_bytes)), 0.0)
        assert len(b.mux.take_datagrams()) == answers
    assert b.mux.dropped == {"malformed": 3}


def test_hints_are_few_per_host_and_stale_paths_are_forgotten():
    world = SecureWorld(27)
    node, peer = world.host(2), world.host(1)
    session = peer.connect(node)
    world.run(1)
    old = peer.address
    node.send(node.opened()[0].session, b"x")
    recorded = []
    real_send = world.network.send
    world.network.send = lambda source, target, payload: (recorded.append(payload), real_send(source, target, payload))
    peer.move(("10.0.0.9", 4444))
    peer.send(session, b"long enough for a challenge")
    world.run(1)
    node.send(node.opened()[0].session, b"z")
    hint = routing_header(DatagramType.HINT, peek(recorded[-1])[1])
    node.mux.receive(old, hint, node.now)
    assert node.mux.dropped == {"unexpected": 1}
    stray = routing_header(DatagramType.DATA, b"nobody's") + bytes(40)
    for port in range(1, 1001):
        node.mux.receive(("10.9.9.9", port), stray, node.now)
    answers = node.mux.take_datagrams()
    assert len(answers) == LIMITS.unproven_rate_per_s
    assert {len(datagram) for _, datagram in answers} == {10}
    assert node.mux.dropped["rate"] == 1000 - LIMITS.unproven_rate_per_s


def test_clusters_with_different_prologues_do_not_meet():
    world = SecureWorld(23)
    a, b = world.host(1), world.host(2)
    b.mux._responder._context = replace(b.mux._responder._context, prologue=b"another cluster")
    a.connect(b)
    world.run(6)
    assert not b.events
    assert b.mux.dropped["handshake"] >= 4


def test_the_first_message_is_padded_and_only_it_is_long():
    world = SecureWorld(24)
    sizes = {}
    a, b = world.host(1), world.host(2)
    real_send = world.network.send

    def send(source, target, payload):
        sizes.setdefault(peek(payload)[0], set()).add(len(payload))
        real_send(source, target, payload)

    world.network.send = send
    a.connect(b)
    world.run(1)
    assert sizes == {DatagramType.INIT: {1200}, DatagramType.RESPONSE: {66}, DatagramType.DATA: {40}}
