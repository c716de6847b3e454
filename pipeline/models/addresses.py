"""Derive the address of a model server, and the one that was probably meant; no I/O."""

from __future__ import annotations

from yarl import URL

# Paths of other protocols on servers that also offer chat completions, such as Ollama and llama.cpp.
_OTHER_PATHS = (
    "/api/chat",
    "/api/generate",
    "/api/tags",
    "/api",
    "/completions",
    "/completion",
    "/responses",
    "/embeddings",
    "/models",
    "/messages",
    "/chat",
)


def completions_url(url: str) -> str:
    """Complete the address for chat completions, whichever part of it was given."""
    parsed = URL(url)
    path = parsed.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return str(parsed.with_path(path, keep_query=True))


def probable_url(url: URL) -> str:
    """Return the MODEL_URL that most likely works for chat completions, without credentials."""
    path = url.path.rstrip("/")
    if "/v1" in path:
        path = path[: path.index("/v1")]
    for other in _OTHER_PATHS:
        path = path.removesuffix(other)
    return str(url.with_user(None).with_path(f"{path}/v1"))


def is_of_ollama(url: URL) -> bool:
    """Return whether an address belongs to Ollama's own protocol, which Parley does not support."""
    return url.path.rstrip("/").endswith(("/api/chat", "/api/generate"))
