"""Odd heads: what servers send, or might, and what pdl makes of each; `peers.py` asks the others.

Every row is answered with `BODY`, as well as its head allows. A row that pdl refuses says why: the
end of a body, or another's answer, is at stake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from servers.behaviours import Close, Raw, Then, chunked

if TYPE_CHECKING:
    from servers.wire import Script

BODY = b"bytes of the file, forty-eight of them, no more\n"
OK = b"HTTP/1.1 200 OK"
LENGTH = b"Content-Length: 48"
CHUNKS = chunked(BODY, 20)

_TORN = "a line without a colon may be what is left of one that tells the body's end"
_BOUND = "what a server can make pdl read before a file begins is bounded"
_ENDS = "where the head ends, and the body begins, is anyone's guess"
_BEFORE = "what comes before an answer may be the rest of another's body"
_NUMBER = "a length that is no number leaves the body's end to guesses, and guesses differ"
_TWO = "two lengths are two files"
_CODING = "a coding that is not known leaves the body's end, or its bytes, to guesses"
_STATUS_WORD = "which status is meant is anyone's guess"
_VERSION = "it calls itself nothing whose rules are known; the body's end is a matter of them"
_ONLY_200 = "only 200 says that this is the file as the server has it"


class OddHead(NamedTuple):
    """A head, and what pdl makes of it.

    Attributes:
        name: of the row, and of its path.
        answer: all of it, with the body.
        refused: why pdl takes no file from it; empty where it takes the file.
        ends: the server closes the connection afterwards.
    """

    name: str
    answer: bytes
    refused: str = ""
    ends: bool = False

    @property
    def path(self) -> str:
        """Where it is served."""
        return f"/odd/{self.name}"

    def script(self) -> Script:
        """What a server does."""
        return (Then(Raw(self.answer), Close()) if self.ends else Raw(self.answer),)


def _head(*lines: bytes, body: bytes = BODY, eol: bytes = b"\r\n") -> bytes:
    return eol.join([*lines, b"", body])


def _field(name: str, *lines: bytes, refused: str = "") -> OddHead:
    """A good head with lines of the row's own in its midst."""
    return OddHead(name, _head(OK, *lines, LENGTH, b"X-Last: 1"), refused)


def _length(name: str, *lines: bytes, refused: str = "") -> OddHead:
    """A head whose lines alone tell the length; the connection ends after the body."""
    return OddHead(name, _head(OK, *lines), refused, ends=True)


def _chunks(name: str, *lines: bytes, refused: str = "") -> OddHead:
    return OddHead(name, _head(OK, *lines, body=CHUNKS), refused, ends=True)


def _status(name: str, line: bytes, *, refused: str = "") -> OddHead:
    return OddHead(name, _head(line, LENGTH), refused, ends=True)


def _redirect(name: str, *lines: bytes, refused: str = "") -> OddHead:
    answer = _head(b"HTTP/1.1 302 Found", *lines, b"Content-Length: 0", body=b"")
    return OddHead(name, answer, refused)


