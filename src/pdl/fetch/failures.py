"""How attempts fail: what a status, an error of the connection or of the system is to the user."""

from __future__ import annotations

import contextlib
import errno
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from pdl.auth.credentials import basic_of_userinfo, request_fields, secrets_in
from pdl.http_rules.codings import coding_of
from pdl.http_rules.dates import rate_reset, retry_after
from pdl.http_rules.ranges import Answered, Step, obstacle, unasked
from pdl.integrity.check import has_digest
from pdl.model import NOT_KEPT, Fail, FailureKind, Task
from pdl.scheduling.kinds import HOST_FAULTS, USELESS_PARTS
from pdl.storage.final_name import InTheWay
from pdl.system import proxy_variables
from pdl.text.lazy_regex import lazy
from pdl.text.masking import mask
from pdl.text.named_tuple import NamedTuple
from pdl.text.units import size_text
from pdl.text.urls import InvalidUrl, parse
from pdl.transport import TransportError
from pdl.transport.errors import NO_DATA

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from pdl.auth.url_command import Printed
    from pdl.http_rules.ranges import Known
    from pdl.model import Headers
    from pdl.settings import HttpSettings
    from pdl.text.host_tables import HostTable
    from pdl.text.urls import Url


_OF_THE_FILE = frozenset({401, 402, 403, 404, 407, 408, 410, 423, 425, 429, 451})
"""Statuses that speak of the file, the user or the moment, whatever was asked beside the URL."""
_OF_THE_USER = frozenset({401, 403, 407})
"""They say that a link has run out, or that something is to be sent with it: its file may be had
with another link, and then goes on."""
_CLIENT_ERROR = 400
_OF_CREDENTIALS = frozenset({401, 403})
_NOT_IMPLEMENTED = 501
_SERVER_ERROR = 500
_TOO_MANY = 429
_LIMITING = frozenset({403, _TOO_MANY, 503})
"""Statuses by which servers refuse what goes beyond a limit."""

WORDS_FROM = 4096
"""Bytes of a refusal's body in which its words are looked for."""
WORDS_MOST = 200
"""Characters of them that are told."""
_SECRET_LEAST = 4
"""Characters; what is shorter is no secret, and would be found everywhere."""
_TELL_NOTHING = {"user-agent", "accept", "accept-encoding"}
_TEXT = lazy(r"^text/|[/+](json|xml|html)$|xhtml")
_XML_MESSAGE = lazy(r"<message>([^<]+)</message>", re.IGNORECASE)
_JSON_MESSAGE = lazy(r'"message"\s*:\s*("(?:[^"\\]|\\.)+")', re.IGNORECASE)
_JSON_ERROR = lazy(r'"(?:error_description|error|detail)"\s*:\s*("(?:[^"\\]|\\.)+")', re.IGNORECASE)
_UNSEEN = lazy(r"<!--.*?-->|<(script|style)\b.*?(</\1>|$)", re.IGNORECASE | re.DOTALL)
_TAG = lazy(r"<[^>]*(>|$)")
_NO_WORD = lazy(r"[\W_]+")
_SEPARATORS = lazy(r"[/?#&=;:@]+")
_NO_NEWS = {"", "error", "errorresponse"}

_FATAL = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.EIO,
    errno.ENOENT,
    errno.ENOMEM,
}
"""They would meet every other file as well."""

_KINDS = {
    errno.ENAMETOOLONG: FailureKind.NAME,
    errno.EISDIR: FailureKind.EXISTS,
    errno.ENOTDIR: FailureKind.EXISTS,
    errno.EEXIST: FailureKind.EXISTS,
    errno.ELOOP: FailureKind.EXISTS,
}


def minds_the_fields(status: int) -> bool:
    """Whether a refusal may be of a request's range or condition, and not of the file.

    Small servers answer 400 to a range that begins behind the end, where RFC 9110 section 15.5.17
    has 416; gateways answer 501 to conditions that they do not know.

    Args:
        status: of the answer.
    """
    return status == _NOT_IMPLEMENTED or (status < _SERVER_ERROR and status not in _OF_THE_FILE)


