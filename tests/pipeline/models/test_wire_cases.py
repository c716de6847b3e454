"""What clients make of a few hundred responses in the shapes and words of many servers."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from pipeline.errors import ModelError
from pipeline.models import ModelRequest, Retraction, Shortened, Thought, Usage
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.silence import Patience
from tests.support.raw_server import answering
from tests.support.wire_cases import CASES, Case

# Long enough for a machine under load; no case waits for it.
PATIENCE = Patience(first=20, between=20)
# A conversation whose messages outweigh the tokens of an answer.
CONTEXT = ("Human: " + "one " * 200, "Bot: " + "two " * 200, "Human: Hi")
QUESTION = ModelRequest(" ".join((*CONTEXT, "Bot:")), CONTEXT)


@pytest.mark.parametrize("case", CASES, ids=[case.name[:80] for case in CASES])
async def test_a_response_has_its_outcome(case: Case) -> None:
    text, thoughts, usage, shortened, error = "", "", None, False, None
    async with answering(*case.responses) as server:
        model = ChatCompletions(
            f"{server.url}/v1",
            model=None,
            token=None,
            patience=PATIENCE,
            max_tokens=64,
            system_prompt="Brief.",
        )
        try:
            async with aclosing(model.stream(QUESTION)) as parts:
                async for part in parts:
                    match part:
                        case str():
                            text += part
                        case Thought(thought):
                            thoughts += thought
                        case Retraction(thought):
                            text, thoughts = "", thoughts + thought
                        case Usage():
                            usage = part
                        case Shortened():
                            shortened = True
        except ModelError as exc:
            error = exc
        await model.close()
    code, about = (error.code, error.log_line) if error else ("", "")
    assert (code, text, thoughts.strip()) == (case.code, case.text, case.thoughts), about
    assert (usage, shortened, len(server.bodies)) == (case.usage, case.shortened, case.calls), about
    if error is not None:
        assert case.words in error.detail
        assert case.log in error.log_line
        assert error.loading == case.loading
