"""Serve the page ``/stages``, and its data as JSON under ``/api/stages``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, TypeGuard

import orjson
from aiohttp import web

from faust_redis import DeadLetter, DeadLetters, Inspector, NoSuchDeadLetterError, StreamEntry, watching
from faust_redis.watching import Operator, RecordedHistory, Recorder
from pipeline.redis.keys import HISTORY
from pipeline.settings import STAGES
from pipeline.telemetry.stages.past import PastStages
from pipeline.telemetry.stages.points import Point
from pipeline.telemetry.stages.redaction import shown_error, shown_message
from pipeline.telemetry.stages.watch import INTERVAL, StageWatch
from web import keys, limits
from web.http.admin import audit, is_admin, require_admin
from web.http.errors import failure, json_response

_PAGE: Final = Path(__file__).resolve().parent / "stages_page"
_WATCH = web.AppKey("stage_watch", StageWatch)
_PAST = web.AppKey("past_stages", PastStages)
_PAGE_SIZE: Final = 20
_TIME: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_LETTER_ID: Final = re.compile(r"[a-z]{1,32}:[0-9]{1,5}:([0-9]{1,20})-([0-9]{1,20})")


def add_routes(app: web.Application) -> None:
    """Add the routes of this module."""
    app.router.add_get("/stages", page)
    app.router.add_static("/stages/shared/", watching.PAGE)
    app.router.add_static("/stages/", _PAGE)
    app.router.add_get("/api/stages", stages)
    app.router.add_get("/api/stages/history", history)
    app.router.add_get("/api/stages/access", access)
    app.router.add_get("/api/stages/{stage}/dead", dead_letters)
    app.router.add_get(r"/api/stages/{stage}/{partition:\d{1,5}}/{kind:latest|pending}", entries)
    app.router.add_post("/api/stages/dead/{action:replay|drop}", act_on_dead_letter)
    app.router.add_post("/api/stages/{stage}/{action:pause|resume}", pause_or_resume)


async def watch(app: web.Application) -> AsyncIterator[None]:
    """Create the watch of this process, and stop it at the end."""
    redis = app[keys.REDIS]
    recorder = Recorder(RecordedHistory(redis, HISTORY, app[keys.NODE]))
    app[_WATCH] = StageWatch(redis, STAGES, recorder)
    app[_PAST] = PastStages(redis)
    app[_WATCH].start()
    yield
    await app[_WATCH].stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(limits.LEAVE_SECONDS):
            await recorder.stop()


async def page(_request: web.Request) -> web.FileResponse:
    """Answer ``GET /stages``."""
    return web.FileResponse(_PAGE / "index.html")


async def stages(request: web.Request) -> web.Response:
    """Answer ``GET /api/stages``: the current figures, or those of ``at``; see docs/api-stages.md."""
    private, at = await is_admin(request), _time(request, "at")
    if at is None:
        snapshot = await request.app[_WATCH].latest()
        hidden = [replace(each, top=[]) for each in snapshot.refusals]
        return json_response(snapshot if private else replace(snapshot, refusals=hidden))
    past = await request.app[_PAST].at(at)
    if past is None:
        return failure(404, "No figures were recorded at that time; they are kept for a day")
    return json_response(past.as_json(private=private))


async def history(request: web.Request) -> web.Response:
    """Answer ``GET /api/stages/history``: the figures since ``since``, or of the last minutes, as columns."""
    since, until = _time(request, "since"), _time(request, "until")
    now = (await request.app[_WATCH].latest()).at
    if since is not None:
        return json_response(
            await request.app[_PAST].columns(since, now + INTERVAL if until is None else until, now)
        )
    names = [field.name for field in fields(Point)]
    return json_response(
        {
            stage: {name: [getattr(point, name) for point in points] for name in names}
            for stage, points in request.app[_WATCH].history.items()
        }
    )


async def access(request: web.Request) -> web.Response:
    """Answer ``GET /api/stages/access``: whether an admin token is set, and whether the request has it."""
    settings = request.app[keys.SETTINGS]
    return json_response({"admin_token": settings.admin_token is not None, "admin": await is_admin(request)})


async def entries(request: web.Request) -> web.Response:
    """Answer with a page of a partition's entries; only admins see the texts that people wrote."""
    private = await is_admin(request)
    stage, partition = _stage(request), int(request.match_info["partition"])
    inspector, place = Inspector(request.app[keys.REDIS]), (stage, partition, stage)
    if request.match_info["kind"] == "latest":
        page = await inspector.latest(*place, before=_number(request, "before"), count=_PAGE_SIZE)
    else:
        page = await inspector.pending(*place, after=_number(request, "after") or 0, count=_PAGE_SIZE)
    body = [_entry(entry, private) for entry in page]
    return json_response({"entries": body, "more": len(page) == _PAGE_SIZE, "private": private})


