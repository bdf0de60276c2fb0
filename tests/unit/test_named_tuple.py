"""The base of the nouns behaves as typing's own."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import typing

import pytest

import pdl
from pdl.text.named_tuple import NamedTuple

MAKER: typing.Any = type(NamedTuple)


class Ours(NamedTuple):
    """A place."""

    x: int
    name: str | None = None

    @property
    def twice(self) -> int:
        """A property."""
        return 2 * self.x

    def moved(self, by: int) -> Ours:
        """A method, which names its own class."""
        return self._replace(x=self.x + by)

    @classmethod
    def origin(cls) -> Ours:
        """A method of the class."""
        return cls(0)


class Theirs(typing.NamedTuple):
    """A place."""

    x: int
    name: str | None = None

    @property
    def twice(self) -> int:
        """A property."""
        return 2 * self.x


class Further(Ours):
    """A class of one that was made."""

    __slots__ = ()

    def moved(self, by: int) -> Ours:
        return super().moved(2 * by)


@pytest.mark.parametrize(
    "told",
    [
        lambda kind: kind._fields,
        lambda kind: kind._field_defaults,
        lambda kind: kind.__doc__,
        lambda kind: kind.__module__,
        lambda kind: kind.__bases__,
        lambda kind: kind.__match_args__,
        lambda kind: typing.get_type_hints(kind, {"str": str}),
        lambda kind: list(inspect.signature(kind).parameters),
        lambda kind: repr(kind(3)).partition("(")[2],
        lambda kind: kind(3, "a") == (3, "a"),
        lambda kind: kind(3)._asdict(),
        lambda kind: kind(3).twice,
        lambda kind: hasattr(kind(3), "__dict__"),
        lambda kind: isinstance(kind, type) and type(kind).__name__,
    ],
)
def test_it_is_as_typings(told: typing.Callable[[typing.Any], object]) -> None:
    assert told(Ours) == told(Theirs)


def test_its_signature_tells_the_types() -> None:
    assert "int" in str(inspect.signature(Ours))
    assert str(inspect.signature(pdl.Item)).startswith("(url: str, ")


def test_names() -> None:
    class Inner(NamedTuple):
        x: int

    assert Ours.__qualname__ == "Ours"
    assert Inner.__qualname__ == "test_names.<locals>.Inner"


def test_it_crosses_a_process_boundary() -> None:
    assert pickle.loads(pickle.dumps(Ours(1, "b"))) == Ours(1, "b")
    assert type(pickle.loads(pickle.dumps(Ours(1)))) is Ours


def test_methods() -> None:
    assert Ours.origin().moved(2) == (2, None)
    assert Further(1).moved(2) == (5, None)


def test_what_is_no_call_of_it() -> None:
    kind: typing.Any = Ours
    for given, named in (((), {}), ((1, "a", 2), {}), ((1,), {"y": 2})):
        with pytest.raises(TypeError):
            kind(*given, **named)
    with pytest.raises(ValueError, match="_x"):
        MAKER("Bad", (NamedTuple,), {"__annotations__": {"_x": "int"}, "__module__": ""})


def test_annotations_in_another_form_are_typings_to_read() -> None:
    made = MAKER("Made", (NamedTuple,), {"__module__": __name__, "__qualname__": "Made"})
    assert made.__bases__ == (tuple,)
    assert made.__module__ == __name__


SAME = """
import sys
{hide}
from pdl.text.sha256 import sha256
from hashlib import sha256 as usual
for text in (b"", b"https://example.org/a", b"x" * 1000):
    assert sha256(text).hexdigest() == usual(text).hexdigest()
    digest = sha256(text)
    other = digest.copy()
    other.update(b"more")
    assert digest.digest() == usual(text).digest()
    assert other.digest() == usual(text + b"more").digest()
print(sha256 is usual)
"""


@pytest.mark.parametrize("hidden", [(), ("_sha2", "_sha256")])
def test_the_sha256_of_short_texts(hidden: tuple[str, ...]) -> None:
    """A Python may be built without an implementation of its own."""
    hide = "\n".join(f"sys.modules[{name!r}] = None" for name in hidden)
    script = SAME.format(hide=hide)
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.stderr == ""
    assert run.stdout.strip() == str(bool(hidden))
