"""People at work: owners encrypt, give, change, revoke and answer; viewers ask, take back and look. All at random."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.chaos.person import Died, Failed, Person
from tests.chaos.world import Picture, World, now

FAR_S = 30 * 86_400.0
"""An expiry that no clock step of the faults reaches."""
SOON_S = 2.0
_PENDING = 2

Action = Callable[[Person], Awaitable[None]]


class Actors:
    """Everybody's habits."""

    def __init__(self, world: World, *, images: int, pause_s: float) -> None:
        self._world = world
        self._images = images
        """How many pictures an owner encrypts at most."""
        self._pause_s = pause_s
        self._rng = random.Random(world.rng.random())

    async def live(self, person: Person) -> None:
        """Do one thing after another until the run is over."""
        world, rng = self._world, self._rng
        habits = self._owner_habits() if person.name in world.owners else self._viewer_habits()
        actions, weights = [action for action, _ in habits], [weight for _, weight in habits]
        while not world.over:
            await asyncio.sleep(rng.uniform(0.2, 2) * self._pause_s)
            if person.reserved or world.over:
                continue
            try:
                await world.ensure(person)
                if not person.reserved:
                    await rng.choices(actions, weights)[0](person)
            except (Died, Failed):
                continue

    def _owner_habits(self) -> list[tuple[Action, float]]:
        return [
            (self.encrypt, 2),
            (self.give, 4),
            (self.set_views, 2),
            (self.set_expiry, 1),
            (self.revoke, 1),
            (self.answer, 5),
            (self.withdraw, 0.2),
        ]

    def _viewer_habits(self) -> list[tuple[Action, float]]:
        return [(self.look, 8), (self.ask, 2), (self.take_back, 0.4), (self.lose, 0.15)]

    # --- Owners ------------------------------------------------------------------------------------------------------
    async def encrypt(self, person: Person) -> None:
        """Encrypt another picture."""
        world = self._world
        if sum(picture.owner == person.name for picture in world.pictures.values()) >= self._images:
            await self.give(person)
            return
        path, sha256 = world.draw()
        answer = await world.do(person, "encrypt", "encrypt", {"path": str(path), "title": path.stem}, sha256=sha256)
        if answer is not None:
            world.pictures[answer["image"]] = Picture(person.name, sha256)

    async def give(self, person: Person) -> None:
        """Give somebody views: a new grant, or more of one that stands."""
        if (pair := self._any_pair(person)) is not None:
            await self._give(person, pair)

    async def give_more(self, person: Person) -> None:
        """Give more views to somebody who has some."""
        if (pair := self._standing_pair(person)) is not None:
            await self._give(person, pair)

    async def _give(self, person: Person, pair: tuple[str, int]) -> None:
        views = self._rng.choice([1, 1, 2, 3])
        expires = now() + FAR_S + self._rng.randrange(1000) if self._rng.random() < 0.1 else None
        await self._change(
            person,
            "grant",
            pair,
            {"image": pair[0], "viewer": pair[1], "views": views, "expires": expires},
            views=views,
            expires=expires,
        )

    async def set_views(self, person: Person) -> None:
        """Set how many views somebody has left."""
        pair = self._standing_pair(person)
        if pair is not None:
            left = self._rng.choice([0, 1, 1, 2, 4])
            arguments = {"image": pair[0], "viewer": pair[1], "left": left, "expires": None}
            await self._change(person, "set_views", pair, arguments, left=left, expires=None)

    async def set_expiry(self, person: Person) -> None:
        """Set an expiry: mostly far, sometimes so near that it passes."""
        pair = self._standing_pair(person)
        if pair is None:
            return
        near = self._rng.random() < 0.25
        expires = now() + (SOON_S if near else FAR_S + self._rng.randrange(1000))
        over_at = self._world.journal.clock() + SOON_S if near else None
        arguments = {"image": pair[0], "viewer": pair[1], "left": None, "expires": expires}
        await self._change(person, "set_views", pair, arguments, left=None, expires=expires, over_at=over_at)

    async def revoke(self, person: Person) -> None:
        """End somebody's rights."""
        pair = self._standing_pair(person)
        if pair is not None:
            await self._change(person, "revoke", pair, {"image": pair[0], "viewer": pair[1]})

    async def answer(self, person: Person) -> None:
        """Answer a request for views."""
        world, rng = self._world, self._rng
        found = await person.ask("requests")
        open_rows = [row for row in found["pending"] if row["ask"] not in world.answered and not row["waits"]]
        if not open_rows:
            return
        row = rng.choice(open_rows)
        pair = (row["image"], row["person"])
        if rng.random() < 0.25:
            await self.reject(person, row["ask"], pair)
            return
        views = row["views"] if rng.random() < 0.5 else rng.choice([1, 2])
        done = await self._change(
            person, "accept", pair, {"ask": row["ask"], "views": views}, ask=row["ask"], views=views
        )
        if done:
            world.answered.add(row["ask"])

    async def reject(self, person: Person, ask: str, pair: tuple[str, int]) -> None:
        """Say no."""
        world = self._world
        async with world.pairs[pair]:
            facts = {"ask": ask, "image": pair[0], "viewer": pair[1]}
            if await world.do(person, "reject", "reject", {"ask": ask}, **facts) is not None:
                world.answered.add(ask)

    async def withdraw(self, person: Person) -> None:
        """Stop offering a picture, if there are others."""
        world = self._world
        mine = [image for image, p in world.pictures.items() if p.owner == person.name and not p.withdrawn]
        if len(mine) > 1:
            image = self._rng.choice(mine)
            world.pictures[image].withdrawn = True
            await world.do(person, "withdraw", "withdraw", {"image": image}, image=image)

    async def _change(
        self, person: Person, op: str, pair: tuple[str, int], arguments: dict[str, object], **facts: object
    ) -> bool:
        world = self._world
        if world.pairs[pair].locked():
            return False
        async with world.pairs[pair]:
            if op != "revoke":
                world.standing.add(pair)
            answer = await world.do(person, op, op, arguments, image=pair[0], viewer=pair[1], **facts)
            if op == "revoke" and answer is not None:
                world.standing.discard(pair)
            return answer is not None

    def _any_pair(self, person: Person) -> tuple[str, int] | None:
        world = self._world
        images = [image for image, picture in world.pictures.items() if picture.owner == person.name]
        accounts = [account for name in world.viewers if (account := world.people[name].account) is not None]
        if not images or not accounts:
            return None
        return self._rng.choice(images), self._rng.choice(accounts)

    def _standing_pair(self, person: Person) -> tuple[str, int] | None:
        world = self._world
        mine = sorted(pair for pair in world.standing if world.pictures[pair[0]].owner == person.name)
        return self._rng.choice(mine) if mine else None

    # --- Viewers -----------------------------------------------------------------------------------------------------
    async def look(self, person: Person) -> None:
        """Look at something that is held."""
        rows = [row for row in (await person.ask("held"))["rows"] if row["image"] in self._world.pictures]
        with_views = [row for row in rows if row["left"]]
        if rows:
            await self.look_at(person, self._rng.choice(with_views or rows)["image"])

    async def look_at(self, person: Person, image: str, *, expected: bool = False) -> str:
        """Look at a picture; return `shown`, or the code of the refusal."""
        world = self._world
        facts = {"image": image, "account": person.account, "sha256": world.pictures[image].sha256}
        codes: list[str] = []
        answer = await world.do(person, "look", "look", {"image": image}, codes=codes, **facts, expected=expected)
        return "shown" if answer is not None else "".join(codes)

    async def ask(self, person: Person) -> None:
        """Ask for views of a picture that is offered."""
        world = self._world
        waiting = list(world.asked.values())
        images = [
            image
            for image, picture in world.pictures.items()
            if not picture.withdrawn and waiting.count((person.name, image)) < _PENDING
        ]
        if not images:
            return
        image, views = self._rng.choice(images), self._rng.choice([1, 2, 3])
        facts = {"image": image, "account": person.account, "views": views}
        answer = await world.do(person, "request", "request", {"image": image, "views": views}, **facts)
        if answer is not None:
            world.asked[answer["request"]] = (person.name, image)

    async def take_back(self, person: Person) -> None:
        """Take back a request of one's own."""
        world = self._world
        mine = [ask for ask, (who, _) in world.asked.items() if who == person.name and ask not in world.answered]
        if mine:
            ask = self._rng.choice(mine)
            await world.do(person, "cancel", "cancel", {"ask": ask}, ask=ask, image=world.asked[ask][1])
        for ask in world.answered:
            world.asked.pop(ask, None)

    async def lose(self, person: Person) -> None:
        """Lose the file of a held picture; a look then finds it missing, and the owner's peer sends it again."""
        rows = [
            row for row in (await person.ask("held"))["rows"] if row["here"] and row["image"] in self._world.pictures
        ]
        if rows:
            image = self._rng.choice(rows)["image"]
            self._world.fault("lose", who=person.name, image=image)
            await person.ask("lose", image=image)
            await self.look_at(person, image)
