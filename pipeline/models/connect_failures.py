"""Turn the connection errors of aiohttp and of the operating system into ``ModelError``.

The detail names the cause without a host or an address; the report holds the complete error.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl

import aiohttp
from yarl import URL

from pipeline.errors import ModelError
from pipeline.models.failures import bad_response, unreachable
from pipeline.models.server_text import clean_server_text

#: Seconds to open a connection, including TLS. A server that is up accepts at once, so a longer wait would
#: only hide that it is down. With the probe after it, a failure takes at most 10 s.
CONNECT_TIMEOUT = 9.0
PROBE_TIMEOUT = 1.0

_NO_TLS = (
    "The model server can't be reached: there is no TLS at the other end; is it http:// instead of https://?"
)
_TLS_SILENT = (
    "The model server can't be reached: it takes connections but does not answer the TLS handshake; is it "
    "http:// instead of https://?"
)
_TLS_EXPECTED = "The model server expects TLS; is it https:// instead of http://?"
# The pages of nginx, Go, Apache, Node and others for plain HTTP on a port for TLS.
_ASKS_FOR_TLS = re.compile(
    r"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server|plain HTTP to an SSL-enabled"
    r"|(?:use|requires?|only) (?:the )?(?:https|TLS|SSL)\b",
    re.IGNORECASE,
)


def failure_of_plain_http(status: int, said: str, url: URL) -> ModelError | None:
    """Return the error if a server refuses a request because it came without TLS, else None."""
    if url.scheme == "https" or status not in (400, 403, 426, 497) or not _ASKS_FOR_TLS.search(said):
        return None
    report = clean_server_text(f"HTTP {status}: {said}")
    return bad_response(_TLS_EXPECTED, status=status, report=report)


def failure_of_http(error: Exception, url: URL) -> ModelError:
    """Convert an error of aiohttp or of the operating system."""
    report = clean_server_text(f"{type(error).__name__}: {error}; {url.scheme}://{url.host}:{url.port}")
    match error:
        case aiohttp.ConnectionTimeoutError():
            return unreachable("The model server can't be reached: no connection in time", report=report)
        case aiohttp.ClientHttpProxyError():
            return unreachable(f"The proxy refuses the connection (HTTP {error.status})", report=report)
        case aiohttp.ClientProxyConnectionError():
            return unreachable("The proxy can't be reached", report=report)
        case aiohttp.ClientConnectorCertificateError():
            detail = "The model server can't be reached: its TLS certificate is not trusted"
            return unreachable(f"{detail} ({_reason(error)})", retryable=False, report=report)
        case aiohttp.ClientConnectorSSLError():
            if "WRONG_VERSION_NUMBER" in str(error) or "HTTP_REQUEST" in str(error):
                return unreachable(_NO_TLS, retryable=False, report=report)
            detail = "The model server can't be reached: the TLS handshake failed"
            return unreachable(detail, retryable=False, report=report)
        case aiohttp.ClientConnectorDNSError():
            detail = "The model server can't be reached: its name has no address (DNS)"
            return unreachable(detail, report=report)
        case aiohttp.ClientConnectorError():
            detail = f"The model server can't be reached{_cause(error.os_error, url)}"
            return unreachable(detail, report=report)
        case aiohttp.ClientResponseError():
            if re.search(r"\\x15\\+x03", str(error)):  # a TLS server's answer to plain text: an alert
                return bad_response(_TLS_EXPECTED, report=report)
            return bad_response("The model server answered with invalid HTTP", report=report)
    if url.scheme == "https" and "handshake" in str(error).lower():
        return unreachable(_NO_TLS, retryable=False, report=report)
    return unreachable("The connection to the model server broke before it had answered", report=report)


async def explained(failure: ModelError, error: Exception, url: URL) -> ModelError:
    """Refine the error for a connection to ``url`` that was not opened in time, because TLS may be the cause.

    A port that accepts connections but sends nothing is up without TLS, so trying again would not help.
    """
    if url.scheme != "https" or not isinstance(error, aiohttp.ConnectionTimeoutError):
        return failure
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            _, writer = await asyncio.open_connection(url.host, url.port)
    except OSError:  # TimeoutError is one
        return failure
    writer.transport.abort()
    return unreachable(_TLS_SILENT, retryable=False, report=failure.report)


def _reason(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _REASONS:
        return _REASONS[cause.verify_code]
    return "see the log"


# Reasons by OpenSSL's X509_V_ERR_… numbers.
_REASONS = {
    10: "it has expired",
    9: "it is not valid yet",
    18: "it is self-signed",
    19: "its issuer is unknown",
    20: "its issuer is unknown",
    21: "its issuer is unknown",
    62: "it is for another host",
    64: "it is for another address",
}


def _cause(error: OSError, url: URL) -> str:
    match error:
        case ConnectionRefusedError():
            return ": it refuses the connection"
        case socket.gaierror():
            return ": its name has no address (DNS)"
        case ConnectionResetError() if url.scheme == "https":
            return ": the TLS handshake failed"
    return ""
