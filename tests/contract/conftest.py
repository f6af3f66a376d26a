"""A town over a fresh directory, once for each engine, and two people in it."""

import pytest

from tests.contract.people import town


@pytest.fixture
async def place(directory_url):
    async with town(directory_url) as made:
        yield made


@pytest.fixture
async def ann(place):
    return await place.person("Ann")


@pytest.fixture
async def bob(place):
    return await place.person("Bob")
