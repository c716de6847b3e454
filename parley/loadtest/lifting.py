"""The limits that a load test would reach, because it is one address with many sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.settings import RATES

LIFTED: Final[Mapping[str, str]] = {
    **{setting.upper(): "0" for setting in RATES},
    "SESSION_MAX_MESSAGES": "1000000",
    "SESSION_MAX_BYTES": "67108864",
}
"""The settings with which the service under test starts."""

HOW: Final = "start the service under test with " + " ".join(
    f"{name}={value}" for name, value in LIFTED.items()
)
"""The remedy for a service that refuses a load test, as one clause."""

REFUSAL_CODES: Final = frozenset({"rate_limited", "session_full"})
"""The error codes of those limits."""
