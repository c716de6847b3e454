"""Skip Faust's rates, which nothing reads, so that an idle worker has no timer for them."""

from __future__ import annotations

from faust import Monitor
from mode import Service

__all__ = ["CountingMonitor"]


class CountingMonitor(Monitor):
    """Faust's monitor without its rates of events and messages per second; all counts are kept."""

    @Service.task
    async def _sampler(self) -> None:
        """Do nothing: Faust would wake up every second."""
