"""Recordings: what is written is read, a killed monitor's file plays, a damaged or hostile one is refused by name."""

from __future__ import annotations

import asyncio
import gzip
import os
import pickle
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import orjson
import pytest

from shared.errors import InvalidInput, StorageError
from tests.tui.fake_feed import FakeCloud, one_down
from tui.monitor.model.elections import ElectionOutcome
from tui.monitor.player import SPEEDS, Player
from tui.monitor.recorder import Recorder
from tui.monitor.recording import MAX_LINE_BYTES, header_line, message_line, read_recording
from tui.monitor.run import find_recording
from tui.monitor.source import ReplaySource

BEGAN = 1_800_000_000.0


def told(cloud: FakeCloud, seconds: float) -> list:
    return list(cloud.run(seconds))


def record(path: Path, messages: list, cloud: FakeCloud) -> None:
    recorder = Recorder(path, cloud.node_index, BEGAN)
    for at, place, message in messages:
        recorder.take(place, message, at)
    recorder.close()


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, list]:
    """A minute in which the leader is killed."""
    cloud = one_down()
    messages = told(cloud, 60.0)
    record(tmp_path / "minute", messages, cloud)
    return tmp_path / "minute", messages


# --- Writing and reading ---------------------------------------------------------------------------------------------
def test_what_is_written_is_read(recorded):
    path, messages = recorded
    recording = read_recording(path)
    found = [known for number in range(recording.blocks) for known in recording.block(number)]
    assert [known.message for known in found] == [message for _, _, message in messages]
    assert [known.place for known in found] == [place for _, place, _ in messages]
    assert [known.at for known in found] == pytest.approx([at for at, _, _ in messages], abs=0.001)
    assert (recording.messages, recording.cut_off) == (len(messages), False)
    assert recording.node_index == FakeCloud().node_index
    assert recording.wall_offset_s == BEGAN
    assert (recording.start_s, recording.end_s) == pytest.approx((messages[0][0], messages[-1][0]), abs=0.001)


def test_a_recording_is_private_and_small(recorded):
    path, messages = recorded
    assert path.stat().st_mode & 0o777 == 0o600
    plain = sum(len(message_line(at, place, message)) for at, place, message in messages)
    assert path.stat().st_size < plain / 4


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / "x").write_text("precious")
    with pytest.raises(StorageError, match="is there already"):
        Recorder(tmp_path / "x", FakeCloud().node_index, BEGAN)
    assert (tmp_path / "x").read_text() == "precious"
    with pytest.raises(StorageError, match="cannot be written"):
        Recorder(tmp_path / "no" / "x", FakeCloud().node_index, BEGAN)


def test_time_never_goes_back_in_a_recording(tmp_path):
    cloud = FakeCloud()
    messages = told(cloud, 1.0)
    record(tmp_path / "x", [(10.0, *messages[0][1:]), (9.0, *messages[1][1:])], cloud)
    assert [known.at for known in read_recording(tmp_path / "x").block(0)] == [10.0, 10.0]


@pytest.mark.anyio
async def test_a_recording_is_written_as_the_hour_goes_by_and_whole_when_it_ends(tmp_path):
    cloud = FakeCloud()
    recorder = Recorder(tmp_path / "x", cloud.node_index, BEGAN)
    messages = told(cloud, 2.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run)
        for at, place, message in messages[:50]:
            recorder.take(place, message, at)
        while not recorder.written_bytes:
            await anyio.lowlevel.checkpoint()
        killed = (tmp_path / "x").read_bytes()
        for at, place, message in messages[50:]:
            recorder.take(place, message, at)
        tasks.cancel_scope.cancel()
    (tmp_path / "killed").write_bytes(killed)
    assert read_recording(tmp_path / "killed").messages == 50
    assert read_recording(tmp_path / "killed").cut_off
    assert read_recording(tmp_path / "x").messages == len(messages)
    assert not read_recording(tmp_path / "x").cut_off


@pytest.mark.anyio
async def test_a_recording_that_is_full_ends_and_still_plays(tmp_path):
    cloud = FakeCloud()
    recorder = Recorder(tmp_path / "x", cloud.node_index, BEGAN, max_bytes=1_000)
    messages = told(cloud, 10.0)
    for at, place, message in messages[:200]:
        recorder.take(place, message, at)
    await recorder.run()
    assert "has ended" in recorder.trouble
    recorder.take(*messages[200][1:], messages[200][0])
    recorder.close()
    assert read_recording(tmp_path / "x").messages == 200


