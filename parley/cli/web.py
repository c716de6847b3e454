"""``parley web``: one web process."""

from __future__ import annotations

from pipeline.settings import Settings


def run(settings: Settings) -> None:
    """Serve until a signal; in development the web process restarts when its code changes."""
    # Imported here, so that other commands start without loading the web.
    from importlib import import_module

    import_module("web.app").run(settings)
