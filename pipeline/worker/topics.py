"""Declare the four topics for every app that sends to them or reads them."""

from __future__ import annotations

from typing import Any, Protocol

import faust

from pipeline.chat.records import Inbound, Prompt, Turn, TurnOutcome
from pipeline.telemetry import tracing
from pipeline.telemetry.metrics import SENT

_TOPICS = {Inbound: "ingest", Turn: "enrich", Prompt: "infer", TurnOutcome: "deliver"}


class Sender(Protocol):
    """The part of a topic that the stages use."""

    async def send(self, *, key: Any = ..., value: Any = ..., headers: Any = ...) -> Any:
        """Hand a message to the producer; return an awaitable that completes when Redis has the message."""


class Topics:
    """The topics of one app.

    Attributes:
        ingest: carries ``Inbound`` from the web nodes.
        enrich: carries ``Turn`` from ingest and deliver.
        infer: carries ``Prompt`` from enrich.
        deliver: carries ``TurnOutcome`` from infer and from stages that give a message up.
    """

    def __init__(self, app: faust.App) -> None:
        self.ingest = app.topic("ingest", key_type=bytes, value_type=Inbound)
        self.enrich = app.topic("enrich", key_type=bytes, value_type=Turn)
        self.infer = app.topic("infer", key_type=bytes, value_type=Prompt)
        self.deliver = app.topic("deliver", key_type=bytes, value_type=TurnOutcome)


async def send(topic: Sender, message: Inbound | Turn | Prompt | TurnOutcome) -> Any:
    """Send a message with its session's token as key, which keeps a session on one partition.

    Returns:
        An awaitable that completes when Redis has confirmed the message. An agent need not wait for it,
        because its event is acked only after all messages sent for it are confirmed.
    """
    SENT[_TOPICS[type(message)]] += 1
    key = message.token.encode()
    if tracing.enabled():
        return await topic.send(key=key, value=message, headers=tracing.headers(message_id(message)))
    return await topic.send(key=key, value=message)


def message_id(message: Inbound | Turn | Prompt | TurnOutcome) -> str:
    """Return the id of the human message to which a record belongs."""
    return message.id if isinstance(message, Inbound) else message.turn
