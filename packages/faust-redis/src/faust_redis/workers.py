"""Query a running worker, and prepare a program for its first message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import faust
from faust.types import AppT, TopicT

from faust_redis.consuming.consumer import Consumer
from faust_redis.errors import ForeignBrokerError
from faust_redis.producing.producer import Producer

__all__ = ["lost_messages", "member_id", "prepare", "resent_messages", "unready"]


def unready(app: AppT) -> str | None:
    """Return the reason why a worker takes no events now; None when it does.

    For a readiness probe. Reasons: the worker is starting, its group is rebalancing, Redis has not
    answered its heartbeats, or its read loop hangs.

    Raises:
        ForeignBrokerError: The app has a broker of another kind.
    """
    if not cast(faust.App, app).started:
        return "the worker is starting"
    return _consumer(app).unready()


def lost_messages(app: AppT) -> int:
    """Return how many messages Redis confirmed to this process and has lost since.

    They are counted, and logged, when a connection to Redis was lost and its data is older afterwards: a
    failover to a replica that lacked them, or a restored snapshot.
    """
    producer = app.producer
    return producer.lost if isinstance(producer, Producer) else 0


def resent_messages(app: AppT) -> int:
    """Return how many of the :func:`lost_messages` this process has sent again."""
    producer = app.producer
    return producer.resent if isinstance(producer, Producer) else 0


def member_id(app: AppT) -> str:
    """Return this worker's id within its consumer group, which is also its consumer's name in Redis.

    Raises:
        ForeignBrokerError: The app has a broker of another kind.
    """
    return _consumer(app).member_id


async def prepare(app: AppT, topics: Iterable[TopicT | str]) -> None:
    """Connect and look topics up, so that the first message to each is sent without delay.

    It starts the app's producer unless it runs. While Redis is unavailable it waits. Cancelling it leaves the
    producer as it is.

    Raises:
        ForeignBrokerError: The app has a broker of another kind.
    """
    await app.maybe_start_producer()
    producer = app.producer
    if not isinstance(producer, Producer):
        raise ForeignBrokerError(type(producer).__name__)
    for topic in topics:
        await producer.make_room(topic if isinstance(topic, str) else topic.get_topic_name())


def _consumer(app: AppT) -> Consumer:
    consumer = app.consumer
    if not isinstance(consumer, Consumer):
        raise ForeignBrokerError(type(consumer).__name__)
    return consumer
