"""The end of a run: faults stop, everything comes to rest, and what is there is read."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.chaos.actors import Actors
from tests.chaos.checker import NOT_SOON_S, Tables
from tests.chaos.cloud import DIRECTORY_TABLES, tables
from tests.chaos.faults import Faults
from tests.chaos.person import Died, Failed, Person
from tests.chaos.world import World, now

_AFTER_STUCK_S = 10.0
"""How long the rest may take once something is stuck: the run has failed, and what depends on it is stuck too."""
_LOOKS = 4
_STORE_TABLES = ("held", "given", "outbox", "pending_views", "own_images", "set_aside")


async def come_to_rest(world: World, actors: Actors, faults: Faults) -> None:
    """Stop all faults, let everything be delivered, answer what is open and look at what may be looked at."""
    world.journal.write("note", text="faults stop")
    await faults.undo()
    if trouble := await world.cloud.healthy(world.patience_s):
        world.stuck(f"the cloud does not come to rest: {trouble}")
        return
    people = list(world.people.values())
    await all_ready(world)
    await _empty_outboxes(world, people)
    await _answer_all(world, actors)
    await _empty_outboxes(world, people)
    await _copies_are_here(world)
    for name in world.viewers:
        await _last_looks(world, actors, world.people[name])
    await _empty_outboxes(world, people)
    for person in people:
        if not await person.stop():
            world.stuck(f"the peer of {person.name} did not close")
    await all_ready(world)
    await _empty_outboxes(world, people)
    # What one sign-in told the directory, the next tells the other side.
    for person in [*people, *people]:
        person.signed_in = False
        await _until(world, f"{person.name} signed in again", lambda person=person: _ready(world, person))
    await _empty_outboxes(world, people)


async def read_all(world: World) -> tuple[Tables, dict[str, Tables]]:
    """End everybody and return the directory's tables and those of every peer's store."""
    world.journal.write("note", text="the end", wall=now())
    for person in world.people.values():
        if not await person.stop():
            world.stuck(f"the peer of {person.name} did not close")
    for stubborn in await world.cloud.terminate(*world.cloud.names):
        world.stuck(f"node {stubborn} did not end after SIGTERM")
    stores = {
        name: tables(person.folder / "store.sqlite", _STORE_TABLES)
        for name, person in world.people.items()
        if person.account is not None
    }
    try:
        directory = world.cloud.rows()
    except sqlite3.DatabaseError as error:
        world.journal.write("broken", text=f"the directory cannot be read: {error}")
        directory = {name: [] for name in DIRECTORY_TABLES}
    return directory, stores


async def _until(world: World, what: str, holds: Callable[[], Awaitable[bool]]) -> bool:
    """Wait until something holds; note that it is stuck where it does not come."""
    is_stuck = any(line.kind == "stuck" for line in world.journal.lines)
    end = time.monotonic() + (_AFTER_STUCK_S if is_stuck else world.patience_s)
    trouble = ""
    while time.monotonic() < end:
        try:
            if await holds():
                return True
        except (Died, Failed) as error:
            trouble = f" ({error})"
        await asyncio.sleep(0.5)
    world.stuck(f"it does not come to this: {what}{trouble}")
    return False


async def _ready(world: World, person: Person) -> bool:
    await world.ensure(person)
    return True


async def all_ready(world: World) -> None:
    """Wait until everybody is registered and signed in."""
    for person in world.people.values():
        await _until(world, f"{person.name} is signed in", lambda person=person: _ready(world, person))


async def _empty_outboxes(world: World, people: list[Person]) -> None:
    for person in people:

        async def empty(person: Person = person) -> bool:
            return not (await person.ask("outbox"))["rows"]

        if not await _until(world, f"the outbox of {person.name} is empty", empty):
            with suppress(Died, Failed):
                world.journal.write("note", text=f"{person.name}: {(await person.ask('outbox'))['rows']}")


async def _answer_all(world: World, actors: Actors) -> None:
    """Say no to every request that is still open."""
    for name in world.owners:
        person = world.people[name]

        async def none_open(person: Person = person) -> bool:
            found = await person.ask("requests")
            for row in found["pending"]:
                if row["waits"]:
                    continue
                await actors.reject(person, row["ask"], (row["image"], row["person"]))
            return bool(found["complete"]) and not found["pending"]

        await _until(world, f"{name} has answered all requests", none_open)


async def _copies_are_here(world: World) -> None:
    for name in world.viewers:
        person = world.people[name]

        async def all_here(person: Person = person) -> bool:
            rows = (await person.ask("held"))["rows"]
            return all(row["here"] for row in rows if row["expires"] is None or row["expires"] > now() + NOT_SOON_S)

        await _until(world, f"{name} has all images", all_here)


async def _last_looks(world: World, actors: Actors, person: Person) -> None:
    """Look at every picture until its views are used up: what the peer has a right to must be shown."""
    for image in sorted({row["image"] for row in (await person.ask("held"))["rows"]} & world.pictures.keys()):
        await _thawed(world, actors, person, image)
        for _ in range(_LOOKS):
            rows = [row for row in (await person.ask("held"))["rows"] if row["image"] == image]
            if not rows:
                break
            row = rows[0]
            open_still = row["expires"] is None or row["expires"] > now() + NOT_SOON_S
            try:
                seen = await actors.look_at(person, image, expected=bool(row["left"]) and row["here"] and open_still)
            except Died:
                break
            if seen != "shown":
                break


async def _thawed(world: World, actors: Actors, person: Person, image: str) -> None:
    """Look once; where the viewer knows more than a restored directory, wait until the owner has been asked."""

    async def answered() -> bool:
        return await actors.look_at(person, image) != "frozen"

    await _until(world, f"{person.name} may look at {image[:8]} again", answered)
