"""What is let in: rates, the number of sockets, and whether the stages and Redis can take more at all.

A client's own share comes first, then what all share: the one who floods is refused, and nobody for his sake.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from redis.exceptions import RedisError

from pipeline.chat.records import BUSY, RATE_LIMITED, SESSION_BUSY, error_text
from pipeline.redis.memory import MemoryReserve
from pipeline.redis.rates import Rate, Rates
from pipeline.settings import Settings
from pipeline.telemetry.refusals import refused
from pipeline.telemetry.stages.backlog import Pressure
from web import limits
from web.limits.in_flight import InFlight

log = structlog.get_logger(__name__)

#: Seconds that a rate may take to be counted, and for which none is counted after one could not be: without
#: Redis nothing is refused for its rate, and no message waits for that.
COUNT_SECONDS: Final = 1.0

#: Refusals that are remembered until they end; of others Redis is asked again.
DENIED_AT_MOST: Final = 10_000

#: Seconds until a client may ask again where no figure says more.
_RETRY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why something is not let in.

    Attributes:
        code: the error code of the contract.
        detail: the same for a human reader.
        retry_after: whole seconds after which it may be.
    """

    code: str
    detail: str
    retry_after: int


class AdmissionControl:
    """Lets in or denies; the rates are counted in Redis, sockets in this process."""

    def __init__(
        self, settings: Settings, rates: Rates, pressure: Pressure, memory: MemoryReserve | None = None
    ) -> None:
        """Take the limits from the settings, and what is known of the stages and of Redis from the others."""
        self._settings = settings
        self._rates = rates
        self._pressure = pressure
        self._memory = memory or MemoryReserve()
        self._uncounted_until = 0.0
        self._denied: dict[str, float] = {}  # what was refused → until when it will be
        # Not below what its inbox takes: of a plain socket a message is decided only by its answer.
        self.in_flight = InFlight(max(limits.IN_FLIGHT_PER_SESSION, settings.inbox_limit + 1))
        self._sockets: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether messages are denied because a stage is full."""
        return self._pressure.retry_after is not None

    async def message(self, token: str, address: str) -> Rejection | None:
        """Decide on a message; None lets it in, and counts it."""
        if self.in_flight.is_full(token):
            refused("session_in_flight", address=address, session=token)
            return Rejection(SESSION_BUSY, error_text(SESSION_BUSY), 1)
        rates = (
            ("message_rate", f"message:{token}", self._settings.message_rate),
            ("address_message_rate", f"address:{address}", self._settings.address_message_rate),
        )
        for setting, what, rate in rates:
            if rate is not None and (wait := await self._count(what, rate)):
                refused(setting, setting=setting.upper(), address=address, session=token)
                return Rejection(RATE_LIMITED, f"Too many messages. Try again in {wait} s.", wait)
        if (pause := self._pressure.retry_after) is not None:
            refused("stage_full", stages=sorted(self._pressure.full))
            return Rejection(
                BUSY, f"Too many messages are waiting for an answer. Try again in {pause} s.", pause
            )
        if self._memory.refuses_messages:
            refused("memory_messages", used=round(self._memory.used, 3))
            return Rejection(BUSY, f"The service is full. Try again in {_RETRY_SECONDS} s.", _RETRY_SECONDS)
        return None

    async def new_token(self, address: str) -> Rejection | None:
        """Decide on a new session; None lets it in, and counts it."""
        rate = self._settings.address_token_rate
        denial = await self._request("address_token_rate", "token", rate, address, "new sessions")
        if denial is None and self._memory.refuses_sessions:
            refused("memory_sessions", used=round(self._memory.used, 3))
            return Rejection(BUSY, "No new sessions for now; the service is full.", _RETRY_SECONDS)
        return denial

    async def connection(self, address: str) -> Rejection | None:
        """Decide on a new socket before anything is looked up for it; None lets it in, and counts it."""
        rate = self._settings.address_connect_rate
        return await self._request("address_connect_rate", "connect", rate, address, "connections")

    async def reading(self, address: str) -> Rejection | None:
        """Decide on a read of a session's history; None lets it in, and counts it."""
        rate = self._settings.address_read_rate
        return await self._request("address_read_rate", "read", rate, address, "reads of a session")

    async def _request(
        self, setting: str, kind: str, rate: Rate | None, address: str, what: str
    ) -> Rejection | None:
        if rate is None or not (wait := await self._count(f"{kind}:{address}", rate)):
            return None
        refused(setting, setting=setting.upper(), address=address)
        return Rejection(RATE_LIMITED, f"Too many {what} ({setting.upper()}). Try again in {wait} s.", wait)

    @contextmanager
    def socket(self, token: str, address: str) -> Iterator[bool]:
        """Count a socket while it is open; the value is False when it is one too many."""
        counted = [
            (f"{what}:{who}", limit)
            for what, who, limit in (
                ("token", token, self._settings.sockets_per_token),
                ("address", address, self._settings.sockets_per_address),
            )
            if limit
        ]
        if any(self._sockets[who] >= limit for who, limit in counted):
            refused("sockets", address=address, session=token)
            yield False
            return
        for who, _ in counted:
            self._sockets[who] += 1
        try:
            yield True
        finally:
            for who, _ in counted:
                self._sockets[who] -= 1
                if not self._sockets[who]:
                    del self._sockets[who]

    async def _count(self, what: str, rate: Rate) -> int:
        """Return the seconds to wait, 0 when it was counted. Without Redis nothing is denied for its rate."""
        now = time.monotonic()
        if (until := self._denied.get(what, 0.0)) > now:
            # Nobody's event can bring that moment nearer: a flood need not ask Redis each time.
            return math.ceil(until - now)
        if now < self._uncounted_until:
            return 0
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                wait = await self._rates.take(what, rate)
        except (RedisError, OSError) as exc:
            self._uncounted_until = time.monotonic() + COUNT_SECONDS
            log.debug("a rate could not be counted", error=repr(exc))
            return 0
        if wait:
            self._deny(what, time.monotonic() + wait)
        return math.ceil(wait)

    def _deny(self, what: str, until: float) -> None:
        if len(self._denied) >= DENIED_AT_MOST:
            now = time.monotonic()
            self._denied = {each: moment for each, moment in self._denied.items() if moment > now}
        if len(self._denied) < DENIED_AT_MOST:
            self._denied[what] = until
