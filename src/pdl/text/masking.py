"""How text of others is shown: secrets masked, and nothing that a terminal obeys."""

from __future__ import annotations

import re
from urllib.parse import unquote

from pdl.text.lazy_regex import lazy

UNPRINTABLE = (
    r"\x00-\x1f\x7f-\x9f"  # controls
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # they reorder what stands around them
    r"\u200b\u2028\u2029\u2060\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # breaks, invisible
    r"\ud800-\udfff\ufffe\uffff"  # no characters at all
)
"""Inside of a regular expression's ``[]``: what must never reach a terminal or a file name."""
_UNPRINTABLE = lazy(f"[{UNPRINTABLE}]")
_TELLING = lazy("[@=#]")
_ESCAPES = lazy(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}")
_USERINFO = lazy(r"((?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]*)([^/?#]*)@")
_CUT_USERINFO = lazy(  # a password with a raw / ? or #: no port follows the colon
    r"([A-Za-z][A-Za-z0-9+.-]*:[/\\]+)(?!\[)([^/?#@:]*:)(?![0-9]*(?:[/?#]|$)).*@", re.DOTALL
)
_INNER_USERINFO = lazy(r"(//[^/?#&@:\s]*:)[^/?#&@\s]*@")
_SECRET_NAME = lazy(
    r"token|secret|passw|passphrase|signature|credential|api[-_.]?key|access[-_.]?(?:key|id)"
    r"|key[-_.]?pair[-_.]?id|authorization|session[-_.]?id|jwt"
    r"|(?<![a-z0-9])(?:sig|key|auth|oauth|pwd|pass|pw|policy|hmac|hdnea|hdnts|session|sid)"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
_URL = lazy(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_SECRET_FRAGMENT = lazy(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_+/!.~-]{16,}")


def printable(text: str) -> str:
    r"""The text for a terminal: controls, bidi overrides and lone surrogates as ``\x1b``."""
    if text.isprintable():  # which refuses more than is refused here
        return text
    return _UNPRINTABLE.sub(lambda m: escape_code(ord(m[0])), text)


def escape_code(code: int) -> str:
    r"""What stands for a character that is not to be shown, as ``\x1b``."""
    if code <= 0xFF:  # noqa: PLR2004 - as many hexadecimal digits as it takes
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def mask(text: str) -> str:
    """The URL for people and reports: printable, and every secret in it replaced by ``***``.

    Passwords (and a lone user name, which may be a token), query and path parameters and
    fragments with a telling name. Takes any text, also what `parse` refuses; never raises.
    """
    text = printable(text)
    if not _TELLING.search(text):
        return text
    parts = re.split("([?&#])", _mask_userinfo(text))
    parts[0] = "/".join(_mask_parameters(segment, 1) for segment in parts[0].split("/"))
    for place in range(2, len(parts), 2):
        parts[place] = _mask_parameters(parts[place], 0)
        if parts[place - 1] == "#" and _SECRET_FRAGMENT.fullmatch(parts[place]):
            parts[place] = "***"
    return "".join(parts)


def is_secret_name(name: str) -> bool:
    """Whether a parameter or field of that name mostly holds a secret."""
    return _SECRET_NAME.search(name) is not None


def mask_urls(text: str) -> str:
    """Text of several lines for people, with the secrets in each URL that it mentions masked."""
    lines = (_URL.sub(lambda found: mask(found[0]), printable(line)) for line in text.split("\n"))
    return "\n".join(lines)


def masked_traceback(exc: Exception) -> str:
    """Where an exception comes from, with the secrets in each URL masked."""
    import traceback  # where there is a mistake in pdl

    return mask_urls("".join(traceback.format_exception(exc)))


def _mask_userinfo(text: str) -> str:
    if found := _USERINFO.match(text):
        user, colon, _ = found[2].partition(":")
        shown = f"{user}:***" if colon else "***"
        text = f"{found[1]}{shown}@{text[found.end() :]}"
    else:
        text = _CUT_USERINFO.sub(r"\1\2***@", text, count=1)
    return _INNER_USERINFO.sub(r"\1***@", text)


def _mask_parameters(text: str, first: int) -> str:
    """Mask the first telling parameter and what follows: a secret may hold semicolons itself."""
    parts = text.split(";")
    for place, part in enumerate(parts[first:], first):
        name, equals, _ = part.partition("=")
        if equals and _SECRET_NAME.search(_ESCAPES.sub(" ", unquote(name))):
            return ";".join([*parts[:place], f"{name}=***"])
    return text
