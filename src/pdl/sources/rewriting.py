r"""Files that say whom to ask instead (``--rewrite``), in the grammar of Bazel's downloader config.

::

    # a comment
    all_blocked_message Ask in the channel for a mirror.
    rewrite github.com/([^/]+)/(.*) mirror.example/github/$1/$2
    rewrite (.*) $1
    block *
    allow mirror.example

A pattern is held against all of a URL behind its ``://``. Each rule that fits gives one URL to ask,
in the order of the file; where none fits, that is the URL itself. Then ``allow`` and ``block`` are
held against the hosts: what is allowed stays, else what is blocked goes.

Patterns are RE2's: the time that one takes grows with the length of the URL alone, whatever the
list and the file say. Java's, which Bazel uses, may take years.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pdl.errors import UsageError
from pdl.text.masking import mask, printable
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import InvalidUrl, Url, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdl.model import Item

_MOST_BYTES = 4 * 1024 * 1024
_REFERENCE = re.compile(r"\\(.)|\$([0-9]+)|\$\{([A-Za-z][A-Za-z0-9]*)\}|([\\$])", re.DOTALL)
_OTHER_SCHEME = re.compile(r"(?!https?://)[A-Za-z][A-Za-z0-9+.-]*://")
_WITH_SCHEME = ("http://", "https://")
_WORDS = {"allow": 2, "block": 2, "rewrite": 3}
"""The directives that have so many words, with their own."""


class HostRule(NamedTuple):
    """A host that is allowed or blocked, and those below it.

    Attributes:
        host: in lower case; ``*`` blocks every one.
        line: in the file.
    """

    host: str
    line: int

    def fits(self, host: str) -> bool:
        """Whether it speaks of that host."""
        return host == self.host or host.endswith(f".{self.host}")


class HostPolicy(NamedTuple):
    """Who may be asked.

    Attributes:
        path: of the file, as it is shown.
        allow: those that may, whatever is blocked.
        block: those that may not.
        message: what is said besides where all that could be asked is blocked.
    """

    path: str
    allow: tuple[HostRule, ...] = ()
    block: tuple[HostRule, ...] = ()
    message: str = ""

    def refusal(self, host: str) -> str:
        """Why a host may not be asked, with the line that says so; empty if it may."""
        if not self.block or any(rule.fits(host) for rule in self.allow):
            return ""
        found = next((rule for rule in self.block if rule.host == "*" or rule.fits(host)), None)
        if found is None:
            return ""
        return f"{host} is blocked by {self.path}:{found.line}: block {printable(found.host)}"


class _Rewrite(NamedTuple):
    """A rule that gives another URL.

    Attributes:
        pattern: of RE2's.
        to: pieces of text, and groups of the pattern between them.
        line: in the file.
    """

    pattern: Any
    to: tuple[str | int, ...]
    line: int


class Rewriting:
    """What a file says.

    Args:
        policy: which hosts may be asked.
        rules: that give other URLs.
    """

    def __init__(self, policy: HostPolicy, rules: Iterable[_Rewrite]) -> None:
        self.policy = policy
        self._rules = tuple(rules)

    def applied(self, item: Item, url: Url) -> Item | str:
        """The item with the URLs to ask; why there are none, if there are none.

        User information and header fields of the item are for its listed origin, and go nowhere
        else; user information that the file has is for where the file says.

        Args:
            item: with its mirrors.
            url: its own, parsed.
        """
        asked: dict[str, None] = {}
        reasons: list[str] = []
        origins = {url.origin}
        for text in (item.url, *item.mirrors):
            try:
                listed = url if text is item.url else parse(text)
            except InvalidUrl:  # one of another scheme, which nobody asks
                continue
            for found in self._rewritten(text, listed):
                try:
                    target = parse(found)
                except InvalidUrl as error:
                    reasons.append(f"{self.policy.path} makes {mask(found)} of it, which {error}")
                    continue
                if reason := self.policy.refusal(target.host):
                    reasons.append(reason)
                elif target.origin == listed.origin and listed.userinfo and not target.userinfo:
                    asked[found.replace("://", f"://{listed.userinfo}@", 1)] = None
                else:
                    asked[found] = None
        if not asked:
            more = f", and so are {len(reasons) - 1} more" if len(reasons) > 1 else ""
            said = f"; {self.policy.message}" if self.policy.message else ""
            return f"{reasons[0] if reasons else 'nobody is to be asked'}{more}{said}"
        first, *others = asked
        headers = item.headers if parse(first).origin in origins else ()
        return item._replace(url=first, mirrors=tuple(others), headers=headers)

    def _rewritten(self, text: str, url: Url) -> list[str]:
        """The URLs to ask instead of one; itself, as listed, if no rule fits."""
        subject = f"{url.netloc}{url.target}"
        found: list[str] = []
        for rule in self._rules:
            if rule.pattern.fullmatch(subject) is None:
                continue
            match = rule.pattern.search(subject)  # as Bazel: what is replaced may be less than all
            groups = (
                piece if isinstance(piece, str) else match.group(piece) or "" for piece in rule.to
            )
            made = f"{subject[: match.start()]}{''.join(groups)}{subject[match.end() :]}"
            made = made if made.startswith(_WITH_SCHEME) else f"{url.scheme}://{made}"
            found.append(text if made == url.request_url else made)
        return found or [text]


def read_rewriting(path: str) -> Rewriting:
    """What a file says.

    Raises:
        UsageError: it cannot be read, or is none; the message names the line.
    """
    shown = printable(path)
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--rewrite {shown}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--rewrite {shown} is not UTF-8 text") from None
    if len(data) > _MOST_BYTES:
        raise UsageError(f"--rewrite {shown} is larger than {_MOST_BYTES} bytes")
    reader = _Reader(shown)
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            try:
                reader.take(words, line.strip(), number)
            except ValueError as error:
                raise UsageError(f"{shown}:{number}: {error}") from None
    policy = HostPolicy(shown, tuple(reader.allow), tuple(reader.block), reader.message)
    return Rewriting(policy, reader.rules)


class _Reader:
    """A file under way."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.allow: list[HostRule] = []
        self.block: list[HostRule] = []
        self.rules: list[_Rewrite] = []
        self.message = ""

    def take(self, words: list[str], line: str, number: int) -> None:
        """Take a line.

        Raises:
            ValueError: it is no directive.
        """
        name = words[0]
        if name == "all_blocked_message":
            if self.message or len(words) == 1:
                raise ValueError("all_blocked_message is to be there once, with a message")
            self.message = printable(line.removeprefix(name).strip())
        elif name not in _WORDS:
            raise ValueError(
                f"{printable(name)!r} is none of rewrite, allow, block, all_blocked_message"
            )
        elif len(words) != _WORDS[name]:
            wanted = "rewrite RE TO" if name == "rewrite" else f"{name} HOST"
            raise ValueError(f"is to be {wanted}, and has {len(words)} words")
        elif name == "rewrite":
            pattern = _compiled(words[1])
            self.rules.append(_Rewrite(pattern, _pieces(words[2], pattern), number))
        else:
            host = words[1].lower().removeprefix("[").removesuffix("]")
            if "/" in host or (":" in host and host.count(":") == 1):
                raise ValueError(f"{printable(words[1])} is no host: a rule is of a host alone")
            (self.allow if name == "allow" else self.block).append(HostRule(host, number))


