"""Fraud alerts: a hopping window of lists of records after a group_by, and a topic as a sink."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import faust

from tests.oracle.stage import BASE, make_app, note, noted, send_all, step


class Payment(faust.Record, validation=True):
    """A payment by card."""

    card: str
    cents: int
    at: float
    country: str = "CH"


class Alert(faust.Record):
    """A card that pays too often, or in too many countries."""

    card: str
    reason: str
    payments: list[Payment]


app = make_app("fraud", topic_partitions=2)
payments = app.topic("payments", value_type=Payment)
alerts = app.topic("alerts", key_type=str, value_type=Alert)
recent = (
    app.Table("recent", default=list)
    .hopping(
        size=timedelta(seconds=20), step=timedelta(seconds=10), expires=timedelta(hours=3), key_index=True
    )
    .relative_to_field(Payment.at)
)


async def count_alert(alert: Any) -> None:
    note("by function", [alert.card, alert.reason])


@app.agent(payments, sink=[count_alert, alerts])
async def watch(stream: Any) -> AsyncIterator[Alert]:
    async for payment in stream.group_by(Payment.card, name="by-card", partitions=2):
        held = recent[payment.card].value()
        held.append(payment)
        recent[payment.card] = held
        current = recent[payment.card].current()
        note("held", [payment.card, payment.cents, len(held), len(current)])
        if len(held) >= 3:
            yield Alert(card=payment.card, reason="often", payments=held[-2:])
        elif len({each.country for each in held}) > 1:
            yield Alert(payment.card, "countries", held)


@app.agent(alerts)
async def warn(stream: Any) -> None:
    async for key, alert in stream.items():
        note(
            "alerts",
            [key, alert.card, alert.reason, [[type(each).__name__, each.cents] for each in alert.payments]],
        )


@step(app)
async def result() -> Any:
    sent = [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5)]
    for index, (card, cents) in enumerate(sent):
        country = "IT" if cents == 4 else "CH"
        await send_all(payments, Payment(card, cents, BASE + index, country))
        await noted("held", index + 1)
    return {
        "held": await noted("held", 5),
        "by function": await noted("by function", 2),
        "alerts": sorted(await noted("alerts", 2)),
    }
