"""Whether a body is coded (RFC 9110 section 8.4): what servers call a coding, and is none."""

from __future__ import annotations

import re

from pdl.text.lazy_regex import lazy

_NONE = lazy(
    r"identity|none|null|undefined|raw|plain|text|binary|[78]-?bit|(?:aws-)?chunked"
    # character sets
    r"|(?:us-)?ascii|utf-?(?:8|16|32)(?:le|be)?|iso-?8859-?\d+|latin-?\d|(?:windows|cp)-?125\d",
    re.IGNORECASE,
)


def coding_of(value: str | None) -> str:
    """The codings of a body, in lower case, as ``gzip`` or ``br, gzip``; empty if there is none.

    Args:
        value: of the field Content-Encoding, or None.
    """
    if not value:
        return ""
    words = (word.strip(" \t") for word in value.lower().split(","))
    return ", ".join(word for word in words if word and not _NONE.fullmatch(word))
