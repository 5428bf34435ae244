"""Mappings: what is refused and with which words, and that the reference in the documents is whole."""

from pathlib import Path

import pytest

from footfall_ingest.history import mapping
from footfall_ingest.history.mapping import MappingError

GOOD = """
title = "a mapping"
[time]
columns = ["time"]
length = "1h"
[[value]]
column = "n"
"""
PAGE = Path(__file__).parents[2] / "docs" / "import.md"


def refusal(folder: Path, text: str) -> str:
    """Why a mapping with this text is refused."""
    path = folder / "m.toml"
    path.write_text(text)
    with pytest.raises(MappingError) as refused:
        mapping.load(str(path))
    return str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("columns", "colums", "time.colums is no key of a mapping; do you mean columns?"),
        ("title", "titel", "titel is no key of a mapping; do you mean title?"),
        ("column =", "colunm =", "value.0.colunm is no key of a mapping; do you mean column?"),
        ("[time]", "[tiem]", "tiem is no key of a mapping; do you mean time?"),
        ('length = "1h"', "xyzzy = 1", "time.xyzzy is no key of a mapping; there are columns, format"),
        ('title = "a mapping"', "", "title is missing"),
        (
            '"1h"',
            '"1 hour"',
            "time.length: must be a length from 1min to 30d, such as 15min, 1h or 1d (it is '1 hour')",
        ),
        ('"1h"', '"45d"', "must be a length from 1min to 30d"),
        ('length = "1h"', "", "one of length, end_columns and an end in format must be given; none is"),
        (
            '"1h"',
            '"1h"\nend_columns = ["to"]',
            "one of length, end_columns and an end in format must be given; ['length'",
        ),
        ('"1h"', '"1h"\nzone = "Europe/Jena"', "time.zone: must be a time zone such as Europe/Berlin"),
        ('"1h"', '"1h"\nformat = "{year}-{moon}-{day}"', "{moon} is no part of a time; there are {year}"),
        ('"1h"', '"1h"\nformat = "{hour}:{minute}"', "must have {year}, {month} and {day}"),
        ('"1h"', '"1h"\nformat = "{year}{month}{day}{day}"', "{day} is there twice"),
        ('"1h"', '"1h"\nday_begins = "6"', "time.day_begins: must be a time of day such as 06:00"),
        ('"n"', '"n"\nheader = "{place}"', "one of column and header must be given"),
        ('"n"', '"n"\ndirection = "up"', "value.0.direction: "),
        ('"n"', '"n"\nclass = "all"', "value.0.class: must be a class"),
        ("[time]", '[place]\nid = "Brücke"\n[time]', "'Brücke' is no sensor's id"),
        ("[time]", '[file]\ndecimal = ","\nthousands = ","\n[time]', "two different marks"),
        ("[time]", "[time", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """A key that there is not is refused with the nearest one, a value with what would be right."""
    assert old in GOOD
    assert complaint in refusal(tmp_path, GOOD.replace(old, new, 1))


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    """A mapping with three faults is refused with three lines."""
    text = GOOD.replace("title", "titel").replace("column =", "colunm =")

    assert len(refusal(tmp_path, text).splitlines()) >= 3


def test_ready_mappings_say_where_their_format_is_from() -> None:
    """Each one loads and names its source."""
    for name in mapping.names():
        assert mapping.load(name)[1].source, name


def test_the_reference_is_whole() -> None:
    """docs/import.md has the tables that the model gives, and names every ready mapping."""
    page = PAGE.read_text("utf-8")

    assert "\n".join(mapping.reference()) in page
    for name in mapping.names():
        assert f"`{name}`" in page, name


def test_every_key_has_a_meaning() -> None:
    """No key of the reference lacks its description."""
    for name, model in mapping.TABLES.items():
        for key, field in model.model_fields.items():
            assert field.description, f"{name}.{key}"
