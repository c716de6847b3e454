"""A Redis on a disk with slow fsyncs, during which it confirms what it has not written yet."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import redis

from faust_redis.testing import eventually
from tests.support.faults import FaultyRedis

_SHIM = Path(__file__).with_name("slow_disk.c")


def has_compiler() -> bool:
    """Return whether the slow disk can be compiled."""
    return shutil.which("cc") is not None


class SlowDiskRedis(FaultyRedis):
    """A server as it is shipped (``appendfsync everysec``), on a disk with slow fsyncs.

    While an fsync runs, Redis replies before it writes, for 2 s at most: a kill loses what it has confirmed.
    """

    def __init__(self, folder: Path, fsync_seconds: float) -> None:
        """Compile the slow disk; skip the test where there is no C compiler."""
        if not has_compiler():
            pytest.skip("there is no cc to compile the slow disk")
        folder.mkdir(parents=True, exist_ok=True)
        shim = folder / "slow_disk.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, _SHIM], check=True)

        def slow_down() -> None:
            os.environ["LD_PRELOAD"] = str(shim)
            os.environ["SLOW_DISK_MS"] = str(round(fsync_seconds * 1000))

        super().__init__(folder / "data", preexec=slow_down)

    async def syncing(self) -> None:
        """Wait until an fsync runs, during which Redis does not write."""
        with redis.Redis.from_url(self.url) as client:

            def runs() -> bool:
                client.set("probe:{disk}", "1", ex=60)
                return bool(client.info("persistence")["aof_pending_bio_fsync"])

            await eventually(runs, "an fsync to run")
