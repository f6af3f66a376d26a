"""An operator who notes what is ordered of a fake cloud, and obeys, objects, or does not answer, as the test wants."""

from __future__ import annotations

import anyio

from shared.errors import GlimpseError
from tests.tui.fake_feed import FakeCloud

WORDS = "larch lemon lilac linen"
Asked = tuple[str, str, float, str]


class FakeOperator:
    """`asked` is every order that was given: node, order, number, text."""

    words = WORDS

    def __init__(self, cloud: FakeCloud | None = None) -> None:
        self.asked: list[Asked] = []
        self.error: GlimpseError | None = None
        self.answers = anyio.Event()
        self.answers.set()
        self._cloud = cloud

    def hold(self) -> None:
        """Answer no order until `answers` is set."""
        self.answers = anyio.Event()

    async def command(self, name: str, command: str, *, number: float = 0.0, text: str = "") -> None:
        """Note it; then the node answers, and all of them tell of it."""
        self.asked.append((name, command, number, text))
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        if self._cloud is not None:
            place = next(node.place for node in self._cloud.nodes if self._cloud.node_index.name(node.place) == name)
            self._cloud.order(place, command, f"{number:g}" if number else text, operator=self.words)