def is_useless(fail: Fail) -> bool:
    """Whether after the failure a part is not worth keeping, as far as nothing more is known."""
    if fail.kind is FailureKind.CHECKSUM:
        return True
    if fail.status in _OF_THE_USER:
        return False
    return not fail.transient and fail.kind in USELESS_PARTS


class StartAgain(Exception):
    """The file is to be asked for anew in the attempt, without a range and without a condition.

    Args:
        drop: the part does not lead to the file, and goes at once; else it goes when the file
            comes from the start.
    """

    def __init__(self, *, drop: bool = True) -> None:
        super().__init__()
        self.drop = drop


class AttemptFailed(Exception):
    """Ends the attempt from within; becomes a `Fail`."""

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        transient: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
        hold: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.transient = transient
        self.status = status
        self.retry_after = retry_after
        self.hold = hold

    def as_fail(self, task_id: int) -> Fail:
        """The answer that says so."""
        return Fail(
            "fail",
            task_id,
            self.kind,
            self.transient,
            self.message,
            status=self.status,
            retry_after=self.retry_after,
            hold=self.hold,
        )


def check_step(step: Step, answer: Answered) -> None:
    """See whether an attempt can do anything with this range, or with none.

    Raises:
        StartAgain: not with this one.
        AttemptFailed: nobody has asked for it.
    """
    if step is Step.AGAIN:
        raise StartAgain
    if step is Step.REFUSE:
        raise AttemptFailed(FailureKind.PROTOCOL, unasked(answer), status=answer.status)


def refusal(
    status: int, reason: str, header: Callable[[str], str | None], again: Container[int]
) -> AttemptFailed:
    """How an attempt ends whose answer has a status that brings no file.

    Args:
        status: of the answer; no redirect.
        reason: the server's words for it.
        header: gives a field's value, or None.
        again: statuses worth another try. That is said here alone: whether the part is kept and
            whether the schedule tries again both follow from `Fail.transient`.
    """
    asked = retry_after(header("retry-after"), header("date"))
    hold = rate_reset(header, spent=status == _TOO_MANY)
    if asked is None and status in _LIMITING:
        asked = hold
    return AttemptFailed(
        FailureKind.HTTP,
        f"the server answered {status} {reason}".rstrip(),
        transient=status in again,
        status=status,
        retry_after=asked,
        hold=hold,
    )


class Refused(NamedTuple):
    """What is known of an answer that brings no file, beside its status.

    Attributes:
        task: that was attempted.
        asked: the URL that answered.
        header: gives a field of the answer, or None.
        body: its first bytes, `WORDS_FROM` at least if it has so many; empty if it is long.
        printed: what ``--url-command`` has printed for it, or None.
    """

    task: Task
    asked: str
    header: Callable[[str], str | None]
    body: bytes | memoryview
    printed: Printed | None = None

    def urls(self) -> tuple[Url, Url]:
        """What is listed, and what answered.

        Raises:
            InvalidUrl: the list's URL is none.
        """
        if self.printed is None:
            return parse(self.task.url), parse(self.asked)
        from pdl.text.foreign import parse_listed  # where there may be one

        return parse_listed(self.task.url), parse(self.asked)


def explain(failure: AttemptFailed, http: HttpSettings, refused: Refused) -> None:
    """Add the server's own words to a refusal, and to a 401 or 403 what was sent and may help."""
    status = failure.status or 0
    if status < _CLIENT_ERROR:
        return
    known, code, reason = failure.message.partition(str(status))
    if not _is_usual(status, reason.strip()):
        failure.message = f"{known}{code}{_hidden(reason, http, refused)}"
    if refused.body and (words := _words(failure.message, refused)):
        failure.message += f": {_masked(words, http, refused)}"
    if refused.printed is not None:
        failure.message += "; --url-command gave the URL"
    elif status in _OF_CREDENTIALS and failure.retry_after is None:  # else it is a limit
        from pdl.auth.refusals import Asked  # where one is

        try:
            listed, asked = refused.urls()
        except InvalidUrl:
            return
        it = Asked(http, listed, asked, refused.task.headers)
        challenge = _hidden(refused.header("www-authenticate") or "", http, refused)
        failure.message += f"; {it.explained(status, challenge)}"