def _compiled(text: str) -> Any:  # noqa: ANN401 - RE2 has no types
    try:
        import re2
    except ImportError:
        raise UsageError(
            "--rewrite needs RE2, a library whose patterns take no longer than the text is long",
            "pip install 'pdl[rewrite]' brings it",
        ) from None
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        why = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(
            f"'{printable(text)}' is no pattern of RE2's: {printable(why)}; RE2 has neither "
            "back references nor look-around, which Java's have"
        ) from None


def _pieces(text: str, pattern: Any) -> tuple[str | int, ...]:  # noqa: ANN401 - as above
    """The text that takes the place of a match, taken apart as Java does.

    Raises:
        ValueError: it names a group that is not there.
    """
    if _OTHER_SCHEME.match(text):
        raise ValueError(f"'{mask(text)}' is of another scheme than http and https")
    names: Mapping[str, int] = pattern.groupindex
    pieces: list[str | int] = []
    at = 0
    for found in _REFERENCE.finditer(text):
        if found.start() < at:
            continue
        pieces.append(text[at : found.start()])
        at = found.end()
        if found[1]:
            pieces.append(found[1])
        elif found[2]:
            digits = _group_of(found[2], pattern.groups)
            pieces.append(int(digits))
            at = found.start() + 1 + len(digits)
        elif found[3] in names:
            pieces.append(names[found[3]])
        else:
            what = f"there is no group {found[3]}" if found[3] else f"{found[4]} stands alone"
            raise ValueError(f"'{printable(text)}': {what}; \\$ and \\\\ are these signs")
    pieces.append(text[at:])
    return tuple(piece for piece in pieces if piece != "")


def _group_of(digits: str, groups: int) -> str:
    """The digits of a reference that name a group: as many as there are groups for."""
    if int(digits[0]) > groups:
        raise ValueError(f"there is no group ${digits[0]}; the pattern has {groups}")
    length = 1
    while length < len(digits) and int(digits[: length + 1]) <= groups:
        length += 1
    return digits[:length]
