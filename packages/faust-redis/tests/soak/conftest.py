"""A short soak, and the journal of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.soak.course import Soak, soaking
from tests.soak.journal import Journal


@pytest.fixture
async def soak(tmp_path: Path) -> AsyncIterator[Soak]:
    """Two workers and their load, at its start."""
    async with soaking(tmp_path) as course:
        yield course


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """The journal of what is in the file ``handled``."""
    return Journal(tmp_path / "handled")
