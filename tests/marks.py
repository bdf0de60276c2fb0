"""How tests are sorted by what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet


def slow(*values: object) -> ParameterSet:
    """A row of parameters that is left out of the plain run, where a like one stays in."""
    return pytest.param(*values, marks=pytest.mark.slow)
