"""What the requests of one worker say of the user, and to whom."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from pdl.http_rules.codings import known
from pdl.http_rules.redirects import may_be_told
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pdl.auth.cookies import Cookie, CookieJar
    from pdl.auth.digest import Digests
    from pdl.auth.helpers import Command, Helpers, HelperTurn
    from pdl.auth.logins import Login, Logins
    from pdl.auth.url_command import Printed, UrlCommand
    from pdl.model import Headers
    from pdl.settings import HttpSettings
    from pdl.text.host_tables import HostTable
    from pdl.text.urls import Url

USER, BEARER, NETRC, COOKIES = "--user", "--bearer", "the netrc file", "cookies"
HELPER, URL_COMMAND = "--credential-helper", "--url-command"
TABLE, TABLE_USER, TABLE_BEARER = (
    f"the {what} of its host table" for what in ("header", "user", "bearer")
)
UNAUTHORIZED = 401
_LINE, _RUN, _URL = "the line's own fields", "--header", "the user in the URL"
"""Where credentials are from, as people are told."""

_NO_USERS = frozenset({"", _RUN, _LINE, HELPER, BEARER, TABLE, TABLE_BEARER})

_MAKING = threading.Lock()
"""Is held while a worker makes what its lanes share, each of which is a thread."""


class Said(NamedTuple):
    """A field of a request.

    Attributes:
        source: where it is from; empty for what every request has.
    """

    name: str
    value: str
    source: str = ""


class Named(NamedTuple):
    """An Authorization for one host.

    Attributes:
        port: that it is for alone; None for any.
        value: of the field.
        source: where it is from.
    """

    port: int | None
    value: str
    source: str


class OfHosts(NamedTuple):
    """What the tables of hosts say of the user.

    Attributes:
        tables: whose users and tokens are values of the Authorization field.
        netrc: hosts whose table says nothing have the entries of the netrc file.
        cookies_file: of those hosts.
        near: the users and tokens of the run that count more, by their source.
    """

    tables: tuple[HostTable, ...]
    netrc: bool
    cookies_file: str | None
    near: tuple[str, ...] = ()

    def said(self, url: Url) -> Mapping[str, Any]:
        """What they say of the URL's host, by the names of fields of the settings."""
        from pdl.text.host_tables import said_in  # where there are any

        return said_in(self.tables, "auth", url.request_url)

    def laid_over(self, url: Url, found: Sequence[Named]) -> Iterator[Named]:
        """What is for the URL's host, in order; `found` is what the run has for it."""
        said = self.said(url)
        own = {USER: (said.get("users"), TABLE_USER), BEARER: (said.get("bearer"), TABLE_BEARER)}
        for source in (USER, BEARER):
            value, place = own[source]
            mine = [Named(None, value, place)] if value else []
            others = [each for each in found if each.source == source]
            yield from others + mine if source in self.near else mine + others
        if said.get("netrc", self.netrc):
            yield from (each for each in found if each.source == NETRC)

    def overrule_user(self, url: Url) -> bool:
        """Whether the URL's host has a user that counts more than one without a host."""
        return USER not in self.near and "users" in self.said(url)

    def file_for(self, url: Url) -> str | None:
        """The file whose cookies go there."""
        file: str | None = self.said(url).get("cookies_file", self.cookies_file)
        return file


