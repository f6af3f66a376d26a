"""The schedule of faults: which, when and to whom follows from the seed. Every one is in the journal before it is done.

Faults of nodes and of the database happen one after the other (`Faults.cloud_lock`); networks, clocks and people are
disturbed meanwhile.
"""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from tests.chaos.actors import Actors
from tests.chaos.network import CALM, WEATHERS
from tests.chaos.person import Died, Failed, Person
from tests.chaos.world import World

HOUR_S, DAY_S = 3_600.0, 86_400.0
_ANSWER_BYTES = 250
"""A datagram from a node that is larger holds an answer."""
_CHANGE_BYTES = range(600, 1_190)
"""A datagram of such a size to a node holds a signed change of rights; one that opens a session is larger."""
_TWINS_FIRST_PARTY = 180
_HOLD_S = 20.0
"""How long a fault waits for what it wants to meet before it goes on without."""

FaultAction = Callable[[], Awaitable[None]]


class Faults:
    """Does something bad every now and then."""

    def __init__(self, world: World, actors: Actors, *, pause_s: float, only: list[str], never: list[str]) -> None:
        self._world = world
        self._actors = actors
        self._pause_s = pause_s
        self._rng = random.Random(world.rng.random())
        self.cloud_lock = asyncio.Lock()
        self._backups: list[tuple[int, Path]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._twins = 0
        self.with_glimpse = False
        """Whether `glimpse backup` and `glimpse restore` are used besides plain copies."""
        self.counts: dict[str, int] = {}
        self.kinds = {
            name: entry for name, entry in self._all().items() if name in (only or {name}) and name not in never
        }

    def _all(self) -> dict[str, tuple[FaultAction, float]]:
        cloud = self._world.cloud
        faults: dict[str, tuple[FaultAction, float]] = {
            "kill": (self.kill_node, 3),
            "terminate": (self.terminate_node, 3),
            "pause": (self.pause_node, 3),
            "second-start": (self.start_twice, 1.5),
            "backup": (self.back_up, 2),
            "read": (self.read, 2),
            "power-cut": (self.cut_power, 1),
            "rolling": (self.restart_in_turn, 0.5),
            "restore": (self.restore, 1),
            "weather": (self.change_weather, 4),
            "isolate-node": (self.isolate_node, 3),
            "isolate-person": (self.isolate_person, 3),
            "one-way": (self.cut_one_way, 2),
            "kill-person": (self.kill_person, 4),
            "close-person": (self.close_person, 2),
            "sleep-person": (self.put_to_sleep, 2),
            "copied-profile": (self.copied_look, 1.5),
            "lost-answer": (self.lost_answer, 2),
        }
        if cloud.can_fill:
            faults["full-disk"] = (self.fill_disk, 1)
        if cloud.can_step:
            faults["clock"] = (self.step_clock, 1)
        return faults

    async def run(self, first: list[str]) -> None:
        """Do the faults named in `first`, then any, until the run is over."""
        world, rng = self._world, self._rng
        # `glimpse restore` marks what it restores by itself; without the nodes' memory only a plain copy shows that.
        self.with_glimpse = "restore" not in world.cloud.without
        names = list(self.kinds)
        weights = [weight for _, weight in self.kinds.values()]
        queue = [name for name in first if name in self.kinds]
        while not world.over:
            await asyncio.sleep(rng.uniform(0.3, 1.7) * self._pause_s)
            if world.over:
                return
            name = queue.pop(0) if queue else rng.choices(names, weights)[0]
            self.counts[name] = self.counts.get(name, 0) + 1
            self._spawn(self.kinds[name][0]())

    def _spawn(self, doing: Awaitable[None]) -> None:
        async def carried_out() -> None:
            with suppress(Died, Failed):
                await doing

        task = asyncio.create_task(carried_out())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def undo(self) -> None:
        """Wait for what is under way, and take back everything that lasts."""
        while self._tasks:
            done, _ = await asyncio.wait(set(self._tasks))
            for task in done:
                task.result()
        world = self._world
        world.ways.heal()
        world.ways.weather = CALM
        world.cloud.empty_disk()
        for name in world.cloud.names:
            world.cloud.go_on(name)
            if world.cloud.can_step:
                world.cloud.set_clock(name, 0.0)
        await world.cloud.start_all()

    def _node(self) -> str:
        return self._rng.choice(self._world.cloud.names)

    def _person(self, names: tuple[str, ...] = ()) -> Person | None:
        world = self._world
        free = [name for name in names or tuple(world.people) if not world.people[name].reserved]
        return world.people[self._rng.choice(free)] if free else None

    async def _nap(self, low_s: float, high_s: float) -> None:
        await asyncio.sleep(self._rng.uniform(low_s, high_s))

    # --- Nodes -------------------------------------------------------------------------------------------------------
    async def kill_node(self) -> None:
        """SIGKILL a node and start it again."""
        async with self.cloud_lock:
            name = self._node()
            self._world.fault("kill", node=name)
            await self._world.cloud.kill(name)
            await self._nap(0, 3)
            await self._world.cloud.start(name)

    async def terminate_node(self) -> None:
        """End a node cleanly and start it again."""
        async with self.cloud_lock:
            await self._terminate(self._node())

    async def _terminate(self, *names: str) -> None:
        world = self._world
        world.fault("terminate", nodes=",".join(names))
        for stubborn in await world.cloud.terminate(*names):
            world.stuck(f"node {stubborn} did not end after SIGTERM")
        await self._nap(0, 2)
        for name in names:
            await world.cloud.start(name)

    async def restart_in_turn(self) -> None:
        """Restart every node in turn, cleanly."""
        async with self.cloud_lock:
            for name in self._world.cloud.names:
                await self._terminate(name)
                await self._nap(1, 3)

    async def pause_node(self) -> None:
        """SIGSTOP a node for a while."""
        async with self.cloud_lock:
            name, seconds = self._node(), self._rng.uniform(0.3, 6)
            self._world.fault("pause", node=name, seconds=round(seconds, 1))
            self._world.cloud.stop_the_world(name)
            await asyncio.sleep(seconds)
            self._world.cloud.go_on(name)

    async def start_twice(self) -> None:
        """Start a node that runs, by mistake."""
        async with self.cloud_lock:
            name = self._node()
            if not self._world.cloud.running(name):
                return
            self._world.fault("second start", node=name)
            code = await self._world.cloud.start_twice(name)
            if code is None:
                self._world.stuck(f"the second start of {name} did not end")
            elif code == 0:
                self._world.stuck(f"the second start of {name} ended with 0")
            if self._rng.random() < 0.6:
                await self._cut_power()

    async def cut_power(self) -> None:
        """SIGKILL for all nodes at once, and start them."""
        async with self.cloud_lock:
            await self._cut_power()

    async def _cut_power(self) -> None:
        self._world.fault("power cut")
        await self._world.cloud.kill(*self._world.cloud.names)
        await self._world.cloud.start_all()

    # --- The database ------------------------------------------------------------------------------------------------
    async def back_up(self) -> None:
        """Copy the directory while it is in use."""
        async with self.cloud_lock:
            await self._back_up()
            if self._rng.random() < 0.4:
                await self._nap(0.5, 2)
                await self._cut_power()

    async def _back_up(self) -> None:
        world = self._world
        target = world.folder / f"backup-{len(self._backups) + 1}.sqlite"
        with_glimpse = self.with_glimpse and self._rng.random() < 0.5
        line = world.fault("backup", file=target.name, with_glimpse=with_glimpse)
        if trouble := await world.cloud.backup(target, with_glimpse=with_glimpse):
            world.journal.write("note", text=f"the backup failed: {trouble}")
            target.unlink(missing_ok=True)
            return
        self._backups.append((line, target))

    async def read(self) -> None:
        """Open, read and close the database from another process."""
        async with self.cloud_lock:
            self._world.fault("read")
            if trouble := await self._world.cloud.read():
                self._world.journal.write("note", text=f"the database could not be read: {trouble}")
            if self._rng.random() < 0.4:
                await self._nap(0.5, 2)
                await self._cut_power()

    async def restore(self) -> None:
        """Stop all nodes, put an older backup in the place of the directory, start them."""
        world = self._world
        async with self.cloud_lock:
            if not self._backups:
                await self._back_up()
                await self._nap(3, 6)
            if not self._backups:
                return
            line, backup = self._rng.choice(self._backups[-3:])
            with_glimpse = self.with_glimpse and self._rng.random() < 0.5
            world.fault("restore", file=backup.name, with_glimpse=with_glimpse)
            for stubborn in await world.cloud.terminate(*world.cloud.names):
                world.stuck(f"node {stubborn} did not end after SIGTERM")
            if trouble := await world.cloud.restore(backup, with_glimpse=with_glimpse):
                world.stuck(f"a backup could not be restored: {trouble}")
            else:
                world.fault("restored", backup=line)
            await world.cloud.start_all()
            await self._nap(2, 4)

    async def fill_disk(self) -> None:
        """Let the directory's disk be full for some seconds."""
        async with self.cloud_lock:
            seconds = self._rng.uniform(1, 5)
            self._world.fault("full disk", seconds=round(seconds, 1))
            self._world.cloud.fill_disk()
            await asyncio.sleep(seconds)
            self._world.cloud.empty_disk()

    async def step_clock(self) -> None:
        """Set the clock of one node, or of all."""
        cloud = self._world.cloud
        offset = self._rng.choice([0.0, 0.0, HOUR_S, -HOUR_S, DAY_S, -DAY_S, 2.5, -2.5])
        names = cloud.names if self._rng.random() < 0.5 else (self._node(),)
        self._world.fault("clock", nodes=",".join(names), offset=offset)
        for name in names:
            cloud.set_clock(name, offset)

    # --- The network -------------------------------------------------------------------------------------------------
    async def change_weather(self) -> None:
        """Let it become calm, or bad in one of several ways."""
        weather = self._rng.choice([CALM, *WEATHERS])
        self._world.fault("weather", **{name: getattr(weather, name) for name in ("loss", "duplication", "jitter_s")})
        self._world.ways.weather = weather

    async def isolate_node(self) -> None:
        """Cut a node off from everybody, or from the other nodes only."""
        world = self._world
        party = world.cloud.parties[self._node()]
        others = frozenset(world.cloud.parties.values())
        if self._rng.random() < 0.5:
            others |= {person.party for person in world.people.values()}
        await self._cut_for(party, others)

    async def isolate_person(self) -> None:
        """Cut a person off from the nodes, or from the other people only."""
        world = self._world
        person = self._person()
        if person is not None:
            nodes = frozenset(world.cloud.parties.values())
            people = frozenset(other.party for other in world.people.values())
            await self._cut_for(person.party, self._rng.choice([nodes, people, nodes | people]))

    async def _cut_for(self, party: int, others: frozenset[int]) -> None:
        seconds = self._rng.uniform(0.5, 6)
        self._world.fault("isolate", party=party, others=",".join(map(str, sorted(others))), seconds=round(seconds, 1))
        self._world.ways.isolate(party, others)
        await asyncio.sleep(seconds)
        self._world.ways.heal_party(party)

    async def cut_one_way(self) -> None:
        """Let nothing through from one party to another."""
        world = self._world
        parties = [*world.cloud.parties.values(), *(person.party for person in world.people.values())]
        way = tuple(self._rng.sample(parties, 2))
        seconds = self._rng.uniform(0.5, 5)
        world.fault("one way", source=way[0], target=way[1], seconds=round(seconds, 1))
        world.ways.cut.add((way[0], way[1]))
        await asyncio.sleep(seconds)
        world.ways.cut.discard((way[0], way[1]))

    # --- People ------------------------------------------------------------------------------------------------------
    async def kill_person(self) -> None:
        """SIGKILL somebody's peer; whoever it is comes back by itself."""
        if (person := self._person()) is not None:
            self._world.fault("kill person", who=person.name)
            await person.kill()

    async def put_to_sleep(self) -> None:
        """SIGSTOP somebody's peer for a while, as a laptop that sleeps: presence lapses, transfers stand still."""
        if (person := self._person()) is not None:
            seconds = self._rng.uniform(1, 20)
            self._world.fault("sleep person", who=person.name, seconds=round(seconds, 1))
            with person.asleep():
                await asyncio.sleep(seconds)

    async def close_person(self) -> None:
        """Close somebody's peer cleanly."""
        if (person := self._person()) is not None:
            self._world.fault("close person", who=person.name)
            async with self._world.opening[person.name]:
                if not await person.stop():
                    self._world.stuck(f"the peer of {person.name} did not close")

    async def copied_look(self) -> None:
        """Copies of a profile, made in the middle of a look, finish it at the same time; then each looks on its own.

        The look is begun without the network, so that its id is on disk and not counted. Each copy is cut off as soon
        as its first answer is there, which is that the view is counted; then all say TAKEN at once.
        """
        world = self._world
        person = self._person(world.viewers)
        if person is None:
            return
        person.reserved = True
        try:
            await world.ensure(person)
            rows = [row for row in (await person.ask("held"))["rows"] if row["left"] and row["here"]]
            rows = [row for row in rows if row["image"] in world.pictures]
            if rows:
                await self._copy_and_look(person, self._rng.choice(rows)["image"])
        finally:
            person.reserved = False

    async def _copy_and_look(self, person: Person, image: str) -> None:
        world, nodes = self._world, frozenset(self._world.cloud.parties.values())
        world.fault("copied profile", who=person.name, image=image)
        world.ways.isolate(person.party, nodes)
        begun = asyncio.create_task(self._quiet_look(person, image))
        await self._nap(0.6, 1.0)
        await person.kill()
        await begun
        world.ways.heal_party(person.party)
        self._twins += 1
        folder = world.folder / f"twin-{self._twins}"
        twin = person.copy(f"{person.name}-twin{self._twins}", _TWINS_FIRST_PARTY + self._twins % 60, folder)
        try:
            await asyncio.gather(world.ensure(person), world.ensure(twin))
            for one in (person, twin):
                world.ways.traps[one.party] = _ANSWER_BYTES
            looks = [asyncio.create_task(self._quiet_look(one, image)) for one in (person, twin)]
            for _ in range(40):
                await asyncio.sleep(0.1)
                if all(one.party not in world.ways.traps for one in (person, twin)) or all(t.done() for t in looks):
                    break
            await asyncio.sleep(0.1)
            for one in (person, twin):
                world.ways.heal_party(one.party)
            await asyncio.gather(*looks)
            for _ in range(2):
                await asyncio.gather(*(self._quiet_look(one, image) for one in (person, twin)))
        finally:
            for one in (person, twin):
                world.ways.heal_party(one.party)
            if self._rng.random() < 0.5:
                await twin.stop()
            await twin.kill()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _quiet_look(self, person: Person, image: str) -> None:
        with suppress(Died):
            await self._actors.look_at(person, image)

    async def lost_answer(self) -> None:
        """A change of rights goes up and its answer is lost; the owner's peer dies, comes back, and changes more."""
        world = self._world
        person = self._person(world.owners)
        if person is None:
            return
        person.reserved = True
        try:
            await world.ensure(person)
            await person.ask("requests")  # there is a session now
            world.fault("lost answer", who=person.name)
            world.ways.deafening[person.party] = _CHANGE_BYTES
            change = asyncio.create_task(self._quiet(self._actors.give_more, person))
            for _ in range(int(_HOLD_S / 0.1)):
                await asyncio.sleep(0.1)
                if change.done() or person.party not in world.ways.deafening:
                    break
            await self._nap(0.3, 1.5)
            await person.kill()
            await change
            if self._rng.random() < 0.7:
                await self._change_offline(person)
            world.ways.heal_party(person.party)
            await world.ensure(person)
            await self._quiet(self._actors.set_expiry, person)
        finally:
            world.ways.heal_party(person.party)
            person.reserved = False

    async def _change_offline(self, person: Person) -> None:
        """Let the owner queue another change while the cloud is out of reach."""
        world = self._world
        async with world.opening[person.name]:
            world.ways.isolate(person.party, frozenset(world.cloud.parties.values()))
            await person.start()
        for action in (self._actors.set_expiry, self._actors.give_more):
            await self._quiet(action, person)

    async def _quiet(self, action: Callable[[Person], Awaitable[None]], person: Person) -> None:
        with suppress(Died, Failed):
            await action(person)
