"""Which path a picture takes between any two homes, how soon, and how fast through a node beside a direct path.

Everything runs in network namespaces of this machine (`tests.namespaces`): three real nodes, a peer in each home.
"""

import os
import signal
import tempfile
from itertools import product
from pathlib import Path
from statistics import median

from PIL import Image

from tests.bench.rows import Row, not_measured
from tests.namespaces.pairs import Cloud, Person, Taken, cloud, give, goes_directly
from tests.namespaces.world import Home, why_not

ROUNDS = 3
LARGE_PX = (1_400, 1_100)
FIRST_BYTE_BARS_S = {"direct": 0.3, "punched": 1.0, "relayed": 1.0}
RELAYED_BAR = 0.4
MOVE_BAR_S = 1.0
SLOW_PX = (300, 300)
SLOW_BYTES_PER_S = 125_000.0
SLOW_DELAY_S = 0.15
SLOW_LOSS = 0.2
"""In either direction."""
DEATHS = 5
DYING_MBIT_PER_S = 12
"""A picture takes some seconds then."""


def rows() -> list[Row]:
    """Measure all of it."""
    if reason := why_not():
        return [not_measured("paths between homes", "", None, reason)]
    place = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=place if place.is_dir() else None) as folder,
        cloud(Path(folder)) as running,
    ):
        return [*_table(running), _speed(running), _dying(running), *_slow(running)]


def _table(running: Cloud) -> list[Row]:
    owners = {home: running.person(home) for home in Home}
    viewers = {home: running.person(home) for home in Home}
    found = []
    for homes in product(Home, Home):
        taken = give(running, owners[homes[0]], viewers[homes[1]], homes)
        print(shown(taken), flush=True)
        found.append(taken)
    for person in (*owners.values(), *viewers.values()):
        person.close()
    right = sum(taken.whole and taken.is_direct is goes_directly(taken.owner, taken.viewer) for taken in found)
    return [
        Row(
            "pairs of homes, by the way that they allow",
            right,
            "",
            "all pairs",
            len(found),
            right / len(found),
            bar=1.0,
        ),
        *(_first_bytes(found, kind) for kind in FIRST_BYTE_BARS_S),
    ]


def shown(taken: Taken) -> str:
    """Return a pair as a line of the table."""
    upgraded = "" if taken.upgraded_s is None or taken.first_path == "direct" else f"after {taken.upgraded_s:.2f} s"
    return (
        f"  {taken.owner.value:16} {taken.viewer.value:16} first byte {taken.first_byte_s:5.2f} s {taken.first_path:12}"
        f" then {taken.final_path:12} {upgraded:14} {'' if taken.whole else 'NOT WHOLE'}"
    ).rstrip()


def _kind(taken: Taken) -> str:
    if not taken.is_direct:
        return "relayed"
    return "direct" if {taken.owner, taken.viewer} <= {Home.NONE, Home.FULL_CONE} else "punched"


def _first_bytes(found: list[Taken], kind: str) -> Row:
    times = [taken.first_byte_s for taken in found if _kind(taken) == kind]
    middle = median(times)
    note = f"{len(times)} pairs, the slowest {max(times):.2f} s"
    return Row(f"first byte, {kind}", middle, "s", "", None, middle, "at most", FIRST_BYTE_BARS_S[kind], note)


def _large(running: Cloud) -> Path:
    large = running.folder / "large.png"
    if not large.exists():
        Image.frombytes("RGB", LARGE_PX, os.urandom(3 * LARGE_PX[0] * LARGE_PX[1])).save(large)
    return large


def _speed(running: Cloud) -> Row:
    """Send large pictures in turn on a punched path and through a node, of the same sizes of datagrams."""
    large = _large(running)
    pairs = [(running.person(home), running.person(home)) for home in (Home.RESTRICTED, Home.SYMMETRIC)]
    give(running, *pairs[0], (Home.RESTRICTED, Home.RESTRICTED))
    speeds: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for speed, (owner, viewer) in zip(speeds, pairs, strict=True):
            speed.append(_mb_per_s(running, owner, viewer, large))
    direct, relayed = map(median, speeds)
    what, against = f"{large.stat().st_size / 1e6:.0f} MB picture through a node", "punched"
    return Row(what, relayed, "MB/s", against, direct, relayed / direct, "at least", RELAYED_BAR)


def _dying(running: Cloud) -> Row:
    """Kill the node that carries a picture, again and again."""
    large = _large(running)
    owner, viewer = (running.person(Home.SYMMETRIC) for _ in range(2))
    running.internet.narrow(owner.namespace, DYING_MBIT_PER_S)
    silent, led = [], []
    for _ in range(DEATHS):
        image = owner.ask("encrypt", path=str(large))["image"]
        status = running.status()
        owner.tell("grant", image=image, viewer=viewer.account)
        carries = viewer.ask("coming", share=0.4)["path"].removeprefix("through ")
        os.kill(next(node["pid"] for node in status["nodes"] if node["name"] == carries), signal.SIGKILL)
        silent.append(viewer.ask("open", image=image)["silent"])
        owner.answer()
        led.append(carries == status["leader"])
        print(f"  {carries}{', which led,' if led[-1] else ''} killed: silent for {silent[-1]:.2f} s", flush=True)
        running.start(carries)
    note = f"{DEATHS} times, the worst {max(silent):.2f} s; {sum(led)} of them led"
    middle = median(silent)
    what = "silence when the node that carries is killed"
    return Row(what, middle, "s", "", None, middle, "at most", MOVE_BAR_S, note)


def _slow(running: Cloud) -> list[Row]:
    """Give a picture from the end of a slow line, through a node."""
    picture = running.folder / "slow.png"
    Image.frombytes("RGB", SLOW_PX, os.urandom(3 * SLOW_PX[0] * SLOW_PX[1])).save(picture)
    viewer = running.person(Home.SYMMETRIC)
    rows = []
    for loss in (0.0, SLOW_LOSS):
        owner = running.person_at_a_slow_line(SLOW_BYTES_PER_S, SLOW_DELAY_S, loss)
        share = _mb_per_s(running, owner, viewer, picture) * 1e6 / (SLOW_BYTES_PER_S * (1 - loss))
        what = f"1 Mbit/s, 300 ms, {loss:.0%} lost: share of the line"
        rows.append(Row(what, share, "", "what it lets through", 1.0, share))
    return rows


def _mb_per_s(running: Cloud, owner: Person, viewer: Person, picture: Path) -> float:
    image = owner.ask("encrypt", path=str(picture))["image"]
    viewer.tell("open", image=image)
    sent = owner.ask("grant", image=image, viewer=viewer.account)
    opened = viewer.answer()
    size = (running.folder / owner.name / "images" / f"own-{image}.png").stat().st_size
    return size / 1e6 / (sent["last"] - opened["first"])
