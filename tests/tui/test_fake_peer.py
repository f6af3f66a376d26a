"""The fake is worth nothing if it answers to other calls than the real peer."""

from __future__ import annotations

import inspect

import pytest

from tests.tui.fake_peer import FakePeer
from tui.peer import Peer

METHODS = sorted(
    name for name, value in vars(Peer).items() if not name.startswith("_") and not isinstance(value, property)
)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_what_the_real_one_takes(name: str) -> None:
    real, fake = inspect.signature(getattr(Peer, name)), inspect.signature(getattr(FakePeer, name))
    assert [(p.name, p.kind, p.default) for p in fake.parameters.values()] == [
        (p.name, p.kind, p.default) for p in real.parameters.values()
    ]
    for kind in (inspect.iscoroutinefunction, inspect.isasyncgenfunction):
        assert kind(getattr(FakePeer, name)) == kind(getattr(Peer, name))
