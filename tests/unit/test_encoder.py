import platform
import subprocess
import sys
import threading
from functools import partial

import anyio
import pytest

from node import encoder as module
from node.encoder import Encoder
from shared.config import RIGHTS_RECORD_BYTES
from shared.decoding.cancelling import current
from shared.errors import LocalError, Refused
from shared.stego.container import hide, read_record, reveal
from shared.stego.covers import owner_cover
from shared.wire.refusals import RefusalCode
from tests import photos
from tests.hostile_pictures import repeated_scans

pytestmark = pytest.mark.anyio
IMAGE_ID = bytes(16)
RECORD = b'{"views":5}'
PAYLOAD = bytes(range(256)) * 40


async def test_hides_what_the_container_hides():
    encoder = Encoder(workers=2)
    png = await encoder.hide(PAYLOAD, RECORD, IMAGE_ID, None)
    assert png == hide(PAYLOAD, RECORD, image_id=IMAGE_ID)
    with_cover = await encoder.hide(PAYLOAD, RECORD, IMAGE_ID, photos.photo("coffee.png"))
    assert reveal(with_cover, image_id=IMAGE_ID) == PAYLOAD
    assert read_record(with_cover) == RECORD
    assert (encoder.encoded, encoder.in_flight) == (2, 0)


@pytest.mark.parametrize(
    ("payload", "record", "cover"),
    [
        (PAYLOAD, RECORD, b"no picture"),
        (PAYLOAD, RECORD, photos.photo("rocket.jpg")[:20_000]),
        (b"", RECORD, None),
        (PAYLOAD, b"x" * (RIGHTS_RECORD_BYTES + 1), None),
        (PAYLOAD, b"\xff", None),
    ],
)
async def test_what_a_peer_sent_wrongly_is_refused_and_the_encoder_goes_on(payload, record, cover):
    encoder = Encoder(workers=1)
    with pytest.raises(Refused):
        await encoder.hide(payload, record, IMAGE_ID, cover)
    assert (encoder.encoded, encoder.in_flight) == (0, 0)
    assert await encoder.hide(PAYLOAD, RECORD, IMAGE_ID, None)


async def test_a_bad_cover_is_told_as_such():
    with pytest.raises(Refused, match="The cover is not a picture") as caught:
        await Encoder(workers=1).hide(PAYLOAD, RECORD, IMAGE_ID, b"hello")
    assert caught.value.code == RefusalCode.INVALID


async def test_no_more_at_work_than_workers(monkeypatch):
    gate, at_work, most = anyio.Event(), 0, 0

    def timed_hide(*_):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        anyio.from_thread.run(gate.wait)
        at_work -= 1
        return b"png", 0.0

    monkeypatch.setattr(module, "_timed_hide", timed_hide)
    encoder = Encoder(workers=2)
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(encoder.hide, PAYLOAD, RECORD, IMAGE_ID, None)
        await anyio.wait_all_tasks_blocked()
        assert encoder.in_flight == 6
        gate.set()
    assert most <= 2
    assert (encoder.encoded, encoder.in_flight) == (6, 0)


@pytest.mark.parametrize(("slowdown", "rests"), [(1.0, []), (3.0, [0.5]), (1.5, [0.125])])
async def test_slowed_to_a_third_it_rests_twice_as_long_as_it_worked(slowdown, rests, monkeypatch):
    rested = []

    async def sleep(seconds):
        rested.append(seconds)

    monkeypatch.setattr(module, "_timed_hide", lambda *_: (b"png", 0.25))
    monkeypatch.setattr(module.anyio, "sleep", sleep)
    encoder = Encoder(workers=1)
    encoder.slowdown = slowdown
    assert await encoder.hide(PAYLOAD, RECORD, IMAGE_ID, None) == b"png"
    assert rested == rests


async def test_a_worker_that_rests_takes_no_other_item(monkeypatch):
    woken = anyio.Event()

    async def sleep(_):
        await woken.wait()

    monkeypatch.setattr(module, "_timed_hide", lambda *_: (b"png", 0.25))
    monkeypatch.setattr(module.anyio, "sleep", sleep)
    encoder = Encoder(workers=1)
    encoder.slowdown = 3.0
    async with anyio.create_task_group() as tasks:
        first = partial(encoder.hide, PAYLOAD, RECORD, IMAGE_ID, None)
        tasks.start_soon(first)
        tasks.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        assert encoder.in_flight == 2
        assert encoder.encoded == 0
        woken.set()
    assert encoder.encoded == 2


def test_made_before_there_is_an_event_loop():
    assert Encoder(workers=3).workers == 3
    with pytest.raises(LocalError):
        Encoder(workers=0)


