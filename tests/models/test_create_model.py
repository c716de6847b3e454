"""The settings choose the model."""

from __future__ import annotations

import pytest

from pipeline.models import create_model
from pipeline.settings import Settings

OUR_VARIABLES = (
    "HF_TOKEN",
    "HUGGINGFACE_INFERENCE_TOKEN",
    "HUGGINFACE_INFERENCE_TOKEN",
    "MODEL",
    "MODEL_KIND",
    "MODEL_URL",
)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OUR_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.mark.parametrize(
    ("variables", "kind", "name"),
    [
        ({}, "eliza", "ELIZA"),
        ({"HF_TOKEN": "hf_x"}, "chat-completions", "openai/gpt-oss-120b"),
        ({"HF_TOKEN": "hf_x", "MODEL": "a/b:fast"}, "chat-completions", "a/b:fast"),
        ({"MODEL_URL": "http://localhost:8080/v1", "MODEL": "m"}, "chat-completions", "m"),
        ({"MODEL_URL": "http://localhost:8080/v1"}, "chat-completions", "localhost"),
        ({"MODEL_URL": "http://localhost:8080/gpt2"}, "text-generation", "localhost/gpt2"),
        (
            {"MODEL_URL": "http://localhost:8080/", "MODEL_KIND": "chat-completions"},
            "chat-completions",
            "localhost",
        ),
        ({"HF_TOKEN": "hf_x", "MODEL_KIND": "eliza"}, "eliza", "ELIZA"),
    ],
)
async def test_the_settings_choose_the_model(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], kind: str, name: str
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    model = create_model(Settings.load())
    assert (model.kind, model.name) == (kind, name)
    await model.close()
