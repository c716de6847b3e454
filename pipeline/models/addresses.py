"""Which address a model server is reached at, and which one was probably meant; no I/O."""

from __future__ import annotations

from yarl import URL

# Paths of servers that speak chat completions elsewhere: Ollama's own protocol, llama.cpp's, older ones.
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
    """Return the address to post chat completions to, whichever part of it was given."""
    parsed = URL(url)
    path = parsed.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions" if path.endswith("/v1") else "/v1/chat/completions"
    return str(parsed.with_path(path, keep_query=True))


def probable_url(url: URL) -> str:
    """Return the MODEL_URL with which a server of chat completions is most likely to work; no credentials."""
    path = url.path.rstrip("/")
    if "/v1" in path:
        path = path[: path.index("/v1")]
    for other in _OTHER_PATHS:
        path = path.removesuffix(other)
    return str(url.with_user(None).with_path(f"{path}/v1"))


def is_of_ollama(url: URL) -> bool:
    """Return whether an address is one of Ollama's own protocol, which this service does not speak."""
    return url.path.rstrip("/").endswith(("/api/chat", "/api/generate"))
