"""The time between the heartbeats of a part."""

from __future__ import annotations

import pytest

from pipeline.heartbeats import interval


@pytest.mark.parametrize(("hang_timeout", "seconds"), [(0, 3.0), (1, 0.5), (10, 1.0), (30, 3.0), (600, 3.0)])
def test_heartbeats_are_a_small_part_of_the_time_out_apart(hang_timeout: float, seconds: float) -> None:
    assert interval(hang_timeout) == seconds
