"""What helps where a server refuses: what was sent, what was not, and what is asked for."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from pdl.auth.credentials import COOKIES, Credentials, all_said
from pdl.auth.gather import netrc_entries, usual_netrc
from pdl.auth.origins import is_credential
from pdl.errors import UsageError
from pdl.http_rules.challenges import realm, schemes
from pdl.http_rules.redirects import may_be_told
from pdl.text.masking import mask, printable
from pdl.text.rules import receiver_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.auth.credentials import Said
    from pdl.model import Headers
    from pdl.settings import HttpSettings
    from pdl.text.urls import Url

_UNAUTHORIZED = 401
_SPOKEN = {"basic", "bearer", "digest"}
_MOST = 3
"""Schemes that are told."""


class Asked:
    """A request that was refused.

    Args:
        http: of the run.
        listed: what the list says.
        asked: who has refused.
        extra: the item's own fields.
    """

    def __init__(self, http: HttpSettings, listed: Url, asked: Url, extra: Headers) -> None:
        self._http = http
        self._listed = listed
        self._asked = asked
        self._extra = extra
        credentials = http.credentials
        self._mine = credentials if isinstance(credentials, Credentials) else Credentials()

    def _sent(self, to: Url) -> list[Said]:
        """The credentials that a request has; a cookie that a server has set is none."""
        return [
            each
            for each in all_said(self._http, self._listed, to, self._extra)
            if each.source
            and is_credential(each.name)
            and (each.source != COOKIES or self._mine.has_own_cookies)
        ]

    def explained(self, status: int, challenge: str | None) -> str:
        """What is told of it, behind what the server says.

        Args:
            status: of the answer.
            challenge: its WWW-Authenticate field.
        """
        sent = self._sent(self._asked)
        if sent:
            what = ", ".join(f"{printable(each.name)} from {each.source}" for each in sent)
            refused = "the credentials that were sent are refused"
            told = [f"{refused if status == _UNAUTHORIZED else 'credentials were sent'}: {what}"]
        else:
            told = ["no credentials were sent", *self._help(status)]
        if challenge and (wish := _wish(challenge)):
            told.append(wish)
        return "; ".join(told)

    def _help(self, status: int) -> Iterator[str]:
        """Why none were sent, and what would help."""
        asked, mine, usual = self._asked, self._mine, usual_netrc()
        host = asked.host
        named = mine.named(asked)
        if named is not None and not may_be_told(self._listed, asked):
            yield f"those of {named.source} for {host} go over https alone"
        elif asked.origin != self._listed.origin and self._sent(self._listed):
            yield f"those for {self._listed.netloc} do not go to {asked.netloc}"
        if not mine.netrc and host in netrc_hosts(usual):
            yield f"{printable(usual)} has an entry for {host}, which --netrc uses"
        elif mine.netrc and named is None:
            yield f"{printable(mine.netrc)} has no entry for {host}"
        elif named is None and status == _UNAUTHORIZED:
            yield f"-u {host}=USER, --bearer {host}=VARIABLE or --netrc give some"


def _wish(challenge: str) -> str:
    found = list(dict.fromkeys(schemes(challenge)))
    if not found:
        return ""
    named = " or ".join(map(printable, found[:_MOST]))
    where = f" for {mask(realm(challenge))!r}" if realm(challenge) else ""
    known = _SPOKEN & {each.lower() for each in found}
    return f"it asks for {named}{where}" + ("" if known else ", which pdl does not know")


@lru_cache(maxsize=4)
def netrc_hosts(path: str) -> frozenset[str]:
    """The hosts that a netrc file has entries for; none if it cannot be read."""
    if not os.path.exists(path):
        return frozenset()
    try:
        found = [host for host, _, _ in netrc_entries(path, lambda _: None)]
    except UsageError:
        return frozenset()
    return frozenset(receiver_of(host).host for host in found)