class Credentials:
    """What a run is told of its user. A worker's lanes share one.

    Args:
        named: for each host what it may be sent, the first that its port allows.
        bound: for each origin, as `pdl.text.urls.Url.origin`, the Authorization that goes there
            alone, if it is listed.
        cookies: each with its host, to begin with; None if there are to be none, ever.
        netrc: the netrc file that was read, or empty.
        helpers: programs that give more.
        url_command: the program that gives the URL to ask, see `pdl.auth.url_command`.

    Attributes:
        url_command: in this worker; None if there is none.
        watchers: called when the fields of requests may have changed.
    """

    def __init__(
        self,
        named: Mapping[str, Sequence[Named]] | None = None,
        bound: Mapping[tuple[str, str, int], str] | None = None,
        cookies: Sequence[tuple[str, Cookie]] | None = (),
        netrc: str = "",
        helpers: Sequence[Command] = (),
        url_command: str | None = None,
    ) -> None:
        self.netrc = netrc
        self._commands = tuple(helpers)
        self._helpers: Helpers | None = None
        if helpers:
            from pdl.auth.helpers import Helpers  # where there is one

            self._helpers = Helpers(helpers, self._changed)
        self.url_command: UrlCommand | None = None
        self._url_words = url_command
        if url_command is not None:
            import shlex  # as above

            from pdl.auth.url_command import UrlCommand

            self.url_command = UrlCommand(tuple(shlex.split(url_command)))
        self._named = dict(named or {})
        self._bound = dict(bound or {})
        self._cookies = cookies
        self._jar: CookieJar | None = None
        self._logins: Logins | None = None
        self._digests: Digests | None = None
        self.watchers: list[Callable[[], None]] = []
        self._of_hosts: OfHosts | None = None
        if cookies:
            self._open_jar()

    def __reduce__(self) -> tuple[Callable[..., Credentials], tuple[object, ...]]:
        given = (self._named, self._bound, self._cookies, self.netrc, self._commands)
        return Credentials._again, (self._of_hosts, *given, self._url_words)

    @classmethod
    def _again(cls, of_hosts: OfHosts | None, *given: Any) -> Credentials:  # noqa: ANN401 - as they were
        mine = cls(*given)
        if of_hosts is not None:
            mine.lay_over(of_hosts)
        return mine

    def lay_over(self, of_hosts: OfHosts) -> None:
        """From now on tables of hosts count as well."""
        self._of_hosts = of_hosts
        if self._jar is not None:
            self._jar.file_for = of_hosts.file_for

    def _changed(self) -> None:
        for each in self.watchers:
            each()

    def _open_jar(self) -> CookieJar:
        from pdl.auth.cookies import CookieJar  # where there is a cookie

        with _MAKING:
            if self._jar is None:
                self._jar = CookieJar(self._cookies or ())
                if self._of_hosts is not None:
                    self._jar.file_for = self._of_hosts.file_for
        return self._jar

    @property
    def personal(self) -> bool:
        """Whether answers may be for this user alone."""
        return bool(self._knows_hosts or self._bound or self._cookies or self._commands)

    @property
    def _knows_hosts(self) -> bool:
        """Whether there may be an Authorization for some host."""
        return bool(self._named or self._of_hosts)

    @property
    def has_own_cookies(self) -> bool:
        """Whether the user has given some."""
        return bool(self._cookies)

    def said(self, listed: Url, current: Url) -> Iterator[Said]:
        """What is sent to `current` when `listed` is what the list says; the last counts."""
        if self._helpers is not None and self._helpers.words_for(listed, current):
            for name, value in self._helpers.fields(current) or ():
                yield Said(name, value, HELPER)
        if self._knows_hosts and (named := self.named(current)) and may_be_told(listed, current):
            yield Said("Authorization", named.value, named.source)
        if self._bound and current.origin == listed.origin and listed.origin in self._bound:
            hosts = self._of_hosts
            if hosts is None or not hosts.overrule_user(current):
                yield Said("Authorization", self._bound[listed.origin], USER)
        if self._jar is not None and (value := self._jar.value(listed, current)):
            yield Said("Cookie", value, COOKIES)

    def named(self, url: Url) -> Named | None:
        """What is for the URL's host."""
        found = [each for each in self._named.get(url.host, ()) if each.port in {None, url.port}]
        if self._of_hosts is not None:
            found = list(self._of_hosts.laid_over(url, found))
        return found[0] if found else None

    # --- helpers ---

    def may_know(self, status: int | None) -> bool:
        """Whether a request that was refused so may be made in another way."""
        if status == UNAUTHORIZED and (
            self._helpers is not None or self._knows_hosts or self._bound
        ):
            return True
        return self.url_command is not None and self.url_command.may_know(status)

    def turn(self, listed: Url, current: Url) -> HelperTurn | None:
        """What a request has to wait for; None if all is known."""
        if self._helpers is None:
            return None
        words = self._helpers.words_for(listed, current)
        if words is None or self._helpers.fields(current) is not None:
            return None
        from pdl.auth.helpers import HelperTurn

        return HelperTurn(self._helpers, words, current)

    def refused(self, listed: Url, current: Url) -> bool:
        """A server wants other credentials; whether a helper may have some."""
        if self._helpers is None or self._helpers.words_for(listed, current) is None:
            return False
        self._helpers.refused(current, self._helpers.fields(current) or ())
        return True

    # --- Digest ---

    def challenged(self, url: Url, basic: str, challenge: str) -> bool:
        """Whether a server asks that user for Digest, and can be answered from now on."""
        from pdl.auth.digest import Digests  # where a server has refused Basic

        with _MAKING:
            digests = self._digests or Digests()
            if not digests.learn(url, basic, challenge):
                return False
            self._digests = digests
        self._changed()
        return True

    def forget_challenge(self, url: Url, basic: str) -> None:
        """The user is refused there, whatever was sent."""
        if self._digests is not None:
            self._digests.forget(url, basic)

    def answered(self, url: Url, fields: Headers) -> Headers:
        """The fields of a GET, with the answer to what its server has asked for."""
        digests = self._digests
        if digests is None:
            return fields
        return tuple(
            (name, digests.field(url, value) if name == "Authorization" else value)
            for name, value in fields
        )

    # --- cookies ---

    def heard(self, listed: Url, url: Url, fields: str) -> None:
        """Take the cookies that an answer sets; `fields` are its Set-Cookie, one a line."""
        if self._cookies is not None and self._open_jar().take(listed, url, fields.split("\n")):
            self._changed()

    def changes(self, host: str) -> int:
        """How often cookies of the host have changed."""
        return 0 if self._jar is None else self._jar.changes(host)

    def minds_path(self, host: str) -> bool:
        """Whether requests to the host have other fields for other paths."""
        if self._digests is not None and self._digests.know(host):
            return True
        return self._jar is not None and self._jar.minds_path(host)

    def ends(self, host: str) -> float | None:
        """`time.time` at which a cookie of the host ends; None if none is known to."""
        return None if self._jar is None else self._jar.ends(host)

    def login(self, listed: Url, target: Url, before: int) -> Login | None:
        """What a redirect to `target` may be: a way to a cookie. None if it is none.

        Args:
            listed: what was asked for.
            target: where the redirect leads.
            before: `changes` of the listed host when it was asked.
        """
        if self._cookies is None or listed.host == target.host:
            return None
        if not any(self.said(listed, target)):
            return None  # who is unknown there cannot log in
        from pdl.auth.logins import Login, Logins  # where somebody logs in

        with _MAKING:
            if self._logins is None:
                self._logins = Logins()
        if listed.origin in self._logins.others:
            return None
        return Login(self._logins, self._open_jar(), listed, before)


