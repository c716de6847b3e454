"""The errors for a redis-server that does not start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parley.local.server_binaries import find_server
from parley.local.start_failures import start_failure


def test_a_full_disk_that_redis_names_is_the_reason(tmp_path: Path) -> None:
    log = tmp_path / "redis.log"
    log.write_text(
        "7:M 29 Nov 2026 02:53:00.000 # Can't open the append-only file: No space left on device\n"
    )

    error = str(start_failure("redis-server ended", log, find_server()))

    assert error.startswith(f"redis-server ended: no space is left in its data folder {tmp_path}")
    assert "PARLEY_DATA_DIR" in error


def test_a_disk_too_full_for_the_log_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis.log").touch()
    real = os.statvfs(tmp_path)
    full = os.statvfs_result((*real[:3], 0, 0, *real[5:10]))
    monkeypatch.setattr(os, "statvfs", lambda _path: full)

    error = str(start_failure("redis-server ended", tmp_path / "redis.log", find_server()))

    assert "no space is left" in error
