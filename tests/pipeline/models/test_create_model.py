"""The settings choose the model."""

from __future__ import annotations

import pytest

from pipeline.errors import SettingsError
from pipeline.models import create_model
from pipeline.settings import Settings

pytestmark = pytest.mark.usefixtures("empty_environment")


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


@pytest.mark.parametrize("url", ["http://[::1", "http://a b/v1", "http://host:port/", "ftp://host/", "host"])
def test_an_address_that_is_none_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MODEL_URL", url)
    with pytest.raises(SettingsError, match=r"^MODEL_URL holds .*; allowed: a URL that starts with http"):
        create_model(Settings.load())


@pytest.mark.parametrize(
    ("variables", "tokens", "deadline"),
    [
        ({"MODEL_URL": "http://localhost/gpt2"}, 25, 180),
        ({"MODEL_URL": "http://localhost/v1"}, 2048, 180),
        ({"MODEL_URL": "http://localhost/v1", "MAX_NEW_TOKENS": "25", "MODEL_TIMEOUT": "10"}, 25, 30),
        ({"MODEL_DEADLINE": "7"}, 25, 7),
    ],
)
def test_what_is_not_set_follows_from_what_is(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], tokens: int, deadline: float
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    settings = Settings.load()
    assert (settings.max_new_tokens, settings.model_deadline) == (tokens, deadline)


@pytest.mark.parametrize(
    ("url", "model_token", "sent"),
    [
        ("https://router.huggingface.co/v1", "", "hf_x"),
        ("https://abc.us-east-1.aws.endpoints.huggingface.cloud", "", "hf_x"),
        ("https://me-space.hf.space/v1", "", "hf_x"),
        ("https://hf.co/v1", "", "hf_x"),
        ("https://router.huggingface.co./v1", "", "hf_x"),
        ("https://HuggingFace.co/v1", "", "hf_x"),
        ("http://127.0.0.1:8080/v1", "", None),
        ("https://huggingface.co.evil.example/v1", "", None),
        ("https://evilhuggingface.co/v1", "", None),
        ("https://huggingface.co@evil.example/v1", "", None),
        ("https://api.example/v1?host=huggingface.co", "", None),
        ("https://api.example/v1", "sk_y", "sk_y"),
        ("https://router.huggingface.co/v1", "sk_y", "sk_y"),
    ],
)
def test_a_token_goes_only_where_it_belongs(
    monkeypatch: pytest.MonkeyPatch, url: str, model_token: str, sent: str | None
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.setenv("MODEL_URL", url)
    monkeypatch.setenv("MODEL_TOKEN", model_token)
    assert Settings.load().token_for_model() == sent


async def test_a_token_that_is_not_sent_is_warned_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("MODEL_URL", "http://127.0.0.1:8080/v1")
    await create_model(Settings.load()).close()
    assert "set MODEL_TOKEN" in caplog.text
    assert "hf_secret" not in caplog.text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret@host/v1?api-key=secret&n=1", "http://me:…@host/v1?api-key=…&n=1"),
        ("http://secret@host/v1", "http://…@host/v1"),
        ("http://host/v1", "http://host/v1"),
    ],
)
def test_the_address_is_shown_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, url: str, shown: str
) -> None:
    monkeypatch.setenv("MODEL_URL", url)
    assert Settings.load().masked_model_url() == shown


def test_a_proxy_that_is_none_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_URL", "https://models.example/v1")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:secret@proxy:1080")
    with pytest.raises(SettingsError, match=r"^HTTPS_PROXY holds 'socks5://me:…@proxy:1080'; allowed: "):
        create_model(Settings.load())
