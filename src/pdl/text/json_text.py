"""How values are written out for machines: as JSON, one object a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def json_text(fields: Mapping[str, object]) -> str:
    """`fields` as a JSON object of printable ASCII, without a line break."""
    text = json.dumps(fields, ensure_ascii=True, separators=(",", ":"))
    # json leaves DEL alone; it can only stand inside a string, where the escape means the same
    return text.replace("\x7f", "\\u007f")


def json_line(fields: Mapping[str, object]) -> str:
    """The same with ``"schema": 1`` in front: a row or an event for machines."""
    return json_text({"schema": 1, **fields})
