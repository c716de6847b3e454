"""Each program has the same result on Redis as on Kafka, except where the documents give a reason."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from faust_redis.testing import RedisServer
from tests.oracle.differences import DIFFERENCES
from tests.oracle.plays import PROGRAMS, by_length, play
from tests.oracle.records import compare, read

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "differences.md"
#: Programs at once: most of their time they wait.
AT_ONCE = 8


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Any]]]:
    """Run the programs of the chosen tests, several at once, each in a database of its own."""
    chosen = [item.callspec.params["program"] for item in request.session.items if _runs_a_program(item)]  # type: ignore[attr-defined]
    folder = tmp_path_factory.mktemp("oracle")
    with (
        RedisServer(folder / "redis", f"databases {len(PROGRAMS)}") as server,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        address = server.url.removesuffix("/0")
        yield {
            program: pool.submit(play, program, f"{address}/{PROGRAMS.index(program)}", folder / program)
            for program in sorted(chosen, key=by_length)
        }
        pool.shutdown(cancel_futures=True)


def _runs_a_program(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "results" in item.fixturenames


@pytest.mark.processes
@pytest.mark.timeout(300)  # a busy machine may take long; a quiet one gives all results within seconds
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_gives_on_redis_what_it_gives_on_kafka(
    program: str, results: dict[str, Future[Any]]
) -> None:
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
