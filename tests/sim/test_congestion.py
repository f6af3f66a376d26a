"""Flows through a bottleneck: shares, queue, loss, and paths where the processes are slower than the wire."""

import pytest

from shared.transfer import TransferState
from tests.sim.link import Bottleneck, LinkWeather
from tests.sim.transfers import Flow, path, payload, run
from tests.sim.world import VirtualTime

LONG = payload(30_000_000)


def contend(starts: list[float], until: float, *, seed: int = 1, **link) -> tuple[list[float], float, Bottleneck]:
    """Let endless flows share one path; return shares and use of the link in the last two thirds, and the link."""
    time = VirtualTime()
    forward, backward = path(time, seed=seed, **link)
    flows = [Flow(time, forward, backward, LONG) for _ in starts]
    for flow, start in zip(flows, starts, strict=True):
        time.call_at(start, flow.start)
    time.run_until(until)
    since = max(starts) + (until - max(starts)) / 3
    moved = [flow.held_at(until) - flow.held_at(since) for flow in flows]
    used = sum(moved) / (until - since) / forward.rate
    return [part / sum(moved) for part in moved], used, forward


PATHS = {
    "40 ms": {"rtt_s": 0.04, "queue_bytes": 80_000},
    "100 ms": {"rtt_s": 0.1, "queue_bytes": 200_000},
    "1 ms": {"rtt_s": 0.001, "rate": 4e6, "queue_bytes": 100_000},
    "deep": {"rtt_s": 0.02, "queue_bytes": 400_000},
    "short queue": {"rtt_s": 0.04, "queue_bytes": 24_000},
}


@pytest.mark.parametrize("late_s", [0.01, 2.5])
@pytest.mark.parametrize("name", PATHS)
def test_two_flows_share_and_keep_the_queue_short(name, late_s):
    shares, used, forward = contend([0.0, late_s], late_s + 8.0, **PATHS[name])
    assert min(shares) >= 0.4, shares
    assert used > 0.85
    if name != "short queue":  # 12 ms deep: only its losses show that it is full
        assert forward.mean_queue_share(late_s + 2.5, late_s + 8.0) < 0.5
        assert forward.dropped < 0.02 * forward.offered
    else:
        assert forward.mean_queue_share(late_s + 2.5, late_s + 8.0) < 0.75
        assert forward.dropped < 0.08 * forward.offered


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_flows_share_under_random_loss(seed):
    shares, used, _ = contend([0.0, 2.0], 10.0, seed=seed, weather=LinkWeather(loss=0.05), rtt_s=0.02)
    assert min(shares) >= 0.4, shares
    assert used > 0.8


def test_four_flows_share():
    shares, used, _ = contend([0.0, 0.5, 1.0, 1.5], 9.5, rtt_s=0.02)
    assert min(shares) > 0.15, shares
    assert max(shares) < 0.40
    assert used > 0.85


def speed(loss: float, *, seed: int, size: int = 3_000_000, **link) -> float:
    time = VirtualTime()
    forward, backward = path(time, seed=seed, weather=LinkWeather(loss=loss), **link)
    flow = Flow(time, forward, backward, payload(size))
    run(flow)
    assert flow.sender.state is TransferState.DONE
    return size / flow.ended_at


@pytest.mark.parametrize(
    "link",
    [
        {"rtt_s": 0.04},
        {"rtt_s": 0.01, "rate": 5e6, "queue_bytes": 200_000},
        {"rtt_s": 0.0001, "rate": 50e6, "queue_bytes": 4_000_000},
    ],
    ids=["40 ms", "10 ms", "0.1 ms"],
)
def test_random_loss_both_ways_costs_little(link):
    """A path that loses nothing is the same with every seed."""
    without = speed(0.0, seed=1, **link)
    assert [seed for seed in (1, 2, 3) if speed(0.05, seed=seed, **link) <= 0.8 * without] == []


def test_heavy_random_loss_does_not_collapse_the_rate():
    assert speed(0.2, seed=1) > 0.5 * speed(0.0, seed=1)


def test_the_start_is_fast():
    """1 MB over 50 ms, which is 20 windows of the first flight: doubling takes about five round trips."""
    time = VirtualTime()
    forward, backward = path(time, rate=50e6, rtt_s=0.05, queue_bytes=2_500_000)
    flow = Flow(time, forward, backward, payload(1_000_000))
    run(flow)
    assert flow.ended_at < 6.5 * 0.05


class SluggishFlow(Flow):
    """Both processes look at their sockets only every few milliseconds, as under a busy scheduler."""

    nap_s = 0.003

    def start(self) -> None:
        self.for_sender: list[bytes] = []
        self.for_receiver: list[bytes] = []
        super().start()
        self.time.call_later(self.nap_s, self.look)

    def to_sender(self, datagram: bytes) -> None:
        self.for_sender.append(datagram)

    def to_receiver(self, datagram: bytes) -> None:
        self.for_receiver.append(datagram)

    def look(self) -> None:
        now = self.time.now
        batch, self.for_receiver = self.for_receiver, []
        for datagram in batch:
            self.receiver.receive(datagram, now)
        self.receiver.tick(now)
        self.pump_receiver()
        batch, self.for_sender = self.for_sender, []
        for datagram in batch:
            self.sender.receive(datagram, now)
        self.sender.tick(now)
        self.pump_sender()
        self.time.call_later(self.nap_s, self.look)


def test_slow_schedulers_do_not_starve_a_short_path():
    """A wire of 20 us and 40 MB/s holds one datagram; the processes at its ends need hundreds under way."""
    time = VirtualTime()
    forward, backward = path(time, rate=40e6, rtt_s=0.00002, queue_bytes=4_000_000)
    flow = SluggishFlow(time, forward, backward, payload(5_000_000))
    run(flow, until=30.0)
    assert flow.sender.state is TransferState.DONE
    assert 5_000_000 / flow.ended_at > 0.5 * 40e6
