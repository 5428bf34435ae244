"""docs/hardening.md says what holds: every limit with its number, every threat with a test, every setting."""

import importlib
import re
from pathlib import Path

import pytest

from footfall_api.settings import LimitsSettings

TEXT = (Path(__file__).parents[2] / "docs" / "hardening.md").read_text("utf-8")
SETTINGS = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", TEXT, re.MULTILINE))
CONSTANTS = re.findall(r"^\| `([\w.]+):(\w+)` \| (\d+)", TEXT, re.MULTILINE)


def test_every_limit_that_can_be_set_is_there_with_its_default() -> None:
    """And no other."""
    defaults = {
        name: "`pool_size` less one" if field.default is None else str(field.default).lower()
        for name, field in LimitsSettings.model_fields.items()
    }

    assert defaults == SETTINGS


@pytest.mark.parametrize(("module", "name", "number"), CONSTANTS)
def test_every_other_limit_has_the_number_of_the_code(module: str, name: str, number: str) -> None:
    """Whoever changes one changes the page."""
    assert getattr(importlib.import_module(module), name) == int(number)


def test_every_threat_has_what_stops_it_and_a_test() -> None:
    """The one about other people's packages is another page's."""
    rows = [row.split("|")[1:-1] for row in re.findall(r"^\|.*\|$", TEXT.split("## The limits")[0], re.MULTILINE)][2:]

    assert len(rows) > 15
    for _, tries, stops, shown in rows:
        assert tries.strip()
        assert stops.strip()
        assert "`tests/" in shown or "supply-chain" in stops, tries
    assert len(CONSTANTS) > 10
