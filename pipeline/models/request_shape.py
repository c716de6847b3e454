"""The parameters that a chat completions server takes: learned from its refusals, one resend each.

`max_tokens` is `max_completion_tokens` for newer models, `stream_options` is not known to older servers, and
some chat templates have no system role. No server lists this, so the usual shape is tried first, and the
refusal decides on the next one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.refusals import refuses_answer_length, refuses_parameter, refuses_system_role

# Seconds that requests wait for the first one of all to be taken or refused. Servers refuse at once; one that
# takes longer is busy with the request, so waiting on would only delay the others.
_FIRST_WAIT = 1.0

_REFUSING = frozenset({ModelErrorCode.REJECTED, ModelErrorCode.ERROR, ModelErrorCode.BAD_RESPONSE})


@dataclass(frozen=True)
class RequestShape:
    """The parameters of a request.

    Attributes:
        limit: the name of the answer's limit in tokens; None sends no limit.
        usage: whether the tokens used are asked for.
        system_role: whether there are messages of the role `system`.
    """

    limit: str | None = "max_tokens"
    usage: bool = True
    system_role: bool = True


class ShapeMemory:
    """The shape that one server takes, as far as it is known.

    While it is not known, one request goes ahead of those that come at the same time: they would all be
    refused for the same reason.

    Attributes:
        shape: what to try first.
    """

    def __init__(self) -> None:
        self.shape = RequestShape()
        self._known = False
        self._first = asyncio.Lock()
        self._leader: object = None

    async def enter(self, request: object) -> None:
        """Wait, for a moment at most, while another request finds out; `leave` must follow.

        Args:
            request: identifies the caller.
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
        """Let the next request go; with `taken`, all of them. Harmless to repeat."""
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
        named: whether the refusal named the reason; else the shape is worth remembering only if it is taken.
    """

    shape: RequestShape
    named: bool


def adaptation(shape: RequestShape, failure: ModelError, *, has_system: bool) -> Adaptation | None:
    """Return the shape to try after a refusal, None when it has nothing to do with the shape.

    Args:
        shape: that of the request that was refused.
        has_system: whether there is a system prompt.
    """
    if not _may_be_about_shape(failure):
        return None
    said = failure.message
    fold = has_system and shape.system_role
    if shape.usage and _refuses_usage(said):
        return Adaptation(replace(shape, usage=False), named=True)
    if shape.limit is not None and _refuses_limit(shape.limit, said):
        limit = "max_completion_tokens" if _wants_other_limit(shape.limit, said) else None
        return Adaptation(replace(shape, limit=limit), named=True)
    if fold and refuses_system_role(said):
        return Adaptation(replace(shape, system_role=False), named=True)
    if failure.code is not ModelErrorCode.REJECTED or failure.status not in (400, 422):
        return None
    # A refusal that names nothing: what servers refuse most, one after the other.
    if shape.usage:
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