@pytest.mark.anyio
async def test_a_disk_that_is_full_ends_the_recording_and_not_the_monitor(tmp_path):
    cloud = FakeCloud()
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    recorder = Recorder(tmp_path / "x", cloud.node_index, BEGAN)
    recorder._file.close()
    recorder._file = full.open("wb", buffering=0)  # noqa: ASYNC230 - a device
    await recorder.run()
    assert recorder.trouble == "The recording has ended (No space left on device)"


# --- Damage ----------------------------------------------------------------------------------------------------------
@pytest.mark.anyio
@pytest.mark.parametrize("steps", range(6))
async def test_a_monitor_that_is_left_at_any_moment_leaves_a_whole_recording(tmp_path, steps):
    """Lines that were taken for a thread which was then never begun were lost, the first line of the file among them:
    a monitor that was ended right after its start left a file that was no recording."""
    cloud = FakeCloud()
    messages = told(cloud, 2.0)
    recorder = Recorder(tmp_path / "short", cloud.node_index, BEGAN)
    running = asyncio.create_task(recorder.run())
    await asyncio.sleep(0)
    for at, place, message in messages:
        recorder.take(place, message, at)
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    recording = read_recording(tmp_path / "short")
    assert (recording.messages, recording.cut_off) == (len(messages), False)


def test_every_truncated_file_plays_up_to_its_end_or_says_that_it_is_none(recorded, tmp_path):
    path, messages = recorded
    whole = path.read_bytes()
    for share in (0, 0.0005, 0.01, 0.3, 0.7, 0.999):
        (tmp_path / "cut").write_bytes(whole[: int(share * len(whole))])
        if share < 0.01:
            with pytest.raises(InvalidInput, match=r"no recording|empty"):
                read_recording(tmp_path / "cut")
            continue
        recording = read_recording(tmp_path / "cut")
        assert recording.cut_off
        assert recording.messages >= (share - 0.1) * len(messages)


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(gzip.compress(b"".join(lines), 1))
    return path


HEADER = header_line(FakeCloud().node_index, BEGAN)
GOOD = [message_line(at, place, message) for at, place, message in FakeCloud().run(0.4)]


def header(**changes: object) -> bytes:
    return orjson.dumps({**orjson.loads(HEADER), **changes}) + b"\n"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([b""], "no recording"),
        ([b"\x00\xff" * 50], "no recording"),
        ([b"[]\n"], "no recording"),
        ([HEADER], "empty"),
        ([HEADER[:-1]], "no recording"),
        ([b"x" * 3 * MAX_LINE_BYTES], "damaged in line 1"),
        ([header(version=2), GOOD[0]], "later version"),
        ([header(format="x"), GOOD[0]], "no recording"),
        ([header(preset="moon"), GOOD[0]], "no recording"),
        ([header(nodes=[]), GOOD[0]], "no recording"),
        ([header(nodes=[{"name": "n1", "host": "h", "port": 1}] * 2), GOOD[0]], "damaged in line 1"),
        ([header(nodes=[{"name": "../n1", "host": "h", "port": 1}]), GOOD[0]], "no recording"),
        ([header(began=-1), GOOD[0]], "no recording"),
        ([header(began="now"), GOOD[0]], "no recording"),
        ([HEADER, b"nonsense\n"], "damaged in line 2"),
        ([HEADER, GOOD[0], b"\n"], "damaged in line 3"),
        ([HEADER, GOOD[0], b"1 0 {}\n"], "damaged in line 3"),
        ([HEADER, b"-1 0 {}\n"], "damaged in line 2"),
        ([HEADER, GOOD[0].replace(b" 0 ", b" 3 ", 1)], "damaged in line 2"),
        ([HEADER, b"5 0 \n"], "damaged in line 2"),
        ([HEADER, *GOOD, GOOD[0]], "damaged in line"),
        ([HEADER, b"9" * 500 + b" 0 {}\n"], "damaged in line 2"),
        ([HEADER, b"999999999999 0 " + GOOD[0].split(b" ", 2)[2]], "damaged in line 2"),
        ([HEADER, b"5 0 " + b"[" * 1_000 + b"\n"], "damaged in line 2"),
        ([HEADER, b'5 0 {"k":84,"request":"' + b"f" * 32 + b'"}\n'], "damaged in line 2"),
        ([HEADER, b"5 0 " + b" " * 2_000 + GOOD[0].split(b" ", 2)[2]], "damaged in line 2"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused_by_name(tmp_path, lines, said):
    with pytest.raises(InvalidInput, match=said) as caught:
        read_recording(written(tmp_path / "bad", *lines))
    assert str(tmp_path / "bad") in str(caught.value)


def test_flipped_bytes_are_noticed(recorded, tmp_path):
    path, _ = recorded
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0x55
    (tmp_path / "bad").write_bytes(whole)
    with pytest.raises(InvalidInput, match="damaged in line"):
        read_recording(tmp_path / "bad")


def test_a_file_that_is_not_there_or_no_file_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="There is no recording"):
        read_recording(tmp_path / "nothing")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_recording(tmp_path)
    (tmp_path / "plain").write_bytes(HEADER + GOOD[0])
    with pytest.raises(InvalidInput, match="no recording"):
        read_recording(tmp_path / "plain")


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("tui.monitor.recording.MAX_PLAIN_BYTES", 200_000)
    line = b"400 0 " + GOOD[0].split(b" ", 2)[2]
    with pytest.raises(InvalidInput, match="too long"):
        read_recording(written(tmp_path / "bomb", HEADER, line * 2_000))


