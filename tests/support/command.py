"""The command `parley`, run as its users run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.service import CLONE


def parley(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end in a folder, with these variables and none of the environment's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "parley.cli", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": CLONE, "PARLEY_DATA_DIR": str(folder / "data"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
