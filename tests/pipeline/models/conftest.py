"""What the tests of the model clients share: a model server, and clients of it that are closed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pipeline.models import ModelRequest
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.silence import Patience
from pipeline.models.text_generation import TextGeneration
from tests.support.model_server import ModelServer

TOKEN = "hf_secret_of_the_service"
PATIENCE = Patience(first=5, between=5)


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def text_model(server: ModelServer) -> AsyncIterator[TextGeneration]:
    model = TextGeneration(server.url, token=TOKEN, patience=PATIENCE, max_new_tokens=25)
    yield model
    await model.close()


@pytest.fixture
async def chat_model(server: ModelServer) -> AsyncIterator[ChatCompletions]:
    model = ChatCompletions(
        server.chat_url, model="parley/fake", token=TOKEN, patience=PATIENCE, max_tokens=25
    )
    yield model
    await model.close()


@pytest.fixture
def question() -> ModelRequest:
    context = ("Human: Hi", "Bot: Hello", "Human: How are you?")
    return ModelRequest(prompt=" ".join(context) + " Bot:", context=context)
