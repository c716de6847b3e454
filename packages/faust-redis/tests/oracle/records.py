"""Records of results on Kafka, and their comparison with others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["compare", "read", "write"]

FOLDER = Path(__file__).parent / "recorded"


def write(program: str, versions: Mapping[str, str], result: Any) -> None:
    """Keep the result of a program, with the versions of what it ran on."""
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps({"versions": versions, "result": result}, indent=1, ensure_ascii=False, sort_keys=True)
    (FOLDER / f"{program}.json").write_text(text + "\n", encoding="utf-8")


def read(program: str) -> Any:
    """Return the recorded result of a program.

    Raises:
        FileNotFoundError: There is none yet.
    """
    return json.loads((FOLDER / f"{program}.json").read_text(encoding="utf-8"))["result"]


def compare(recorded: Any, result: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Return each place where two results differ: its path, and what is there in the one and in the other."""
    if isinstance(recorded, dict) and isinstance(result, dict) and recorded.keys() == result.keys():
        for key in recorded:
            yield from compare(recorded[key], result[key], f"{path}/{key}")
    elif isinstance(recorded, list) and isinstance(result, list) and len(recorded) == len(result):
        for index, pair in enumerate(zip(recorded, result, strict=True)):
            yield from compare(*pair, f"{path}/{index}")
    elif recorded != result or type(recorded) is not type(result):
        yield path, recorded, result
