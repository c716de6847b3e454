"""The actions of admins over HTTP; each one that changes something leaves a line in the log."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web
from mode import get_logger

from faust_redis.errors import SeekError
from faust_redis.watching.access import require_admin
from faust_redis.watching.entries import entry_as_json
from faust_redis.watching.operating import LETTERS, Operator
from faust_redis.watching.responses import as_json
from faust_redis.watching.watch import Watch

__all__ = ["OPERATOR", "WATCH", "act_on_letters", "move_offsets", "pause", "preview_letters", "search"]

audit_log = get_logger(__name__)

OPERATOR: Final = web.AppKey("faust_watch_operator", Operator)
WATCH: Final = web.AppKey("faust_watch", Watch)


async def search(request: web.Request) -> web.Response:
    """Answer with entries by ``key``, ``trace`` or ``text``; ``cursor`` gives the next part."""
    await require_admin(request)
    query = request.query
    topic = query.get("topic")
    wanted = {name: query[name] for name in ("key", "trace", "text") if query.get(name)}
    if not topic or not wanted:
        raise web.HTTPBadRequest(reason="topic, and one of key, trace and text are needed")
    key = wanted["key"].encode() if "key" in wanted else None
    try:
        page = await request.config_dict[OPERATOR].search(
            topic, key=key, trace=wanted.get("trace"), text=wanted.get("text"), cursor=query.get("cursor")
        )
    except ValueError as error:
        raise web.HTTPBadRequest(reason=str(error)) from error
    _audit(request, "search", topic=topic, by=",".join(wanted))
    hits = [{"partition": partition, **entry_as_json(entry, private=True)} for partition, entry in page.hits]
    return as_json({"hits": hits, "searched": page.searched, "cursor": page.cursor})


async def preview_letters(request: web.Request) -> web.Response:
    """Answer with the dead letters of ``topic`` that a replay would take; ``group`` and ``error`` select."""
    await require_admin(request)
    body = await _body(request, "topic")
    operator = request.config_dict[OPERATOR]
    preview = await operator.preview(body["topic"], group=body.get("group"), error=body.get("error"))
    return as_json(asdict(preview))


async def act_on_letters(request: web.Request) -> web.Response:
    """Replay or drop the dead letters named by ``ids``."""
    await require_admin(request)
    body = await _body(request)
    ids = body.get("ids")
    if not isinstance(ids, list) or len(ids) > LETTERS or not all(isinstance(each, str) for each in ids):
        raise web.HTTPBadRequest(reason=f"ids is a list of {LETTERS} ids of dead letters at most")
    action = request.match_info["action"]
    done, missing = await request.config_dict[OPERATOR].act(action, ids)
    _audit(request, action, letters=done, first=ids[0] if ids else None, missing=len(missing))
    return as_json({"done": done, "missing": missing})


async def move_offsets(request: web.Request) -> web.Response:
    """Move the offsets of ``app`` in ``topic`` to ``to``; with ``preview``, only return the moves."""
    await require_admin(request)
    body = await _body(request, "app", "topic", "to")
    operator, place = request.config_dict[OPERATOR], (body["app"], body["topic"], body["to"])
    is_preview = body.get("preview") is True
    try:
        moves = await (operator.moves(*place) if is_preview else operator.move(*place))
    except (SeekError, ValueError) as error:
        raise web.HTTPConflict(reason=" ".join(str(error).split())) from error
    if not is_preview:
        _audit(request, "move offsets", app=place[0], topic=place[1], to=place[2])
    return as_json({"moves": [asdict(move) for move in moves], "moved": not is_preview})


async def pause(request: web.Request) -> web.Response:
    """Pause or resume ``topic``, or its ``partition``, for ``app``."""
    await require_admin(request)
    body = await _body(request, "app", "topic")
    partition, action = body.get("partition"), request.match_info["action"]
    if partition is not None and (not isinstance(partition, int) or partition < 0):
        raise web.HTTPBadRequest(reason="partition is a number")
    operator, place = request.config_dict[OPERATOR], (body["app"], body["topic"], partition)
    changed = True
    if action == "pause":
        try:
            await operator.require_place(*place)
        except ValueError as error:
            raise web.HTTPConflict(reason=str(error)) from error
        await operator.pause(*place)
    else:
        changed = await operator.resume(*place)
    request.config_dict[WATCH].refresh()
    _audit(request, action, app=body["app"], topic=body["topic"], partition=partition)
    return as_json({"action": action, "changed": changed})


async def _body(request: web.Request, *names: str) -> dict[str, Any]:
    """Return a body that is an object with text for these names."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in names):
        raise web.HTTPBadRequest(reason=f"The body is a JSON object with {', '.join(names) or 'ids'}")
    return body


def _audit(request: web.Request, action: str, **facts: Any) -> None:
    described = " ".join(f"{name}={value!r}" for name, value in facts.items())
    audit_log.info("admin action %s from %s: %s", action, request.remote, described)
