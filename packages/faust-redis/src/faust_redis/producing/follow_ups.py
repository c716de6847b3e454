"""The commands that follow new entries in their round trip; their replies don't matter."""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic
from typing import Final

from faust.types import TP

from faust_redis.context import TransportContext
from faust_redis.log.topic_signals import signals_for
from faust_redis.redis.commands import Command

__all__ = ["RENEWAL_INTERVAL", "FollowUps"]

#: Seconds between renewals of the expiry of a partition with a retention.
RENEWAL_INTERVAL: Final = 30.0


class FollowUps:
    """Renews the expiry of partitions with a retention, and signals new entries of many partitions."""

    def __init__(self, context: TransportContext) -> None:
        self._context = context
        self._renewals: dict[TP, float] = {}

    def commands(self, tps: Collection[TP]) -> list[Command]:
        """Return the commands to send after entries for these partitions."""
        context = self._context
        commands = self._renewals_of(tps)
        if context.server.stream.keeps_order:  # on a cluster each partition is read on its own
            commands += signals_for(tps, context.topics.known, context.keys)
        return commands

    def _renewals_of(self, tps: Collection[TP]) -> list[Command]:
        now = monotonic()
        commands: list[Command] = []
        for tp in tps:
            facts = self._context.topics.known(tp.topic)
            if facts is None or not facts.retention or facts.compacting:
                continue
            if self._renewals.get(tp, 0) > now:
                continue
            self._renewals[tp] = now + RENEWAL_INTERVAL
            expiry = max(facts.retention, int(RENEWAL_INTERVAL * 2000))
            commands += [
                ("PEXPIRE", self._context.keys.stream(tp), expiry),
                ("PEXPIRE", self._context.keys.topic(tp.topic), expiry),
            ]
        return commands
