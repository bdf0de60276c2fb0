"""The short form of the soak; the long one is run by hand, see `survive.soak`."""

from __future__ import annotations

import pytest

from survive import soak


@pytest.mark.real
@pytest.mark.timeout(400)
def test_a_minute_of_every_fault_is_explained_and_leaks_nothing() -> None:
    wrong, figures = soak.run(seconds=60, requests=5000)
    assert not wrong, figures
