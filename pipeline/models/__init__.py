"""The models that can answer, and the choice among them.

`create_model` reads the settings; the rest of the service knows only `Model`, `ModelRequest` and the errors.
"""

from __future__ import annotations

from pipeline.errors import SettingsError
from pipeline.models.base import Model, ModelRequest
from pipeline.models.chat_completions import ChatCompletions
from pipeline.models.text_generation import TextGeneration
from pipeline.settings import Settings

__all__ = ["Model", "ModelRequest", "create_model"]


def create_model(settings: Settings) -> Model:
    """Return the model that the settings ask for; no connection is made yet.

    Raises:
        SettingsError: a model server is asked for, but no address is given.
    """
    if settings.model_kind == "eliza":
        # Imported here: nltk takes a third of a second, which only those who talk to her need to spend.
        from pipeline.models.eliza import Eliza

        return Eliza()
    if settings.model_url is None:
        raise SettingsError("MODEL_URL", None, f"the address of a {settings.model_kind} server")
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    if settings.model_kind == "chat-completions":
        return ChatCompletions(
            settings.model_url,
            model=settings.model,
            token=token,
            timeout=settings.model_timeout,
            max_tokens=settings.max_new_tokens,
        )
    return TextGeneration(
        settings.model_url,
        name=settings.model,
        token=token,
        timeout=settings.model_timeout,
        max_new_tokens=settings.max_new_tokens,
    )
