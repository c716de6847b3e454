"""Configure logging: short readable lines in development, one JSON object per line in production.

Everything goes through the standard library's logging, so that lines of Faust, aiohttp and redis-py have the
same format as Parley's. A processor masks session tokens, so that no caller has to.
"""

from __future__ import annotations

import logging.config
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Literal

import structlog

from pipeline.errors import mask
from pipeline.masking import clean, clean_line, mask_known, mask_secrets
from pipeline.telemetry.tracing import log_fields

__all__ = ["logging_config", "mask", "setup_logging"]

AppEnv = Literal["development", "production"]

# Fields that keep their line breaks.
_TRACES = ("exception", "stack")
# The id of a message looks like a token but is not secret.
_PUBLIC_ID = "message_id"
# Levels of lists and mappings in a field that are searched; deeper values are converted to text.
_DEPTH = 4


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
    # Uncaught errors are logged, because Python itself would print them with every secret.
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def logging_config(app_env: AppEnv, level: str = "INFO") -> dict[str, Any]:
    """Return the dictConfig of ``setup_logging``, for Faust, which configures logging by itself."""
    rendering: list[Any]
    filters: list[str] = []
    if app_env == "production":
        rendering = [
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        filters = ["service-chatter"]
        rendering = [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False, key="timestamp"),
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False),
        ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "parley": {
                "()": SafeFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    # Here, not in the renderer, which would show local variables: secrets are among them.
                    structlog.processors.format_exc_info,
                    make_safe,
                    *rendering,
                ],
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
        # It warns of each handshake whose protocols we do not have, so that a stranger could fill the log.
        "loggers": {"aiohttp.websocket": {"level": "ERROR"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


class ServiceChatter(logging.Filter):
    """Drop the start and stop lines of Faust's dozens of services, except "Ready"."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to keep the record."""
        # mode prefixes every line of a service, as in "[^--Consumer]: Starting...".
        text = str(record.msg)
        return record.levelno > logging.INFO or not text.startswith("[^") or text.endswith(": Ready")


class SafeFormatter(structlog.stdlib.ProcessorFormatter):
    """Format records without raising, and mask the secrets of the settings in the finished line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        try:
            return mask_known(super().format(record))
        except Exception as exc:  # arguments that do not fit the message, an object whose repr fails
            place = f"{record.name}, {record.pathname}:{record.lineno}"
            return f"formatting a log line failed: {type(exc).__name__} ({place})"


def make_safe(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask the secrets in every string of a line, and escape control characters."""
    for name, value in event.items():
        if name in _TRACES and isinstance(value, str):
            event[name] = clean(mask_secrets(value))
        elif name == _PUBLIC_ID and isinstance(value, str):
            event[name] = clean_line(mask_known(value))
        else:
            event[name] = _safe(value)
    return event


def _safe(value: Any, depth: int = _DEPTH) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return clean_line(mask_secrets(value))
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_safe(each, depth - 1) for each in value]
    if depth and isinstance(value, dict):
        return {str(_safe(str(name))): _safe(each, depth - 1) for name, each in value.items()}
    return clean_line(mask_secrets(repr(value)))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("parley").critical("uncaught error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None:
        _log_uncaught(failed.exc_type, failed.exc_value, failed.exc_traceback)


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
    ]