def all_said(
    http: HttpSettings,
    listed: Url,
    current: Url,
    extra: Headers,
    printed: Printed | None = None,
) -> list[Said]:
    """Every field of a request, as `request_fields`, with where it is from."""
    own = _of_host(http, listed, current) if http.hosts else {}
    said = {
        "user-agent": Said("User-Agent", _sendable(own.get("user_agent", http.user_agent))),
        "accept": Said("Accept", "*/*"),
        "accept-encoding": Said(
            "Accept-Encoding", ", ".join(known()) if http.compressed else "identity"
        ),
    }
    if isinstance(http.credentials, Credentials):
        for each in http.credentials.said(listed, current):
            said[each.name.lower()] = each
    if current.origin == listed.origin:
        if listed.userinfo:
            said["authorization"] = Said("Authorization", basic_of_userinfo(listed.userinfo), _URL)
        given = [(_fields(http.headers, http.referer), _RUN), (extra, _LINE)]
    else:
        mine = own if may_be_told(listed, current) else {}
        given = [(_fields(mine.get("headers", ()), mine.get("referer")), TABLE)]
    for fields, source in given:
        for name, value in fields:
            said[name.lower()] = Said(name, _sendable(value), source)
    if printed is not None and current.origin == printed.url.origin:
        if printed.url.userinfo:
            value = basic_of_userinfo(printed.url.userinfo)
            said["authorization"] = Said("Authorization", value, URL_COMMAND)
        for name, value in printed.fields:
            said[name.lower()] = Said(name, _sendable(value), URL_COMMAND)
    return list(said.values())


