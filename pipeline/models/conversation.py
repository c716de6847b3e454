"""Turn the last messages of a session into a model's messages with roles, shortened when too long.

Pure functions. A message of the history is ``Human: …`` or ``Bot: …``.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.models.base import BOT_PREFIX, HUMAN_PREFIX
from pipeline.models.refusals import sizes_of

ChatMessage = dict[str, str]

# The share of the model's context that a shortened request may fill, because tokens are not spread evenly
# over characters and the answer needs room.
_FILLED = 0.7


def chat_messages(
    context: Sequence[str], system_prompt: str | None, *, fold_system: bool
) -> list[ChatMessage]:
    """Convert a context to messages that every chat template accepts: user, assistant, user, …

    Messages without text are left out. Neighbours of one role are joined by a blank line, because a failed
    turn leaves two user messages in a row. Answers before the first user message are left out, because a
    window of the history may begin with an answer.

    Args:
        system_prompt: the system message before the conversation, None for no message.
        fold_system: whether to put the system prompt at the start of the first user message instead, for
            templates without a system role.
    """
    messages: list[ChatMessage] = []
    for message in context:
        role, content = _parsed(message)
        if not content or (not messages and role == "assistant"):
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n\n{content}"
        else:
            messages.append({"role": role, "content": content})
    if not system_prompt:
        return messages
    if not fold_system:
        return [{"role": "system", "content": system_prompt}, *messages]
    first = messages[0]["content"] if messages else ""
    return [{"role": "user", "content": f"{system_prompt}\n\n{first}".rstrip()}, *messages[1:]]


def without_oldest(context: Sequence[str], said: str) -> tuple[str, ...] | None:
    """Return the newest messages of a context that was refused as too long.

    Args:
        said: the server's refusal. If it names the sizes, as many messages are kept as should fit; otherwise
            only the last one.

    Returns:
        The messages, or None when the last message alone is too long.
    """
    first = next((at for at, message in enumerate(context) if message.startswith(HUMAN_PREFIX)), len(context))
    candidates = context[first:]
    if len(candidates) < 2:
        return None
    kept = 1
    if sizes := sizes_of(said):
        room = _FILLED * sizes.limit / sizes.size * sum(map(len, candidates))
        filled = len(candidates[-1])
        while kept < len(candidates) - 1 and filled + len(candidates[-1 - kept]) <= room:
            filled += len(candidates[-1 - kept])
            kept += 1
    while kept > 1 and not candidates[-kept].startswith(HUMAN_PREFIX):
        kept -= 1  # an answer without its question is of little use
    return tuple(candidates[-kept:])


def _parsed(message: str) -> tuple[str, str]:
    if message.startswith(BOT_PREFIX):
        return "assistant", message.removeprefix(BOT_PREFIX).strip()
    return "user", message.removeprefix(HUMAN_PREFIX).strip()
