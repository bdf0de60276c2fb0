"""HTTP/1.1 responses read strictly from a socket (RFC 9112).

Both transports read with this, so that both give the same outcome for the same bytes. What is
lenient in other clients and has ended there as a success with wrong bytes is an error here:
contradictory or negative lengths, malformed chunks, a field without a colon, a NUL. Every read is
bounded: the head, the number of fields, the interim responses, a chunk-size line, the trailers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pdl.text.lazy_regex import HTTP_WORD
from pdl.text.named_tuple import NamedTuple
from pdl.transport.errors import protocol_error

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    from pdl.model import Headers
    from pdl.transport import TransportError


MAX_HEAD = 128 * 1024
"""Bytes of a response head, all its interim responses' heads not counted."""
MAX_FIELDS = 5000
"""As many as curl takes."""
MAX_USUAL = 2048
"""Bytes of a head that is taken apart the quick way."""
MAX_CACHED = 256
"""Bytes of a header line that is remembered when it is parsed; a connection does not outlive a
Connection field that is longer."""

BLANKS = " \t"
"""White space in HTTP (RFC 9110 section 5.6.3); bare `str.strip` takes a no-break space for it."""
_BLANKS = BLANKS.encode()
SINGLETONS = frozenset(
    {
        "content-length",
        "content-range",
        "content-type",
        "content-disposition",
        "content-md5",
        "date",
        "etag",
        "last-modified",
        "location",
        "retry-after",
    }
)
"""Fields that are no lists (RFC 9110 section 5.3): said twice alike, they are said once."""

_BY_LINE = frozenset({"location", "set-cookie"})
"""Fields whose values are joined by line feeds."""

_BODILESS = frozenset({204, 304})
"""Statuses of answers without a body, whatever their fields say."""

MAX_LENGTH = 2**63 - 1
"""Bytes a file can have on any system."""
MAX_LENGTH_DIGITS = 19

_STATUS_LINE = re.compile(
    # some applications answer with the version that the browser before their proxy speaks
    rb"HTTP/(?:1\.([0-9])|2(?:\.0)?)[ \t]+([1-5][0-9][0-9])(?:[ \t]+([^\x00\r\n]*))?"
)
_FIELD = re.compile(rf"({HTTP_WORD}):([^\x00\r\n]*)\Z".encode())
_FRAMING = re.compile(rb"contentlength|transferencoding")
"""In the letters of a field's name: it may be meant to tell the body's end."""
HEAD_END = re.compile(rb"\r?\n\r?\n")
"""An empty line, in bytes that begin with a head."""


class Head(NamedTuple):
    """A final response's status line and fields.

    Attributes:
        minor: of the version: 0 or 1 (or more, read as 1); 0 for what calls itself HTTP/2.
        fields: name in lower case, value without surrounding blanks; in order.
        values: by name; several values joined by commas (RFC 9110 section 5.3).
    """

    minor: int
    status: int
    reason: str
    fields: list[tuple[str, str]]
    values: dict[str, str]

    def get(self, name: str) -> str | None:
        """The field's value; None when absent. The name is in lower case."""
        return self.values.get(name)


class Framing(NamedTuple):
    """How the end of the body is told (RFC 9112 section 6.3), and what comes after it.

    Attributes:
        chunked: by its last chunk.
        length: by a count of bytes; None with `chunked` False means by the connection's end.
        keep: the connection can serve another request afterwards.
    """

    chunked: bool
    length: int | None
    keep: bool


def parse_head(raw: bytes) -> Head:
    """Parse a head without the empty line that ends it.

    Raises:
        TransportError: it is not what RFC 9112 sections 4 and 5 allow.
    """
    usual = parse_usual(raw)
    if usual is not None:
        minor, status, reason, values = usual
        return Head(minor, status, reason, [*values.items()], values)
    minor, status, reason, fields = _any(raw)
    values = dict(fields)
    if len(values) < len(fields):
        values = _joined(fields)
    return Head(minor, status, reason, fields, values)


Usual = tuple[int, int, str, dict[str, str]]
"""Minor version, status, reason, and the values of the fields by name."""


