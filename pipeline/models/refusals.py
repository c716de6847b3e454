"""Recognise the reason for a model server's refusal from its words; no I/O.

Servers share no codes for these cases. The patterns use the words that refusals have in common: those of
llama.cpp, vLLM, SGLang, text-generation-inference, Ollama, LM Studio, LiteLLM, OpenAI, Azure, Anthropic,
Google, Mistral, Cohere, Groq, xAI and Bedrock. A new wording is therefore likely to match, too.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.models.error_bodies import WHOLE_BODY

_TOO_LONG_CODES = re.compile(
    r"context_length_exceeded|exceed_context_size|context_?window_?exceeded|context_?length_?exceeded"
    r"|string_above_max_length|(?:input|prompt|request|message)_?too_?(?:long|large)|max_tokens_exceeded"
    r"|model_context_window|context_?overflow",
    re.IGNORECASE,
)
_SUBJECT = (
    r"(?:context|prompts?|inputs?|input_ids|sequence|messages?|conversation|chat|history|tokens?|request)"
)
_EXCESS = (
    r"(?:too (?:long|large|big|many tokens)|exceed(?:s|ed|ing)?\b|(?:longer|larger|greater|more) than"
    r"|over the (?:limit|maximum)|does(?: not|n't) fit|overflow\w*|not enough"
    r"|(?:truncate|truncated|truncating|truncation)\b"
    r"|only supports? up to"
    r"|must (?:have (?:less|fewer|at most)|not exceed|be (?:<=|less|at most|shorter|smaller|under|within))"
    r"|(?:reduce|shorten|decrease|trim) (?:the |your )?(?:\w+ ){0,3}?(?:length|size|count|prompt|messages?)"
    r"|maximum (?:context|model|input|prompt|sequence|allowed|length)|(?:length|size) (?:limit|should be)"
    r"|max_?(?:model|seq\w*|input|position\w*|context)?_?len\w*)"
)
_TOO_LONG = re.compile(
    rf"\b{_SUBJECT}\b.{{0,120}}?{_EXCESS}|{_EXCESS}.{{0,120}}?\b{_SUBJECT}\b", re.IGNORECASE
)
# Refusals in Chinese, and a limit of the answer that would be negative because the messages fill the context.
_TOO_LONG_OTHERWISE = re.compile(
    r"(?:上下文|输入|提示|长度|字数|[Pp]rompt|[Tt]okens?).{0,20}(?:超|过长|上限)|超(?:过|出|长|限).{0,20}(?:上下文|长度|[Tt]oken)"
    r"|max_(?:completion_|new_)?tokens.{0,60}(?:got|is|:) ?-\d",
)
# Other refusals that mention tokens and a limit: those about rates and credit.
_NOT_TOO_LONG = re.compile(
    r"rate[ _-]?limit|per (?:minute|day|hour|second)|\b[tr]p[md]\b|quota|billing|credit|api[ _-]?key"
    r"|token.{0,20}expired",
    re.IGNORECASE,
)
_PROMPT_SIZE = re.compile(
    r"(\d+)(?: tokens)? (?:in the (?:messages|prompt)|(?:prompt|input) tokens|`inputs` tokens)"
    r"|(?:prompt|request|input|inputs) (?:contains|has|of)?\D{0,12}?(\d+)|given: (\d+)",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:context|model|prompt|input|sequence)(?:'s)? ?(?:length|size|window|len|limit)(?: is| of)?"
    r"\D{0,30}?(\d+)|must be (?:<=|less than) (\d+)|less than (\d+)|(\d+) maximum|cannot exceed (\d+)",
    re.IGNORECASE,
)
_SIZES = (
    # The first pattern expects the limit before the size, the second the size before the limit.
    re.compile(
        r"(?:maximum|max|limit|window|context|less than|must be <=|cannot exceed)\D{0,60}?(?P<limit>\d+)\b"
        r".{0,80}?(?:given|requested|resulted|received|contains|has|your|but|input)\D{0,60}?(?P<size>\d+)",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?P<size>\d+)\b.{0,80}?"
        r"(?:>|exceed\w*|longer than|larger than|too large|maximum|available|limit|window|max)"
        r"\D{0,60}?(?P<limit>\d+)",
        re.IGNORECASE,
    ),
)
_COMPLETION_TOO_LONG = re.compile(
    r"max_(?:completion_|new_)?tokens.{0,60}(?:too (?:large|high|big)|must be|should be|at most|exceeds"
    r"|less than|up to|range|between|above|greater than)"
    r"|maximum (?:tokens you requested|number of (?:output|completion) tokens).{0,40}(?:exceeds|is)",
    re.IGNORECASE,
)

_NO_SYSTEM_ROLE = re.compile(
    r"system.{0,80}(?:not (?:supported|allowed|enabled|permitted|accepted)|unsupported|invalid|unexpected"
    r"|only|must)|(?:unsupported|invalid|unknown|unexpected|only|not support\w*).{0,80}\bsystem\b"
    r"|developer instruction is not enabled|roles? must alternate|only user and assistant"
    r"|(?:role|message|turn|request)s?.{0,60}(?:alternat\w+|must be .{0,12}user)"
    r"|(?:first|last|start|begin|end).{0,40}\buser\b|\broles?\b.{0,60}\buser\b"
    r"|(?:unexpected|unknown|invalid|unsupported|unrecogni[sz]ed|illegal|bad|wrong) (?:message )?roles?\b"
    r"|\broles?\b.{0,40}(?:not (?:supported|allowed|recogni[sz]ed|permitted|valid)|unsupported|invalid)"
    r"|\broles?\b.{0,40}\b(?:should|must) be|(?:角色|role).{0,20}(?:不支持|错误|非法)",
    re.IGNORECASE,
)
_REFUSED_PARAMETER = re.compile(
    r"unsupported|(?:not|n't) (?:be )?(?:supported?|permitted|allowed?|recogni[sz]ed?|accepte?d?|compatible"
    r"|known|defined|available|implemented|used?|set|specified|verified)"
    r"|unrecogni[sz]ed|unknown|unexpected|extra|additional|invalid|illegal|forbidden|instead|deprecated|removed"
    r"|renamed|replaced|disabled|no such|got an|too (?:large|high|big)|must (?:not )?be|should (?:not )?be"
    r"|at most|exceeds|only|不支持|未知|无效|range",
    re.IGNORECASE,
)
_NO = r"(?:not (?:be )?(?:support|allow|available|enabled|permit|implement)|n't support|unsupported|disabled)"
_NO_STREAM = re.compile(
    rf"\bstream(?:ing|ed)?\b.{{0,60}}{_NO}|{_NO}.{{0,40}}\bstream(?:ing)?\b|verified to stream", re.IGNORECASE
)
_FILTERED = re.compile(
    r"content[_ -]?(?:filter|policy|management)|responsible_?ai|safety (?:system|filter)|moderation"
    r"|flagged|prompt_blocked|blocked by",
    re.IGNORECASE,
)


class Sizes(NamedTuple):
    """The number of tokens in a refused request, and the model's limit."""

    size: int
    limit: int


