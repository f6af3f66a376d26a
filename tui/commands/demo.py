"""`glimpse demo --script`: the ten use cases on real photographs, three node processes and three people's processes.

Every step checks its outcome and prints one line; the first that does not hold ends the run with exit code 1.
"""

import hashlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import numpy as np
from PIL import Image

from shared.errors import GlimpseError
from tui.commands.people import CallFailed, Person
from tui.commands.samples import samples
from tui.commands.up import ClusterFolder, running, set_up
from tui.operator import Operator

Say = Callable[[str], None]
_PATIENCE_S = 20.0
_LOOK_AGAIN_S = 0.1


class StepFailed(GlimpseError):
    """Something did not come out as it must."""


@dataclass(slots=True)
class Stage:
    """What the steps share."""

    place: ClusterFolder
    processes: dict[str, anyio.abc.Process]
    operator: Operator
    ada: Person
    ben: Person
    cem: Person
    photos: dict[str, Path]
    hashes: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    request: str = ""


async def run_demo(directory_url: str | None, keep: bool, say: Say) -> int:
    """Run all steps in a temporary folder; return the exit code."""
    began = time.monotonic()
    folder = tempfile.mkdtemp(prefix="glimpse-demo-")
    try:
        await _run(Path(folder), directory_url, say)
    except StepFailed as error:
        say(f"FAILED  {error}")
        return 1
    except BaseExceptionGroup as group:
        failed, rest = group.split(StepFailed)
        if failed is None or rest is not None:
            raise
        say(f"FAILED  {failed.exceptions[0]}")
        return 1
    finally:
        if keep:
            say(f"kept in {folder}")
        else:
            await anyio.to_thread.run_sync(_remove, Path(folder))
    say(f"all ten use cases held, {time.monotonic() - began:.0f} s")
    return 0


async def _run(folder: Path, directory_url: str | None, say: Say) -> None:
    photos = await anyio.to_thread.run_sync(_write_photos, folder / "photographs")
    place = await anyio.to_thread.run_sync(lambda: set_up(folder / "cluster", directory_url=directory_url))
    async with AsyncExitStack() as stack:
        processes = await stack.enter_async_context(running(place))
        operator = await stack.enter_async_context(Operator(place.cluster, place.file))
        ada, ben, cem = [
            await stack.enter_async_context(Person(name, folder / name.lower(), place.file))
            for name in ("Ada", "Ben", "Cem")
        ]
        stage = Stage(place, processes, operator, ada, ben, cem, photos)
        status = await operator.status()
        say(f"ok  0 cluster   three nodes, leader {status['leader']}, directory {status['directory']['engine']}")
        for number, name, step in STEPS:
            try:
                told = await step(stage)
            except StepFailed as error:
                raise StepFailed(f"{number:>2} {name}: {error}") from error
            except GlimpseError as error:
                raise StepFailed(f"{number:>2} {name}: {type(error).__name__}: {error}") from error
            say(f"ok {number:>2} {name:<9} {told}")


# --- The steps -------------------------------------------------------------------------------------------------------
async def register(stage: Stage) -> str:
    """1: every person gets an id of their own."""
    for person in (stage.ada, stage.ben, stage.cem):
        me = await person.call("register", person.name)
        person.account = me["account"]
        check(me["name"] == person.name, f"{person.name} was registered as {me['name']}")
    accounts = {stage.ada.account, stage.ben.account, stage.cem.account}
    check(len(accounts) == 3, f"three people have the ids {sorted(accounts)}")
    return f"Ada, Ben and Cem are accounts {stage.ada.account}, {stage.ben.account} and {stage.cem.account}"


async def sign_in(stage: Stage) -> str:
    """2: sign in with one's keys; somebody else's id opens nothing."""
    for person in (stage.ada, stage.ben, stage.cem):
        me = await person.call("sign_in")
        check(me["account"] == person.account, f"{person.name} signed in as {me['account']}")
    return "all three proved their keys"


async def encrypt(stage: Stage) -> str:
    """3: three kinds of photographs are hidden; the covers show nothing of them."""
    sizes = []
    for name, path in stage.photos.items():
        image = await stage.ada.call("encrypt", str(path))
        stage.images[name] = image["image"]
        stego = Path(image["path"])
        check(stego.exists(), f"there is no stego image of {name}")
        opened = await stage.ada.call("view", image["image"])
        check(opened["sha256"] == stage.hashes.setdefault(name, _sha256(path)), f"{name} did not open byte-identical")
        sizes.append(f"{name} {path.stat().st_size // 1024} KB in {stego.stat().st_size // 1024} KB")
    return "; ".join(sizes)


async def list_users(stage: Stage) -> str:
    """4: everybody is listed, with what they offer, whether it is much or nothing."""
    page = await stage.ben.call("users")
    rows = {row["account"]: row for row in page["rows"]}
    for person in (stage.ada, stage.ben, stage.cem):
        check(rows.get(person.account, {}).get("online") is True, f"{person.name} is not listed as online")
    check(rows[stage.ada.account]["images"] == len(stage.images), "Ada's images are not counted")
    offered = await stage.ben.call("images_of", stage.ada.account)
    check({image["image"] for image in offered} == set(stage.images.values()), "Ada's images are not listed")
    return f"3 people online, Ada offers {len(offered)} images; {rows[stage.ada.account]['words']}"


