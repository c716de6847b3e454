"""Compute when messages are due in an open loop, in seconds since its start."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator


def arrivals(*, rate: float, ramp: float, poisson: bool, seed: int, phase: float = 0.0) -> Iterator[float]:
    """Yield the moments at which messages are due, endlessly.

    During the ramp the rate grows linearly from 0 to ``rate``. Even gaps, or a Poisson process, apply to
    the number of messages expected up to a moment; the moment is found from that number.

    Args:
        rate: messages per second, above 0.
        ramp: seconds.
        poisson: gaps of a Poisson process instead of even ones.
        phase: the fraction of a gap by which even arrivals begin later.
    """
    chance = random.Random(seed)
    expected = chance.expovariate(1.0) if poisson else phase
    while True:
        yield _moment(expected, rate, ramp)
        expected += chance.expovariate(1.0) if poisson else 1.0


def _moment(expected: float, rate: float, ramp: float) -> float:
    in_ramp = rate * ramp / 2
    if expected < in_ramp:
        return math.sqrt(2 * expected * ramp / rate)
    return ramp + (expected - in_ramp) / rate
