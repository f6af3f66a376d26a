"""Where the screens get the model from: live from the nodes, or from a recording."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import anyio

from shared.errors import InvalidInput
from shared.identity import words_of
from tui.monitor.model import Model
from tui.monitor.node_index import NodeIndex
from tui.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shared.cluster import Cluster
    from shared.wire.feed_messages import FeedMessage
    from tui.monitor.player import Player
    from tui.monitor.recorder import Recorder


class FeedSource(Protocol):
    """What the screens know of where the news come from."""

    @property
    def node_index(self) -> NodeIndex:
        """Who the nodes are."""
        ...

    @property
    def wall_offset_s(self) -> float:
        """Added to a moment of the monitor's clock to get seconds since 1970."""
        ...

    @property
    def player(self) -> Player | None:
        """What plays the recording; None if the feed is live."""
        ...

    @property
    def recorder(self) -> Recorder | None:
        """What writes a recording, if one is written."""
        ...

    @property
    def operator(self) -> Operator | None:
        """Through whom nodes can be commanded; None for a recording."""
        ...

    def step(self) -> tuple[Model, float]:
        """Bring the model up to the present; return it and the present, in seconds of the monitor's clock.

        Called about five times a second. After a jump in a recording it is another model than before.
        """
        ...

    async def run(self) -> None:
        """Keep the news coming until cancelled. Must run in a task that outlives the screens."""
        ...


class LiveSource:
    """The nodes' own feed. `file` is the cluster file, beside which the operator's key lies.

    Raises `InvalidInput` if there is no operator's key, or one that the cluster file does not list.
    """

    player: Player | None = None

    def __init__(
        self,
        cluster: Cluster,
        file: Path,
        *,
        recorder: Recorder | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.node_index = NodeIndex.of(cluster)
        self.recorder = recorder
        operator = Operator(cluster, file, clock=clock)
        if operator.words not in map(words_of, cluster.operators):
            raise InvalidInput(
                f"The key beside {file} is none of this cluster's operators' keys, so no node would answer it; "
                "use the cluster file and the key of who set the cluster up, or have your key listed in it."
            )
        self.operator: Operator | None = operator
        self._clock = clock
        self._began = clock()
        self.wall_offset_s = wall()
        self._model = Model(self.node_index)
        self._places = {node.name: place for place, node in enumerate(self.node_index.nodes)}

    def step(self) -> tuple[Model, float]:
        """Bring the model up to the present."""
        now = self._now()
        self._model.observe(now)
        return self._model, now

    async def run(self) -> None:
        """Watch all nodes, and write the recording if there is to be one."""
        assert self.operator is not None
        async with anyio.create_task_group() as group:
            if self.recorder is not None:
                group.start_soon(self.recorder.run)
            async with self.operator:
                await self.operator.watch(self._deliver)

    def _now(self) -> float:
        return self._clock() - self._began

    def _deliver(self, name: str, message: FeedMessage) -> None:
        place, now = self._places[name], self._now()
        self._model.take(place, message, now)
        if self.recorder is not None:
            self.recorder.take(place, message, now)


class ReplaySource:
    """A recording, as its player plays it. Time passes by the screens' clock, at the player's speed."""

    recorder: Recorder | None = None
    operator: Operator | None = None

    def __init__(self, player: Player, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.player: Player | None = player
        self._player = player
        self.node_index = player.recording.node_index
        self.wall_offset_s = player.recording.wall_offset_s
        self._clock = clock
        self._stepped_at: float | None = None

    def step(self) -> tuple[Model, float]:
        """Let the recording go on by the time that has passed."""
        now = self._clock()
        passed = 0.0 if self._stepped_at is None else now - self._stepped_at
        self._stepped_at = now
        self._player.advance(passed)
        return self._player.model, self._player.position_s

    async def run(self) -> None:
        """Go through the whole recording once in the background, so that every jump is quick."""
        while self._player.index_some():  # noqa: ASYNC110 - nobody else works on it
            # The pauses are for the screens; they are shorter while somebody waits to get further.
            await anyio.sleep(0.005 if self._player.going_to_s is None else 0.0005)
        await anyio.sleep_forever()
