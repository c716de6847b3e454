"""The results of the programs on Redis."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from faust_redis.testing import RedisServer
from tests.oracle.plays import PROGRAMS, by_length, play

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
