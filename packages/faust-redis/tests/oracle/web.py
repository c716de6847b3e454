"""Asking the pages of a program's worker."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import aiohttp

__all__ = ["get", "post", "without_variable_figures"]


def _address(path: str, port: str | None) -> str:
    return f"http://127.0.0.1:{port or os.environ['ORACLE_PORT']}{path}"


async def get(session: aiohttp.ClientSession, path: str, port: str | None = None) -> tuple[int, Any]:
    """Return status and body of a page, once the server is there."""
    for _ in range(500):
        try:
            async with session.get(_address(path, port)) as response:
                return response.status, _body(await response.text())
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.02)
    raise AssertionError("the pages are not served")


async def post(session: aiohttp.ClientSession, path: str, body: Any) -> tuple[int, Any]:
    """Return status and body of what a page answers to a body of JSON."""
    async with session.post(_address(path, None), json=body) as response:
        return response.status, _body(await response.text())


def without_variable_figures(answer: tuple[int, Any]) -> tuple[int, Any]:
    """Return an answer with the port of this run replaced by a word."""
    status, body = answer
    return status, json.loads(json.dumps(body).replace(os.environ["ORACLE_PORT"], "PORT"))


def _body(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
