"""`typing.NamedTuple`, made in a third of the time.

typing compiles each annotation of each class, to check it. pdl has some ninety such classes, and
every process makes them before it does anything else: that took 12 ms of a start of 110. A type
checker looks at the annotations anyway, so here they are kept as they stand.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from typing import NamedTuple
else:
    import collections
    import types

    _MADE = frozenset({"__module__", "__qualname__", "__annotations__"})
    """Members that are not set as they are."""

    class _Maker(type):
        def __new__(
            cls, name: str, bases: tuple[type, ...], members: dict[str, typing.Any]
        ) -> type:
            if not bases:  # it is `NamedTuple` itself
                return super().__new__(cls, name, bases, members)
            fields = members.get("__annotations__")
            if fields is None:  # from Python 3.14 on they may be there in another form
                return types.new_class(
                    name, (typing.NamedTuple,), {}, lambda to: to.update(members)
                )
            defaults = [members[field] for field in fields if field in members]
            module = members["__module__"]
            made = collections.namedtuple(name, fields, defaults=defaults, module=module)  # noqa: PYI024
            made.__qualname__ = members["__qualname__"]
            made.__annotations__ = made.__new__.__annotations__ = fields
            for member, value in members.items():
                if member not in _MADE and member not in fields:
                    setattr(made, member, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """A base class like `typing.NamedTuple`."""


__all__ = ["NamedTuple"]