def head_of(buffer: mmap.mmap, have: int) -> tuple[Usual, int] | None:
    """The head that some bytes begin with, and where its body does; None if it has not ended.

    Args:
        buffer: begins with them.
        have: how many there are.

    Raises:
        TransportError: it is too long, or as `parse_head`.
    """
    end = buffer.find(b"\r\n\r\n", 0, have)
    usual = parse_usual(buffer[:end]) if end >= 0 else None
    if usual is not None:
        return usual, end + 4
    match = HEAD_END.search(buffer, 0, have)
    if (have if match is None else match.start()) > MAX_HEAD:
        raise protocol_error(f"the answer's head is longer than {MAX_HEAD} bytes")
    if match is None:
        return None
    head = parse_head(buffer[: match.start()])
    return (head.minor, head.status, head.reason, head.values), match.end()


def parse_usual(raw: bytes) -> Usual | None:
    """A short head with proper line ends, no folded line and no field twice; None for others.

    Takes apart in one go what `parse_head` would make the same of. It has no line feed but those
    of proper line ends, so an empty line is in it only where one with proper line ends is.
    """
    if len(raw) > MAX_USUAL:
        return None
    lines = raw.split(b"\r\n")
    status = _known_status(lines[0])
    del lines[0]
    try:
        values: dict[str, str] = dict(map(_known_field, lines))
    except TypeError:  # a line is no field
        return None
    return (*status, values) if status is not None and len(values) == len(lines) else None


def _any(raw: bytes) -> tuple[int, int, str, list[tuple[str, str]]]:
    first, _, rest = raw.partition(b"\n")
    status = _status(first.rstrip(b"\r"))
    if status is None:
        raise no_http(raw)
    lines = rest.split(b"\n") if rest else []
    if len(lines) > MAX_FIELDS:
        raise protocol_error(f"the answer has more than {MAX_FIELDS} header fields")
    return (*status, parse_fields(lines))


def no_http(raw: bytes) -> TransportError:
    """Say that these bytes begin no answer."""
    first = raw.partition(b"\n")[0].rstrip(b"\r") or raw
    return protocol_error(f"the answer is not HTTP/1.x: {shown(first)}")


def shown(raw: bytes) -> str:
    """Bytes of an answer, or the first of them, as a message has them."""
    return repr(raw[:60])[1:]  # without the letter that is Python's


