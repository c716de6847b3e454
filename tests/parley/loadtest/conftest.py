"""A service to load."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from parley.loadtest.model import Pace
from parley.loadtest.service import Service, service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started() -> AsyncIterator[Service]:
    """The service and a quick model, for the tests of a module."""
    async with service(Pace(latency=0.01, tokens=5, rate=200)) as running:
        yield running
