"""The weather of the chaos runs: what becomes of a datagram follows from the seed alone."""

import random

from tests.chaos.network import BURST, Net, Ways, Weather


def ways(weather: Weather, seed: int = 1) -> Ways:
    return Ways(random.Random(seed), weather, nodes=frozenset({101, 102}))


def test_calm_weather_lets_everything_through_at_once() -> None:
    calm = ways(Weather())
    assert [calm.fate(101, 102, b"x") for _ in range(50)] == [[(0.0, b"x")]] * 50


def test_the_same_seed_is_the_same_weather() -> None:
    bad = Weather(loss=0.2, duplication=0.2, corruption=0.2, jitter_s=0.1, burst=0.01)
    one, two = ([ways(bad, 7).fate(1, 2, b"datagram") for _ in range(200)] for _ in range(2))
    assert one == two


def test_bad_weather_loses_doubles_and_corrupts() -> None:
    bad = ways(Weather(loss=0.2, duplication=0.2, corruption=0.2))
    fates = [bad.fate(1, 2, b"datagram") for _ in range(1_000)]
    assert 100 < sum(not fate for fate in fates) < 300
    assert 80 < sum(len(fate) == 2 for fate in fates) < 260
    assert 80 < sum(any(data != b"datagram" for _, data in fate) for fate in fates) < 260


def test_a_burst_takes_several_in_a_row_on_its_way_only() -> None:
    sky = ways(Weather(burst=1.0))
    assert sky.fate(1, 2, b"x")
    sky.weather = Weather()
    assert [len(sky.fate(1, 2, b"x")) for _ in range(BURST + 1)] == [0] * BURST + [1]
    assert sky.fate(2, 1, b"x")


def test_a_cut_is_healed_for_one_party() -> None:
    sky = ways(Weather())
    sky.isolate(5, frozenset({101, 102}))
    sky.isolate(6, frozenset({101}))
    assert not sky.fate(5, 101, b"x")
    assert not sky.fate(102, 5, b"x")
    sky.heal_party(5)
    assert sky.fate(5, 101, b"x")
    assert not sky.fate(101, 6, b"x")


def test_traps_spring_once_on_what_is_large() -> None:
    sky = ways(Weather())
    sky.traps[5] = 250
    sky.deafening[6] = range(601, 1_190)
    assert sky.fate(101, 5, b"x" * 250)
    assert sky.fate(5, 101, b"x")
    assert sky.fate(101, 5, b"x" * 251)  # the answer arrives, and nothing goes up after it
    assert not sky.fate(5, 102, b"x")
    assert sky.fate(6, 101, b"x" * 1_200)
    assert sky.fate(102, 6, b"x")
    assert sky.fate(6, 101, b"x" * 601)  # the change goes up, and no answer comes down
    assert not sky.fate(102, 6, b"x")


def test_addresses_tell_whose_they_are() -> None:
    net = Net(77)
    assert net.party_of(net.private(123)) == 123
    assert net.party_of(net.public(123)) is None
    assert net.party_of("127.0.0.1") is None
