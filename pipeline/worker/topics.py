"""The four topics, declared in one place for every app that sends to them or reads them."""

from __future__ import annotations

from typing import Any, Protocol

import faust

from pipeline.chat.records import Inbound, Prompt, Turn, TurnOutcome
from pipeline.telemetry import tracing
from pipeline.telemetry.metrics import SENT

_TOPICS = {Inbound: "ingest", Turn: "enrich", Prompt: "infer", TurnOutcome: "deliver"}


class Sender(Protocol):
    """What the stages use of a topic; `send` returns an awaitable that is done when Redis has the message."""

    async def send(self, *, key: Any = ..., value: Any = ..., headers: Any = ...) -> Any:
        """Hand a message to the producer."""


class Topics:
    """The topics of one app.

    Attributes:
        ingest: `Inbound`, from the web nodes.
        enrich: `Turn`, from ingest and deliver.
        infer: `Prompt`, from enrich.
        deliver: `TurnOutcome`, from infer, and from any stage that gives a message up.
    """

    def __init__(self, app: faust.App) -> None:
        self.ingest = app.topic("ingest", key_type=bytes, value_type=Inbound)
        self.enrich = app.topic("enrich", key_type=bytes, value_type=Turn)
        self.infer = app.topic("infer", key_type=bytes, value_type=Prompt)
        self.deliver = app.topic("deliver", key_type=bytes, value_type=TurnOutcome)


async def send(topic: Sender, message: Inbound | Turn | Prompt | TurnOutcome) -> Any:
    """Send a message with its session's token as key, so that one session stays on one partition.

    Returns:
        An awaitable, done when Redis has confirmed the message. An agent need not wait for it: its event is
        acked only after everything that it sent was confirmed.
    """
    SENT[_TOPICS[type(message)]] += 1
    key = message.token.encode()
    if tracing.enabled():
        return await topic.send(key=key, value=message, headers=tracing.headers(message_id(message)))
    return await topic.send(key=key, value=message)


def message_id(message: Inbound | Turn | Prompt | TurnOutcome) -> str:
    """Return the id of the human message that a record is about."""
    return message.id if isinstance(message, Inbound) else message.turn
