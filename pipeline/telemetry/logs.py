"""Configure logging: short readable lines in development, one JSON object per line in production.

Everything goes through the standard library's logging, so that lines of Faust, aiohttp and redis-py have the
same format as Parley's. A processor masks session tokens, so that no caller has to.
"""

from __future__ import annotations

import logging.config
import re
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from pipeline.errors import mask
from pipeline.telemetry.tracing import log_fields

__all__ = ["logging_config", "mask", "setup_logging"]

AppEnv = Literal["development", "production"]

# The places where a complete session token may occur in a line: the URL of a request and Redis keys.
_TOKEN_IN_TEXT = re.compile(r"(?P<before>\btoken=|session:\{|presence:\{)(?P<token>[0-9a-fA-F-]{36})")


def setup_logging(app_env: AppEnv, level: str = "INFO") -> None:
    """Set up structlog and the standard library's logging for this process; safe to call again."""
    logging.config.dictConfig(logging_config(app_env, level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logging_config(app_env: AppEnv, level: str = "INFO") -> dict[str, Any]:
    """Return the dictConfig of ``setup_logging``, for Faust, which configures logging by itself."""
    rendering: list[Any]
    filters: list[str] = []
    if app_env == "production":
        rendering = [
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        filters = ["service-chatter"]
        rendering = [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False, key="timestamp"),
            structlog.dev.ConsoleRenderer(
                colors=False,
                pad_event_to=0,
                pad_level=False,
                # The default formatter prints the local variables of every frame, including secrets.
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "parley": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
                "foreign_pre_chain": _shared_processors(),
            }
        },
        "filters": {"service-chatter": {"()": ServiceChatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "parley",
                "filters": filters,
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


class ServiceChatter(logging.Filter):
    """Drop the start and stop lines of Faust's dozens of services, except "Ready"."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep the record."""
        # mode prefixes every line of a service, as in "[^--Consumer]: Starting...".
        text = str(record.msg)
        return record.levelno > logging.INFO or not text.startswith("[^") or text.endswith(": Ready")


def mask_tokens(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask session tokens in the field ``token`` and in the text of a line."""
    token = event.get("token")
    if isinstance(token, str) and not token.endswith("…"):
        event["token"] = mask(token)
    text = event.get("event")
    if isinstance(text, str):
        event["event"] = _TOKEN_IN_TEXT.sub(lambda m: m["before"] + mask(m["token"]), text)
    return event


def add_message(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the ids of the current message and of its trace."""
    for name, value in log_fields().items():
        event.setdefault(name, value)
    return event


def _shared_processors() -> list[Any]:
    """Return the processors for the lines of Parley and of libraries alike."""
    return [
        structlog.contextvars.merge_contextvars,
        add_message,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        mask_tokens,
    ]
