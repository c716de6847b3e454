"""The short form of `make soak`."""

from __future__ import annotations

from pathlib import Path

from tests.transport.conformance.soak import soak


async def test_nothing_grows_under_a_steady_load_while_workers_come_and_go(tmp_path: Path) -> None:
    verdict, grown = await soak(30, rate=200, folder=tmp_path)

    assert verdict.good, verdict
    assert not grown
