"""What one attempt asks: of which URL, with which fields, and where a redirect leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pdl.auth.credentials import UNAUTHORIZED, Credentials, all_said, basic_said, request_fields
from pdl.fetch.failures import AttemptFailed
from pdl.http_rules import conditional
from pdl.http_rules.codings import packed
from pdl.http_rules.dates import rate_reset
from pdl.http_rules.redirects import STATUSES, BadRedirect, target
from pdl.model import FailureKind
from pdl.naming.content_disposition import redirect_name, server_name
from pdl.text.urls import InvalidUrl, parse
from pdl.transport import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.auth.logins import Login
    from pdl.auth.programs import Turn
    from pdl.auth.url_command import Printed, UrlCommand
    from pdl.fetch.commands import Head
    from pdl.http_rules.ranges import Known
    from pdl.model import Headers, Task, Version
    from pdl.naming.safe_name import SafeName
    from pdl.settings import FileSettings, HttpSettings
    from pdl.text.urls import Url
    from pdl.transport import Transport


_ANSWERS_MOST = 3
"""To servers that ask for Digest, in an attempt: other lanes may have used up a nonce meanwhile."""


class Asking:
    """The requests of one attempt, one after the other; no I/O.

    Args:
        http: of the run.
        files: of the run.
        task: whose file is asked for.
        started: when the attempt began.

    Attributes:
        url: that is asked next, or was asked last.
        printed: what ``--url-command`` has printed for the task's URL, if that is asked for.
        conditional: the last request may be answered with a 304.
        login: the next request begins or goes on with one, which other lanes may be making.
        decodes: answers may be coded, and are to be decoded.

    Raises:
        AttemptFailed: the task's URL is none.
    """

    printed: Printed | None = None
    _printing = False
    _to_print = 0
    _answered = 0

    def __init__(self, http: HttpSettings, files: FileSettings, task: Task, started: float) -> None:
        self._http = self._usual = http
        self._mine = http.credentials if isinstance(http.credentials, Credentials) else None
        self._command = None if self._mine is None else self._mine.url_command
        try:
            self._listed = parse(task.url) if self._command is None else any_scheme(task.url)
        except InvalidUrl as exc:
            raise AttemptFailed(FailureKind.INVALID_URL, str(exc)) from exc
        self.url = self._listed
        if self._command is not None:
            self._take_printed(self._command)
        self._fields = task.headers
        self._deadline = None if files.max_time is None else started + files.max_time
        self._hops = self._before = 0
        self._again = self._refused = False
        self.decodes = http.compressed and not packed(task.path, self._listed.path)
        self.login: Login | Turn | None = None
        self.conditional = False

    def called(self, header: Callable[[str], str | None]) -> SafeName | None:
        """What the answer calls the file, or else the URL that a redirect has led to."""
        name = server_name(header("content-disposition"))
        if name is not None or self.printed is not None:
            return name
        return redirect_name(self._listed, self.url)

    def begin_again(self, *, once: bool = False) -> None:
        """Ask the listed URL next, as if none had been asked.

        Args:
            once: another lane has brought a cookie; that is believed once.
        """
        self.url, self.login = self._listed, None
        if self._command is not None:
            self._take_printed(self._command)
        self._hops = 0
        self._again = self._again or once

    def refused(self, status: int | None, header: Callable[[str], str | None]) -> bool:
        """Whether there is another way to ask: then the listed URL is asked again.

        A server is answered that asks for Digest, once, and again if that came too late. Each
        program that may know better is asked once.

        Args:
            status: of the answer.
            header: gives a field of it, or None.
        """
        mine = self._mine
        if mine is None:
            return False
        if status == UNAUTHORIZED and self._answers(mine, header("www-authenticate") or ""):
            self.begin_again()
            return True
        if not self._refused and status == UNAUTHORIZED and mine.refused(self._listed, self.url):
            self._refused = True
            self.begin_again()
            return True
        return self._command is not None and self._refused_url(self._command, status)

    def _answers(self, mine: Credentials, challenge: str) -> bool:
        if "digest" not in challenge.lower():
            return False
        said = all_said(self._http, self._listed, self.url, self._fields, self.printed)
        basic = basic_said(said)
        if basic is None:
            return False
        if self._answered and (self._answered >= _ANSWERS_MOST or not _is_stale(challenge)):
            mine.forget_challenge(self.url, basic)
            return False
        self._answered += 1
        return mine.challenged(self.url, basic, challenge)

    def waits(self, turn: Login | Turn | None, stopped: Callable[[], bool]) -> bool:
        """Let a program have its turn; then the listed URL is asked again."""
        if turn is None or turn.once or not turn.wait(stopped, 0.0):
            return False
        self.begin_again()
        return True

    # --- the URL command ---

    def _take_printed(self, command: UrlCommand) -> None:
        self.printed = command.kept(self._listed)
        if self.printed is not None:
            self.url, self._to_print = self.printed.url, 0
            if not self._listed.port:  # no host is listed whose settings would count
                self._http = _of_host(self._usual, self.url.request_url)

    def _refused_url(self, command: UrlCommand, status: int | None) -> bool:
        """Whether the command is to be asked: for the listed URL, or for one it gave before."""
        if not command.may_know(status):
            return False
        command.refused(self._listed, self.printed)
        if self._printing:
            return False
        self._to_print = status or 0
        self.begin_again()
        return True

    @property
    def sent(self) -> str:
        """The URL that was asked last, for people; of one that has been printed without a query."""
        url = self.url.request_url
        if self.printed is None:
            return url
        begin, mark, _ = url.partition("?")
        return f"{begin}?***" if mark else url

    def heard(self, head: Head) -> float | None:
        """Take what an answer says of the requests to come.

        Returns:
            Seconds in which the server takes no more, or None.
        """
        mine, login = self._mine, self.login
        if mine is not None and (cookies := head.header("set-cookie")):
            mine.heard(self._listed, self.url, cookies)
        back = self.url.origin == self._listed.origin or head.status not in STATUSES
        if login is not None and back:
            self.login = None
            login.answered()
        return rate_reset(head.header)

    def redirected(self, status: int, location: str | None) -> None:
        """Ask next where an answer leads to.

        Raises:
            AttemptFailed: it leads nowhere.
        """
        http = self._http
        try:
            here, self.url = self.url, target(self.url, location, https_only=http.https_only)
        except BadRedirect as exc:
            raise AttemptFailed(FailureKind.REDIRECT, str(exc), status=status) from exc
        self._check_policy(status)
        self._hops += 1
        if self._hops > http.max_redirects:
            what = f"more than {http.max_redirects} redirects"
            raise AttemptFailed(FailureKind.REDIRECT, what, status=status)
        if self._mine is not None and here.origin == self._listed.origin and not self._again:
            self.login = self._mine.login(self._listed, self.url, self._before)

    def _check_policy(self, status: int | None = None) -> None:
        """See whether the file of rules lets the next URL be asked.

        Raises:
            AttemptFailed: it does not.
        """
        policy = self._http.policy
        if policy is None:
            return
        from pdl.sources.rewriting import HostPolicy  # where there are rules

        if isinstance(policy, HostPolicy) and (reason := policy.refusal(self.url.host)):
            raise AttemptFailed(FailureKind.POLICY, f"a redirect: {reason}", status=status)

    def request(self, known: Known | None, version: Version | None) -> Request:
        """The next request.

        Args:
            known: the part whose rest is asked for, or None.
            version: that a 304 would do for, or None.
        """
        if (
            self._command is not None
            and self.url is self._listed
            and (self._to_print or not self.url.port)
        ):
            from pdl.auth.url_command import UrlTurn  # where there is one

            self._printing, self.login = True, UrlTurn(self._command, self._listed, self._to_print)
            return Request(self.url.request_url, (), self._deadline)
        if self._mine is not None and self.url.host == self._listed.host:
            self._before = self._mine.changes(self.url.host)
        if self._mine is not None and (turn := self._mine.turn(self._listed, self.url)):
            self.login = turn
        http = self._http
        if http.compressed and (known is not None or not self.decodes):
            http = http._replace(compressed=False)  # a range is one of the bytes of the file
        fields = request_fields(http, self._listed, self.url, self._fields, self.printed)
        if self._mine is not None:
            fields = self._mine.answered(self.url, fields)
        asked: Headers = ()
        if known is not None:
            rest = ("Range", known.field())
            fields = (*fields, rest, *known.validator.condition())
        elif version is not None:
            asked = conditional.condition(version, self.url, fields)
        self.conditional = bool(asked)
        return Request(self.url.request_url, fields + asked, self._deadline)


def _is_stale(challenge: str) -> bool:
    from pdl.auth.digest import is_stale  # where one has been answered

    return is_stale(challenge)


def any_scheme(text: str) -> Url:
    """As `pdl.text.urls.parse`, where there is a command that knows other schemes."""
    from pdl.text.foreign import parse_listed  # where there may be one

    return parse_listed(text)


def http_for(http: HttpSettings, task: Task) -> HttpSettings:
    """The settings of a run as they are for the host of a task's URL."""
    return _of_host(http, task.url)


def _of_host(http: HttpSettings, url: str) -> HttpSettings:
    if not http.hosts:
        return http
    from pdl.text.host_tables import applied  # where hosts differ

    return applied(http, http.hosts, "http", url)


class Rests(Protocol):
    """A fast path, which has a connection at hand."""

    def rest(self) -> None:
        """Give it back."""


class Keeping(Protocol):
    """A lane, as far as it keeps connections."""

    @property
    def transport(self) -> Transport:
        """Keeps them."""

    @property
    def quick(self) -> Rests | None:
        """The fast path, if it has one."""


class KeptConnections:
    """See `pdl.pool.Connections`.

    Args:
        lane: whose they are.
    """

    def __init__(self, lane: Keeping) -> None:
        self._lane = lane

    def holds(self, host: str) -> bool:
        """See `pdl.pool.Connections.holds`."""
        return self._rested().holds(host)

    def hang_up(self, host: str) -> None:
        """See `pdl.pool.Connections.hang_up`."""
        self._rested().hang_up(host)

    def _rested(self) -> Transport:
        """The transport, which has got back what the fast path has at hand."""
        if self._lane.quick is not None:
            self._lane.quick.rest()
        return self._lane.transport
