"""The usage of processes, sampled while a test runs."""

from __future__ import annotations

import time

import pytest

from parley.loadtest.samples import UsageSample, UsageSamples, spells, together
from parley.loadtest.usage import ProcessUsage


def look(at: float, cpu: float) -> UsageSample:
    return UsageSample(at, {"web": ProcessUsage(1, cpu, 100)}, cpu * 2)


def test_what_was_used_in_a_test_begins_with_the_last_look_before_it_and_ends_with_the_first_after() -> None:
    looks = [look(at, cpu) for at, cpu in ((0, 5), (1, 6), (2, 7.5), (3, 8), (4, 20))]
    found = spells(looks, 1.2, 2.9)

    assert [(round(each.at, 3), each.cores("web")) for each in found] == [(0.8, 1.5), (1.8, 0.5)]
    whole = together(found)
    assert (whole.seconds, whole.used["web"].cpu, whole.machine) == (2, 2.0, 4.0)


def test_a_process_that_was_replaced_has_used_no_less_than_nothing() -> None:
    (found,) = spells([look(0, 50), look(1, 2)], 0, 1)

    assert (found.used["web"].cpu, found.machine) == (0.0, 0.0)


def test_nothing_was_used_when_nobody_looked() -> None:
    assert together(spells([], 0, 1)).seconds == 0


async def test_this_process_is_looked_at_as_the_generator() -> None:
    before = time.monotonic()
    async with UsageSamples(dict) as looks:
        worked = time.process_time() + 0.2
        while time.process_time() < worked:
            pass
    used = together(looks.spells(before, time.monotonic()))

    assert used.used["generator"].cpu == pytest.approx(0.2, abs=0.1)
    assert used.machine >= used.used["generator"].cpu - 0.05
