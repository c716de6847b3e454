"""LiveCheck: a case that follows an order through two agents, in an app beside the one under test."""

from __future__ import annotations

from typing import Any

from faust.livecheck import LiveCheck

from tests.followed_orders import follow_orders
from tests.oracle.stage import make_app, note, noted, step

app = make_app("checked", topic_partitions=1, topics=("livecheck", "livecheck-report"))
livecheck: Any = LiveCheck.for_app(
    app,
    topic_partitions=1,
    topic_replication_factor=1,
    store="memory://",
    broker_session_timeout=app.conf.broker_session_timeout,
    broker_heartbeat_interval=app.conf.broker_heartbeat_interval,
)


async def executed(order: list[str]) -> None:
    note("executed", order)


async def passed(test: str) -> None:
    note("passed", test)


send_order = follow_orders(app, livecheck, executed=executed, passed=passed)


@step(app)
async def order() -> Any:
    await send_order()
    return await noted("executed", 1)


@step(livecheck)
async def check() -> Any:
    return await noted("passed", 1)
