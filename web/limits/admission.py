"""Admit or reject requests by rates, the number of sockets, and the load of the stages and of Redis.

A client's own limits are checked before shared ones, so that a flooding client is rejected before others.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

import structlog
from redis.exceptions import RedisError

from pipeline.chat.records import BUSY, RATE_LIMITED, error_text
from pipeline.chat.tokens import token_digest
from pipeline.edge.addresses import shares
from pipeline.errors import describe_error
from pipeline.redis.memory import MemoryReserve
from pipeline.redis.rate import Rate
from pipeline.redis.rates import Rates
from pipeline.settings import Settings
from pipeline.telemetry.refusals import refused
from pipeline.telemetry.stages.backlog import Pressure
from web import limits
from web.limits.in_flight import InFlight
from web.limits.overload import OverloadLimit

log = structlog.get_logger(__name__)

#: Seconds that counting a rate may take, and for which counting is skipped after a failure: without Redis no
#: request is rejected for its rate, and no message waits.
COUNT_SECONDS: Final = 1.0

#: Maximum rejections remembered until they end; further ones are counted in Redis again.
DENIED_AT_MOST: Final = 10_000

# Seconds after which a client may retry when no better estimate exists.
_RETRY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Rejection:
    """The reason for rejecting a request.

    Attributes:
        code: the error code of the contract.
        detail: the reason for a human reader.
        retry_after: whole seconds after which a retry may succeed.
    """

    code: str
    detail: str
    retry_after: int


class AdmissionControl:
    """Admit or reject requests; Redis counts the rates, this process the sockets."""

    def __init__(
        self, settings: Settings, rates: Rates, pressure: Pressure, memory: MemoryReserve | None = None
    ) -> None:
        """Store the limits of the settings, and the watches on the stages and on Redis."""
        self._settings = settings
        self._rates = rates
        self._pressure = pressure
        self._memory = memory or MemoryReserve()
        self._uncounted_until = 0.0
        self._denied: dict[str, float] = {}  # what was refused → the time until which it is refused
        # As many as a session holds: the open turn, and its inbox.
        self.in_flight = InFlight(settings.inbox_limit + 1)
        self.overload = OverloadLimit(settings.busy_after)
        self._lanes: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._sockets: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether messages are rejected because a stage is full."""
        return self._pressure.retry_after is not None

    async def message(self, token: str, address: str, *, may_be_repeat: bool = False) -> Rejection | None:
        """Decide on a message; None admits and counts it.

        Args:
            may_be_repeat: whether its first copy may be on its way from an earlier socket. Only the client's
                own limits apply to it, because the first copy would be answered after a ``busy``.
        """
        self._pressure.asked = True
        if (code := self.in_flight.denial(token)) is not None:
            refused("session_in_flight", address=address, session=token)
            return Rejection(code, error_text(code), 1)
        for setting, counted in self._message_rates(token, address):
            if wait := await self._count_all(counted):
                refused(setting, setting=setting.upper(), address=address, session=token)
                return Rejection(RATE_LIMITED, f"Too many messages. Try again in {wait} s.", wait)
        return None if may_be_repeat else self._shared(token, address)

    def _shared(self, token: str, address: str) -> Rejection | None:
        """Decide on a message by the limits that all clients share."""
        if self._is_too_much(token, address):
            wait = self.overload.retry_after
            refused("overload", delay=round(self.overload.delay, 2))
            return Rejection(BUSY, f"Too many messages wait for an answer. Try again in {wait} s.", wait)
        if (pause := self._pressure.retry_after) is not None:
            refused("stage_full", stages=sorted(self._pressure.full))
            return Rejection(
                BUSY, f"Too many messages are waiting for an answer. Try again in {pause} s.", pause
            )
        if self._memory.refuses_messages:
            refused("memory_messages", used=round(self._memory.used, 3))
            return Rejection(BUSY, f"The service is full. Try again in {_RETRY_SECONDS} s.", _RETRY_SECONDS)
        return None

    def _is_too_much(self, token: str, address: str) -> bool:
        if self.overload.limit is None:
            return False
        of = self.in_flight
        return self.overload.refuses(
            time.monotonic(), of.active, of.of_session(token), of.of_address(address), of.addresses
        )

    def _message_rates(self, token: str, address: str) -> Iterator[tuple[str, dict[str, Rate]]]:
        """Yield the rates that limit a message, by setting; those of a later setting only when asked."""
        if (rate := self._settings.message_rate) is not None:
            yield "message_rate", {f"message:{token_digest(token)}": rate}
        if (rate := self._settings.address_message_rate) is not None:
            yield "address_message_rate", _rates_of(address, "address", rate)

    async def new_token(self, address: str) -> Rejection | None:
        """Decide on a new session; None admits and counts it."""
        rate = self._settings.address_token_rate
        self._pressure.asked = True
        denial = await self._request("address_token_rate", "token", rate, address, "new sessions")
        if denial is None and self._memory.refuses_sessions:
            refused("memory_sessions", used=round(self._memory.used, 3))
            return Rejection(BUSY, "No new sessions for now; the service is full.", _RETRY_SECONDS)
        return denial

    async def connection(self, address: str) -> Rejection | None:
        """Decide on a new socket before any lookup; None admits and counts it."""
        rate = self._settings.address_connect_rate
        return await self._request("address_connect_rate", "connect", rate, address, "connections")

    async def reading(self, address: str) -> Rejection | None:
        """Decide on a read of a session's history; None admits and counts it."""
        rate = self._settings.address_read_rate
        return await self._request("address_read_rate", "read", rate, address, "reads of a session")

    async def _request(
        self, setting: str, kind: str, rate: Rate | None, address: str, what: str
    ) -> Rejection | None:
        if rate is None or not (wait := await self._count_all(_rates_of(address, kind, rate))):
            return None
        refused(setting, setting=setting.upper(), address=address)
        await self.pause(address)
        return Rejection(RATE_LIMITED, f"Too many {what} ({setting.upper()}). Try again in {wait} s.", wait)

    async def pause(self, address: str, code: str = RATE_LIMITED) -> None:
        """Delay a refusal, so that the refusals of an address are sent one at a time.

        So a flood from many connections costs no more than one from a single connection. A ``busy`` is no
        flood of its address: it delays only its own socket, whose next message is not read until then.
        """
        if code == BUSY:
            await asyncio.sleep(limits.BUSY_SECONDS)
            return
        lane = self._lanes.get(address)
        if lane is None:
            lane = self._lanes[address] = asyncio.Lock()
        async with lane:
            await asyncio.sleep(limits.REFUSAL_SECONDS)

    @contextmanager
    def socket(self, token: str, address: str) -> Iterator[bool]:
        """Count a socket while it is open; the value is False when it exceeds a limit."""
        of_address = self._settings.sockets_per_address
        limits_of = {f"token {token}": self._settings.sockets_per_token}
        limits_of |= {group: of_address * factor for group, factor in shares(address).items()}
        counted = [(who, limit) for who, limit in limits_of.items() if limit]
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

    async def _count_all(self, rates: Mapping[str, Rate]) -> int:
        """Count an event against each rate until one denies it; otherwise like ``_count``."""
        for what, rate in rates.items():
            if wait := await self._count(what, rate):
                return wait
        return 0

    async def _count(self, what: str, rate: Rate) -> int:
        """Count an event; return the seconds to wait, 0 if it was counted or Redis is unavailable."""
        now = time.monotonic()
        if (until := self._denied.get(what, 0.0)) > now:
            # No event can make the wait shorter, so a flood does not reach Redis each time.
            return math.ceil(until - now)
        if now < self._uncounted_until:
            return 0
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                wait = await self._rates.take(what, rate)
        except (RedisError, OSError) as exc:
            self._uncounted_until = time.monotonic() + COUNT_SECONDS
            log.debug("counting a rate failed", error=describe_error(exc))
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


def _rates_of(address: str, kind: str, rate: Rate) -> dict[str, Rate]:
    """Return the rates by which an address counts: its own, then that of its wide network."""
    factors = shares(address).items()
    return {f"{kind}:{group}": rate.times(factor) for group, factor in factors}
