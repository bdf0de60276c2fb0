"""What tells URLs apart: the key of a URL, and the name of its part."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdl.model import SafePath
    from pdl.text.urls import Url


# --- The space of keys -----------------------------------------------------------------------
# A URL's key is 64 bits of a hash, of which one bit is always set. So a table of keys can also hold
# these numbers, none of which a URL has for its key (the last but by a chance that is nil):
FREE = 0
"""Nobody has it: there is no entry."""
DIRECTORY = 1
"""A directory has the name."""
RUNS_OWN = 2
"""A file of the run itself has the name, as a report or the list."""
_URL_BIT = 2
"""Set in every URL's key, which is therefore neither `FREE` nor `DIRECTORY`."""


class Asked:
    """What is asked for, and as whom: what tells URLs apart, and names a part.

    Attributes:
        url: that it is made of.
        netloc: the URL's.
        text: the request URL, with the user's name if there is one. That counts, for it may decide
            what is served; the password does not, so that nothing derived from it is ever seen.
        key: the first 64 bits of its SHA-256, with `_URL_BIT` set.
    """

    __slots__ = ("_hashed", "key", "netloc", "text", "url")

    def __init__(self, url: Url) -> None:
        self.url = url
        self.netloc = netloc = url.netloc
        text = f"{url.scheme}://{netloc}{url.target}"
        user = url.userinfo and url.userinfo.partition(":")[0]
        self.text = f"{user}@{text}" if user else text
        self._hashed = hashlib.sha256(self.text.encode())
        self.key = int.from_bytes(self._hashed.digest()[:8], "big") | _URL_BIT

    def part_name(self, path: SafePath) -> str:
        """File name of the part: 32 hex digits and ``.part``, the same on every run."""
        hashed = self._hashed.copy()
        hashed.update(f"\n{path}".encode())
        return hashed.hexdigest()[:32] + ".part"


def url_key(url: Url) -> int:
    """The `Asked.key` of a URL."""
    return Asked(url).key


def suffix_of(key: int) -> str:
    """The first 8 hex digits of the SHA-256 that `key` comes from."""
    return f"{key:016x}"[:8]


def part_name(url: Url, path: SafePath) -> str:
    """The `Asked.part_name` of a URL's file."""
    return Asked(url).part_name(path)


def identity(url: Url) -> str:
    """The `Asked.text` of a URL."""
    return Asked(url).text
