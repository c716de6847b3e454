"""Print the requirements of both distributions, for ``make lock``; faust-redis itself comes from the tree.

$ python scripts/requirements.py            everything: run, trace, develop
$ python scripts/requirements.py tracing    run, with the extras named
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
OURS: Final = ("faust-redis", "parley")
#: The server's package has one build for each glibc, and pip takes the wrong one: see the Makefile.
SKIPPED_EXTRAS: Final = ("redis",)


def main(extras: list[str]) -> None:
    """Print one requirement a line."""
    for folder in (ROOT, ROOT / "packages" / "faust-redis"):
        project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        optional: dict[str, list[str]] = project.get("optional-dependencies", {})
        wanted = [name for name in optional if (name in extras if extras else name not in SKIPPED_EXTRAS)]
        for line in [*project["dependencies"], *(line for name in wanted for line in optional[name])]:
            if not line.startswith(OURS):
                print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
