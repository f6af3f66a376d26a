"""Fixtures and guards that every test shares."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the loop that Textual and the node use."""
    return "asyncio"
