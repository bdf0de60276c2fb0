"""What a server asks for who refuses a request (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re

from pdl.text.lazy_regex import HTTP_WORD, lazy

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PIECE = lazy(rf"({HTTP_WORD})[ \t]*(=[ \t]*(?:{_QUOTED}|[^,\s]*))?|{_QUOTED}|[^,\s]")
_REALM = lazy(rf"(?:^|[,\s])realm[ \t]*=[ \t]*({_QUOTED}|[^,\s]+)", re.IGNORECASE)
_REALM_MOST = 60


def schemes(challenge: str) -> list[str]:
    """The schemes that a WWW-Authenticate field names, in order.

    A word is one where it begins an element of the list and has no ``=`` behind it.
    """
    found: list[str] = []
    begins, end = True, 0
    for match in _PIECE.finditer(challenge):
        begins = begins or "," in challenge[end : match.start()]
        end = match.end()
        if match[1] and not match[2] and begins:
            found.append(match[1])
        begins = False
    return found


def realm(challenge: str) -> str:
    """The first realm, cut; empty if there is none."""
    match = _REALM.search(challenge)
    return match[1].strip('"').replace("\\", "")[:_REALM_MOST] if match else ""
