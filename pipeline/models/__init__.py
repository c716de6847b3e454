"""Define the models that can answer, and create the one that the settings select.

``create_model`` reads the settings; the rest of the service uses ``ChatModel``, ``ModelRequest``, the parts
of an answer, and the errors.
"""

from __future__ import annotations

import logging
import os

from yarl import URL

from pipeline.errors import SettingsError
from pipeline.masking import mask_url
from pipeline.models.base import (
    AnswerPart,
    ChatModel,
    ModelRequest,
    Retraction,
    Shortened,
    Thought,
    Usage,
    whole_answer,
)
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.proxies import proxy_for
from pipeline.models.retry import Persistence, PersistentModel
from pipeline.models.silence import Patience
from pipeline.models.text_generation import TextGeneration
from pipeline.settings import Settings

__all__ = [
    "AnswerPart",
    "ChatModel",
    "ModelRequest",
    "Retraction",
    "Shortened",
    "Thought",
    "Usage",
    "create_model",
    "whole_answer",
]

logger = logging.getLogger(__name__)


def create_model(settings: Settings) -> ChatModel:
    """Create the model that the settings select, without connecting to its server yet.

    A model on a server is wrapped in a ``PersistentModel``, which retries failed calls.

    Raises:
        SettingsError: the address of the model server is missing or invalid, or the environment holds an
            invalid proxy.
    """
    if settings.model_kind == "eliza":
        # Imported here because nltk takes a third of a second, and no other model needs it.
        from pipeline.models.eliza import Eliza

        return Eliza()
    if settings.model_url is None:
        raise SettingsError("MODEL_URL", None, f"the address of a {settings.model_kind} server")
    try:
        client = _client(settings, settings.model_url)
    except ValueError:
        allowed = "a URL that starts with http:// or https://"
        raise SettingsError("MODEL_URL", mask_url(settings.model_url), allowed) from None
    return PersistentModel(client, Persistence(settings.model_attempts, settings.model_deadline))


def _client(settings: Settings, url: str) -> ChatModel:
    token = settings.token_for_model()
    if token is None and settings.hf_token is not None:
        host = URL(url).host
        logger.warning(
            "HF_TOKEN is not sent to %s, which does not belong to Hugging Face; set MODEL_TOKEN for it", host
        )
    proxy = _proxy(url)
    patience = Patience(first=settings.model_timeout, between=settings.model_stall_timeout)
    if settings.model_kind == "chat-completions":
        return ChatCompletions(
            url,
            model=settings.model,
            token=token,
            patience=patience,
            max_tokens=settings.max_new_tokens,
            system_prompt=settings.system_prompt,
            proxy=proxy,
        )
    return TextGeneration(
        url,
        name=settings.model,
        token=token,
        patience=patience,
        max_new_tokens=settings.max_new_tokens,
        system_prompt=settings.system_prompt,
        proxy=proxy,
    )


def _proxy(url: str) -> URL | None:
    address = URL(url)
    try:
        return proxy_for(address, os.environ)
    except ValueError as exc:
        variable = str(exc)
        held = os.environ.get(variable.lower()) or os.environ.get(variable) or ""
        raise SettingsError(variable, mask_url(held), "a URL such as http://proxy.example.com:3128") from None
