"""Learn the parameters that a chat completions server accepts from its refusals, with one resend each.

``max_tokens`` is ``max_completion_tokens`` for newer models, older servers reject ``stream_options``, and
some chat templates have no system role. No server lists its parameters, so the usual shape is tried first,
and a refusal determines the next one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.refusals import (
    refuses_answer_length,
    refuses_parameter,
    refuses_stream,
    refuses_system_role,
)

# Seconds that requests wait until the first one is accepted or refused. Servers refuse at once; a server that
# takes longer is working on the request, so a longer wait would only delay the others.
_FIRST_WAIT = 1.0

_REFUSING = frozenset({ModelErrorCode.REJECTED, ModelErrorCode.ERROR, ModelErrorCode.BAD_RESPONSE})

_STREAM_REFUSED = frozenset({400, 405, 422, 501})


@dataclass(frozen=True)
class RequestShape:
    """The parameters of a request.

    Attributes:
        limit: the name of the parameter that limits the answer's tokens; None sends no limit.
        stream: whether to request a stream; without one the complete answer comes at once.
        usage: whether to request token counts, which comes by itself without a stream.
        system_role: whether to send messages of the role ``system``.
    """

    limit: str | None = "max_tokens"
    stream: bool = True
    usage: bool = True
    system_role: bool = True


class ShapeMemory:
    """Remember the shape that a server accepts.

    While it is unknown, one request goes ahead of concurrent ones, which would all be refused for the same
    reason.

    Attributes:
        shape: the shape to try first.
    """

    def __init__(self) -> None:
        self.shape = RequestShape()
        self._known = False
        self._first = asyncio.Lock()
        self._leader: object = None

    async def enter(self, request: object) -> None:
        """Wait briefly while another request finds out the shape; ``leave`` must follow.

        Args:
            request: an object that identifies the caller.
        """
        if self._known:
            return
        try:
            async with asyncio.timeout(_FIRST_WAIT):
                await self._first.acquire()
        except TimeoutError:
            return
        self._lead(request)

    def leave(self, request: object, *, taken: bool = False) -> None:
        """Release the next request, or all of them if ``taken``; safe to repeat."""
        self._known = self._known or taken
        if self._leader is request:
            self._leader = None
            self._first.release()

    def _lead(self, request: object) -> None:
        if self._known:
            self._first.release()
        else:
            self._leader = request


class Adaptation(NamedTuple):
    """The shape to try next.

    Attributes:
        named: whether the refusal named the reason; otherwise only an accepted shape is remembered.
    """

    shape: RequestShape
    named: bool


def adaptation(shape: RequestShape, failure: ModelError, *, has_system: bool) -> Adaptation | None:
    """Return the shape to try after a refusal, None when the shape is not the reason.

    Args:
        shape: the shape of the refused request.
        has_system: whether there is a system prompt.
    """
    if not _may_be_about_shape(failure):
        return None
    said = failure.message
    fold = has_system and shape.system_role
    if shape.stream and (adapted := _streaming(shape, failure)):
        return adapted
    if shape.limit is not None and _refuses_limit(shape.limit, said):
        limit = "max_completion_tokens" if _wants_other_limit(shape.limit, said) else None
        return Adaptation(replace(shape, limit=limit), named=True)
    if fold and refuses_system_role(said):
        return Adaptation(replace(shape, system_role=False), named=True)
    if failure.code is not ModelErrorCode.REJECTED or failure.status not in (400, 422):
        return None
    return _without_reason(shape, fold=fold)


def _streaming(shape: RequestShape, failure: ModelError) -> Adaptation | None:
    """Return the shape without what the refusal of a stream names."""
    if shape.usage and _refuses_usage(failure.message):
        return Adaptation(replace(shape, usage=False), named=True)
    if failure.status in _STREAM_REFUSED and refuses_stream(failure.message):
        return Adaptation(replace(shape, stream=False), named=False)
    return None


def _without_reason(shape: RequestShape, *, fold: bool) -> Adaptation | None:
    """Drop the parameters that are refused most often, one after the other."""
    if shape.stream and shape.usage:
        return Adaptation(replace(shape, usage=False), named=False)
    return Adaptation(replace(shape, system_role=False), named=False) if fold else None


def _may_be_about_shape(failure: ModelError) -> bool:
    return failure.code in _REFUSING and failure.refusal is None and failure.status is not None


def _refuses_usage(said: str) -> bool:
    return refuses_parameter(said, "stream_options") or refuses_parameter(said, "include_usage")


def _refuses_limit(name: str, said: str) -> bool:
    return refuses_answer_length(said) or refuses_parameter(said, name)


def _wants_other_limit(name: str, said: str) -> bool:
    """Return whether the limit is refused for its name, not for its value."""
    return name == "max_tokens" and not refuses_answer_length(said)
