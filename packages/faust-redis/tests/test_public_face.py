"""The names that programs may import, and those that ask a running program about itself."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

import faust_redis
import faust_redis.inspection
import faust_redis.redis
import faust_redis.testing
import faust_redis.watching
from faust_redis import ForeignBrokerError, fail, member_id, prepare, reject, unready
from faust_redis.testing import wait_for_group, wait_until
from tests.worker import StartWorker

PUBLIC = (faust_redis, faust_redis.inspection, faust_redis.redis, faust_redis.testing, faust_redis.watching)


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_every_public_name_exists_and_is_documented(module: ModuleType) -> None:
    assert module.__doc__
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_a_public_module_can_be_imported_first(module: ModuleType) -> None:
    subprocess.run([sys.executable, "-c", f"import {module.__name__}"], check=True, timeout=30)


@pytest.mark.processes
def test_a_worker_says_whether_it_is_ready_and_which_member_it_is(
    start_worker: StartWorker, redis_url: str
) -> None:
    worker = start_worker(redis_url, program="tests.programs.probed")

    wait_until(lambda: "ready: " in worker.printed(), "a worker that is ready")

    (member,) = wait_for_group(redis_url, "probed")
    assert "at first: the worker is starting" in worker.printed()
    assert f"ready: {member}" in worker.printed()


def test_waiting_for_a_group_that_nobody_joins_ends_with_what_was_there(redis_url: str) -> None:
    with pytest.raises(AssertionError, match=r"2 members of group nobody.*joined: none"):
        wait_for_group(redis_url, "nobody", 2, timeout=0.1)


async def test_an_app_of_another_broker_is_refused_by_name() -> None:
    class Kafka:
        """A consumer, or a producer, of another driver."""

    async def start() -> None:
        """Start nothing."""

    app = cast(
        Any, SimpleNamespace(started=True, consumer=Kafka(), producer=Kafka(), maybe_start_producer=start)
    )
    event = cast(Any, SimpleNamespace(app=app, message=None, headers={}))

    calls: list[Callable[[], object]] = [
        lambda: fail(event, ValueError()),
        lambda: reject(event, ValueError()),
        lambda: unready(app),
        lambda: member_id(app),
    ]
    for call in calls:
        with pytest.raises(ForeignBrokerError, match="Kafka"):
            call()
    with pytest.raises(ForeignBrokerError, match="Kafka"):
        await prepare(app, [])
