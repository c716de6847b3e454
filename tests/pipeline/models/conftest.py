"""Fixtures of the model clients' tests: a model server, and clients of it that are closed afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from huggingface_hub import AsyncInferenceClient
from openai import AsyncOpenAI

from pipeline.models import ChatModel, ModelRequest
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.silence import Patience
from pipeline.models.text_generation import TextGeneration
from tests.support.model_server import ModelServer

REPOSITORY = Path(__file__).resolve().parents[3]
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


#: Of the model that ``maker`` makes: half a second, and less between tokens.
IMPATIENT = Patience(first=0.5, between=0.2)

Maker = Callable[[ModelServer, Patience], ChatModel]


def chat(server: ModelServer, patience: Patience) -> ChatModel:
    """Return a client of chat completions."""
    return ChatCompletions(server.chat_url, model="a/b:fast", token=None, patience=patience, max_tokens=25)


def generation(server: ModelServer, patience: Patience) -> ChatModel:
    """Return a client of text generation."""
    return TextGeneration(server.url, token=None, patience=patience, max_new_tokens=25)


@pytest.fixture(params=[chat, generation])
def maker(request: pytest.FixtureRequest) -> Maker:
    """Each kind of client in turn."""
    made: Maker = request.param
    return made


@pytest.fixture
async def model(maker: Maker, server: ModelServer) -> AsyncIterator[ChatModel]:
    """A client that waits half a second, and less between tokens."""
    model = maker(server, IMPATIENT)
    yield model
    await model.close()


@pytest.fixture
async def separate_server() -> AsyncIterator[str]:
    """The address of a model server in a process of its own, whose memory is not measured."""
    command = [sys.executable, "-m", "tests.support.model_server", "--port", "0", "--tokens", "20"]
    process = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip() + "/v1"
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture(scope="session")
def untrusted_certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody trusts, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", *how.split(), *files], check=True, capture_output=True)
    return cert, key


@pytest.fixture
async def hub(server: ModelServer) -> AsyncIterator[AsyncInferenceClient]:
    """The official client of Hugging Face."""
    async with AsyncInferenceClient(server.url, token="hf_x", timeout=30) as client:
        yield client


@pytest.fixture
async def openai(server: ModelServer) -> AsyncIterator[AsyncOpenAI]:
    """The official client of OpenAI."""
    async with AsyncOpenAI(base_url=server.chat_url, api_key="sk-x", timeout=30, max_retries=0) as client:
        yield client
