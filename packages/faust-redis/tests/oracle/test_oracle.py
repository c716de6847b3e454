"""Each program has the same result on Redis as on Kafka, except where the documents give a reason."""

from __future__ import annotations

import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.differences import DIFFERENCES
from tests.oracle.plays import PROGRAMS
from tests.oracle.records import compare, read

#: Programs that do what exactly once excludes: sets, ``stream_publish_on_commit``, asking within an event.
NOT_EXACTLY_ONCE = {"limits", "sets", "table_recovered", "workflow"}
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "differences.md"


@pytest.mark.processes
@pytest.mark.timeout(300)  # a busy machine may take long; a quiet one gives all results within seconds
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_gives_on_redis_what_it_gives_on_kafka(
    program: str, results: dict[str, Future[Any]]
) -> None:
    if os.environ.get("ORACLE_EXACTLY_ONCE") and program in NOT_EXACTLY_ONCE:
        pytest.skip("is refused by name")
    found = {path: on_redis for path, _, on_redis in compare(read(program), results[program].result())}

    assert found == {path: known.on_redis for path, known in DIFFERENCES.get(program, {}).items()}


@pytest.mark.parametrize(
    "row", sorted({known.row for places in DIFFERENCES.values() for known in places.values()})
)
def test_a_known_difference_has_its_row(row: str) -> None:
    rows = [
        line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {row} |")
    ]

    assert len(rows) == 1
