"""Settings: allowed values of the environment, and their effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.masking import mask_url
from pipeline.redis.rate import Rate
from pipeline.settings import ROUTER_MODEL, ROUTER_URL, STAGES, Settings

pytestmark = pytest.mark.usefixtures("empty_environment")


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings.load()


def test_nothing_set_means_the_defaults_of_the_contract() -> None:
    settings = Settings.load()

    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert not settings.redis_configured
    assert (settings.port, settings.host, settings.app_env) == (3500, "127.0.0.1", "production")
    assert (settings.session_ttl, settings.session_ttl_sliding) == (3600, False)
    assert (settings.context_messages, settings.max_new_tokens) == (4, 25)
    assert settings.cors_origins == ()
    assert (settings.model_kind, settings.model_url, settings.model) == ("eliza", None, None)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, PORT="", REDIS_URL="", HF_TOKEN="").port == 3500


def test_a_dotenv_file_is_read_and_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=4000\nCONTEXT_MESSAGES=6\nUNKNOWN=1\n", encoding="utf-8")

    settings = load(monkeypatch, PORT="4001")

    assert (settings.port, settings.context_messages) == (4001, 6)


def test_a_dotenv_file_in_another_encoding_is_refused_in_one_line() -> None:
    Path(".env").write_bytes(b"MODEL=\xff\xfe\n")

    with pytest.raises(SettingsError, match=r"^\.env holds .* UTF-8$"):
        Settings.load()


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("PORT", "abc", "a whole number from 1 to 65535"),
        ("PORT", "65536", "a whole number from 1 to 65535"),
        ("APP_ENV", "staging", "development or production"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("REDIS_URL", "redis://host:port", "redis://"),
        ("REDIS_URL", "redis://host/db", "redis://"),
        ("REDIS_URL", "redis://a;redis://b", "redis://"),
        ("REDIS_URL", "redis+cluster://a;redis://b", "redis+cluster://"),
        ("REDIS_URL", "redis+cluster://host/1", "redis+cluster://"),
        ("REDIS_URL", "redis+cluster://host:port", "redis+cluster://"),
        ("REDIS_URL", "redis+sentinel://host:26379", "redis+sentinel://"),
        ("REDIS_URL", "redis+sentinel://host/service/db", "redis+sentinel://"),
        ("REDIS_URL", "redis://host/0?acks=some", "acks=1, all or fsync"),
        ("REDIS_URL", "redis://host/0?acks=all&acks_replicas=9", "acks_replicas=0 to 8"),
        ("REDIS_URL", "redis://host/0?acks=all&acks_timeout_ms=9000", "acks_timeout_ms=10 to 5000"),
        ("REDIS_URL", "redis+other://host", "redis+sentinel://"),
        ("REDIS_URL", ";", "redis://"),
        ("MODEL_URL", "example.com/v1", "http://"),
        ("MODEL_URL", "http://host:port", "http://"),
        ("MODEL_KIND", "gpt", "chat-completions, text-generation or eliza"),
        ("SESSION_TTL", "0", "whole seconds"),
        ("SESSION_TTL_SLIDING", "maybe", "true or false"),
        ("CONTEXT_MESSAGES", "-1", "a whole number"),
        ("MAX_NEW_TOKENS", "many", "a whole number"),
        ("MODEL_TIMEOUT", "0", "seconds"),
        ("CORS_ORIGINS", "*", "origins separated by commas"),
        ("CORS_ORIGINS", "https://example.com/path", "origins separated by commas"),
    ],
)
def test_a_wrong_value_is_told_in_one_line_with_variable_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{variable: value})

    assert str(caught.value).startswith(f"{variable} holds {value!r}; allowed: ")
    assert allowed in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_value_never_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as of_token:
        load(monkeypatch, HUGGINFACE_INFERENCE_TOKEN="hf_secret with spaces")
    monkeypatch.delenv("HUGGINFACE_INFERENCE_TOKEN")
    with pytest.raises(SettingsError) as of_url:
        load(monkeypatch, REDIS_URL="redis://ada:opensesame@host:6379/x")

    assert str(of_token.value).startswith("HUGGINFACE_INFERENCE_TOKEN holds 'hf_secre…'")
    assert "opensesame" not in str(of_url.value)
    assert "redis://ada:…@host:6379/x" in str(of_url.value)


def test_the_tutorials_variables_make_up_the_url_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch, REDIS_HOST="db", REDIS_PORT="7000", REDIS_USER="ada", REDIS_PASSWORD="p@ss/word"
    )

    assert settings.redis_url == "redis://ada:p%40ss%2Fword@db:7000/0"
    assert settings.redis_configured
    assert settings.masked_redis_url() == "redis://ada:…@db:7000/0"
    assert "p@ss" not in repr(settings)
    assert "p%40ss" not in repr(settings)


def test_a_full_url_goes_before_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, REDIS_URL="rediss://a/2", REDIS_HOST="b").redis_url == "rediss://a/2"


def test_a_socket_is_an_address_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "unix:///run/redis%20of%20ada.sock?db=2"
    assert load(monkeypatch, REDIS_URL=url).redis_url == url


@pytest.mark.parametrize("url", ["unix://", "unix:///", "unix://host/redis.sock", "unix:///redis.sock?db=a"])
def test_a_socket_without_a_path_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL holds .*; allowed: .* unix:///path"):
        load(monkeypatch, REDIS_URL=url)


@pytest.mark.parametrize(
    "variable", ["HF_TOKEN", "HUGGINGFACE_INFERENCE_TOKEN", "HUGGINFACE_INFERENCE_TOKEN"]
)
def test_a_token_alone_means_the_router(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    settings = load(monkeypatch, **{variable: "hf_x"})

    assert settings.hf_token is not None
    assert settings.hf_token.get_secret_value() == "hf_x"
    assert (settings.model_kind, settings.model_url) == ("chat-completions", ROUTER_URL)
    assert settings.model == ROUTER_MODEL


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://host/v1", "chat-completions"),
        ("https://host/v1/", "chat-completions"),
        ("https://host/v1/chat/completions", "chat-completions"),
        ("https://host", "text-generation"),
        ("https://host/generate", "text-generation"),
    ],
)
def test_the_url_of_the_model_tells_its_kind(monkeypatch: pytest.MonkeyPatch, url: str, kind: str) -> None:
    assert load(monkeypatch, MODEL_URL=url).model_kind == kind


def test_model_kind_decides_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, MODEL_URL="https://host/v1", MODEL_KIND="eliza").model_kind == "eliza"
    assert load(monkeypatch, MODEL_KIND="text-generation").model_kind == "text-generation"


@pytest.mark.parametrize("token", ["", "hf_x"])
def test_text_generation_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    with pytest.raises(
        SettingsError, match=r"^MODEL_URL is not set; allowed: a URL .* MODEL_KIND is text-generation"
    ):
        load(monkeypatch, MODEL_KIND="text-generation", HF_TOKEN=token)


def test_development_lets_the_tutorials_client_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, APP_ENV="development").cors_origins == ("http://localhost:3000",)


def test_origins_are_kept_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch, APP_ENV="development", CORS_ORIGINS="https://Chat.example.com/, http://a:1 ,"
    )

    assert settings.cors_origins == ("https://chat.example.com", "http://a:1")


def test_neighbouring_ports_do_not_share_a_health_port(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [load(monkeypatch, PORT=str(port)) for port in (3500, 3501, 3510)]
    ports = [settings.agent_port(stage) for settings in taken for stage in STAGES] + [3500, 3501, 3510]

    assert len(set(ports)) == len(ports)


def test_the_health_port_can_be_chosen_and_never_leaves_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, PORT="65535", INFER_PORT="9000")

    assert settings.agent_port("infer") == 9000
    assert 1 <= settings.agent_port("ingest") <= 65535


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().port = 1  # type: ignore[misc]


def test_a_url_that_cannot_be_read_is_masked_as_a_whole() -> None:
    assert mask_url("redis://[broken") == "redis://[broken"[:7] + "…"


def test_rates_and_networks_are_read_from_text(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch, MESSAGE_RATE="5/s+50", ADDRESS_TOKEN_RATE="0", TRUSTED_PROXIES="10.0.0.7, 192.168.3.1/24"
    )

    assert settings.message_rate == Rate(5, 1, 50)
    assert settings.address_token_rate is None
    assert settings.trusted_proxies == ("10.0.0.7/32", "192.168.3.0/24")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MESSAGE_RATE", "often"), ("TRUSTED_PROXIES", "10.0.0.0/99"), ("INFER_LIMIT", "-1")],
)
def test_a_wrong_limit_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} holds '{value}'; allowed: "):
        load(monkeypatch, **{variable: value})


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://a:7000;redis+cluster://b:7000",
        "rediss+cluster://ada:secret@a:7000",
        "redis+cluster://a/0",
        "redis+sentinel://a:26379/service/2;redis+sentinel://b/service/2",
        "rediss+sentinel://a/service?ssl_ca_certs=/ca.crt",
        "redis+sentinel://a/service?acks=all&acks_replicas=2&acks_timeout_ms=500",
    ],
)
def test_redis_may_be_a_cluster_or_behind_sentinel(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    settings = load(monkeypatch, REDIS_URL=url.replace(";", " ; "))

    assert settings.redis_url == url
    assert settings.redis_configured


def test_the_password_of_each_address_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "redis+cluster://ada:opensesame@a:7000;redis+cluster://ada:othersecret@b:7000"
    settings = load(monkeypatch, REDIS_URL=url)

    assert settings.masked_redis_url() == "redis+cluster://ada:…@a:7000;redis+cluster://ada:…@b:7000"
    assert {"opensesame", "othersecret"} <= set(settings.secrets())
