"""The catalogues: same keys, nothing missing, nothing left over, numbers and times as people write them."""

import re
from datetime import datetime
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo

import pytest

import footfall_api
from footfall_api.messages import FOR_BROWSER, LANGUAGES, Catalogue, Entry, catalogue

PACKAGE = Path(footfall_api.__file__).parent
SOURCES = [
    *PACKAGE.glob("page*.py"),
    *(PACKAGE / "templates").glob("*.html"),
    *(PACKAGE / "static/js").glob("*.js"),
]
CALL = re.compile(r"""\bt\(\s*["'`]([a-z_]+(?:\.[a-z_]+)+)["'`]""")
# `status.${status}` and `state.${reason}`: families whose last word is data.
FAMILY = re.compile(r"""["'`]([a-z_]+)\.\$\{""")


def text() -> str:
    """Everything that may name a key."""
    return "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)


def words(entry: Entry) -> set[str]:
    """The {words} of a sentence or of all its plural forms."""
    forms = [entry] if isinstance(entry, str) else list(entry.values())
    return {name for form in forms for _, name, _, _ in Formatter().parse(form) if name}


def test_both_languages_have_the_same_keys() -> None:
    """What can be said in German can be said in English, and the other way round."""
    german, english = (catalogue(language).keys for language in LANGUAGES)

    assert german == english


def test_both_languages_fill_in_the_same_words() -> None:
    """A sentence is given the same facts in each language; a singular may leave out the count."""
    german, english = (catalogue(language)._entries for language in LANGUAGES)

    assert {key: words(entry) for key, entry in german.items()} == {key: words(entry) for key, entry in english.items()}


def test_no_key_is_missing() -> None:
    """Every key that the page asks for is in the catalogue."""
    asked = set(CALL.findall(text()))

    assert len(asked) > 60
    assert asked <= catalogue("de").keys


def test_no_key_is_left_over() -> None:
    """Every sentence in the catalogue is used somewhere: named in full, or one of a family chosen by data."""
    source = text()
    families = set(FAMILY.findall(source))
    unused = {
        key
        for key in catalogue("de").keys
        if not re.search(rf"""["'`]{re.escape(key)}["'`]""", source) and key.split(".")[0] not in families
    }

    assert unused == set()


def test_scripts_get_what_they_ask_for() -> None:
    """A key that a script asks for is among those sent to the browser."""
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "static/js").glob("*.js"))

    assert set(CALL.findall(scripts)) <= catalogue("de").for_browser().keys()
    assert {key.split(".")[0] for key in catalogue("de").for_browser()} == FOR_BROWSER


@pytest.mark.parametrize(
    ("language", "number", "percent", "date"),
    [("de", "1.234.567", "73\xa0%", "03.07.2026"), ("en", "1,234,567", "73%", "3 Jul 2026")],
)
def test_numbers_and_dates_are_written_as_people_write_them(
    language: str, number: str, percent: str, date: str
) -> None:
    """Thousands are grouped, per cent are rounded down, dates are in the order of the language."""
    t = catalogue(language)

    assert t.number(1_234_567) == number
    assert t.percent(0.7399) == percent
    assert t.date(datetime(2026, 7, 3, 14, 5, tzinfo=ZoneInfo("Europe/Berlin"))) == date


def test_zones_are_named() -> None:
    """A zone has its usual short name, in winter and summer, or its distance from Greenwich."""
    t = catalogue("de")

    assert t.zone(datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))) == "MEZ"
    assert t.zone(datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))) == "MESZ"
    assert t.zone(datetime(2026, 1, 1, tzinfo=ZoneInfo("Pacific/Auckland"))) == "GMT+13:00"


def test_a_number_chooses_the_plural_form() -> None:
    """One station is spoken of otherwise than two."""
    t = catalogue("de")

    assert "An einer Stelle" in t("page.lead", 1)
    assert "An 2 Stellen" in t("page.lead", 2)


def test_an_unknown_key_or_word_is_a_fault() -> None:
    """A page with holes in its sentences is not served."""
    t = Catalogue("de", {"a.b": "{count} mal"})

    with pytest.raises(KeyError):
        t("a.c")
    with pytest.raises(KeyError):
        t("a.b", time="12")