async def test_a_cover_that_takes_long_takes_nobodys_turn(monkeypatch):
    """Two such covers held both threads of a node, and all other encryptions with them."""
    under_way, decoded = anyio.Event(), anyio.Event()

    def slow(cover, payload_bytes):
        anyio.from_thread.run_sync(under_way.set)
        anyio.from_thread.run(decoded.wait)
        return owner_cover(cover, payload_bytes)

    monkeypatch.setattr(module, "_owner_cover", slow)
    encoder = Encoder(workers=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(encoder.hide, PAYLOAD, RECORD, IMAGE_ID, photos.photo("coffee.png"))
        await under_way.wait()
        assert await encoder.hide(PAYLOAD, RECORD, IMAGE_ID, None)
        assert (encoder.encoded, encoder.in_flight) == (1, 1)
        decoded.set()
    assert (encoder.encoded, encoder.in_flight) == (2, 0)


async def test_an_encryption_that_nobody_waits_for_ends_with_its_cover(monkeypatch):
    under_way, ended = anyio.Event(), threading.Event()

    def slow(*_):
        with current().ending_by(ended.set):
            anyio.from_thread.run_sync(under_way.set)
            ended.wait()
        raise AssertionError("nobody hears of it")

    monkeypatch.setattr(module, "_owner_cover", slow)
    encoder = Encoder(workers=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(encoder.hide, PAYLOAD, RECORD, IMAGE_ID, b"a cover")
        await under_way.wait()
        tasks.cancel_scope.cancel()
    assert ended.is_set()
    assert (encoder.encoded, encoder.in_flight) == (0, 0)


@pytest.mark.parametrize("cover", [None, photos.photo("coffee.png")])
async def test_large_pictures_are_hidden_one_at_a_time_and_small_ones_pass(cover, monkeypatch):
    """Two at once, or covers of more that waited for their turn, were twice what a node may take of memory."""
    begun, gate, at_work = anyio.Event(), anyio.Event(), []

    def timed_hide(payload, *_):
        at_work.append(len(payload))
        if len(payload) > len(PAYLOAD):
            anyio.from_thread.run_sync(begun.set)
            anyio.from_thread.run(gate.wait)
        return b"png", 0.0

    monkeypatch.setattr(module, "_timed_hide", timed_hide)
    encoder, large = Encoder(workers=2), bytes(1_500_000)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(encoder.hide, large, RECORD, IMAGE_ID, cover)
        await begun.wait()
        for _ in range(3):
            assert await encoder.hide(PAYLOAD, RECORD, IMAGE_ID, None)
        await anyio.wait_all_tasks_blocked()
        assert at_work == [len(large)] + 3 * [len(PAYLOAD)]
        gate.set()
    assert encoder.encoded == 6


async def test_a_cover_is_let_go_as_soon_as_it_is_decoded(monkeypatch):
    held, seen = [photos.photo("coffee.png")], []

    def timed_hide(*_):
        seen.append(sys.getrefcount(held[0]))
        return b"png", 0.0

    monkeypatch.setattr(module, "_timed_hide", timed_hide)
    hiding = Encoder(workers=1).hide(PAYLOAD, RECORD, IMAGE_ID, held[0])
    await hiding
    assert seen == [2], "only this list has it, and the question itself"


async def test_the_cover_that_stopped_the_cluster_is_refused():
    with pytest.raises(Refused, match="The cover is made of more than 50 scans") as caught:
        await Encoder(workers=1).hide(PAYLOAD, RECORD, IMAGE_ID, repeated_scans(6_000))
    assert caught.value.code == RefusalCode.INVALID


MEMORY = """
import io, os
from pathlib import Path
import anyio
from PIL import Image
import node.server
from node.encoder import Encoder

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024

async def main():
    encoder = Encoder(2)
    await encoder.hide(os.urandom(10_000), b"{}", bytes(16), None)
    for _ in range(3):
        await encoder.hide(os.urandom(11_000_000), b"{}", bytes(16), cover)
        with anyio.move_on_after(60):  # a thread lets go of its result a moment later
            while status("VmRSS") > base + 50:
                await anyio.sleep(0.01)
        print(status("VmHWM"), status("VmRSS"))

node.server._give_memory_back()
file = io.BytesIO()
Image.effect_noise((1250, 1000), 90).resize((4600, 3450)).save(file, "JPEG", progressive=True)
cover = file.getvalue()
file.close()
Path("/proc/self/clear_refs").write_text("5")
base = status("VmRSS")
print(status("VmHWM"), base)
anyio.run(main)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how memory is kept differs from library to library")
def test_large_pictures_take_little_memory_and_give_it_back():
    """One took 576 MB, and after ten of them 325 MB stayed with the node."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=250)
    (_, base), *each = [map(int, line.split()) for line in done.stdout.splitlines()]
    for peak, kept in each:
        assert peak - base < 150
        assert kept - base <= 50
