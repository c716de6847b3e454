"""Define the headers of every response, including those without a handler of Parley."""

from __future__ import annotations

from typing import Final

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "font-src 'self'; worker-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; "
        # No string may become markup or code by assignment, because the pages build elements and write no
        # HTML. The policy allows the address of the page's worker and no other.
        "require-trusted-types-for 'script'; trusted-types parley-worker"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # addresses hold tokens
    "Cross-Origin-Resource-Policy": "same-site",
    "Server": "parley",
}