def is_too_long(said: str) -> bool:
    """Return whether a request was refused because it does not fit the model's context."""
    if _TOO_LONG_CODES.search(said) or _TOO_LONG_OTHERWISE.search(said):
        return True
    return bool(_TOO_LONG.search(said)) and not _NOT_TOO_LONG.search(said)


def refuses_answer_length(said: str) -> bool:
    """Return whether a refusal is about the tokens reserved for the answer: the messages alone would fit."""
    plain = _ungrouped(said)
    prompt, limit = _number(_PROMPT_SIZE, plain), _number(_LIMIT, plain)
    if prompt is not None and limit is not None:
        return prompt < limit
    return bool(_COMPLETION_TOO_LONG.search(said)) and not _TOO_LONG_OTHERWISE.search(said)


def room_for_answer(said: str) -> int | None:
    """Return the tokens left for an answer by a refusal that ``refuses_answer_length`` recognises."""
    plain = _ungrouped(said)
    prompt, limit = _number(_PROMPT_SIZE, plain), _number(_LIMIT, plain)
    return limit - prompt if prompt is not None and limit is not None and limit > prompt else None


def sizes_of(said: str) -> Sizes | None:
    """Return the sizes in a refusal that ``is_too_long`` recognises; None when it has no numbers.

    Args:
        said: the message, then the rest of the body, where some servers put the numbers.
    """
    plain = _ungrouped(said)
    fields = dict(re.findall(r"\"?(n_prompt_tokens|n_ctx)\"?\s*:\s*(\d+)", plain))
    if len(fields) == 2:
        return Sizes(int(fields["n_prompt_tokens"]), int(fields["n_ctx"]))
    plain = plain.partition(WHOLE_BODY)[0]
    prompt, limit = _number(_PROMPT_SIZE, plain), _number(_LIMIT, plain)
    if prompt is not None and limit is not None and prompt > limit > 0:
        return Sizes(prompt, limit)
    for pattern in _SIZES:
        for match in pattern.finditer(plain):
            sizes = Sizes(int(match["size"]), int(match["limit"]))
            if sizes.size > sizes.limit > 0:
                return sizes
    return None


def _ungrouped(said: str) -> str:
    """Remove the commas between the digits of numbers."""
    return re.sub(r"(?<=\d),(?=\d{3}\b)", "", said)


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return None if match is None else int(next(group for group in match.groups() if group))


def refuses_system_role(said: str) -> bool:
    """Return whether a request was refused because the chat template has no system role."""
    return bool(_NO_SYSTEM_ROLE.search(said))


def refuses_parameter(said: str, name: str) -> bool:
    """Return whether a request was refused because of a parameter's name or value."""
    return bool(re.search(rf"\b{re.escape(name)}\b", said)) and bool(_REFUSED_PARAMETER.search(said))


def refuses_stream(said: str) -> bool:
    """Return whether a request was refused because the model does not stream."""
    return bool(_NO_STREAM.search(said))


def is_filtered(said: str) -> bool:
    """Return whether a request was refused by a content filter."""
    return bool(_FILTERED.search(said))
