"""The service on the kind of Redis that a module names in ``DEPLOYMENT``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
import pytest_asyncio

from faust_redis.testing import Cluster, cluster, sentinel
from tests.behaviours.deployments.checks import Deployment, servers
from tests.behaviours.deployments.three_hosts import Installation
from tests.support.chat_client import ChatClient
from tests.support.hosts import network
from tests.support.model_server import ModelServer


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of three primaries."""
    with cluster(tmp_path_factory.mktemp("nodes"), replicas=0, **servers()) as running:
        yield running


@pytest.fixture(scope="module")
def deployed(
    request: pytest.FixtureRequest, model_server: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The service on its Redis."""
    with ExitStack() as stack:
        if request.module.DEPLOYMENT == "cluster":
            url = request.getfixturevalue("nodes").url
        else:
            url, _ = stack.enter_context(sentinel(tmp_path_factory.mktemp("redis"), **servers()))
        yield Deployment(url, tmp_path_factory.mktemp("up"), model_server.url, stack)


@pytest_asyncio.fixture(loop_scope="session")
async def chat(deployed: Deployment, model: ModelServer) -> AsyncIterator[ChatClient]:
    """A client of that service."""
    async with ChatClient(deployed.up.url) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """The service, ready on three hosts."""
    with ExitStack() as stack:
        net = stack.enter_context(network(3))
        async with ModelServer(
            latency=0.05, tokens=6, token_delay=0.02, host=net.address(net.OUTSIDE)
        ) as model:
            made = Installation(net, tmp_path_factory.mktemp("hosts"), model.url, stack)
            for host in net.hosts:
                made.start(host)
            await made.ready()
            yield made
