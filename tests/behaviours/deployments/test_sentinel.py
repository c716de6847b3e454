"""The whole service on a primary that Sentinel names."""

from __future__ import annotations

import pytest

from tests.behaviours.deployments.checks import *  # noqa: F403

pytestmark = pytest.mark.asyncio(loop_scope="session")

DEPLOYMENT = "sentinel"