@lru_cache(maxsize=64)
def _is_usual(status: int, reason: str) -> bool:
    """Whether the words of a server for a status are those of everybody."""
    from http import HTTPStatus  # where a server refuses

    return not reason or (status in set(HTTPStatus) and reason == HTTPStatus(status).phrase)


def _sent(http: HttpSettings, refused: Refused) -> Headers:
    try:
        listed, asked = refused.urls()
    except InvalidUrl:
        return ()
    fields = request_fields(http, listed, asked, refused.task.headers, refused.printed)
    told = (each for each in fields if each[0].lower() not in _TELL_NOTHING)
    return (*told, *_told_proxies(http.proxy or "", http.hosts))


@lru_cache(maxsize=4)
def _told_proxies(usual: str, hosts: tuple[HostTable, ...]) -> Headers:
    """What the proxies are told that may be on the way; one may answer in a server's place."""
    proxies = [usual, *(value for _, value in proxy_variables.named())]
    proxies += [value for _, said in hosts for path, value in said if path == "http.proxy"]
    users = (each.rpartition("@")[0].rpartition("//")[2] for each in proxies if each)
    return tuple(("Proxy-Authorization", basic_of_userinfo(each)) for each in users if each)


def _words(known: str, refused: Refused) -> str:
    """The first line of an answer's body that says something; empty if there is none."""
    header = refused.header
    media = (header("content-type") or "text/plain").partition(";")[0].strip(" \t").lower()
    begin = bytes(refused.body[:WORDS_FROM])
    if coding_of(header("content-encoding")) or b"\0" in begin or not _TEXT.search(media):
        return ""
    text = begin.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text[:1] in {"{", "["}:
        return _json_words(text)
    if text[:1] == "<":
        from html import unescape  # its table of names takes a millisecond

        said = _XML_MESSAGE.search(text)
        text = unescape(_TAG.sub("\n", _UNSEEN.sub("\n", said[1] if said else text)))
    line = next((" ".join(each.split()) for each in text.splitlines() if each.strip()), "")
    bare = _NO_WORD.sub("", line).lower()
    # what servers send that have nothing to say: the status once more
    return "" if bare in _NO_NEWS or bare in _NO_WORD.sub("", known).lower() else line


def _json_words(text: str) -> str:
    from json import loads  # few runs need it

    for found in _JSON_MESSAGE.finditer(text), _JSON_ERROR.finditer(text):
        for each in found:
            with contextlib.suppress(ValueError):
                if said := " ".join(str(loads(each[1], strict=False)).split()):
                    return said
    return ""


def _masked(words: str, http: HttpSettings, refused: Refused) -> str:
    """The words, cut, without secrets: those that any URL may have, and those that were sent."""
    words = " ".join(map(_mask_word, _hidden(words, http, refused).split()))
    return words if len(words) <= WORDS_MOST else f"{words[: WORDS_MOST - 3]}..."


def _hidden(text: str, http: HttpSettings, refused: Refused) -> str:
    """What a server says, without the secrets that were sent."""
    if not text:
        return text
    secrets = secrets_in(_sent(http, refused))
    if refused.printed is not None:
        secrets |= refused.printed.secrets()
    for url in (refused.task.url, refused.asked):
        if mask(url) != url:
            secrets |= {unquote_plus(part) for part in _SEPARATORS.split(url)}
            secrets |= set(_SEPARATORS.split(url))
    shown = refused.asked.partition("?")[0].rpartition("@")[2]
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_LEAST and secret not in shown:
            text = text.replace(secret, "***")
    return text


def _mask_word(word: str) -> str:
    if "://" in word:
        return mask(word)
    return mask(f"?{word}")[1:] if "=" in word else word


