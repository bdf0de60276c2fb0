"""Responses made at random, from quite right to quite wrong, the same for the same number."""

from __future__ import annotations

import random
from typing import NamedTuple

from servers.behaviours import Close, Raw, Reset, Then, WhenRange, chunked
from servers.files import File
from servers.row import BODY, DATE, DATE_OTHER, ETAG, ETAG_OTHER, HALF, OTHER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from servers.wire import Behaviour

STATUS_LINES = (
    *["HTTP/1.1 200 OK"] * 12,
    "HTTP/1.1 200",
    "HTTP/1.1 200 ",
    "HTTP/1.0 200 OK",
    "HTTP/1.2 200 OK",
    "HTTP/2 200 OK",
    "HTTP/1.1 0200 OK",
    "HTTP/1.1 200OK",
    "HTTP/1.1  200 OK",
    "ICY 200 OK",
    "http/1.1 200 OK",
    "HTTP/1.1 200 O\x00K",
    "HTTP/1.1 199 What",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 206 Partial Content",
    "HTTP/1.1 226 IM Used",
    "HTTP/1.1 299 Odd",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 400 Bad Request",
    "HTTP/1.1 404 Not Found",
    "HTTP/1.1 416 Range Not Satisfiable",
    "HTTP/1.1 429 Too Many Requests",
    "HTTP/1.1 500 Internal Server Error",
    "HTTP/1.1 503 Service Unavailable",
)
FIELDS = (
    "Content-Type: application/octet-stream",
    "Content-Type: text/html",
    "Content-Type:text/html ; charset=utf-8",
    'ETag: "one"',
    "ETag: W/one",
    "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
    "Last-Modified: yesterday",
    "Date: Sun, 06 Nov 1994 09:49:37 GMT",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Keep-Alive, Close",
    "Connection: upgrade",
    "Content-Encoding: gzip",
    "Content-Range: bytes 0-9/10",
    "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA==",
    "Repr-Digest: sha-256=:AAAA:",
    "Retry-After: 1",
    "Retry-After: soon",
    "Set-Cookie: a=b",
    "X-Empty:",
    "X-Latin: caf\xe9",
    "X-Tab:\ta\t",
    "X-Long: " + "x" * 3000,
    " folded: line",
    "\tfolded",
    "no colon",
    ": no name",
    "Bad Name: x",
    "Bad\tName: x",
    "X-Nul: a\x00b",
    "X-Return: a\rb",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
)
LINE_ENDS = (*["\r\n"] * 12, "\n", "\r\r\n")


class Made(NamedTuple):
    """A response and how it comes.

    Attributes:
        pieces: of its bytes, each sent by itself.
        end: how the connection ends.
    """

    pieces: tuple[bytes, ...]
    end: Behaviour

    def behaviour(self) -> Behaviour:
        """What a server does."""
        return Then(*map(Raw, self.pieces), self.end)


def _lengths(rng: random.Random, body: bytes) -> list[str]:
    right = str(len(body))
    wrong = (
        str(len(body) + rng.choice((-1, 1, 100))),
        "-1",
        "+5",
        f"0{right}",
        f"{right}, {right}",
        f"{right}, 7",
        f"{right} ",
        "",
        "five",
        "9" * 25,
        "\u0661".encode().decode("latin-1"),
    )
    dice = rng.random()
    if dice < 0.7:
        return [f"Content-Length: {right}"]
    if dice < 0.8:
        return []
    if dice < 0.95:
        return [f"Content-Length: {rng.choice(wrong)}"]
    return [f"Content-Length: {right}", f"content-length: {rng.choice((right, *wrong))}"]


def _body(rng: random.Random) -> bytes:
    return BODY[: rng.choice((0, 1, 10, 1000, 4096, 40_000))]


def make(seed: int) -> Made:
    """The response of that number."""
    rng = random.Random(seed)
    status = STATUS_LINES[0] if rng.random() < 0.6 else rng.choice(STATUS_LINES)
    body = _body(rng)
    fields = rng.sample(FIELDS, rng.choice((0, 1, 2, 2, 3, 5)))
    if rng.random() < 0.75:
        fields = [field for field in fields if field in FIELDS[:22]]
    sent = body
    if any(field == "Transfer-Encoding: chunked" for field in fields) and rng.random() < 0.7:
        sent = chunked(body, rng.choice((1, 7, 1000)) if len(body) <= 1000 else 9000)
    else:
        fields += _lengths(rng, body)
    rng.shuffle(fields)
    end = LINE_ENDS[0] if rng.random() < 0.8 else rng.choice(LINE_ENDS)
    data = end.join([status, *fields, "", ""]).encode("latin-1") + sent
    return Made(_pieces(rng, _spoilt(rng, data)), _end(rng))


