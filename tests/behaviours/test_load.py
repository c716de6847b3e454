"""Many clients at once: every answer once, in order, on the right socket; both sides once in the history."""

from __future__ import annotations

import pytest

from tests.support.load_driver import Load
from tests.support.model_server import ModelServer
from tests.support.service import Up

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOCKETS, MESSAGES = 50, 20


@pytest.mark.parametrize("at_once", [1, MESSAGES], ids=["one by one", "all at once"])
async def test_fifty_clients_get_every_answer_once_and_in_order(
    up: Up, model: ModelServer, at_once: int
) -> None:
    async with Load(up.url, SOCKETS, name=f"u{at_once}-") as load:
        report = await load.run(MESSAGES, at_once)
    report.check()
    assert (report.answers, report.reconnects, report.repeated) == (SOCKETS * MESSAGES, 0, 0)
