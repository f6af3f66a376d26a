"""One question for all who ask it at the same time: they share the answer, or what went wrong."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio

from shared.errors import GlimpseError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Flight(Generic[V]):
    __slots__ = ("answers", "ended", "error")

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.answers: list[V] = []
        self.error: GlimpseError | None = None


class SingleFlight(Generic[K, V]):
    """Questions under way, by what they are about."""

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[V]] = {}

    async def ask(self, about: K, call: Callable[[], Awaitable[V]]) -> V:
        """Return what `call` returns, or what the call about the same returns that somebody else has under way.

        Raises what the call raises; where it was cancelled, whoever waited for it calls anew.
        """
        while (flight := self._flights.get(about)) is not None:
            await flight.ended.wait()
            if flight.error is not None:
                raise flight.error
            if flight.answers:
                return flight.answers[0]
        flight = self._flights[about] = _Flight()
        try:
            flight.answers.append(await call())
        except GlimpseError as error:
            flight.error = error
            raise
        finally:
            del self._flights[about]
            flight.ended.set()
        return flight.answers[0]
