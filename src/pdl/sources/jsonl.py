"""jsonl: an object a line, with the names of csv; ``mirrors`` is a list, ``headers`` an object.

::

    {"url": "https://a.example/f.iso", "sha256": "2c26b4...", "size": 9, "mirrors": ["https:/..."]}
"""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any, ClassVar

from pdl.errors import ListError
from pdl.sources import Pause
from pdl.sources.item_options import Columns, Row, Unknown, bad_line, is_field, item_of, no_column
from pdl.sources.streams import MAX_LINE, shown_name
from pdl.sources.text import bad_bytes, why_no_text
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdl.sources import Entry, Line
    from pdl.sources.item_options import Fields

_SEVERAL = {"mirrors", "headers"}
_OF_LOCKS = {"final_url"}
"""What lock files say besides; it is nothing to go by."""
_decode = json.JSONDecoder().decode


class JsonlFormat:
    """Reads jsonl.

    Args:
        warn: told of the names that are not known.
        base: URL that relative ones are resolved against.
    """

    by_line: ClassVar[bool] = True
    foreign = False
    columns = Columns()

    def __init__(self, warn: Callable[[str], None], base: str | None) -> None:
        self._unknown = Unknown(warn)
        self._base = base

    def read(self, lines: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """See `pdl.sources.Format.read`."""
        number = 0
        for line in lines:
            if isinstance(line, Pause):
                yield line
                continue
            number += 1
            if entry := self._entry(line, source, number):
                yield entry

    def _entry(self, raw: bytes, source: str, number: int) -> Entry | None:
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            return bad_bytes(raw, source, number, why_no_text(raw))
        if len(raw) > MAX_LINE:
            return bad_bytes(raw, source, number, why_no_text(raw))
        if not text or text[0] == "#":
            return None
        try:
            value = _decode(text)
        except json.JSONDecodeError as error:
            message = f"is no JSON: {error.msg} (column {error.colno})"
            return bad_line(text, source, number, message)
        except (ValueError, RecursionError):  # a number of 5,000 digits, brackets in brackets
            return bad_line(text, source, number, _NO_SENSE)
        return self._entry_of(value, text, source, number)

    def _entry_of(self, value: object, text: str, source: str, number: int) -> Entry:
        """The entry of what stands in one line, or is one element."""
        kept: Fields = ()
        try:
            found = listed = _object(value)
            if self.columns:
                found, kept = self.columns.of_object(listed)
                self._check_columns(listed, source)
            row = _row(found)._replace(kept=kept)
        except ValueError as error:
            return bad_line(text, source, number, str(error))
        names = {name for name, _ in kept}
        if unknown := [name for name in found if not _is_known(name) and name not in names]:
            self._unknown.tell(unknown, source, number)
        return item_of(row, source, number, self._base, foreign=self.foreign)

    def _check_columns(self, listed: dict[str, Any], source: str) -> None:
        """See that the URL is there, and that no column is meant by its number.

        Raises:
            ListError: one is: an object has names alone.
            ValueError: there is no URL.
        """
        wanted = self.columns.wanted
        for column in wanted.values():
            if column[0] == "#" and column not in listed:
                raise no_column(column, listed, source)
        name = wanted.get("url", "url")
        if name not in listed:
            fields = ", ".join(printable(each[:40]) for each in listed)
            raise ValueError(f"has no field {printable(name)!r}; its fields are {fields[:400]}")


class JsonFormat(JsonlFormat):
    """Reads an array in JSON, whose elements are as the lines of jsonl; see `JsonlFormat`."""

    by_line: ClassVar[bool] = False

    def read(self, lines: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """See `pdl.sources.Format.read`."""
        array = _Array(source)
        for chunk in lines:
            if isinstance(chunk, Pause):
                yield chunk
                continue
            for text, value, line in array.feed(chunk):
                yield self._entry_of(value, text, source, line)
        for text, value, line in array.feed(b"", final=True):
            yield self._entry_of(value, text, source, line)


_SPACE = re.compile(r"[ \t\r\n]*")
_NO_SENSE = "is no JSON that makes sense here"
_AFTER_ELEMENT = (",", "]")
_AFTER = {"\ufeff": ("[",), "[": ("]", ""), ",": ("",), "]": ()}
"""What may stand behind a sign of an array; the empty text is an element, and nothing the end."""


class _Array:
    """An array that comes in pieces, of which no more is held than one element.

    Args:
        source: the list's name, for errors.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._codec = codecs.getincrementaldecoder("utf-8")()
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._line = 1
        self._signs: tuple[str, ...] = ("[", "\ufeff")

    def feed(self, data: bytes, *, final: bool = False) -> Iterator[tuple[str, object, int]]:
        """The elements that are complete with this: the text, the value and the line of each.

        Raises:
            ListError: it is no array, or is none from here on.
        """
        try:
            self._text += self._codec.decode(data, final)
        except UnicodeDecodeError:
            raise self._broken("is not UTF-8 text") from None
        at = 0
        while (at := self._past_space(at)) < len(self._text):
            if self._text[at] in self._signs:
                self._signs = _AFTER[self._text[at]]
                at += 1
            elif "" not in self._signs:
                raise self._broken(f"has no {' or '.join(self._signs) or 'end'} where that must be")
            elif (found := self._element(at, final=final)) is not None:
                value, end = found
                yield self._text[at:end], value, self._line
                self._line += self._text.count("\n", at, end)
                at, self._signs = end, _AFTER_ELEMENT
            else:
                break
        self._text = self._text[at:]
        if final and self._signs:
            raise self._broken("ends before its array does")

    def _past_space(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        assert found is not None  # it fits nothing as well
        self._line += self._text.count("\n", at, found.end())
        return found.end()

    def _element(self, at: int, *, final: bool) -> tuple[object, int] | None:
        """A value and where it ends; None if it takes more to tell."""
        try:
            return self._decode(self._text, at)
        except json.JSONDecodeError as error:
            if not final and len(self._text) - at <= MAX_LINE:
                return None
            long = len(self._text) - at > MAX_LINE and not final
            more = f", or an element is longer than {MAX_LINE} bytes" if long else ""
            raise self._broken(f"is no JSON: {error.msg}{more}") from None
        except (ValueError, RecursionError):
            raise self._broken(_NO_SENSE) from None

    def _broken(self, what: str) -> ListError:
        return ListError(f"{shown_name(self._source)} {what}, from line {self._line} on")


def _object(found: object) -> dict[str, Any]:
    """The object of a line; a lone string is a URL."""
    if isinstance(found, str):
        return {"url": found}
    if not isinstance(found, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 - the list's fault, not the caller's
    return found


def _row(found: dict[str, Any]) -> Row:
    fields = {}
    for name, value in found.items():
        if name not in _SEVERAL and is_field(name) and value is not None and value != "":
            fields[name] = _text(name, value)
    return Row(fields, _texts("mirrors", found), _headers(found))


def _text(name: str, value: object) -> str:
    if isinstance(value, str) or (name == "size" and type(value) is int):
        return str(value)
    raise ValueError(f"field {name} is no {'number' if name == 'size' else 'string'}")


def _texts(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    value = found.get(name)
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise ValueError(f"field {name} is no list of strings")


def _headers(found: dict[str, Any]) -> tuple[str, ...]:
    value = found.get("headers")
    if isinstance(value, dict) and all(isinstance(each, str) for each in value.values()):
        return tuple(f"{name}: {each}" for name, each in value.items())
    if value is None or (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        return tuple(value or ())
    raise ValueError("field headers is neither an object nor a list of strings")


def _is_known(name: str) -> bool:
    return name in _SEVERAL or name in _OF_LOCKS or is_field(name)
