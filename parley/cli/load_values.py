"""Parse and check the values of the options of ``parley load``, for click."""

from __future__ import annotations

import math
import os
from pathlib import Path
from urllib.parse import urlsplit

import click

from pipeline.masking import mask_secrets

# The longest message of a load test; the service accepts longer ones only with a larger MESSAGE_MAX_BYTES.
_MOST_CHARACTERS = 60_000


def parse_span(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Parse a span of time."""
    from parley.loadtest.bounds import span

    try:
        return None if value is None else span(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


def parse_sizes(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Parse a number of characters, or a range of them."""
    least, _, most = value.partition("-")
    try:
        sizes = int(least), int(most or least)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a size such as 200 or 20-2000") from None
    if not 1 <= sizes[0] <= sizes[1] <= _MOST_CHARACTERS:
        raise click.BadParameter(f"a size is from 1 to {_MOST_CHARACTERS}, the smaller first")
    return sizes


def check_finite(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse ``nan`` and ``inf``, which the type accepts."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number")
    return value


def parse_url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Check the address of a service, if there is one."""
    return None if value is None else checked_url(value)


def parse_side(_context: click.Context, _parameter: click.Parameter, value: str) -> str | Path:
    """Return the address of a service, or the file or folder of this name."""
    if not Path(value).exists() and "://" not in value:
        raise click.BadParameter(
            f"{value!r}: there is no such file or folder, and it is not an http:// address"
        )
    return Path(value) if Path(value).exists() else checked_url(value)


def checked_url(value: str) -> str:
    """Return the address of a service, without a slash at its end.

    Raises:
        click.BadParameter: it is not such an address.
    """
    wanted = "expected http://host:port or https://host, with a path if there is one"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as exc:
        raise click.BadParameter(f"{mask_secrets(value)!r}: {exc}; {wanted}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise click.BadParameter(f"{mask_secrets(value)!r}: {wanted}")
    if parts.query or parts.fragment or parts.username is not None:
        raise click.BadParameter(f"{parts.scheme}://{parts.hostname}…: {wanted}, without query or password")
    return value.rstrip("/")


def check_file(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a file that could not be written at the end of the test."""
    if value is not None and not (value.parent.is_dir() and os.access(value.parent, os.W_OK)):
        raise click.BadParameter(f"there is no folder {str(value.parent)!r} to write to")
    return value
