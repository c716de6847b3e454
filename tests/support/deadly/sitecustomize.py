"""Make some messages deadly for infer, in processes that have this folder in PYTHONPATH.

A message ``deadly: <way> after <seconds>`` ends the process that asks the model for its answer, or makes it
useless: `crash`, `exit`, `loop` or `memory`.
"""

from __future__ import annotations

import asyncio
import importlib.abc
import importlib.machinery
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from types import ModuleType
from typing import Any

_MODULE = "pipeline.models.measured"
_ORDER = re.compile(r"deadly: (\w+) after ([\d.]+)")


def _loop() -> None:
    while True:
        pass


def _hoard() -> None:
    held = []
    while True:
        held.append(bytearray(10_000_000))


WAYS: dict[str, Callable[[], Any]] = {
    "crash": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(7),
    "loop": _loop,
    "memory": _hoard,
}


class Finder(importlib.abc.MetaPathFinder):
    """Changes the model of infer when it is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def load_and_change(module: ModuleType) -> None:
            load(module)
            stream = module.MeasuredModel.stream

            async def deadly(self: Any, request: Any) -> AsyncIterator[Any]:
                found = _ORDER.findall(str(request))
                if found:
                    way, seconds = found[-1]
                    await asyncio.sleep(float(seconds))
                    WAYS[way]()
                async for part in stream(self, request):
                    yield part

            module.MeasuredModel.stream = deadly

        spec.loader.exec_module = load_and_change  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
