"""The models that can answer, and the choice among them.

`create_model` reads the settings; the rest of the service knows only `Model`, `ModelRequest` and the errors.
"""

from __future__ import annotations

from pipeline.errors import SettingsError
from pipeline.masking import mask_url
from pipeline.models.base import Model, ModelRequest, whole_answer
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.endpoint import Patience
from pipeline.models.retry import Persistence, PersistentModel
from pipeline.models.text_generation import TextGeneration
from pipeline.settings import Settings

__all__ = ["Model", "ModelRequest", "create_model", "whole_answer"]


def create_model(settings: Settings) -> Model:
    """Return the model that the settings ask for; no connection is made yet.

    One with a server comes as a `PersistentModel`, which tries again by itself.

    Raises:
        SettingsError: a model server is asked for, but no address is given, or one that is none.
    """
    if settings.model_kind == "eliza":
        # Imported here: nltk takes a third of a second, which only those who talk to her need to spend.
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


def _client(settings: Settings, url: str) -> Model:
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    patience = Patience(first=settings.model_timeout, between=settings.model_stall_timeout)
    if settings.model_kind == "chat-completions":
        return ChatCompletions(
            url,
            model=settings.model,
            token=token,
            patience=patience,
            max_tokens=settings.max_new_tokens,
            system_prompt=settings.system_prompt,
        )
    return TextGeneration(
        url,
        name=settings.model,
        token=token,
        patience=patience,
        max_new_tokens=settings.max_new_tokens,
        system_prompt=settings.system_prompt,
    )
