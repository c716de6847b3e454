"""A program under LiveCheck: a case follows an order through two agents."""

from __future__ import annotations

from functools import partial
from typing import Any

import faust
from faust.livecheck import LiveCheck

from tests.conformance.programs.common import SETTINGS, note
from tests.followed_orders import follow_orders

app: Any = faust.App("checked", **SETTINGS)
livecheck: Any = LiveCheck.for_app(app, **SETTINGS)
send_order = follow_orders(
    app, livecheck, executed=partial(note, "executed"), passed=partial(note, "livecheck")
)


@app.command()
async def order(self: Any) -> None:
    """Send an order that is followed."""
    await send_order()
    await app.producer.flush()
