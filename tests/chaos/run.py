"""One run: a cloud, people, faults for some minutes, rest, and the verdict."""

import asyncio
import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.actors import Actors
from tests.chaos.checker import Fault, check, story, totals
from tests.chaos.cloud import START_S, Cloud
from tests.chaos.faults import Faults
from tests.chaos.journal import Journal, Line, effects, read_journal
from tests.chaos.network import Ways, claim_net
from tests.chaos.person import Person
from tests.chaos.relay import Relay
from tests.chaos.rest import all_ready, come_to_rest, read_all
from tests.chaos.world import World

EVIDENCE = "evidence.json"
"""What was read at the end, beside the journal, so that a run can be checked again."""
_FIRST_PERSON = 121
_LISTED = 100
_STORIES = 8
_STORY_LINES = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `first` are faults that surely happen, in this order; `only` leaves all others out, `never`
    leaves these out."""

    seed: int
    minutes: float
    owners: int = 2
    viewers: int = 3
    nodes: int = 3
    images: int = 6
    actors: int = 2
    """Things that a person does at a time."""
    actor_pause_s: float = 0.4
    fault_pause_s: float = 2.0
    first: tuple[str, ...] = ("backup", "kill-person", "copied-profile", "lost-answer", "restore", "second-start")
    only: list[str] = field(default_factory=list)
    never: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    patience_s: float = 180.0


@dataclass(slots=True)
class Result:
    """How a run ended."""

    plan: Plan
    folder: Path
    faults: list[Fault]
    lines: list[Line]
    done: dict[str, int]
    """Faults done, by kind."""
    datagrams: dict[str, int]
    left_out: list[str]

    @property
    def well(self) -> bool:
        """Whether nothing was wrong."""
        return not self.faults

    @property
    def acknowledged(self) -> Counter[str]:
        """Acknowledged effects, by kind."""
        return Counter(effect.op for effect in effects(self.lines) if effect.state == "ack")

    @property
    def verdict(self) -> str:
        """The line that says it all."""
        counted = " ".join(f"{kind}={count}" for kind, count in totals(self.faults).items())
        total = sum(self.acknowledged.values())
        return f"chaos: seed={self.plan.seed} minutes={self.plan.minutes:g} effects={total} {counted}"

    def as_text(self) -> Iterator[str]:
        """Yield the lines of the report; the verdict is the last."""
        yield "effects: " + _counts(self.acknowledged)
        ended = Counter(effect.state for effect in effects(self.lines))
        yield f"answers: {_counts(ended)}"
        yield "faults:  " + _counts(self.done)
        yield "network: " + _counts(self.datagrams)
        if self.plan.without:
            yield "taken out: " + ", ".join(self.plan.without)
        for reason in self.left_out:
            yield f"left out: {reason}"
        for number, fault in enumerate(self.faults[:_LISTED]):
            yield f"{fault.kind}: {fault.text}"
            if number < _STORIES:
                lines = list(story(self.lines, fault))
                yield from (f"    {line}" for line in lines[:_STORY_LINES])
                if len(lines) > _STORY_LINES:
                    yield f"    ... and {len(lines) - _STORY_LINES} lines more"
        if len(self.faults) > _LISTED:
            yield f"... and {len(self.faults) - _LISTED} faults more"
        if not self.well:
            yield f"everything is in {self.folder}; repeat with --seed {self.plan.seed} --minutes {self.plan.minutes:g}"
        yield self.verdict

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "seed": self.plan.seed,
            "minutes": self.plan.minutes,
            "effects": dict(self.acknowledged),
            "faults": self.done,
            "datagrams": self.datagrams,
            "left_out": self.left_out,
            "without": self.plan.without,
            **totals(self.faults),
            "findings": [{"kind": fault.kind, "text": fault.text, "lines": fault.lines} for fault in self.faults],
            "folder": None if self.well else str(self.folder),
        }

    def clear(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def check_again(folder: Path) -> Result:
    """Return the result of an earlier run from what it left in its folder."""
    lines = read_journal(folder / "journal.jsonl")
    evidence = json.loads((folder / EVIDENCE).read_text(encoding="utf-8"))
    found = check(lines, evidence["directory"], evidence["stores"])
    seed = int(str(lines[0].facts["text"]).removeprefix("seed "))
    return Result(Plan(seed, lines[-1].at / 60), folder, found, lines, {}, {}, [])


async def run(plan: Plan, folder: Path) -> Result:
    """Run a plan in an empty folder and return its result. Leaves no process behind."""
    rng = random.Random(plan.seed)
    net, claim = claim_net()
    ways = Ways(random.Random(rng.random()))
    relay = Relay(net, ways, claim)
    journal = Journal(folder / "journal.jsonl")
    cloud = Cloud(folder / "cloud", net, nodes=plan.nodes, without=plan.without, disk=True, clock=True)
    ways.nodes = frozenset(cloud.parties.values())
    world = World(folder, journal, cloud, ways, rng, patience_s=plan.patience_s)
    _populate(world, plan, net)
    actors = Actors(world, images=plan.images, pause_s=plan.actor_pause_s)
    faults = Faults(world, actors, pause_s=plan.fault_pause_s, only=plan.only, never=plan.never)
    relay.start()
    try:
        directory, stores = await _carry_out(plan, world, actors, faults)
        (folder / EVIDENCE).write_text(json.dumps({"directory": directory, "stores": stores}), encoding="utf-8")
        found = [
            *check(journal.lines, directory, stores),
            *(Fault("stuck", f"the relay failed: {text}") for text in relay.faults),
        ]
        return Result(plan, folder, found, journal.lines, dict(faults.counts), dict(ways.counts), cloud.left_out)
    finally:
        for person in world.people.values():
            await person.kill()
        await cloud.close()
        relay.close()
        journal.close()


def _populate(world: World, plan: Plan, net: Any) -> None:
    world.owners = tuple(f"owner{number + 1}" for number in range(plan.owners))
    world.viewers = tuple(f"viewer{number + 1}" for number in range(plan.viewers))
    for index, name in enumerate([*world.owners, *world.viewers]):
        world.people[name] = Person(
            name,
            _FIRST_PERSON + index,
            world.folder / name,
            net=net,
            cluster=world.cloud.for_people,
            without=plan.without,
            told=world.heard,
        )


async def _carry_out(plan: Plan, world: World, actors: Actors, faults: Faults) -> Any:
    world.journal.write("note", text=f"seed {plan.seed}", without=plan.without)
    await world.cloud.start_all()
    if trouble := await world.cloud.healthy(START_S):
        raise RuntimeError(f"the cloud did not start: {trouble}; ended: {world.cloud.ended()}; see {world.folder}")
    working = [asyncio.create_task(actors.live(person)) for person in world.people.values() for _ in range(plan.actors)]
    world.journal.write("note", text="faults begin")
    disturbing = asyncio.create_task(faults.run(list(plan.first)))
    await asyncio.sleep(plan.minutes * 60)
    world.over = True
    await asyncio.gather(disturbing, *working)
    await come_to_rest(world, actors, faults)
    return await read_all(world)


async def _begin(world: World, actors: Actors) -> None:
    """Have everybody registered, and a picture of each owner granted, before anything bad happens."""
    await all_ready(world)
    for name in world.owners:
        await actors.encrypt(world.people[name])
        for _ in world.viewers:
            await actors.give(world.people[name])


def _counts(counted: dict[str, int]) -> str:
    return " ".join(f"{name}={counted[name]}" for name in sorted(counted))