def _fields(headers: Headers, referer: str | None) -> Headers:
    return (("Referer", referer), *headers) if referer else headers


def _of_host(http: HttpSettings, listed: Url, current: Url) -> Mapping[str, Any]:
    """What a table says of the host that is asked, where that is not the listed one's.

    Of that one `http` is.
    """
    from pdl.text.host_tables import said_in  # where hosts differ

    if current.origin == listed.origin:
        return {}
    return said_in(http.hosts, "http", current.request_url)


def basic_said(said: Iterable[Said]) -> str | None:
    """The Authorization value of a user and password, if that is what is said."""
    found = next((each for each in said if each.name.lower() == "authorization"), None)
    if found is None or found.source in _NO_USERS:
        return None
    return found.value if found.value.startswith("Basic ") else None


def request_fields(
    http: HttpSettings,
    listed: Url,
    current: Url,
    extra: Headers,
    printed: Printed | None = None,
) -> Headers:
    """What is sent to `current` when `listed` is what the list says.

    Every field the user gave, and the URL's own user and password, go to the listed origin alone.
    What a host's table says goes to that host, also where a redirect leads to it.
    An origin is scheme, host and port (RFC 6454), so a downgrade to http is another one. Of several
    for one field the first of these counts: the item's, the run's, the URL's user, `credentials`.

    Args:
        http: the run's settings; `headers` are the user's.
        listed: where the user's fields belong.
        current: where this request goes.
        extra: the item's own fields.
        printed: what ``--url-command`` has printed; its fields go to its own origin alone.
    """
    said = all_said(http, listed, current, extra, printed)
    return tuple((each.name, each.value) for each in said)


def basic(user: bytes, password: bytes) -> str:
    """The Authorization value for a user (RFC 7617)."""
    from base64 import b64encode  # for this alone

    return f"Basic {b64encode(user + b':' + password).decode('ascii')}"


def basic_of_userinfo(userinfo: str) -> str:
    """The Authorization value for the user in a URL."""
    user, _, password = userinfo.partition(":")
    return basic(unquote_to_bytes(user), unquote_to_bytes(password))


def _sendable(value: str) -> str:
    """The value as UTF-8, in the form in which the transports write it: a character an octet."""
    return value if value.isascii() else value.encode("utf-8").decode("latin-1")


def secrets_in(fields: Headers) -> set[str]:
    """What must not be shown of the values of fields: they, their words, and what they encode."""
    from base64 import b64decode  # where a server says anything

    found = set()
    for name, value in fields:
        found |= {value, *value.split()}
        if name.lower() == "cookie":
            found |= {each.partition("=")[2].strip(' "') for each in value.split(";")}
        scheme, _, encoded = value.partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = b64decode(encoded).decode("utf-8", "replace").partition(":")
            except ValueError:
                continue
            found |= {f"{user}:{password}", password}
    return found