async def dead_letters(request: web.Request) -> web.Response:
    """Answer with a page of a stage's dead letters, the latest first."""
    private = await is_admin(request)
    letters = DeadLetters(request.app[keys.REDIS])
    before = request.query.get("before")
    if before is not None and not _is_letter_id(before):
        return failure(400, "before is not the id of a dead letter")
    try:
        page = await letters.page([_stage(request)], before=before, count=_PAGE_SIZE)
    except NoSuchDeadLetterError as exc:
        return failure(400, str(exc))
    body = [_letter(letter, private) for letter in page]
    return json_response({"letters": body, "more": len(page) == _PAGE_SIZE, "private": private})


async def act_on_dead_letter(request: web.Request) -> web.Response:
    """Answer ``POST /api/stages/dead/replay`` and ``…/drop``, ``{"id": "<dead letter>"}``; for admins."""
    await require_admin(request)
    try:
        letter_id = orjson.loads(await request.read())["id"]
    except (ValueError, KeyError, TypeError):
        return failure(400, 'The body is {"id": "<id of a dead letter>"}')
    letters = DeadLetters(request.app[keys.REDIS])
    try:
        if not _is_letter_id(letter_id):
            raise NoSuchDeadLetterError(str(letter_id))
        if request.match_info["action"] == "drop":
            await letters.drop(letter_id)
            audit(request, "drop", letter=letter_id)
            return json_response({"dropped": letter_id})
        offset = await letters.replay(letter_id)
        audit(request, "replay", letter=letter_id)
        return json_response({"replayed": letter_id, "offset": offset})
    except NoSuchDeadLetterError as exc:
        audit(request, "refused", letter=str(letter_id))
        return failure(404, str(exc))


async def pause_or_resume(request: web.Request) -> web.Response:
    """Answer ``POST /api/stages/<stage>/pause`` and ``…/resume``, for admins: stop or go on reading."""
    await require_admin(request)
    stage, action, changed = _stage(request), request.match_info["action"], True
    operator = Operator(request.app[keys.REDIS])
    if action == "pause":
        await operator.pause(stage, stage)
    else:
        changed = await operator.resume(stage, stage)
    audit(request, action, stage=stage)
    return json_response({"action": action, "changed": changed})


def _is_letter_id(text: Any) -> TypeGuard[str]:
    """Return whether ``text`` is a valid id of a dead letter; Redis raises an error for others."""
    found = _LETTER_ID.fullmatch(text) if isinstance(text, str) else None
    return found is not None and all(int(number) < 2**64 for number in found.groups())


def _stage(request: web.Request) -> str:
    stage = request.match_info["stage"]
    if stage not in STAGES:
        raise web.HTTPNotFound(reason="There is no such stage")
    return stage


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or int(text) == 0:
        raise web.HTTPBadRequest(reason=f"{name} is not an offset")
    return int(text)


def _time(request: web.Request, name: str) -> float | None:
    text = request.query.get(name)
    if text is None:
        return None
    if _TIME.fullmatch(text) is None:
        raise web.HTTPBadRequest(reason=f"{name} is not a Unix time in seconds")
    return float(text)


def _entry(entry: StreamEntry, private: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "offset": entry.offset,
        "attempts": entry.attempts,
        "consumer": entry.consumer,
        "idle": entry.idle,
        "deliveries": entry.deliveries,
        "deleted": entry.record is None,
    }
    if entry.record is not None:
        shown |= {
            "sent_at": entry.record.timestamp / 1000,
            "bytes": len(entry.record.value or b""),
            "message": shown_message(entry.record.value, private=private),
        }
    return shown


def _letter(letter: DeadLetter, private: bool) -> dict[str, Any]:
    return {
        "id": letter.id,
        "partition": letter.partition,
        "offset": letter.offset,
        "group": letter.group,
        "attempts": letter.attempts,
        "error": shown_error(letter.error, private=private),
        "sent_at": letter.timestamp / 1000,
        "given_up_at": letter.died_at,
        "trace_id": letter.trace_id,
        "bytes": len(letter.value or b""),
        "message": shown_message(letter.value, private=private),
    }