def test_a_line_without_end_is_refused_at_once(tmp_path):
    with pytest.raises(InvalidInput, match="damaged in line 3"):
        read_recording(written(tmp_path / "line", HEADER, GOOD[0], b" " * 50_000_000))


def test_progress_is_told(recorded):
    shares: list[float] = []
    read_recording(recorded[0], progress=shares.append)
    assert shares
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


# --- Long ones -------------------------------------------------------------------------------------------------------
def long_lines(seconds_apart: float, count: int) -> list[bytes]:
    """Return the lines of a minute, so many times over, each so much later than the one before."""
    minute = list(one_down().run(20.0))
    return [
        message_line(at + turn * seconds_apart if seconds_apart else 1.0, place, message)
        for turn in range(count)
        for at, place, message in minute
    ]


@pytest.mark.parametrize("seconds_apart", [20.0, 0.0])
def test_blocks_are_bounded_in_bytes_however_close_together_messages_came(tmp_path, monkeypatch, seconds_apart):
    """All messages of one moment were one block, whatever their number: 36 MB took a minute and 3 GB to open."""
    monkeypatch.setattr("tui.monitor.recording.BLOCK_BYTES", 20_000)
    monkeypatch.setattr("tui.monitor.recording.MAX_BLOCKS", 32)
    lines = long_lines(seconds_apart, count=10)
    plain = sum(map(len, lines))
    recording = read_recording(written(tmp_path / "long", HEADER, *lines))
    assert 16 <= recording.blocks <= 32
    sizes = [block.size for block in recording._blocks]
    assert sum(sizes) == plain
    assert max(sizes) < 4 * plain / 32 + 2**20
    assert recording.messages == len(lines)
    found = []
    for number in range(recording.blocks):
        assert recording.before(number) == len(found)
        found += recording.block(number)
    assert [message_line(frame.at, frame.place, frame.message) for frame in found] == lines
    assert recording.end_s == found[-1].at
    assert recording.messages_until(recording.end_s) == len(lines)
    assert recording.fault == ""


def test_opening_takes_memory_for_the_index_and_not_for_the_messages(tmp_path):
    lines = long_lines(0.0, count=10)
    path = written(tmp_path / "dense", HEADER, *(15 * lines))
    assert 15 * sum(map(len, lines)) > 25_000_000
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from tui.monitor.player import Player\nfrom tui.monitor.recording import read_recording\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "before = peak(); player = Player(read_recording(Path(sys.argv[1]))); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40_000_000


def test_no_call_of_the_screens_feeds_more_than_there_is_time_for(tmp_path, monkeypatch):
    """A recording of many messages at one moment stopped the screens until all of them were taken."""
    monkeypatch.setattr("tui.monitor.player.STEP", 100)
    monkeypatch.setattr("tui.monitor.player.AT_ONCE", 300)
    monkeypatch.setattr("tui.monitor.player.KEPT_EVERY", 200)
    lines = long_lines(0.0, count=3)
    player = Player(read_recording(written(tmp_path / "dense", HEADER, *lines)))
    fed: list[int] = []
    take = type(player.model).take
    monkeypatch.setattr(type(player.model), "take", lambda *told: (fed.append(1), take(*told))[1])
    while player.playing:
        player.advance(1.0)
        assert len(fed) <= 100
        fed.clear()
    assert player.ended
    player = Player(read_recording(tmp_path / "dense"))
    fed.clear()
    player.seek(player.end_s)
    assert player.going_to_s == player.end_s
    assert fed == []
    while player.index_some(50):
        assert len(fed) <= 50 + 200 + 300
        fed.clear()
    assert player.going_to_s is None
    assert len(player._kept) > len(lines) // 250


