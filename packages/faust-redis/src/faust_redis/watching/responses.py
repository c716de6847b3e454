"""Answers in JSON."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

__all__ = ["as_json"]


def as_json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer that no cache keeps."""
    return web.json_response(
        body, status=status, headers={"Cache-Control": "no-store", **(headers or {})}, dumps=_compact
    )


def _compact(body: Any) -> str:
    return json.dumps(body, separators=(",", ":"))
