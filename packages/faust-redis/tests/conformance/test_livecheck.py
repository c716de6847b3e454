"""LiveCheck: a test case that follows an order through the agents of another app."""

from __future__ import annotations

from tests.conformance.conftest import Lab


def test_a_case_follows_an_order_through_the_agents(lab: Lab) -> None:
    lab.start("checked:app")
    lab.start("checked:livecheck")

    lab.run("checked:app", "order")

    assert lab.wait_notes("livecheck", 1) == ["order-1"]
