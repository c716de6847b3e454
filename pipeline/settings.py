"""Read the settings from environment variables and a ``.env`` file in the working directory.

A field's environment variable is its name in capitals unless the field declares an alias; its description
names the allowed values in the error for a wrong one.
"""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pipeline import settings_checks as checks
from pipeline.errors import SettingsError
from pipeline.masking import mask_url, remember_secrets, secrets_of_environment, secrets_of_url
from pipeline.redis.addresses import REDIS_URL_HINT, checked_redis_url
from pipeline.redis.rate import Rate
from pipeline.settings_errors import first_error

ModelKind = Literal["chat-completions", "text-generation", "eliza"]

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
ROUTER_URL = "https://router.huggingface.co/v1"
ROUTER_MODEL = "openai/gpt-oss-120b"

# Tokens of an answer when MAX_NEW_TOKENS is not set. A text-generation model continues with the user's side
# of the dialogue, so one line is enough; a chat model ends by itself, but may spend hundreds of tokens on
# thoughts.
TEXT_GENERATION_TOKENS = 25
CHAT_TOKENS = 2048

# The deadline of a turn as a multiple of MODEL_TIMEOUT, when MODEL_DEADLINE is not set.
_DEADLINE_IN_TIMEOUTS = 3

STAGES = ("ingest", "enrich", "infer", "deliver")

# The first port of the agents' health pages: far enough from PORT that PORT + 1 stays free for a second copy,
# and for every usual PORT below 32768, where Linux's range for outgoing connections begins.
_AGENT_PORT_OFFSET = 10_000
_AGENT_PORT_STEP = 100


RATES = (
    "message_rate",
    "address_message_rate",
    "address_token_rate",
    "address_connect_rate",
    "address_read_rate",
)
"""The settings that a load test from one address must set to 0, which means no limit."""

_RATE = "a rate such as 5/s or 30/m, or 5/s+50 with a burst of 50; 0 for no limit"
_LIMIT = "a whole number, 0 for no limit"
_HOSTS = "host names separated by commas, such as chat.example.com or .example.com; * for any"


def _default_data_dir() -> str:
    """Return ``.parley`` in the clone that holds this code, else in the working directory."""
    clone = Path(__file__).resolve().parent.parent
    home = clone if (clone / "pyproject.toml").is_file() else Path.cwd()
    return str(home / ".parley")