async def ask(stage: Stage) -> str:
    """5: Ben asks for five views while Ada is offline; the request is not lost."""
    await stage.ada.close()
    sent = await stage.ben.call("request", stage.images["rocket"], 5, note="the launch, please")
    stage.request = sent["request_id"]
    check(sent["delivered"], "the cloud did not take Ben's request")
    other = await stage.cem.call("request", stage.images["rocket"], 2)
    check(other["delivered"], "the cloud did not take Cem's request")
    return "Ben asked for 5 views, Cem for 2, Ada is offline"


async def answer(stage: Stage) -> str:
    """6: Ada comes back, finds both requests with who asks, accepts one and rejects one."""
    await stage.ada.open()
    await stage.ada.call("sign_in")
    incoming = (await stage.ada.call("requests"))["incoming"]
    check(
        {(row["person"], row["views"]) for row in incoming} == {(stage.ben.account, 5), (stage.cem.account, 2)},
        f"Ada found {[(row['person_name'], row['views']) for row in incoming]}",
    )
    ben = next(row for row in incoming if row["person"] == stage.ben.account)
    cem = next(row for row in incoming if row["person"] == stage.cem.account)
    check(ben["request_id"] == stage.request, "Ben's request came under another id")
    await stage.ada.call("accept", stage.request)
    await stage.ada.call("reject", cem["request_id"], "not this one")
    rejected = await until(stage.cem, "requests", lambda found: found["outgoing"][0]["state"] == "rejected")
    check(rejected["outgoing"][0]["reason"] == "not this one", "Cem does not read the reason")
    return "Ada accepted Ben's request and rejected Cem's, who reads the reason"


async def view(stage: Stage) -> str:
    """7: five views, four left after one look, the cover at 0; counted on both sides and in the directory."""
    image = stage.images["rocket"]
    held = await until(stage.ben, "peer_images", lambda found: bool(found) and found[0]["path"] is not None)
    check(held[0]["left"] == 5, f"Ben holds {held[0]['left']} views")
    await look(stage, left=4)
    await stage.ben.kill()
    await stage.ben.open()
    await stage.ben.call("sign_in")
    await expect_left(stage, 4)
    copied = Path(held[0]["path"]).read_bytes()
    for left in (3, 2, 1, 0):
        await look(stage, left=left)
    await anyio.to_thread.run_sync(Path(held[0]["path"]).write_bytes, copied)
    await refused(stage, "no_views")
    log = await stage.ada.call("views_log", image)
    check([entry["left"] for entry in log] == [0, 1, 2, 3, 4], f"Ada's log shows {[entry['left'] for entry in log]}")
    check(_shows_only_a_cover(Path(held[0]["path"]), stage.photos["rocket"]), "the stego image shows the picture")
    return "5 asked, 4 left after one look and a crash, 0 after five; a restored copy opens nothing; the cover is shown"


async def ask_more(stage: Stage) -> str:
    """8: Ben asks for more and goes offline; Ada's answer waits in the cloud: 0 becomes 10."""
    image = stage.images["rocket"]
    sent = await stage.ben.call("request_more", image, 10)
    await stage.ben.call("sign_out")
    await stage.ben.close()
    found = await until(
        stage.ada, "requests", lambda page: any(row["request_id"] == sent["request_id"] for row in page["incoming"])
    )
    check(found["complete"], "Ada's list of requests is not complete")
    await stage.ada.call("accept", sent["request_id"])
    await stage.ben.open()
    await stage.ben.call("sign_in")
    await expect_left(stage, 10)
    return "raised 0 to 10 while Ben was offline, enforced when he signed in"


async def kill_leader(stage: Stage) -> str:
    """A node dies in the middle: the rest elects a leader of a higher term, and nothing is lost."""
    before = await stage.operator.status()
    process = stage.processes[before["leader"]]
    os.kill(process.pid, signal.SIGKILL)
    await look(stage, left=9)
    deadline = anyio.current_time() + _PATIENCE_S
    while True:
        after = await stage.operator.status()
        if after["leader"] not in (None, before["leader"]) and after["term"] > before["term"]:
            break
        check(anyio.current_time() < deadline, f"no new leader after the death of {before['leader']}")
        await anyio.sleep(_LOOK_AGAIN_S)
    return f"{before['leader']} was killed; {after['leader']} leads term {after['term']}, Ben's view was served: 9 left"


async def change(stage: Stage) -> str:
    """9: Ada changes rights that she gave: 13, then 9, and Ben's copy follows at once."""
    image, ben = stage.images["rocket"], stage.ben.account
    raised = await stage.ada.call("set_views", image, ben, 13)
    check(raised["left"] == 13, f"raised to {raised['left']}")
    await until(stage.ben, "peer_images", lambda found: found[0]["left"] == 13)
    lowered = await stage.ada.call("set_views", image, ben, 9)
    check(lowered["left"] == 9, f"lowered to {lowered['left']}")
    await until(stage.ben, "peer_images", lambda found: found[0]["left"] == 9)
    await expect_left(stage, 9)
    return "forced 13 to 9, on both sides and in the directory"


