"""What is let in: rates, the number of sockets, and whether the stages can take more at all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from pipeline.chat.records import BUSY, RATE_LIMITED
from pipeline.redis.rates import Rate, Rates
from pipeline.settings import Settings
from pipeline.telemetry.stages.backlog import Pressure

log = structlog.get_logger(__name__)


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

    def __init__(self, settings: Settings, rates: Rates, pressure: Pressure) -> None:
        """Take the limits from the settings, and what is known of the stages from `pressure`."""
        self._settings = settings
        self._rates = rates
        self._pressure = pressure
        self._sockets: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether messages are denied because a stage is full."""
        return self._pressure.retry_after is not None

    async def message(self, token: str, address: str) -> Rejection | None:
        """Decide on a message; None lets it in, and counts it."""
        wait = self._pressure.retry_after
        if wait is not None:
            return Rejection(
                BUSY, f"Too many messages are waiting for an answer. Try again in {wait} s.", wait
            )
        limits = (
            (f"message:{token}", self._settings.message_rate),
            (f"address:{address}", self._settings.address_message_rate),
        )
        for what, rate in limits:
            if rate is not None and (wait := await self._count(what, rate)):
                return Rejection(RATE_LIMITED, f"Too many messages. Try again in {wait} s.", wait)
        return None

    async def new_token(self, address: str) -> Rejection | None:
        """Decide on a new session; None lets it in, and counts it."""
        rate = self._settings.address_token_rate
        if rate is not None and (wait := await self._count(f"token:{address}", rate)):
            return Rejection(RATE_LIMITED, f"Too many new sessions. Try again in {wait} s.", wait)
        return None

    @contextmanager
    def socket(self, token: str, address: str) -> Iterator[bool]:
        """Count a socket while it is open; the value is False when it is one too many."""
        limits = [
            (f"{what}:{who}", limit)
            for what, who, limit in (
                ("token", token, self._settings.sockets_per_token),
                ("address", address, self._settings.sockets_per_address),
            )
            if limit
        ]
        if any(self._sockets[who] >= limit for who, limit in limits):
            yield False
            return
        for who, _ in limits:
            self._sockets[who] += 1
        try:
            yield True
        finally:
            for who, _ in limits:
                self._sockets[who] -= 1
                if not self._sockets[who]:
                    del self._sockets[who]

    async def _count(self, what: str, rate: Rate) -> int:
        """Return the seconds to wait, 0 when it was counted. Without Redis nothing is denied for its rate."""
        try:
            return math.ceil(await self._rates.take(what, rate))
        except (RedisError, OSError) as exc:
            log.debug("a rate could not be counted", error=repr(exc))
            return 0
