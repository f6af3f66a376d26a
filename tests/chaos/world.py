"""What everybody in a run shares: who is there, which images and requests are known, and how an effect is asked for."""

import asyncio
import hashlib
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from tests.chaos.cloud import Cloud
from tests.chaos.journal import Journal
from tests.chaos.network import Ways
from tests.chaos.person import Died, Failed, Person

ANSWER_S = 300.0
"""How long an answer may take before it counts as stuck, far beyond every wait of the program."""
_TRIES = 40


@dataclass(slots=True)
class Picture:
    """An image of the run: whose it is and what a look at it must show."""

    owner: str
    sha256: str
    withdrawn: bool = False


@dataclass(slots=True)
class World:
    """See the module."""

    folder: Path
    journal: Journal
    cloud: Cloud
    ways: Ways
    rng: random.Random
    people: dict[str, Person] = field(default_factory=dict)
    owners: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()
    pictures: dict[str, Picture] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    """Requests for views that were answered, as their owner remembers."""
    asked: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Requests for views that may be unanswered: viewer and image."""
    standing: set[tuple[str, int]] = field(default_factory=set)
    """Pairs of image and viewer with rights that may stand."""
    pairs: defaultdict[tuple[str, int], asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """Held while an owner asks for a change of a pair's rights, so that the journal's order is the order of changes."""
    opening: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    patience_s: float = 180.0
    """How long anything may take to come to rest, far beyond every wait of the program on a busy machine."""
    over: bool = False
    drawn: int = 0

    async def do(
        self,
        person: Person,
        op: str,
        verb: str,
        arguments: dict[str, Any],
        *,
        codes: list[str] | None = None,
        **facts: Any,
    ) -> dict[str, Any] | None:
        """Ask for an effect, between its lines in the journal; return the answer, None where there was no yes.

        `codes` gets the code of a refusal. Raises `Died` where the process went away, after that stands in the journal.
        """
        of = self.journal.write("begin", op=op, who=person.name, **facts)
        try:
            answer = await asyncio.wait_for(person.ask(verb, **arguments), ANSWER_S)
        except Died as death:
            self.journal.write("unknown", of=of, text=str(death))
            raise
        except TimeoutError:
            self.journal.write("unknown", of=of, text="no answer")
            self.stuck(f"{op} of {person.name} got no answer within {ANSWER_S:.0f} s")
            return None
        except Failed as failure:
            if codes is not None:
                codes.append(failure.code)
            told = {"of": of, "code": failure.code, "text": failure.text, "error": failure.kinds[0]}
            if failure.refused:
                self.journal.write("refused", **told, mistake="UserError" in failure.kinds)
            else:
                self.journal.write("unknown", **told)
            return None
        self.journal.write("ack", of=of, **answer)
        return answer

    def fault(self, what: str, **facts: Any) -> int:
        """Note something that is done to the program."""
        return self.journal.write("fault", what=what, **facts)

    def stuck(self, text: str) -> None:
        """Note something that did not end."""
        self.journal.write("stuck", text=text)

    async def ensure(self, person: Person) -> None:
        """Have a person's peer open, registered and signed in. Raises `Died` if it is not to be."""
        async with self.opening[person.name]:
            if not person.alive:
                await self._open(person)
            if person.account is None:
                answer = await self.do(person, "register", "register", {"name": person.name})
                if answer is None:
                    raise Died("not registered yet")
                person.account = int(answer["account"])
            if not person.signed_in:
                await self.sign_in(person)

    async def _open(self, person: Person) -> None:
        trouble = ""
        for _ in range(_TRIES):
            try:
                await person.start()
            except Died as death:
                trouble = str(death)
                await asyncio.sleep(0.25)
            else:
                return
        self.stuck(f"the profile of {person.name} does not open: {trouble}")
        raise Died(trouble)

    async def sign_in(self, person: Person) -> None:
        """Sign in. Raises `Died` where the cloud is away or the process went."""
        try:
            answer = await asyncio.wait_for(person.ask("sign_in"), ANSWER_S)
        except TimeoutError:
            self.stuck(f"{person.name} got no answer to a sign-in")
            raise Died("no answer") from None
        except Failed as failure:
            if failure.refused and failure.code != "unknown_account":
                self.stuck(f"{person.name} cannot sign in: {failure.code} {failure.text}")
            raise Died(failure.text) from None
        if answer["account"] != person.account:
            self.stuck(f"{person.name} was account {person.account} and is {answer['account']}")
        person.signed_in = True

    def heard(self, who: str, event: dict[str, Any]) -> None:
        """Note what a peer told by itself."""
        self.journal.write("event", who=who, **event)

    def by_account(self, account: int) -> Person | None:
        """Return whose account this is."""
        return next((person for person in self.people.values() if person.account == account), None)

    def draw(self) -> tuple[Path, str]:
        """Make a small picture that no other has; return its path and the hash of its bytes."""
        self.drawn += 1
        path = self.folder / "pictures" / f"{self.drawn}.png"
        path.parent.mkdir(exist_ok=True)
        Image.frombytes("RGB", (48, 32), self.rng.randbytes(48 * 32 * 3)).save(path)
        return path, hashlib.sha256(path.read_bytes()).hexdigest()


def now() -> float:
    """Seconds since 1970, as owners mean them when they set an expiry."""
    return time.time()