async def share_more(stage: Stage) -> str:
    """The other two photographs, 12 megapixels and transparency, go peer to peer and open byte-identical."""
    for name in ("coffee-12mp", "logo"):
        await stage.ada.call("grant", stage.images[name], stage.cem.account, 2)
        await until(stage.cem, "peer_images", partial(_has_arrived, stage.images[name]))
        opened = await stage.cem.call("view", stage.images[name])
        check(opened["sha256"] == stage.hashes[name] and opened["left"] == 1, f"{name} did not arrive whole")
    revoked = await stage.ada.call("revoke", stage.images["logo"], stage.cem.account)
    check(revoked["left"] == 0 and revoked["met_consumed"] == 1, "the revocation did not say what it met")
    try:
        await stage.cem.call("view", stage.images["logo"])
    except CallFailed as error:
        check(error.code == "revoked", f"the look was refused with {error.code or error}")
    else:
        raise StepFailed("a revoked image was shown")
    return "12 MP and transparency peer to peer, byte-identical; one revoked"


async def leave(stage: Stage) -> str:
    """10: everybody signs out; the cloud knows at once."""
    await stage.ben.call("sign_out")
    page = await stage.ada.call("users")
    online = {row["account"]: row["online"] for row in page["rows"]}
    check(online[stage.ben.account] is False, "Ben is still shown as online")
    waiting = await stage.ada.call("sign_out")
    check(waiting == 0, f"{waiting} items still wait in Ada's outbox")
    await stage.cem.call("sign_out")
    return "all signed out, nothing waits, nobody is shown as online who is not"


STEPS: tuple[tuple[str, str, Callable[[Stage], Awaitable[str]]], ...] = (
    ("1", "register", register),
    ("2", "sign in", sign_in),
    ("3", "encrypt", encrypt),
    ("4", "list", list_users),
    ("5", "request", ask),
    ("6", "answer", answer),
    ("7", "view", view),
    ("8", "more", ask_more),
    ("+", "failure", kill_leader),
    ("9", "change", change),
    ("+", "share", share_more),
    ("10", "sign out", leave),
)


# --- Checks ----------------------------------------------------------------------------------------------------------
def check(holds: bool, otherwise: str) -> None:
    """Raise `StepFailed` unless something holds."""
    if not holds:
        raise StepFailed(otherwise)


async def until(person: Person, method: str, holds: Callable[[Any], bool]) -> Any:
    """Call a method until its result is as it must become; raise `StepFailed` if it does not in good time."""
    deadline = anyio.current_time() + _PATIENCE_S
    while True:
        result = await person.call(method)
        if holds(result):
            return result
        check(anyio.current_time() < deadline, f"{person.name}: {method} did not change as it must; it gives {result}")
        await anyio.sleep(_LOOK_AGAIN_S)


async def look(stage: Stage, *, left: int) -> None:
    """Ben looks once; the bytes are Ada's and the count is the same on both sides."""
    opened = await stage.ben.call("view", stage.images["rocket"])
    check(opened["sha256"] == stage.hashes["rocket"], "the picture is not byte-identical")
    check(opened["left"] == left, f"{opened['left']} views are left, not {left}")
    await expect_left(stage, left)


async def expect_left(stage: Stage, left: int) -> None:
    """Ben's copy and Ada's view of the directory both say so many views left."""
    held = next(row for row in await stage.ben.call("peer_images") if row["image"] == stage.images["rocket"])
    check(held["left"] == left, f"Ben's copy says {held['left']}, not {left}")
    viewers = await stage.ada.call("viewers", stage.images["rocket"])
    mine = next(row for row in viewers if row["account"] == stage.ben.account)
    check(mine["left"] == left, f"the directory says {mine['left']}, not {left}")


async def refused(stage: Stage, code: str) -> None:
    """Ben's look is refused with this code."""
    try:
        await stage.ben.call("view", stage.images["rocket"])
    except CallFailed as error:
        check(error.code == code, f"the look was refused with {error.code or error}")
    else:
        raise StepFailed("a look beyond the last view was not refused")


def _has_arrived(image: str, held: list[dict[str, Any]]) -> bool:
    return any(row["image"] == image and row["path"] for row in held)


def _shows_only_a_cover(stego: Path, photo: Path) -> bool:
    """Return whether what a viewer program shows differs from the hidden photograph throughout."""
    with Image.open(stego) as shown, Image.open(photo) as hidden:
        size = (64, 64)
        first = np.asarray(shown.convert("RGB").resize(size), dtype=np.int16)
        second = np.asarray(hidden.convert("RGB").resize(size), dtype=np.int16)
    return bool(np.abs(first - second).mean() > 8)


# --- Files -----------------------------------------------------------------------------------------------------------
def _write_photos(folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True)
    paths = {}
    for sample in samples():
        path = folder / sample.name
        path.write_bytes(sample.data)
        paths[path.stem] = path
    return paths


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
