"""What a list may say of an item beside its URL, checked and normalised."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pdl.checksum import parse_checksum
from pdl.urls import InvalidUrl, parse

if TYPE_CHECKING:
    from pdl.model import Item

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")  # section 5.5, as far as Latin-1 goes
_DIGEST = re.compile(r"(?:md5|sha-?(?:1|224|256|384|512))=[^&]*", re.IGNORECASE)
_HEADERS = {"user-agent": "User-Agent", "referer": "Referer"}


def with_option(item: Item, name: str, value: str) -> Item | None:
    """The item with an option of aria2's input file; None when pdl does not know the option.

    An empty value leaves the item as it is.

    Raises:
        ValueError: the value cannot be used; the message says why.
    """
    if name not in {"out", "dir", "checksum", "header", *_HEADERS}:
        return None
    if not value:
        return item
    if name == "out":
        return item._replace(out=value)
    if name == "dir":
        return item._replace(directory=value)
    if name == "checksum":
        return item._replace(checksum=parse_checksum(value))
    header = parse_header(f"{_HEADERS[name]}: {value}" if name in _HEADERS else value)
    return item._replace(headers=(*item.headers, header))


def parse_header(text: str) -> tuple[str, str]:
    """Take ``Name: value`` apart.

    Raises:
        ValueError: it is no header field that can be sent; its value is not in the message.
    """
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name.strip()):
        raise ValueError("a header is written as Name: value")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of header {name.strip()} cannot be sent")
    return name.strip(), value.strip()


def check_urls(urls: tuple[str, ...]) -> str | None:
    """Check an item's URL and its mirrors, and find the digest that one has as its fragment.

    Returns:
        The first ``#sha256=HEX`` as ``sha256:hex``, or None.

    Raises:
        ValueError: one is no URL, or its digest none; the message tells which unless the first.
    """
    found = None
    for place, text in enumerate(urls):
        try:
            fragment = parse(text).fragment
            if digest := _DIGEST.search(fragment):
                found = found or parse_checksum(digest[0])
        except InvalidUrl as error:
            raise InvalidUrl(f"mirror {place}: {error}" if place else str(error)) from None
    return found
