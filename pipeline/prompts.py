"""The prompt of a text-generation model."""

from __future__ import annotations

from collections.abc import Sequence


def build_prompt(context: Sequence[str]) -> str:
    """Return the last messages, each with its prefix, as a dialogue that the model continues as the bot."""
    return " ".join((*context, "Bot:"))
