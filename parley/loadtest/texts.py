"""The texts of one session's messages: recorded, or made up in a distribution of sizes."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from parley.loadtest.conversations import Conversation, read
from parley.loadtest.faults import MessageMark
from parley.loadtest.plan import LoadPlan

_WORDS = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor "
# Standard deviations from the median to the 5th and the 95th percentile of a normal distribution.
_TO_95 = 1.6449
#: The longest message, in characters.
LONGEST = 60_000


def texts(plan: LoadPlan, number: int, chance: random.Random) -> Iterator[str]:
    """Return the texts of a session's messages, without their marks, endlessly.

    Args:
        number: of the session; with recorded conversations, it begins with another one than its neighbours.
        chance: the source of the sizes.
    """
    if plan.conversations:
        return _recorded(_conversations(plan.conversations), number)
    return (_made_up(_size(plan, chance)) for _ in itertools.count())


def marked(mark: MessageMark, text: str, *, whole: bool) -> str:
    """Return a message: its mark and a text.

    Args:
        whole: whether the text is recorded; else the mark is part of the size of the text.
    """
    start = str(mark)
    return f"{start} {text}"[:LONGEST] if whole else start + f" {text}"[: max(0, len(text) - len(start))]


def _size(plan: LoadPlan, chance: random.Random) -> int:
    """Return the characters of a message.

    With ``lognormal``, 90 % of the messages lie between the two sizes of the plan. Lengths of posts in
    discussions are lognormal: P. Sobkowicz et al., EPJ Data Science 2:2 (2013).
    """
    least, most = plan.size, max(plan.size, plan.size_to)
    if least == most:
        return least
    if plan.sizes == "uniform":
        return chance.randint(least, most)
    middle, spread = (math.log(least) + math.log(most)) / 2, (math.log(most) - math.log(least)) / 2
    return max(1, min(LONGEST, round(chance.lognormvariate(middle, spread / _TO_95))))


def _made_up(size: int) -> str:
    return (_WORDS * (size // len(_WORDS) + 1))[:size]


def _recorded(conversations: Sequence[Conversation], number: int) -> Iterator[str]:
    for at in itertools.count(number):
        yield from conversations[at % len(conversations)]


@cache
def _conversations(file: str) -> list[Conversation]:
    return read(Path(file))
