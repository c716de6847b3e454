"""Workers of the previous version beside those of this one, as in a rolling upgrade."""

from __future__ import annotations

import os
import signal

import pytest
import redis

from faust_redis.testing import eventually, wait_for_group
from tests.numbers import all_seen, in_order, more, numbers_seen, sending
from tests.worker import StartWorker


async def test_workers_are_replaced_by_those_of_this_version_while_messages_come(
    redis_url: str, start_worker: StartWorker, start_previous: StartWorker, notes: redis.Redis
) -> None:
    previous = start_previous(redis_url)
    async with sending(redis_url) as sent:
        await more(sent)
        start_worker(redis_url)
        wait_for_group(redis_url, "counting", 2)
        await more(sent, 100)
        previous.signal(signal.SIGTERM)
        await eventually(lambda: previous.process.poll() is not None, "the previous version to end", 45)
        await more(sent)

    all_seen(notes, sent)
    in_order(notes)
    assert sorted(numbers_seen(notes)) == sent, "a planned replacement has nothing done twice"
    assert "Traceback" not in previous.printed()


@pytest.mark.skipif(not os.environ.get("UPGRADES"), reason="takes some seconds more: make upgrades")
async def test_a_worker_of_the_previous_version_joins_again_and_takes_over(
    redis_url: str, start_worker: StartWorker, start_previous: StartWorker, notes: redis.Redis
) -> None:
    worker = start_worker(redis_url)
    async with sending(redis_url) as sent:
        await more(sent)
        previous = start_previous(redis_url)
        wait_for_group(redis_url, "counting", 2)
        await more(sent, 100)
        worker.signal(signal.SIGTERM)
        await eventually(lambda: worker.process.poll() is not None, "this version to end", 45)
        await more(sent)

    all_seen(notes, sent)
    in_order(notes)
    assert sorted(numbers_seen(notes)) == sent, "going back has nothing done twice"
    assert "Traceback" not in previous.printed()