def _status(line: bytes) -> tuple[int, int, str] | None:
    """A status line's minor version, status and reason."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        return None
    minor, status, reason = match.groups()
    return int(minor or 0), int(status), (reason or b"").decode("latin-1")


_known_status = lru_cache(maxsize=64)(_status)
"""The same, remembered; for short ones."""


def _joined(fields: list[tuple[str, str]]) -> dict[str, str]:
    """The values by name: of several the list, of equal ones of a field that is no list the one."""
    values: dict[str, str] = {}
    for name, value in fields:
        before = values.get(name)
        if before is None or (before == value and name in SINGLETONS):
            values[name] = value
        else:  # a URL or a date may have a comma in it, but no line feed
            values[name] = f"{before}\n{value}" if name in _BY_LINE else f"{before}, {value}"
    return values


def _field(line: bytes) -> tuple[str, str] | None:
    """One header line."""
    match = _FIELD.match(line)
    if match is None:
        return None
    name, value = match.groups()
    # Stripped here: a pattern that leaves the blanks out takes quadratic time over them.
    return name.decode("ascii").lower(), value.strip(_BLANKS).decode("latin-1")


_known_field: Callable[[bytes], Any] = lru_cache(maxsize=1024)(_field)
"""The same; a server sends the same lines again and again. For short ones: it keeps them."""


def parse_fields(lines: list[bytes]) -> list[tuple[str, str]]:
    """Parse header or trailer lines, without their line feeds.

    Raises:
        TransportError: a line is no field, and more than its own meaning is at stake.
    """
    fields: list[tuple[str, str]] = []
    skipped = False
    for line in lines:
        text = line[:-1] if line.endswith(b"\r") else line
        field = _known_field(text) if len(text) <= MAX_CACHED else _field(text)
        if field is not None:
            fields.append(field)
            skipped = False
        elif b"\0" in text or b"\r" in text:
            raise _malformed(text)
        elif text[:1] in {b" ", b"\t"} and (fields or skipped):
            # obs-fold: a user agent replaces it with a blank (RFC 9112 section 5.2)
            if not skipped:
                name_before, value_before = fields[-1]
                value = f"{value_before} {text.strip(_BLANKS).decode('latin-1')}"
                fields[-1] = (name_before, value.strip(BLANKS))
        elif found := _lenient_field(text):
            fields.append(found)
            skipped = False
        else:
            skipped = True
    return fields


def _lenient_field(text: bytes) -> tuple[str, str] | None:
    """A line that is no field by the letter; None if it is skipped, as browsers and curl do.

    Raises:
        TransportError: it has no colon, or may be meant to tell the end of the body.
    """
    name, colon, value = text.partition(b":")
    if not colon:
        raise _malformed(text)
    if found := _field(name.rstrip(_BLANKS) + b":" + value):  # a blank before the colon
        return found
    if _FRAMING.search(re.sub(rb"[^a-z]", b"", name.lower())):
        raise _malformed(text)
    return None


def _malformed(line: bytes) -> TransportError:
    return protocol_error(f"malformed header line: {shown(line)}")


def framing(head: Head) -> Framing:
    """Decide how the body of a GET's answer is framed.

    Raises:
        TransportError: the fields contradict each other.
    """
    return Framing(*framed(head.minor, head.status, head.values))


def framed(minor: int, status: int, values: dict[str, str]) -> tuple[bool, int | None, bool]:
    """The same of a head's parts, as a bare tuple.

    Raises:
        TransportError: as `framing`.
    """
    said = values.get("content-length")
    length = None if said is None else content_length(said)
    options = values.get("connection")
    keep = minor > 0
    if options is not None:
        keep = len(options) <= MAX_CACHED and _keeps(minor, options)
    coding = values.get("transfer-encoding")
    if status in _BODILESS:
        # some send the chunks that they announce; those would be taken for the next answer
        return False, 0, keep and coding is None
    if coding is not None and _is_chunked(coding):
        # Both at once may be an attempt at smuggling: chunked rules and the connection ends.
        return True, None, keep and length is None and minor > 0
    return False, length, keep and length is not None


def _is_chunked(coding: str) -> bool:
    """Whether a Transfer-Encoding is ``chunked``, said once or twice; ``identity`` is none.

    Raises:
        TransportError: it is another one.
    """
    words = {word.strip(BLANKS) for word in coding.lower().split(",")} - {""}
    if not words or words - {"chunked", "identity"}:
        raise protocol_error(f"unknown transfer coding {coding[:60]!r}")
    return "chunked" in words


@lru_cache(maxsize=64)
def _keeps(minor: int, said: str) -> bool:
    """Whether a Connection field lets the connection serve another request."""
    options = {word.strip(BLANKS).lower() for word in said.split(",")}
    return "close" not in options and (minor > 0 or "keep-alive" in options)


def content_length(value: str) -> int:
    """Read a Content-Length; the same number said twice is one (RFC 9110 section 8.6).

    Raises:
        TransportError: it is no number, or two that differ.
    """
    if value.isascii() and value.isdigit() and len(value) < MAX_LENGTH_DIGITS:
        return int(value)
    numbers = {number.strip(BLANKS) for number in value.split(",")}
    number = numbers.pop()
    if numbers or not (number.isascii() and number.isdigit()) or len(number) > MAX_LENGTH_DIGITS:
        raise protocol_error(f"Content-Length is {value[:60]!r}")
    if int(number) > MAX_LENGTH:
        raise protocol_error(f"Content-Length is {value[:60]!r}")
    return int(number)


_OURS = frozenset({"host", "connection", "transfer-encoding"})
"""The last one because whoever says it has to send the end of a body too."""


def split(url: str) -> tuple[str, str]:
    """A request URL's origin (``http://host:port``) and target (``/path?query``)."""
    slash = url.index("/", 8)
    return url[:slash], url[slash:]


def message(origin: str, target: str, headers: Headers) -> bytes:
    """The whole request."""
    return f"GET {target}{tail(origin, headers)}".encode("latin-1")


def tail(origin: str, headers: Headers) -> str:
    """What follows the target in a request."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    host, colon, port = origin.partition("//")[2].partition(":")
    # a server knows itself by its name without the root's dot
    return f" HTTP/1.1\r\nHost: {host.removesuffix('.')}{colon}{port}\r\n{fields}\r\n"


def overrides_ours(headers: Headers) -> bool:
    """Whether a field of the user's own stands in the way of ours."""
    return any(name.lower() in _OURS for name, _ in headers)
