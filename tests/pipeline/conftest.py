"""An environment that sets nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.settings import Settings

#: Variables that are read beside those named after a setting.
_OTHERS = (
    "PARLEY_DATA_DIR",
    "HUGGINGFACE_INFERENCE_TOKEN",
    "HUGGINFACE_INFERENCE_TOKEN",
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
)


@pytest.fixture
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without settings and proxies, and a working folder without .env."""
    monkeypatch.chdir(tmp_path)
    for variable in (*(name.upper() for name in Settings.model_fields), *_OTHERS):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
