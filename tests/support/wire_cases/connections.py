"""HTTP itself: heads, chunks, compression, redirects, and bytes that are no HTTP."""

from __future__ import annotations

import gzip

from tests.support.raw_server import chunked, head, refusal
from tests.support.wire_cases.case import HELLO, STOP, WHOLE, Case, H, document, squeezed, stream
from tests.support.wire_server import DONE

WIRE = [
    stream("HTTP/1.0 without a length", WHOLE, start=head(version="HTTP/1.0")),
    stream("no reason phrase", WHOLE, start=b"HTTP/1.1 200\r\nContent-Type: text/event-stream\r\n\r\n"),
    stream("an interim response", WHOLE, start=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + H),
    stream("a continue that nobody asked for", WHOLE, start=b"HTTP/1.1 100 Continue\r\n\r\n" + H),
    stream("a head in single bytes", *(bytes([byte]) for byte in H), WHOLE, start=b""),
    stream("a slow head", H[:20], 0.5, H[20:], WHOLE, start=b""),
    stream(
        "a head of 60 KB", WHOLE, start=head("200 OK", *(f"X-{number}: {'x' * 6000}" for number in range(10)))
    ),
    stream(
        "chunks",
        chunked(*(part + b"\n\n" for part in WHOLE.split(b"\n\n")[:-1])),
        start=head("200 OK", "Transfer-Encoding: chunked"),
    ),
    stream(
        "chunks with extensions and trailers",
        b"5;name=value\r\ndata:\r\n" + chunked(WHOLE[5:])[:-2] + b"X-Trailer: 1\r\n\r\n",
        start=head("200 OK", "Transfer-Encoding: chunked", "Trailer: X-Trailer"),
    ),
    stream(
        "chunks of one byte, sizes in capitals",
        *(b"1\r\n%c\r\n" % byte for byte in WHOLE),
        b"00\r\n\r\n",
        start=head("200 OK", "Transfer-Encoding: Chunked"),
    ),
    stream(
        "chunks without the last one", chunked(WHOLE)[:-5], start=head("200 OK", "Transfer-Encoding: chunked")
    ),
    stream(
        "chunks without the last one after a reason",
        chunked(HELLO + STOP)[:-5],
        start=head("200 OK", "Transfer-Encoding: chunked"),
    ),
    stream(
        "chunks cut off in mid-answer",
        chunked(HELLO)[:-5],
        start=head("200 OK", "Transfer-Encoding: chunked"),
        code="model_unreachable",
    ),
    stream("a length", WHOLE, start=head("200 OK", f"Content-Length: {len(WHOLE)}")),
    stream("a length that is too long", WHOLE, start=head("200 OK", f"Content-Length: {len(WHOLE) + 9}")),
    stream("gzip", squeezed(WHOLE, 31), start=head("200 OK", "Content-Encoding: gzip")),
    stream(
        "gzip event by event",
        *(squeezed(WHOLE, 31)[at : at + 7] for at in range(0, 400, 7)),
        start=head("200 OK", "Content-Encoding: gzip"),
    ),
    stream(
        "gzip in chunks",
        chunked(squeezed(WHOLE, 31)),
        start=head("200 OK", "Content-Encoding: gzip", "Transfer-Encoding: chunked"),
    ),
    stream("deflate", squeezed(WHOLE, 15), start=head("200 OK", "Content-Encoding: deflate")),
    stream("deflate without a head", squeezed(WHOLE, -15), start=head("200 OK", "Content-Encoding: deflate")),
    Case(
        "a document in gzip",
        (
            head("200 OK", "Content-Encoding: gzip", kind="application/json")
            + gzip.compress(document({"content": "Hello you"}).partition(b"\r\n\r\n")[2]),
        ),
    ),
    stream(
        "an encoding that nobody asked for",
        b"\x0b\x02\x80data",
        start=head("200 OK", "Content-Encoding: br"),
        text="",
        code="model_bad_response",
    ),
    stream("an encoding called identity", WHOLE, start=head("200 OK", "Content-Encoding: identity")),
    stream("bytes after the end", WHOLE + b"HTTP/1.1 500 Oops\r\n\r\n"),
    Case(
        "a redirect",
        (refusal("307 Temporary Redirect", b"", "Location: https://example.org/v1"),),
        "",
        code="model_rejected",
        words="redirects",
        log="example.org",
    ),
    Case(
        "a redirect to a page",
        (refusal("302 Found", b"<a href=/login>", "Location: /login"),),
        "",
        code="model_rejected",
        words="redirects",
    ),
    Case("not HTTP", (b"220 smtp.example.org ESMTP\r\n",), "", code="model_bad_response"),
    Case(
        "a TLS alert", (b"\x15\x03\x01\x00\x02\x02\x46",), "", code="model_bad_response", words="expects TLS"
    ),
    Case("a connection closed without a word", (b"",), "", code="model_unreachable"),
    Case("a head without an end", (b"HTTP/1.1 200 OK\r\nContent-",), "", code="model_unreachable"),
    Case(
        "nginx on plain HTTP to a TLS port",
        (refusal("400 Bad Request", b"<center>The plain HTTP request was sent to HTTPS port</center>"),),
        "",
        code="model_bad_response",
        words="expects TLS",
    ),
    Case(
        "Go on plain HTTP to a TLS port",
        (refusal("400 Bad Request", b"Client sent an HTTP request to an HTTPS server.\n"),),
        "",
        code="model_bad_response",
        words="expects TLS",
    ),
    stream(
        "HTTP/1.0 that keeps its connection",
        WHOLE,
        start=head("200 OK", "Connection: keep-alive", f"Content-Length: {len(WHOLE)}", version="HTTP/1.0"),
    ),
    stream("a connection that closes", WHOLE, start=head("200 OK", "Connection: close")),
    stream("another success", WHOLE, start=head("201 Created")),
    stream("no content", b"", start=b"HTTP/1.1 204 No Content\r\n\r\n", text="", code="model_bad_response"),
    stream("a length of zero", start=head("200 OK", "Content-Length: 0"), text="", code="model_bad_response"),
    stream(
        "two lengths",
        WHOLE,
        start=head("200 OK", f"Content-Length: {len(WHOLE)}", "Content-Length: 5"),
        text="",
        code="model_bad_response",
    ),
    stream(
        "a chunk of no size",
        b"zz\r\n" + WHOLE,
        start=head("200 OK", "Transfer-Encoding: chunked"),
        text="",
        code="model_bad_response",
    ),
    stream("gzip in capitals", squeezed(WHOLE, 31), start=head("200 OK", "Content-Encoding: GZIP")),
    stream(
        "gzip in two members",
        gzip.compress(HELLO) + gzip.compress(STOP + DONE),
        start=head("200 OK", "Content-Encoding: gzip"),
    ),
    stream(
        "gzip that breaks off",
        squeezed(WHOLE, 31)[:60],
        start=head("200 OK", "Content-Encoding: gzip"),
        text="",
        code="model_bad_response",
    ),
    stream(
        "gzip that is not",
        WHOLE,
        start=head("200 OK", "Content-Encoding: gzip"),
        text="",
        code="model_unreachable",
    ),
    Case(
        "a refusal in gzip",
        (refusal("429 Too Many Requests", gzip.compress(b'{"error": "slow"}'), "Content-Encoding: gzip"),),
        "",
        code="model_rate_limited",
        log="slow",
    ),
    stream("a folded line of the head", WHOLE, start=H[:-2] + b"X-Long: a\r\n b\r\n\r\n"),
    stream("line feeds in the head", WHOLE, start=H.replace(b"\r\n", b"\n")),
    stream("Latin-1 in the head", WHOLE, start=H[:-2] + b"X-Place: K\xf6ln\r\n\r\n"),
    stream(
        "cookies in disorder", WHOLE, start=head("200 OK", "Set-Cookie: =;;", "Set-Cookie: a=b; Expires=9")
    ),
    stream("an offer of HTTP/3", WHOLE, start=head("200 OK", "Upgrade: h2c", 'Alt-Svc: h3=":443"')),
    stream("a character set", WHOLE, start=head(kind="text/event-stream; charset=UTF-8")),
    stream("an unknown character set", WHOLE, start=head(kind="text/event-stream; charset=klingon")),
    *(
        Case(
            f"a redirect with {status}",
            (refusal(status, b"", "Location: http://127.0.0.1:1/v1/"),),
            "",
            code="model_rejected",
            words="redirects",
        )
        for status in ("301 Moved Permanently", "303 See Other", "308 Permanent Redirect")
    ),
    Case("a redirect to nowhere", (refusal("302 Found", b""),), "", code="model_rejected"),
    Case("not modified", (b"HTTP/1.1 304 Not Modified\r\n\r\n",), "", code="model_rejected"),
    Case(
        "a switch of protocols",
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",),
        "",
        code="model_rejected",
    ),
]
