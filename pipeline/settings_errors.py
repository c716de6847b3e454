"""Turn the report of a failed validation into one line about one environment variable."""

from __future__ import annotations

import os
from typing import get_args

from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from pipeline.errors import SettingsError, mask
from pipeline.masking import mask_secrets, mask_url


def first_error(settings: type[BaseSettings], exc: ValidationError) -> SettingsError:
    """Turn the first error of a validation into one line about one variable."""
    error = exc.errors()[0]
    place = str(error["loc"][0]) if error["loc"] else ""
    for name, field in settings.model_fields.items():
        variables = _variables(name, field)
        if place.upper() in (name.upper(), *variables):
            variable = next(
                (each for each in variables if each.upper() in _environment_names()), variables[0]
            )
            return SettingsError(variable, _held(field, error), field.description or "")
    return SettingsError(place.upper(), None, error["msg"])


def _environment_names() -> set[str]:
    return {name.upper() for name, value in os.environ.items() if value}


def _variables(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [str(alias)] if alias else [name.upper()]


def _held(field: FieldInfo, error: ErrorDetails) -> str:
    value = error["input"]
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    secret = SecretStr in (field.annotation, *get_args(field.annotation))
    if secret:
        return mask(text)
    # Only an address with credentials is masked as a whole when it cannot be read.
    return mask_url(text) if "@" in text else mask_secrets(text)
