"""Fixtures of tests of real programs."""

from collections.abc import Callable

import pytest

from tests.patience import PATIENCE_S
from tui.peer import outbox as outbox_module


@pytest.fixture
def first_try(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let callers wait until what they ask for is delivered: a busy machine may take longer than a person would wait.

    Return what sets how many seconds they wait from then on, 0 where the cloud is known to be away.
    """

    def wait(seconds: float) -> None:
        monkeypatch.setattr(outbox_module, "FIRST_TRY_S", seconds)

    wait(PATIENCE_S)
    return wait
