"""A chain in virtual time on a database of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from footfall_testing.clockwork import Chain, chain_on


@pytest.fixture
def chain(database: str, tmp_path: Path) -> Iterator[Chain]:
    """A chain at noon of 2026-03-01 UTC."""
    with chain_on(database, tmp_path) as found:
        yield found