RANGED_STATUS_LINES = (
    *["HTTP/1.1 206 Partial Content"] * 8,
    *["HTTP/1.1 200 OK"] * 6,
    "HTTP/1.0 206 Partial Content",
    "HTTP/1.1 204 No Content",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 400 Bad Request",
    "HTTP/1.1 404 Not Found",
    "HTTP/1.1 412 Precondition Failed",
    "HTTP/1.1 416 Range Not Satisfiable",
    "HTTP/1.1 501 Not Implemented",
    "HTTP/1.1 503 Service Unavailable",
)
RANGED_FIELDS = (
    "Content-Type: application/octet-stream",
    "Content-Type: text/html",
    "Content-Type: multipart/byteranges; boundary=x",
    "Content-Encoding: gzip",
    "Connection: close",
    "Accept-Ranges: bytes",
    "Date: Sun, 06 Nov 1994 09:49:37 GMT",
    "Retry-After: 1",
    "X-Empty:",
)


class Ranged(NamedTuple):
    """An answer to a range of `BODY` from `HALF` on, and what is behind it.

    Attributes:
        made: the answer.
        now: the file that the server has, which may be another version.
        total: whether the part knows how long `BODY` is.
    """

    made: Made
    now: File
    total: bool

    def behaviour(self) -> Behaviour:
        """What a server does."""
        return WhenRange(self.made.behaviour(), self.now)


def make_ranged(seed: int) -> Ranged:
    """The answer to a range of that number.

    It may be wrong in every way but two, which nobody could tell: bytes of another version under
    the old entity tag, and the rest of another version as if that were all of it.
    """
    rng = random.Random(f"ranged {seed}")
    same = rng.random() < 0.75
    body, tag, date = (BODY, ETAG, DATE) if same else (OTHER, ETAG_OTHER, DATE_OTHER)
    if rng.random() < 0.2:
        body = body[: rng.choice((0, 1, HALF - 1, HALF, HALF + 1))] if not same else body
    now = File(body, etag=tag, last_modified=date)
    status = rng.choice(RANGED_STATUS_LINES)
    start = HALF if rng.random() < 0.8 else rng.choice((0, 1, HALF - 1, HALF + 1, len(body)))
    start = min(start, len(body))
    stamps = dict(now.validators())
    fields = rng.sample(RANGED_FIELDS, rng.choice((0, 0, 1, 2)))
    fields += [f"ETag: {value}" for value in _tags(rng, tag)]
    if rng.random() < 0.6:
        fields.append(f"Last-Modified: {stamps['Last-Modified']}")
    named = _content_range(rng, start, len(body))
    if named is None and not same and start and " 200 " in status:
        named = f"bytes {start}-{len(body) - 1}/{len(body)}"
    fields += [] if named is None else [f"Content-Range: {named}"]
    sent = body[start:]
    if rng.random() < 0.25:
        fields.append("Transfer-Encoding: chunked")
        sent = chunked(sent, 9000)
    else:
        fields += _lengths(rng, sent)
    rng.shuffle(fields)
    data = "\r\n".join([status, *fields, "", ""]).encode("latin-1") + sent
    if rng.random() < 0.15:
        data = rng.choice((data[: rng.randrange(len(data) + 1)], data + b"x"))
    # no reset: it throws away what has not been read yet, so that the ways would differ by chance
    return Ranged(Made(_pieces(rng, data), Close()), now, rng.random() < 0.8)


def _tags(rng: random.Random, tag: str) -> tuple[str, ...]:
    dice = rng.random()
    if dice < 0.75:
        return (tag,)
    return () if dice < 0.9 else (rng.choice((f"W/{tag}", tag.strip('"'), f"{tag}, {tag}")),)


def _content_range(rng: random.Random, start: int, size: int) -> str | None:
    dice = rng.random()
    if dice < 0.65:
        return f"bytes {start}-{size - 1}/{size}"
    if dice < 0.8:
        return None
    odd = (
        f"bytes {start}-{size - 1}/*",
        f"bytes {start}-{size - 2}/{size}",
        f"bytes {start}-{size - 1}/{size + 100}",
        f"bytes {HALF}-{size - 1}/{size}",
        f"bytes */{size}",
        f"bytes */{HALF - 1}",  # a 416 with the very size of the part would be believed
        f"bytes={start}-{size - 1}/{size}",
        f"items {start}-{size - 1}/{size}",
        f"{start}-{size - 1}/{size}",
        "bytes",
    )
    return rng.choice(odd)


def _spoilt(rng: random.Random, data: bytes) -> bytes:
    dice = rng.random()
    if dice < 0.08:
        return data[: rng.randrange(len(data) + 1)]
    if dice < 0.12:
        return data + rng.choice((b"\r\n", b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX"))
    if dice < 0.16:
        at = rng.randrange(len(data))
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if dice < 0.2:
        return b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + data
    return data


def _pieces(rng: random.Random, data: bytes) -> tuple[bytes, ...]:
    if rng.random() < 0.6 or len(data) < 2:
        return (data,)
    cuts = sorted({rng.randrange(1, len(data)) for _ in range(rng.choice((1, 1, 2, 5)))})
    return tuple(data[a:b] for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True))


def _end(rng: random.Random) -> Behaviour:
    return Reset() if rng.random() < 0.05 else Close()