def test_copies_of_the_model_are_bounded_however_long_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr("tui.monitor.player.KEPT", 10)
    monkeypatch.setattr("tui.monitor.player.KEPT_EVERY", 10)
    monkeypatch.setattr("tui.monitor.player.KEPT_EVERY_S", 1.0)
    player = Player(read_recording(written(tmp_path / "long", HEADER, *long_lines(20.0, count=5))))
    indexed(player)
    assert 10 <= len(player._kept) <= 22


@pytest.mark.parametrize("bad", [b"nonsense\n", b"1 0 {}\n", b"999999999999 0 {}\n", b"5 0 " + b"[" * 1_000 + b"\n"])
def test_damage_deep_in_a_recording_ends_it_there_and_says_so(tmp_path, monkeypatch, bad):
    """Lines are checked where they are read. What comes before the damage plays."""
    monkeypatch.setattr("tui.monitor.recording.BLOCK_BYTES", 50_000)
    lines = long_lines(20.0, count=10)
    at = len(lines) // 2
    path = written(tmp_path / "bad", HEADER, *lines[:at], bad, *lines[at:])
    player = indexed(Player(read_recording(path)))
    assert player.recording.fault == f"damaged in line {at + 2}"
    assert player.recording.messages == at
    last_at = int(lines[at - 1].split(b" ")[0]) / 1000
    assert player.end_s == last_at
    player.seek(1e9)
    assert player.position_s == last_at
    assert player.ended


