"""The whole service on a Redis Cluster of three primaries."""

from __future__ import annotations

import pytest

from faust_redis.testing import Cluster
from tests.behaviours.deployments.checks import *  # noqa: F403
from tests.support.chat_client import ChatClient

pytestmark = pytest.mark.asyncio(loop_scope="session")


DEPLOYMENT = "cluster"


async def test_sessions_are_spread_over_the_primaries(nodes: Cluster, chat: ChatClient) -> None:
    before = [node.call("DBSIZE") for node in nodes.nodes.values()]

    for _ in range(60):
        await chat.token()

    sizes = [node.call("DBSIZE") for node in nodes.nodes.values()]
    assert min(now - then for now, then in zip(sizes, before, strict=True)) >= 5, sizes