_NAMES = (
    _field("name-blank-before-colon", b"X-Blank : a"),
    _field("name-tab-before-colon", b"X-Tab\t: a"),
    _field("name-with-blank", b"X Frame Options: DENY"),
    _field("name-not-ascii", b"X-T\xc3\xbc: 1"),
    _field("name-in-brackets", b"(X-Debug): 1"),
    _field("name-empty", b": nothing"),
    _field("name-with-control", b"X-\x07: 1"),
    _field("no-colon", b"no colon here", refused=_TORN),
    _field("no-colon-html", b"<b>Warning</b> in line 3", refused=_TORN),
    _length("length-blank-before-colon", b"Content-Length : 48"),
    _length("length-underscore", b"Content_Length: 48"),
)
_VALUES = (
    _field("value-8-bit", b"X-Name: \xe9\xff"),
    _field("value-utf-8", "X-Name: \u65e5".encode()),
    _field("value-control", b"X-Bell: \x07\x1b[31m"),
    _field(
        "value-nul", b"X-Nul: a\0b", refused="programs that end strings at a NUL read another head"
    ),
    _field(
        "value-bare-cr",
        b"X-Cr: a\rb",
        refused="some read a lone CR as the end of a line, and so another field",
    ),
    _field("value-blanks", b"X-Blanks: \t  a \t "),
    _field("fold", b"X-Folded: one\r\n two\r\n\tthree"),
    _field("fold-empty", b"X-Folded: one\r\n "),
    _field("fold-first", b" folded: under nothing"),
    _length("fold-length", b"Content-Length:\r\n 48"),
    _field("equal-etags", b'ETag: "one"', b'ETag: "one"'),
    _field("other-etags", b'ETag: "one"', b'ETag: "two"'),
    _field("long-field-20k", b"Set-Cookie: " + b"a" * 20_000),
    _field("long-field-100k", b"Set-Cookie: " + b"a" * 100_000),
    _field("long-field-200k", b"Set-Cookie: " + b"a" * 200_000, refused=_BOUND),
    _field("long-head-120k", *(b"Set-Cookie: " + b"a" * 6_000 for _ in range(20))),
    _field("fields-900", *(b"X-%d: many" % n for n in range(900))),
    _field("fields-3000", *(b"X-%d: many" % n for n in range(3000))),
)
_LINES = (
    OddHead("bare-lf", _head(OK, LENGTH, eol=b"\n")),
    OddHead("bare-lf-status", OK + b"\n" + _head(LENGTH)),
    OddHead("bare-lf-end", OK + b"\r\n" + LENGTH + b"\n\n" + BODY),
    OddHead("cr-cr-lf", _head(OK, LENGTH, eol=b"\r\r\n"), _ENDS, ends=True),
    OddHead("cr-only", _head(OK, LENGTH, eol=b"\r"), _ENDS, ends=True),
    OddHead("blank-line-first", b"\r\n" + _head(OK, LENGTH), _BEFORE, ends=True),
    OddHead("blank-lf-first", b"\n" + _head(OK, LENGTH), _BEFORE, ends=True),
    OddHead("bom-first", b"\xef\xbb\xbf" + _head(OK, LENGTH), _BEFORE, ends=True),
    OddHead("line-of-blanks", _head(OK, LENGTH, b"  ")),
    OddHead("continue-first", _head(b"HTTP/1.1 100 Continue", body=b"") + _head(OK, LENGTH)),
    OddHead(
        "hints-first",
        _head(b"HTTP/1.1 103 Early Hints", b"Link: </a>", body=b"") + _head(OK, LENGTH),
    ),
    OddHead("unknown-1xx-first", _head(b"HTTP/1.1 199 Odd", body=b"") + _head(OK, LENGTH)),
    OddHead(
        "continue-40-times",
        _head(b"HTTP/1.1 100 Continue", body=b"") * 40 + _head(OK, LENGTH),
        _BOUND,
    ),
    OddHead("body-html-first", b"<html>" + _head(OK, LENGTH), _BEFORE, ends=True),
)
_STATUS = (
    _status("status-no-reason", b"HTTP/1.1 200"),
    _status("status-blank-no-reason", b"HTTP/1.1 200 "),
    _status("status-8-bit-reason", b"HTTP/1.1 200 D\xe9j\xe0 vu"),
    _status("status-tab-in-reason", b"HTTP/1.1 200 all\tright"),
    _status("status-control-in-reason", b"HTTP/1.1 200 \x07OK"),
    _status("status-two-blanks", b"HTTP/1.1  200 OK"),
    _status("status-tab", b"HTTP/1.1\t200\tOK"),
    _status("status-blank-after", b"HTTP/1.1 200 OK   "),
    _status("status-glued-reason", b"HTTP/1.1 200OK", refused=_STATUS_WORD),
    _status("status-four-digits", b"HTTP/1.1 2000 OK", refused=_STATUS_WORD),
    _status("status-two-digits", b"HTTP/1.1 20 OK", refused=_STATUS_WORD),
    _status("status-comma", b"HTTP/1.1 200, OK", refused=_STATUS_WORD),
    _status("status-zero-first", b"HTTP/1.1 0200 OK", refused=_STATUS_WORD),
    _status("status-299", b"HTTP/1.1 299 Odd", refused=_ONLY_200),
    _status("status-203", b"HTTP/1.1 203 Non-Authoritative", refused=_ONLY_200),
    _status(
        "status-206",
        b"HTTP/1.1 206 Partial Content",
        refused="it may be a part of the file, and says not which",
    ),
    _status("status-600", b"HTTP/1.1 600 Odd", refused=_STATUS_WORD),
    _status("version-1.0", b"HTTP/1.0 200 OK"),
    _status("version-1.2", b"HTTP/1.2 200 OK"),
    _status("version-1", b"HTTP/1 200 OK", refused=_VERSION),
    _status("version-01.01", b"HTTP/01.01 200 OK", refused=_VERSION),
    _status("version-2", b"HTTP/2 200 OK"),
    _status("version-2.0", b"HTTP/2.0 200 OK"),
    _status("version-lower-case", b"http/1.1 200 OK", refused=_VERSION),
    _status("version-none", b"HTTP 200 OK", refused=_VERSION),
    _status("version-icy", b"ICY 200 OK", refused=_VERSION),
    _status("version-cgi", b"Status: 200 OK", refused=_VERSION),
    OddHead("version-0.9", BODY, "whatever is no HTTP at all would be a file", ends=True),
)
_LENGTHS = (
    _length("length-twice-equal", LENGTH, LENGTH),
    _length("length-list-equal", b"Content-Length: 48, 48"),
    _length("length-list-one", b"Content-Length: 48,", refused=_NUMBER),
    _length("length-twice-other", LENGTH, b"Content-Length: 5", refused=_TWO),
    _length("length-zeros", b"Content-Length: 0048"),
    _length("length-plus", b"Content-Length: +48", refused=_NUMBER),
    _length("length-negative", b"Content-Length: -1", refused=_NUMBER),
    _length("length-empty", b"Content-Length:", refused=_NUMBER),
    _length("length-unit", b"Content-Length: 48 bytes", refused=_NUMBER),
    _length("length-semicolon", b"Content-Length: 48;", refused=_NUMBER),
    _length("length-hex", b"Content-Length: 0x30", refused=_NUMBER),
    _length("length-fraction", b"Content-Length: 48.0", refused=_NUMBER),
    _length("length-quoted", b'Content-Length: "48"', refused=_NUMBER),
    _length("length-undefined", b"Content-Length: undefined", refused=_NUMBER),
    _length("length-nbsp", b"Content-Length: \xa048", refused=_NUMBER),
    _length("length-nbsp-after", b"Content-Length: 48\xa0", refused=_NUMBER),
    _length("length-overflows", b"Content-Length: 18446744073709551664", refused=_NUMBER),
    _length("length-no-blank", b"Content-Length:48"),
    _length("length-none"),
    _length("length-none-keep-alive", b"Connection: keep-alive"),
)
_CODINGS = (
    _chunks("chunked", b"Transfer-Encoding: chunked"),
    _chunks("chunked-capitals", b"TRANSFER-ENCODING: CHUNKED"),
    _chunks("chunked-twice", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    _chunks("chunked-list-twice", b"Transfer-Encoding: chunked, chunked"),
    _chunks("chunked-comma", b"Transfer-Encoding: chunked,"),
    _chunks("chunked-and-length", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    _chunks(
        "chunked-and-bad-length",
        b"Content-Length: many",
        b"Transfer-Encoding: chunked",
        refused=_NUMBER,
    ),
    _chunks(
        "chunked-and-empty-length",
        b"Content-Length:",
        b"Transfer-Encoding: chunked",
        refused=_NUMBER,
    ),
    _chunks("chunked-folded", b"Transfer-Encoding:\r\n chunked"),
    _chunks("chunked-parameter", b"Transfer-Encoding: chunked;q=1", refused=_CODING),
    _chunks("chunked-quoted", b'Transfer-Encoding: "chunked"', refused=_CODING),
    _chunks(
        "chunked-blank-in-name",
        b"Transfer Encoding: chunked",
        refused="it may be meant to tell the end of the body, and may not",
    ),
    _chunks("chunked-after-identity", b"Transfer-Encoding: identity, chunked"),
    OddHead(
        "chunked-in-1.0",
        _head(b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked", body=CHUNKS),
        ends=True,
    ),
    _length("identity", b"Transfer-Encoding: identity", LENGTH),
    _length("identity-alone", b"Transfer-Encoding: identity"),
    _length("coding-empty", b"Transfer-Encoding:", LENGTH, refused=_CODING),
    _length("coding-none", b"Transfer-Encoding: none", LENGTH, refused=_CODING),
    _length("coding-8bit", b"Transfer-Encoding: 8bit", LENGTH, refused=_CODING),
    _length("coding-utf-8", b"Transfer-Encoding: UTF-8", LENGTH, refused=_CODING),
    _length("coding-gzip", b"Transfer-Encoding: gzip", LENGTH, refused=_CODING),
    _chunks("coding-gzip-chunked", b"Transfer-Encoding: gzip, chunked", refused=_CODING),
    _chunks("coding-chunked-gzip", b"Transfer-Encoding: chunked, gzip", refused=_CODING),
)
_LOCATIONS = (
    _redirect("location-twice-equal", b"Location: /odd/good", b"Location: /odd/good"),
    _redirect(
        "location-twice-other",
        b"Location: /odd/good",
        b"Location: /odd/other",
        refused="which of the two files is meant is anyone's guess",
    ),
    _redirect("location-relative", b"Location: good"),
    _redirect("location-blank-around", b"Location:   /odd/good  "),
    _redirect("location-blank-inside", b"Location: /odd/go od"),
    _redirect("location-8-bit", b"Location: /odd/\xc3\xbc"),
    _redirect("location-no-colon", b"Location /odd/good", refused=_TORN),
    _redirect("location-folded", b"Location:\r\n /odd/good"),
    _redirect("location-fragment", b"Location: /odd/good#part"),
)

HEADS = (*_NAMES, *_VALUES, *_LINES, *_STATUS, *_LENGTHS, *_CODINGS, *_LOCATIONS)
"""All of them."""
_GOOD = _head(OK, LENGTH)
_MORE = {path: (Raw(_GOOD),) for path in ("/odd/good", "/odd/go%20od", "/odd/%C3%BC")}


def script_for(path: str) -> Script | None:
    """The script of a row's path, or of where one leads; ``/odd/<name>[/program]``."""
    if path in _MORE:
        return _MORE[path]
    row = next((row for row in HEADS if row.path == path), None)
    return None if row is None else row.script()
