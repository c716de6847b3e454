"""Refused roles, parameters and lengths, in the words of many servers."""

from __future__ import annotations

from tests.support.raw_server import refusal
from tests.support.wire_cases.case import WHOLE, Case, H, event, resends

ROLES = [
    resends(f"roles: {words}", status, body)
    for status, body, words in (
        (status, {"error": {"message": words}}, words)
        for status, words in (
            ("400 Bad Request", "Unexpected message role."),
            ("400 Bad Request", "Unexpected role 'system' after role 'user'"),
            ("400 Bad Request", "Invalid role: system"),
            ("400 Bad Request", "Role 'system' is not allowed for this model"),
            ("400 Bad Request", "system messages are not supported by this model"),
            ("400 Bad Request", "Only user, assistant and tool roles are supported, got system."),
            (
                "422 Unprocessable Entity",
                "Template error: syntax error: Conversations must start with a user prompt (in <string>:1)",
            ),
            ("400 Bad Request", "Roles must alternate between user and assistant"),
            ("400 Bad Request", "Please ensure that multiturn requests alternate between user and model."),
            ("400 Bad Request", "The first message must be from the user"),
            (
                "500 Internal Server Error",
                "Value is not callable: System role not supported at row 1, column 26",
            ),
            (
                "500 Internal Server Error",
                "Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/...",
            ),
            ("400 Bad Request", "messages.0.role: unknown variant `system`, expected `user` or `assistant`"),
            ("400 Bad Request", "messages[0].role must be one of ['user', 'assistant']"),
            (
                "400 Bad Request",
                "litellm.BadRequestError: VertexAIException - System instruction is not enabled for this model",
            ),
        )
    )
]
ROLES += [
    resends(
        "roles: pydantic",
        "422 Unprocessable Entity",
        {
            "detail": [
                {
                    "loc": ["body", "messages", 0, "role"],
                    "msg": "Input should be 'user' or 'assistant'",
                    "type": "literal_error",
                }
            ]
        },
    ),
    resends(
        "roles: behind a proxy",
        "400 Bad Request",
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": '{"error":{"message":"System role not supported"}}'},
            }
        },
    ),
    resends(
        "roles: a list of one error",
        "400 Bad Request",
        [
            {
                "error": {
                    "code": 400,
                    "message": "Developer instruction is not enabled for models/gemma-3-27b-it",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
]

SHAPES = [
    resends(f"parameters: {words}", "400 Bad Request", {"error": {"message": words}})
    for words in (
        "'max_tokens' is deprecated, use 'max_completion_tokens'",
        "Unknown parameter: max_tokens",
        "max_tokens cannot be used with this model",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 32]",
        "max_tokens should be at most 32",
        "Unrecognized request argument supplied: stream_options",
        "stream_options is not permitted",
        "property 'stream_options' is not defined and the schema does not allow additional properties",
        "Unsupported value: 'stream' does not support true with this model. Only the default (false) value is supported.",
        "Your organization must be verified to stream this model.",
        "Streaming is not supported for this model",
    )
]

TOO_LONG = [
    Case(f"too long: {words}", (refusal(status, body), H + WHOLE), calls=2, shortened=True)
    for status, body, words in (
        (status, {"error": {"message": words}}, words)
        for status, words in (
            (
                "400 Bad Request",
                "This model's maximum context length is 2048 tokens. However, your request has 6500 input tokens. Please reduce the length of the input messages.",
            ),
            (
                "400 Bad Request",
                "This model's maximum context length is 2048 tokens. However, you requested 0 output tokens and your prompt contains at least 2049 input tokens, for a total of at least 2049 tokens. Please reduce the length of the input prompt or the number of requested output tokens.",
            ),
            ("400 Bad Request", "max_tokens must be at least 1, got -4452."),
            (
                "400 Bad Request",
                "Input length (6500 tokens) exceeds the maximum allowed length (2045 tokens). Use a shorter input or enable --allow-auto-truncate.",
            ),
            (
                "400 Bad Request",
                "Your input exceeds the context window of this model. Please adjust your input and try again.",
            ),
            (
                "400 Bad Request",
                "Input tokens exceed the configured limit of 2048 tokens. Your messages resulted in 6500 tokens.",
            ),
            (
                "400 Bad Request",
                "Please reduce the length of the messages or completion. Current length is 8456 while limit is 8192",
            ),
            (
                "400 Bad Request",
                "Unable to submit request because the input token count is 40000 but model only supports up to 32768. Reduce the input token count and try again.",
            ),
            ("400 Bad Request", "Range of input length should be [1, 30720]"),
            ("400 Bad Request", "Prompt 超长"),
            ("400 Bad Request", "输入内容过长, 上下文长度超过限制"),
            ("400 Bad Request", "Invalid request: Your request exceeded model token limit: 8192"),
            ("400 Bad Request", "invalid params, context window exceeds limit (2013)"),
            (
                "400 Bad Request",
                "Malformed input request: expected maxLength: 2048, actual: 6500, please reformat your input and try again.",
            ),
            (
                "400 Bad Request",
                "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs.",
            ),
            (
                "400 Bad Request",
                "Request prompt has 6500 tokens in total, larger than the model input length limit 2048.",
            ),
            (
                "400 Bad Request",
                "The sum of prompt length (6500.0) and query length (0) should not exceed max_num_tokens (2048)",
            ),
            ("400 Bad Request", "Prompt length 6500 is greater than max_seq_len 2048"),
            (
                "400 Bad Request",
                "AiError: The estimated number of input and maximum output tokens (6525) exceeded this model context window limit (2048).",
            ),
            (
                "500 Internal Server Error",
                "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - prompt too long",
            ),
            ("400 Bad Request", "Your prompt does not fit into the model's context of 2048 tokens"),
            (
                "422 Unprocessable Entity",
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 6500 `inputs` tokens and 64 `max_new_tokens`",
            ),
            (
                "500 Internal Server Error",
                "input (6500 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
            ),
        )
    )
]
TOO_LONG += [
    Case(
        "too long: behind a proxy",
        (
            refusal(
                "400 Bad Request",
                {
                    "error": {
                        "message": "Provider returned error",
                        "code": 400,
                        "metadata": {
                            "raw": '{"error":{"message":"This endpoint\'s maximum context length is 2048 tokens. However, you requested about 6500 tokens."}}'
                        },
                    }
                },
            ),
            H + WHOLE,
        ),
        calls=2,
        shortened=True,
    ),
    Case(
        "too long: by status",
        (refusal("413 Payload Too Large", b"<html>413</html>"), H + WHOLE),
        calls=2,
        shortened=True,
    ),
    Case(
        "too long: as an event",
        (
            H
            + event(
                {
                    "error": {
                        "message": "the request exceeds the available context size",
                        "type": "exceed_context_size_error",
                        "code": 400,
                        "n_prompt_tokens": 6500,
                        "n_ctx": 2048,
                    }
                }
            ),
            H + WHOLE,
        ),
        calls=2,
        shortened=True,
    ),
]
