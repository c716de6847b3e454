"""Calls of ``commit.lua``: the transactions of finished events, in calls that each take a bounded time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from faust.types import TP

from faust_redis.context import TransportContext
from faust_redis.log.topics import TopicFacts
from faust_redis.log.transactions import Output, Transaction
from faust_redis.redis.commands import Command
from faust_redis.redis.scripts import COMMIT

__all__ = ["CommitCall", "calls_for"]

#: Outputs and bytes after which a call ends, because Redis serves no other client while a script runs. One
#: event is never divided.
CALL_OUTPUTS: Final = 500
CALL_BYTES: Final = 1024 * 1024


@dataclass
class CommitCall:
    """Some transactions that one call commits."""

    transactions: list[Transaction] = field(default_factory=list)

    async def command(self, context: TransportContext, group: str, lease: str) -> Command:
        """Return the call.

        Raises:
            redis.exceptions.RedisError: Redis is unavailable, and the declaration of a topic is unknown.
        """
        inputs = _numbered(message.tp for each in self.transactions for message in each.messages)
        outputs = [
            (output, number) for number, each in enumerate(self.transactions, 1) for output in each.outputs
        ]
        outputs.sort(key=lambda pair: pair[0].number)
        facts = {each: await context.topics.facts(each) for each in {output.topic for output, _ in outputs}}
        places = [TP(output.topic, _partition(context, output)) for output, _ in outputs]
        targets = _numbered(places)
        keys: list[str] = []
        flags: list[int] = []
        for tp in inputs:
            keys += [context.keys.stream(tp), context.keys.lease(tp, group), context.keys.attempts(tp, group)]
            flags.append(int((await context.topics.facts(tp.topic)).is_queue))
        for tp in targets:
            keys += [context.keys.stream(tp), context.keys.index(tp), context.keys.tombstones(tp)]
            flags.append(_kind(facts[tp.topic]))
        arguments: list[str | bytes | int] = [*flags]
        for each in self.transactions:
            arguments.append(len(each.messages))
            for message in each.messages:
                arguments += (inputs[message.tp], f"0-{message.offset}")
        for (output, number), tp in zip(outputs, places, strict=True):
            arguments += (number, targets[tp], len(output.fields), *output.fields)
        return COMMIT.command(
            keys,
            *arguments,
            group=group,
            lease=lease,
            inputs=len(inputs),
            targets=len(targets),
            batches=len(self.transactions),
        )


def calls_for(transactions: Iterable[Transaction], most: int = CALL_OUTPUTS) -> list[CommitCall]:
    """Return the calls that commit these transactions, in order.

    Transactions that have changed tables at the same time stay in one call, as one of them may depend on the
    other.

    Args:
        most: Outputs after which a call ends; with 0 all calls are as small as possible.
    """
    ordered = sorted(transactions, key=lambda each: each.outputs[0].number)
    calls: list[CommitCall] = []
    outputs = size = last_change = 0
    for each in ordered:
        is_full = outputs >= most or size >= CALL_BYTES
        if not calls or (is_full and each.outputs[0].number > last_change):
            calls.append(CommitCall())
            outputs = size = 0
        calls[-1].transactions.append(each)
        outputs += len(each.outputs)
        for output in each.outputs:
            size += sum(map(len, output.fields))
            if output.table_key is not None:
                last_change = max(last_change, output.number)
    return calls


def _numbered(tps: Iterable[TP]) -> dict[TP, int]:
    """Return the partitions, each once, with numbers from 1."""
    return {tp: number for number, tp in enumerate(dict.fromkeys(tps), 1)}


def _kind(facts: TopicFacts) -> int:
    if not facts.compacting:
        return 0
    return 1 if facts.retention else 2


def _partition(context: TransportContext, output: Output) -> int:
    if output.partition is not None:
        return output.partition
    return context.topics.partition_for(output.topic, output.key)
