"""The source of the previous version, taken from the history of the repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

#: The last release, or, until the first one, the last commit whose workers rebalance eagerly.
PREVIOUS = "5a7ce517232c0252fd2ececdd0233a774b3831a1"
_REPOSITORY = Path(__file__).parents[3]


def extract_previous(folder: Path, *paths: str) -> Path:
    """Put files of the previous version into a folder and return it; skip the test without that history.

    Args:
        paths: Paths within the repository; all of it without any.
    """
    command = ["git", "-C", str(_REPOSITORY), "archive", PREVIOUS, *paths]
    try:
        archive = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the history does not contain {PREVIOUS[:7]}, the previous version")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder
