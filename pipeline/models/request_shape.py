"""What a chat completions server takes: learned from its refusals, one resend each, and remembered; no I/O.

`max_tokens` is `max_completion_tokens` for newer models, `stream_options` is not known to older servers, and
some chat templates have no system role. Nothing of this can be asked in advance, so the usual shape is tried,
and the refusal decides on the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.errors import ModelError, ModelErrorCode
from pipeline.models.refusals import refuses_answer_length, refuses_parameter, refuses_system_role

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
    if failure.code not in _REFUSING or failure.refusal is not None or failure.status is None:
        return None
    said = failure.message
    fold = has_system and shape.system_role
    if shape.usage and (
        refuses_parameter(said, "stream_options") or refuses_parameter(said, "include_usage")
    ):
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


def _refuses_limit(name: str, said: str) -> bool:
    return refuses_answer_length(said) or refuses_parameter(said, name)


def _wants_other_limit(name: str, said: str) -> bool:
    """Return whether the limit is refused for its name, not for its value."""
    return name == "max_tokens" and not refuses_answer_length(said)