def test_a_file_that_is_cut_while_it_plays_ends_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr("tui.monitor.recording.BLOCK_BYTES", 50_000)
    path = written(tmp_path / "long", HEADER, *long_lines(20.0, count=10))
    player = Player(read_recording(path))
    os.truncate(path, path.stat().st_size // 2)
    indexed(player)
    assert player.recording.fault.startswith("damaged in line")
    assert player.recording.messages
    player.seek(1e9)
    assert player.ended


# --- Playing ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def player(recorded) -> Player:
    return Player(read_recording(recorded[0]))


def shown(player: Player) -> tuple:
    """Return what the screens would show."""
    model, now = player.model, player.position_s
    return (
        model.cluster(now),
        model.nodes(now),
        model.table(now),
        model.elections(now),
        model.events.shown(),
        model.traffic(now),
    )


def indexed(player: Player) -> Player:
    while player.index_some():
        pass
    return player


def test_it_plays_at_its_speed_and_stops_at_the_end(player):
    assert player.position_s == player.start_s
    player.advance(1.0)
    assert player.position_s == pytest.approx(player.start_s + 1.0)
    player.faster()
    player.faster()
    player.advance(1.0)
    assert player.position_s == pytest.approx(player.start_s + 5.0)
    player.toggle()
    player.advance(10.0)
    assert player.position_s == pytest.approx(player.start_s + 5.0)
    player.toggle()
    while player.playing:
        player.advance(1_000.0)
    assert player.ended
    assert player.position_s == player.end_s
    assert not player.playing
    player.toggle()
    assert (player.playing, player.position_s) == (True, player.start_s)


def test_speeds_end_at_both_ends(player):
    for _ in range(20):
        player.faster()
    assert player.speed == SPEEDS[-1] == 64
    for _ in range(20):
        player.slower()
    assert player.speed == SPEEDS[0] == 0.25


def test_a_step_goes_to_the_next_message(player, recorded):
    _, messages = recorded
    seen = []
    for _ in range(5):
        player.step_message()
        seen.append(round(player.position_s, 4))
    assert not player.playing
    times = [round(round(1000 * at) / 1000, 4) for at, _, _ in messages]
    assert seen == [at for at in times if at > times[0]][:5]


@pytest.mark.parametrize("to", [0.0, 7.9, 9.3, 31.7, 59.0])
def test_every_way_to_a_position_shows_the_same(recorded, to):
    """The model of a position must not depend on how one got there: played, hurried, jumped to from either side."""
    recording = read_recording(recorded[0])
    played, jumped, back = (Player(recording) for _ in range(3))
    wanted = recording.start_s + to
    while played.position_s < wanted - 1e-9:
        played.advance(min(0.137, wanted - played.position_s))
    indexed(jumped).seek(wanted)
    indexed(back).seek(recording.end_s)
    back.seek(wanted)
    assert played.position_s == pytest.approx(jumped.position_s)
    assert jumped.position_s == back.position_s
    jumped.model.observe(jumped.position_s)
    back.model.observe(back.position_s)
    assert shown(jumped) == shown(back)
    assert jumped.model.events.shown() == played.model.events.shown()
    assert jumped.model.elections(to + 0.3) == played.model.elections(to + 0.3)


def test_a_recorded_failure_is_seen_in_its_time(player):
    indexed(player)
    player.seek(player.start_s + 7.5)
    assert shown(player)[0].leader_name == "n1"
    player.seek(player.start_s + 9.0)
    assert shown(player)[0].former_fate == "does not answer"
    player.seek(player.start_s + 12.0)
    cluster, _, _, elections, _, _ = shown(player)
    assert (cluster.leader_name, cluster.term) == ("n2", 4)
    assert elections[0].took_s == pytest.approx(0.512, abs=0.002)


def test_a_jump_far_ahead_waits_until_the_recording_was_gone_through(tmp_path, monkeypatch):
    monkeypatch.setattr("tui.monitor.player.AT_ONCE_S", 10.0)
    cloud = FakeCloud(requests_per_s=5.0)
    record(tmp_path / "x", told(cloud, 60.0), cloud)
    player = Player(read_recording(tmp_path / "x"))
    player.seek(player.start_s + 50.0)
    assert player.going_to_s == player.start_s + 50.0
    player.advance(5.0)
    assert player.position_s == player.start_s
    while player.going_to_s is not None:
        player.index_some(50)
        assert player.position_s in (player.start_s, player.start_s + 50.0)
    assert player.position_s == player.start_s + 50.0
    assert 0 < player.indexed_share <= 1


def test_seeking_beyond_an_end_goes_to_it(player):
    indexed(player)
    player.seek(1e9)
    assert player.position_s == player.end_s
    player.seek(-5)
    assert player.position_s == player.start_s


def test_the_source_of_a_recording_goes_on_with_the_screens_clock(player):
    now = [100.0]
    source = ReplaySource(player, clock=lambda: now[0])
    _, at = source.step()
    assert at == player.start_s
    now[0] += 2.5
    _, at = source.step()
    assert at == pytest.approx(player.start_s + 2.5)
    assert source.wall_offset_s == BEGAN
    before, _ = source.step()
    player.seek(player.start_s)
    after, _ = source.step()
    assert after is not before


def test_copies_of_the_model_are_whole(player):
    player.advance(20.0)
    copy = pickle.loads(pickle.dumps(player.model))
    now = player.position_s
    assert copy.nodes(now) == player.model.nodes(now)
    assert copy.elections(now) == player.model.elections(now)


# --- The one that comes with Glimpse ---------------------------------------------------------------------------------
def test_the_recording_for_lessons_shows_a_leader_killed_a_restart_and_a_deaf_leader():
    path = find_recording(Path("election"))
    assert path.stat().st_size < 300_000
    player = indexed(Player(read_recording(path)))
    assert 60 < player.end_s - player.start_s < 120
    player.seek(player.end_s)
    won = [known for known in player.model.elections(player.end_s) if known.outcome is ElectionOutcome.WON]
    assert len(won) == 3
    deaf, killed, _ = won
    assert killed.message_count == deaf.message_count == 2
    assert all(0.3 < known.took_s < 1.0 for known in (deaf, killed))
    assert all(1.0 < known.outage_s < 2.0 for known in (deaf, killed))
    said = [known.text for known in player.model.events.shown()]
    silent = [known.place for known in player.model.events.shown() if known.text == "does not answer"]
    assert silent == [killed.former]  # and nobody else at any time: who learns from it is shown nothing false
    assert any(text.startswith("has started again") for text in said)
    assert any(text.startswith("order deaf") for text in said)
    assert player.model.cluster(player.end_s).requests_done > 1_000


def test_a_file_of_ones_own_goes_before_a_bundled_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_recording(Path("election")).parent.name == "recordings"
    assert find_recording(Path("other")) == Path("other")
    assert find_recording(Path("x/election")) == Path("x/election")
    (tmp_path / "election").touch()
    assert find_recording(Path("election")) == Path("election")
