"""jsonl: an object a line, with the names of csv; ``mirrors`` is a list, ``headers`` an object.

::

    {"url": "https://a.example/f.iso", "sha256": "2c26b4...", "size": 9, "mirrors": ["https:/..."]}
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from pdl.sources import Pause
from pdl.sources.item_options import Row, Unknown, bad_line, is_field, item_of
from pdl.sources.streams import MAX_LINE
from pdl.sources.text import bad_bytes, why_no_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdl.sources import Entry, Line

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
            found = _object(text)
            row = _row(found)
        except ValueError as error:
            return bad_line(text, source, number, str(error))
        if unknown := [name for name in found if not _is_known(name)]:
            self._unknown.tell(unknown, source, number)
        return item_of(row, source, number, self._base, foreign=self.foreign)


def _object(text: str) -> dict[str, Any]:
    """The object of a line; a lone string is a URL."""
    try:
        found = _decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error.msg} (column {error.colno})") from None
    except (ValueError, RecursionError):  # a number of 5,000 digits, brackets in brackets
        raise ValueError("is no JSON that makes sense here") from None
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
