"""``parley web``: one web process."""

from __future__ import annotations

from pipeline.settings import Settings


def run(settings: Settings) -> None:
    """Serve until a signal; in development the web process restarts when its code changes."""
    # pipeline may not import web, but the command that starts everything must: by name, when asked to.
    from importlib import import_module

    import_module("web.app").run(settings)
