"""The parts that all pages of load tests share; a page works without network and scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from parley.loadtest.charts import table
from parley.loadtest.style import STYLE


def document(title: str, body: Iterable[str]) -> str:
    """Return a whole page; ``body`` is HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def heading(title: str, soft: str) -> str:
    """Return the head of a page: its title, and a line in a soft colour."""
    return f'<header><h1>{escape(title)}</h1><p class="soft">{escape(soft)}</p></header>'


def verdict(style: str, words: str, notes: str = "") -> str:
    """Return the card with the verdict.

    Args:
        style: ``good``, ``bad`` or ``plain``.
        notes: HTML below it.
    """
    return (
        f'<section class="card {style}-card"><h2>Verdict</h2>'
        f'<p class="verdict {style}">{escape(words)}</p>{notes}</section>'
    )


def figures(found: Mapping[str, str]) -> str:
    """Return the main figures by their names, in large type."""
    cells = (f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in found.items())
    return f'<section class="figures" aria-label="Main figures">{"".join(cells)}</section>'


def card(title: str, content: str, note: str = "") -> str:
    """Return a part of a page; ``content`` is HTML."""
    said = f'<p class="soft">{escape(note)}</p>' if note else ""
    return (
        f'<section class="card"><h2>{escape(title)}</h2>{said}<div class="scroll">{content}</div></section>'
    )


def pairs(found: Mapping[str, object]) -> str:
    """Return a table of names and values."""
    return table((), [(name, str(value)) for name, value in found.items()])