class Settings(BaseSettings):
    """All settings, validated and immutable; create them with ``Settings.load()``."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    app_env: Literal["development", "production"] = Field(
        "production", description="development or production"
    )
    host: str = Field(
        "127.0.0.1", min_length=1, description="an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    )
    port: int = Field(3500, ge=1, le=65535, description="a whole number from 1 to 65535")
    single_agent_process: bool = Field(False, description="true or false")
    web_processes: int = Field(1, ge=1, le=64, description="a whole number from 1 to 64")
    hang_timeout: float = Field(30, ge=0, le=86_400, description="seconds, at most 86400; 0 for never")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="origins separated by commas, such as https://chat.example.com or http://localhost:3000",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field((), description=_HOSTS)
    public_url: str | None = Field(
        None,
        description="the address that browsers use, such as https://chat.example.com or https://example.com/chat",
    )
    public_pages: bool = Field(False, description="true or false")
    bind: str | None = Field(
        None, description="the address at which the port of a container is published, such as 127.0.0.1"
    )
    base_path: str = Field(
        "", description="a path such as /parley, without a slash at its end; empty for no path"
    )

    redis_host: str | None = Field(None, description="a host name or an address")
    redis_port: int = Field(6379, ge=1, le=65535, description="a whole number from 1 to 65535")
    redis_user: str | None = Field(None, description="a user name of Redis")
    redis_password: SecretStr | None = Field(None, description="the password of REDIS_USER")
    redis_url: str = Field(
        DEFAULT_REDIS_URL,
        repr=False,
        description=REDIS_URL_HINT,
    )

    hf_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices(
            "HF_TOKEN", "HUGGINGFACE_INFERENCE_TOKEN", "HUGGINFACE_INFERENCE_TOKEN"
        ),
        description="an access token of Hugging Face, without spaces",
    )
    model_token: SecretStr | None = Field(
        None, description="the token of the server at MODEL_URL, without spaces"
    )
    model_url: str | None = Field(None, description="a URL that starts with http:// or https://")
    model: str | None = Field(None, description="the name of a model")
    model_kind: ModelKind = Field("eliza", description="chat-completions, text-generation or eliza")
    model_timeout: float = Field(60, gt=0, le=3600, description="seconds, more than 0 and at most 3600")
    model_stall_timeout: float = Field(30, gt=0, le=3600, description="seconds, more than 0 and at most 3600")
    model_deadline: float = Field(
        0, ge=0, le=86_400, description="seconds, at most 86400; 0 for three times MODEL_TIMEOUT"
    )
    model_attempts: int = Field(4, ge=1, le=100, description="a whole number from 1 to 100")
    system_prompt: str | None = Field(
        None, description="an instruction for the model, sent before each conversation"
    )
    max_new_tokens: int = Field(
        TEXT_GENERATION_TOKENS, ge=1, le=100_000, description="a whole number from 1 to 100000"
    )
    context_messages: int = Field(4, ge=1, le=1000, description="a whole number from 1 to 1000")

    session_ttl: int = Field(3600, ge=1, le=31_536_000, description="whole seconds, from 1 to 31536000")
    session_ttl_sliding: bool = Field(False, description="true or false")
    session_max_messages: int = Field(
        2000, ge=2, le=1_000_000, description="a whole number from 2 to 1000000"
    )
    session_max_bytes: int = Field(
        4_194_304, ge=1024, le=67_108_864, description="bytes, from 1024 to 67108864"
    )
    inbox_limit: int = Field(100, ge=1, le=100_000, description="a whole number from 1 to 100000")
    message_max_bytes: int = Field(65_536, ge=1, le=16_777_216, description="bytes, from 1 to 16777216")
    # Generous for people, also for many behind one address; a load test sets them to 0.
    message_rate: Annotated[Rate | None, NoDecode] = Field(Rate(5, 1, 50), description=_RATE)
    address_message_rate: Annotated[Rate | None, NoDecode] = Field(Rate(50, 1, 500), description=_RATE)
    address_token_rate: Annotated[Rate | None, NoDecode] = Field(Rate(30, 60, 60), description=_RATE)
    address_connect_rate: Annotated[Rate | None, NoDecode] = Field(Rate(10, 1, 200), description=_RATE)
    address_read_rate: Annotated[Rate | None, NoDecode] = Field(Rate(10, 1, 100), description=_RATE)
    sockets_per_token: int = Field(100, ge=0, le=100_000, description=_LIMIT)
    sockets_per_address: int = Field(0, ge=0, le=1_000_000, description=_LIMIT)
    connections_per_address: int = Field(1000, ge=0, le=1_000_000, description=_LIMIT)
    socket_idle_timeout: float = Field(
        14_400, ge=0, le=31_536_000, description="seconds, at most 31536000; 0 for no limit"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses or networks separated by commas, such as 10.0.0.7 or 10.0.0.0/8"
    )

    busy_after: float = Field(0.7, ge=0, le=3600, description="seconds, at most 3600; 0 for no limit")
    ingest_limit: int = Field(10_000, ge=0, le=10_000_000, description=_LIMIT)
    enrich_limit: int = Field(10_000, ge=0, le=10_000_000, description=_LIMIT)
    infer_limit: int = Field(10_000, ge=0, le=10_000_000, description=_LIMIT)
    deliver_limit: int = Field(10_000, ge=0, le=10_000_000, description=_LIMIT)

    redis_maxmemory: Annotated[int, NoDecode] = Field(
        0, ge=0, description="bytes, or a size such as 512mb or 2gb; 0 for a share of this machine's memory"
    )

    admin_token: SecretStr | None = Field(
        None, min_length=16, description="a secret of 16 characters or more, without spaces"
    )

    infer_concurrency: int = Field(256, ge=1, le=10_000, description="a whole number from 1 to 10000")
    partitions: int = Field(8, ge=1, le=1024, description="a whole number from 1 to 1024")
    ingest_port: int = Field(0, ge=0, le=65535, description="a whole number from 0 to 65535")
    enrich_port: int = Field(0, ge=0, le=65535, description="a whole number from 0 to 65535")
    infer_port: int = Field(0, ge=0, le=65535, description="a whole number from 0 to 65535")
    deliver_port: int = Field(0, ge=0, le=65535, description="a whole number from 0 to 65535")
    data_dir: str = Field(
        default_factory=_default_data_dir,
        validation_alias="PARLEY_DATA_DIR",
        description="the path of a folder",
    )

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the environment and ``.env``.

        Args:
            values: fields that take precedence over the environment.

        Raises:
            SettingsError: a value is invalid; its text is one line.
        """
        try:
            settings = cls(**values)
        except ValidationError as exc:
            raise first_error(cls, exc) from None
        except UnicodeDecodeError:
            raise SettingsError(".env", "bytes that are not UTF-8", "a text file in UTF-8") from None
        remember_secrets([*settings.secrets(), *secrets_of_environment(os.environ)])
        return settings

    def secrets(self) -> list[str]:
        """Return the values that no log and no page may show: tokens, passwords and keys of URLs."""
        found: list[str] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                found.append(value.get_secret_value())
            elif isinstance(value, str) and name.endswith("_url"):
                found += secrets_of_url(value)
        return found

    @property
    def redis_configured(self) -> bool:
        """Whether the user has set a Redis address; if not, ``parley up`` starts the embedded Redis."""
        return bool(self.model_fields_set & {"redis_url", "redis_host"})

    def agent_port(self, stage: str) -> int:
        """Return the port of the health page of a stage's agent."""
        if self.has_chosen_port(stage):
            return int(getattr(self, f"{stage}_port"))
        offset = _AGENT_PORT_OFFSET + _AGENT_PORT_STEP * STAGES.index(stage)
        port = self.port + offset
        return port if port <= 65535 else self.port - offset

    def has_chosen_port(self, stage: str) -> bool:
        """Return whether the user, or ``parley up``, has chosen the port of a stage's health page."""
        return bool(getattr(self, f"{stage}_port"))

    def stage_limits(self) -> dict[str, int]:
        """Return the maximum number of waiting messages by stage; 0 for no limit."""
        return {stage: getattr(self, f"{stage}_limit") for stage in STAGES}

    def masked_redis_url(self) -> str:
        """Return the URL of Redis without secrets."""
        return mask_url(self.redis_url)

    def masked_model_url(self) -> str:
        """Return MODEL_URL without secrets; empty when it is not set."""
        return mask_url(self.model_url or "")

    def token_for_model(self) -> str | None:
        """Return the token to send to MODEL_URL: MODEL_TOKEN, or HF_TOKEN if the host is Hugging Face's."""
        if self.model_token is not None:
            return self.model_token.get_secret_value()
        if self.hf_token is None or self.model_url is None:
            return None
        return self.hf_token.get_secret_value() if checks.is_of_hugging_face(self.model_url) else None

    @field_validator("app_env", "model_kind", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("hf_token", "model_token", "admin_token")
    @classmethod
    def _one_word(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and (
            not token.get_secret_value().isprintable() or " " in token.get_secret_value()
        ):
            raise ValueError("spaces in a token")
        return token

    @field_validator(*RATES, mode="before")
    @classmethod
    def _read_rate(cls, value: Any) -> Any:
        return Rate.parse(value) if isinstance(value, str) else value

    @field_validator("redis_maxmemory", mode="before")
    @classmethod
    def _read_bytes(cls, value: Any) -> Any:
        return checks.parse_bytes(value) if isinstance(value, str) else value

    @field_validator("cors_origins", "trusted_proxies", "allowed_hosts", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checks.origin(origin) for origin in origins)

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checks.allowed_host(host) for host in hosts)

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        return None if url is None else checks.site_url(url)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(network, strict=False)) for network in networks)

    @field_validator("base_path")
    @classmethod
    def _check_base_path(cls, path: str) -> str:
        return checks.url_path(path)

    @field_validator("model_url")
    @classmethod
    def _check_model_url(cls, url: str | None) -> str | None:
        return None if url is None else checks.http_url(url)

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: str) -> str:
        return checked_redis_url(url)

    @model_validator(mode="after")
    def _derive(self) -> Self:
        """Derive the defaults that depend on other settings."""
        given = self.model_fields_set
        if "redis_url" not in given:
            self._fill("redis_url", self._redis_url_of_parts())
        if "cors_origins" not in given and self.app_env == "development":
            self._fill("cors_origins", ("http://localhost:3000",))
        self._fill("model_kind", self.model_kind if "model_kind" in given else self._kind_of_url())
        if self.model_kind == "chat-completions" and "max_new_tokens" not in given:
            self._fill("max_new_tokens", CHAT_TOKENS)
        if self.model_deadline == 0:
            self._fill("model_deadline", _DEADLINE_IN_TIMEOUTS * self.model_timeout)
        if self.model_kind == "chat-completions" and self.model_url is None and self.hf_token is not None:
            self._fill("model_url", ROUTER_URL)
            self._fill("model", self.model or ROUTER_MODEL)
        return self

    def _fill(self, field: str, value: Any) -> None:
        # Set in __dict__ because the instance is frozen; model_fields_set keeps listing only the user's
        # values.
        self.__dict__[field] = value

    def _redis_url_of_parts(self) -> str:
        if self.redis_host is None:
            return DEFAULT_REDIS_URL
        password = self.redis_password.get_secret_value() if self.redis_password else ""
        login = f"{quote(self.redis_user or '', safe='')}:{quote(password, safe='')}@" if password else ""
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return f"redis://{login}{host}:{self.redis_port}/0"

    def _kind_of_url(self) -> ModelKind:
        if self.model_url is None:
            return "eliza" if self.hf_token is None else "chat-completions"
        path = urlsplit(self.model_url).path.rstrip("/")
        return "chat-completions" if path.endswith(("/v1", "/chat/completions")) else "text-generation"

    def model_post_init(self, _context: Any) -> None:
        """Reject a model kind that needs an address but has none."""
        # Not a validator, because pydantic's report on a whole model names no variable.
        if self.model_kind != "eliza" and self.model_url is None:
            hint = "a URL that starts with http:// or https://, as MODEL_KIND is " + self.model_kind
            raise SettingsError("MODEL_URL", None, hint)
