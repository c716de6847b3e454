"""Build the prompt of a text-generation model."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.chat.records import BOT


def build_prompt(context: Sequence[str]) -> str:
    """Join the messages, each with its prefix, to a dialogue that the model continues as the bot."""
    return " ".join((*context, "Bot:"))


def without_empty_answers(context: Sequence[str]) -> list[str]:
    """Drop answers that were stopped before their first word."""
    return [message for message in context if message != BOT]
