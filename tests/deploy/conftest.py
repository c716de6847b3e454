"""A Redis with the users of deploy/redis."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.separate_parts import RedisWithUsers


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisWithUsers]:
    """A Redis with the users."""
    with RedisWithUsers(tmp_path) as started:
        yield started


LARGE = Path(__file__).parents[2] / "deploy" / "kubernetes-large"


@pytest.fixture(scope="module")
def large() -> list[Any]:
    """Everything that kustomize puts together."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl")
    done = subprocess.run(["kubectl", "kustomize", str(LARGE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))
