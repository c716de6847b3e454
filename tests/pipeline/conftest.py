from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def redis_url() -> str:
    return os.environ["PARLEY_TEST_REDIS"]
