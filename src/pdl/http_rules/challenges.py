"""What a server asks for who refuses a request (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re

from pdl.text.lazy_regex import HTTP_WORD, lazy

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PIECE = lazy(rf"({HTTP_WORD})[ \t]*(=[ \t]*(?:{_QUOTED}|[^,\s]*))?|{_QUOTED}|[^,\s]")
_REALM = lazy(rf"(?:^|[,\s])realm[ \t]*=[ \t]*({_QUOTED}|[^,\s]+)", re.IGNORECASE)
_REALM_MOST = 60


def schemes(challenge: str) -> list[str]:
    """The schemes that a WWW-Authenticate field names, in order."""
    return [scheme for scheme, _ in challenges(challenge)]


def challenges(field: str) -> list[tuple[str, str]]:
    """The schemes that a WWW-Authenticate field names, in order, each with its parameters as sent.

    A word is a scheme where it begins an element of the list and has no ``=`` behind it.
    """
    found: list[tuple[str, int, int]] = []
    begins, end = True, 0
    for match in _PIECE.finditer(field):
        begins = begins or "," in field[end : match.start()]
        end = match.end()
        if match[1] and not match[2] and begins:
            found.append((match[1], match.start(), end))
        begins = False
    ends = [*(start for _, start, _ in found), len(field)][1:]
    return [
        (scheme, field[begin:end].strip(" \t,"))
        for (scheme, _, begin), end in zip(found, ends, strict=False)
    ]


def realm(challenge: str) -> str:
    """The first realm, cut; empty if there is none."""
    match = _REALM.search(challenge)
    return match[1].strip('"').replace("\\", "")[:_REALM_MOST] if match else ""
