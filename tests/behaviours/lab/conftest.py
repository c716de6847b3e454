"""Books to be checked."""

from __future__ import annotations

import pytest

from tests.behaviours.lab.ledger import Ledger


@pytest.fixture
def ledger() -> Ledger:
    """The books of two messages, sent at once and accepted."""
    made = Ledger("Ada")
    for text in ("one", "two"):
        made.ask(f"m-{text}", text)
        made.take({"type": "accepted", "id": f"m-{text}"})
    return made