_ASKED = HOST_FAULTS | {
    FailureKind.RESET,
    FailureKind.TRUNCATED,
    FailureKind.PROTOCOL,
    FailureKind.HTTP,
    FailureKind.CONTENT,
}
"""Kinds that are of whoever was asked."""


def name_host(fail: Fail, task: Task, *, printed: bool = False) -> Fail:
    """The failure, told with the host that was asked, if that is another than the task names.

    Args:
        fail: of an attempt.
        task: that was attempted.
        printed: ``--url-command`` has named the host.
    """
    if fail.kind not in _ASKED or not fail.final_url or fail.final_url == task.url:
        return fail
    if printed:
        return fail._replace(message=f"at {parse(fail.final_url).netloc}: {fail.message}")
    try:
        listed, asked = parse(task.url).netloc, parse(fail.final_url).netloc
    except InvalidUrl:
        return fail
    if listed == asked:
        return fail
    return fail._replace(message=f"redirected to {asked}: {fail.message}")


TOLD_FROM = 64 * 1024
"""Bytes of a part that are worth a word when they are lost."""


def not_kept(fail: Fail, lost: int, obstacle: str) -> Fail:
    """The failure, told with what is lost by it.

    Args:
        fail: of the attempt.
        lost: bytes of its part.
        obstacle: why they are, and what would help; empty if nothing is in the way.
    """
    if not obstacle or lost < TOLD_FROM:
        return fail
    what = f"the {size_text(lost)} so far {NOT_KEPT}: {obstacle}"
    return fail._replace(message=f"{fail.message}; {what}")


def unused(known: Known, task: Task, *, asked: bool) -> tuple[int, str]:
    """How many bytes a part had that was found and not gone on with, and why it was not.

    Args:
        known: the part.
        task: whose it is.
        asked: its rest has been asked for.
    """
    if asked:
        return known.offset, "the server has another version, or gives no ranges"
    proven = has_digest(task)
    why = obstacle(known.validator, known.total, proven=proven)
    if known.mixed and not proven:
        why = "mirrors may have helped with it, and no digest is known any more"
    return known.offset, why or "its link has changed, and too little can be compared"


def begun_anew(lost: int, why: str) -> str:
    """The remark on a file that an earlier part was of no use for; empty if it was a small one.

    Args:
        lost: bytes of that part.
        why: it could not be gone on with.
    """
    return (
        f"begun anew, without the {size_text(lost)} of a part: {why}" if lost >= TOLD_FROM else ""
    )


def failure_of(exc: Exception, task: Task, directory: str, timeout: float) -> Fail:
    """The failure that an error makes of an attempt.

    Args:
        exc: an `AttemptFailed`, a `TransportError`, an `InTheWay` or an `OSError`.
        task: what was attempted.
        directory: the output directory.
        timeout: seconds that a server may be silent.
    """
    if isinstance(exc, AttemptFailed):
        return exc.as_fail(task.id)
    if isinstance(exc, TransportError):
        fatal = exc.kind is FailureKind.DISK
        message = exc.message
        if exc.kind is FailureKind.TIMEOUT:
            message = message.replace(NO_DATA, f"{NO_DATA} for {timeout:g} s", 1)
        return Fail("fail", task.id, exc.kind, exc.transient, message, fatal=fatal)
    if isinstance(exc, InTheWay):
        return Fail("fail", task.id, FailureKind.EXISTS, transient=False, message=str(exc))
    assert isinstance(exc, OSError)
    return _system_failure(exc, task, directory)


def _system_failure(exc: OSError, task: Task, directory: str) -> Fail:
    """A write, unlike an open, does not say of which file its error is: then it is the task's."""
    reason = exc.strerror or str(exc)
    where = exc.filename2 or exc.filename or f"{directory}/{task.path}"
    return Fail(
        "fail",
        task.id,
        _KINDS.get(exc.errno or 0, FailureKind.DISK),
        transient=False,
        message=f"{reason} ({where})",
        fatal=exc.errno in _FATAL,
    )
