"""Refusals as servers word them."""

from __future__ import annotations

import pytest

from pipeline.models.refusals import (
    Sizes,
    is_filtered,
    is_too_long,
    refuses_answer_length,
    refuses_parameter,
    refuses_system_role,
    room_for_answer,
    sizes_of,
)

TOO_LONG = [
    (
        "This model's maximum context length is 2048 tokens. However, you requested 8548 tokens "
        "(6500 in the messages, 2048 in the completion). Please reduce the length of the messages "
        "or completion."
    ),
    (
        '{"error":{"code":400,"message":"the request exceeds the available context size. try '
        "increasing the context size or enable context "
        'shift","type":"exceed_context_size_error","n_prompt_tokens":6512,"n_ctx":2048}}'
    ),
    "request (6512 tokens) exceeds the available context size (2048 tokens), try increasing it",
    (
        "The decoder prompt (length 6500) is longer than the maximum model length of 2048. Make "
        "sure that `max_model_len` is no smaller than the number of text tokens."
    ),
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 6500 "
        "`inputs` tokens and 25 `max_new_tokens`"
    ),
    "Input validation error: `inputs` must have less than 1024 tokens. Given: 6500",
    "the input length exceeds the context length",
    "prompt too long; exceeded max context length by 4500 tokens",
    "litellm.ContextWindowExceededError: litellm.BadRequestError: ...",
    "prompt is too long: 213000 tokens > 200000 maximum",
    (
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease "
        "input length or `max_tokens` and try again"
    ),
    "The input token count (1189800) exceeds the maximum number of tokens allowed (1048576).",
    (
        "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum "
        "context length"
    ),
    (
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 6500. "
        "Try using a shorter prompt"
    ),
    "Please reduce the length of the messages or completion.",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "Input is too long for requested model.",
    (
        "Trying to keep the first 6500 tokens when context the overflows. However, the model is "
        "loaded with context length of only 4096 tokens, which is not enough."
    ),
    "The number of tokens to keep from the initial prompt is greater than the context length",
    "Requested tokens (6500) exceed context window of 2048",
    "The input (6500 tokens) is longer than the model's context length (2048 tokens).",
    "Prompt length (6500) exceeds maximum input length (2048)",
    (
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You "
        "requested a total of 8548 tokens"
    ),
    (
        "You passed 6501 input tokens and requested 2048 output tokens. However, the model's "
        "context length is only 2048 tokens, resulting in a maximum input length of 0 tokens."
    ),
    "Context size has been exceeded.",
    "input is too large to process. increase the physical batch size",
    "Prompt exceeds n_ctx: 6500 > 2048",
    (
        "Token indices sequence length is longer than the specified maximum sequence length for "
        "this model (6500 > 2048)"
    ),
]
OTHERS = [
    (
        "Rate limit reached for model in organization org-x on tokens per minute (TPM): Limit 6000,"
        " Used 5000, Requested 6500. Please try again in 5s"
    ),
    "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 6500",
    (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead."
    ),
    "Incorrect API key provided: hf_x",
    "model not found",
    "Invalid value for temperature: must be <= 2",
    "System role not supported",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "You exceeded your current quota, please check your plan",
    "The server is overloaded",
    "stream_options: Extra inputs are not permitted",
]


@pytest.mark.parametrize("said", TOO_LONG)
def test_a_context_that_is_full_is_recognised(said: str) -> None:
    assert is_too_long(said)
    assert not refuses_answer_length(said)


@pytest.mark.parametrize("said", OTHERS)
def test_other_refusals_are_not_taken_for_it(said: str) -> None:
    assert not is_too_long(said)


@pytest.mark.parametrize(
    ("said", "room"),
    [
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 2048. This model's maximum context length "
            "is 2048 tokens and your request has 30 input tokens (2048 > 2048 - 30).",
            2018,
        ),
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 30 `inputs` "
            "tokens and 2048 `max_new_tokens`",
            2018,
        ),
        (
            "This model's maximum context length is 2048 tokens. However, you requested 2500 tokens (452 in "
            "the messages, 2048 in the completion).",
            1596,
        ),
        ("max_tokens is too large: 5000. This model supports at most 4096 completion tokens", None),
    ],
)
def test_an_answer_that_would_be_too_long_is_told_from_a_question_that_is(
    said: str, room: int | None
) -> None:
    assert refuses_answer_length(said)
    assert room_for_answer(said) == room


@pytest.mark.parametrize(
    ("said", "sizes"),
    [
        ("Requested tokens (6500) exceed context window of 2048", Sizes(6500, 2048)),
        ("prompt is too long: 213000 tokens > 200000 maximum", Sizes(213000, 200000)),
        (
            "The input token count (1,189,800) exceeds the maximum of 1,048,576 tokens",
            Sizes(1189800, 1048576),
        ),
        ('too long; body: {"n_prompt_tokens":6512,"n_ctx":2048}', Sizes(6512, 2048)),
        ('the input length exceeds the context length; body: {"code":400,"port":80}', None),
    ],
)
def test_the_sizes_are_read_where_a_refusal_has_them(said: str, sizes: Sizes | None) -> None:
    assert sizes_of(said) == sizes


@pytest.mark.parametrize(
    "said",
    [
        "System role not supported",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Only user and assistant roles are supported!",
        "After the optional system message, conversation roles must alternate user/assistant",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
        "Unexpected role 'system' after role 'user'",
        "messages: first message must use the user role",
    ],
)
def test_a_template_without_a_system_role_is_recognised(said: str) -> None:
    assert refuses_system_role(said)


def test_a_parameter_is_refused_by_its_name() -> None:
    said = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    assert refuses_parameter(said, "max_tokens")
    assert not refuses_parameter(said, "stream_options")
    assert not refuses_parameter("Wrong key for max_tokens", "max_token")


def test_a_content_filter_is_recognised() -> None:
    assert is_filtered(
        "The response was filtered due to the prompt triggering Azure's content management policy"
    )
    assert not is_filtered("System role not supported")


def test_a_hostile_refusal_costs_no_time() -> None:
    for said in ("tokens " * 2000, "1 max " * 1500, "system " * 1500, "max_tokens " * 1000):
        is_too_long(said)
        sizes_of(said)
        refuses_answer_length(said)
        refuses_system_role(said)
